"""How unusual the strings of a row are by themselves: a judge beside the networks, which see no more than their class.

Each read-out of a string (`data.string_features`) becomes a surprisal by its own tail: −log of the share of held-out
normal strings that read as much. The judge's score of a row is the largest of all its strings and read-outs; it is put
on the scale of the row's score by what share of held-out normal rows score as much, so that the nats of a long string
do not drown the numbers beside it. See docs/adr/0042-text-columns.md.

NumPy only. Shapes: n rows, t text columns, 5 read-outs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.data.named_arrays import arrays_within
from vaecli.data.string_features import READOUTS
from vaecli.schema import Kind, Layout
from vaecli.scoring.opinion_scale import OpinionScale

MOST_BEYOND = 30.0  # nats beyond the largest surprisal of a held-out string: farther, tails know nothing


@dataclass(frozen=True, slots=True)
class StringOpinions:
    """What the judge thinks of n rows: a `score` (n,) in the unit of the row's score, −inf where it has no opinion.

    `column` (n,) is the column of the most unusual string, `readout` (n,) the read-out that shows it.
    """

    score: np.ndarray
    column: np.ndarray
    readout: np.ndarray


@dataclass(frozen=True, slots=True)
class StringJudge:
    """The tails of all read-outs of the text columns `columns` (t,), and what their largest surprisal is worth."""

    columns: np.ndarray
    tails: tuple[OpinionScale, ...]  # t · 5, one column after the other
    scale: OpinionScale

    def surprisals(self, readouts: np.ndarray) -> np.ndarray:
        """The surprisals (n, t, 5) in nats of read-outs (n, t, 5); −inf of those that are NaN, or below all others."""
        found = np.empty(readouts.shape)
        for i, tail in enumerate(self.tails):
            t, r = divmod(i, len(READOUTS))
            most = tail.score[-1] + MOST_BEYOND if tail.score.size else 0.0
            found[:, t, r] = np.minimum(tail.of_scores(readouts[:, t, r]), most)
        return np.where(np.isnan(found), -np.inf, found)

    def of_column(self, t: int, readouts: np.ndarray) -> np.ndarray:
        """The surprisals (5,) in nats of the read-outs (5,) of one string in the t-th text column."""
        alone = np.full((1, self.columns.size, len(READOUTS)), np.nan)
        alone[0, t] = readouts
        return np.asarray(self.surprisals(alone)[0, t])

    def opinions(self, readouts: np.ndarray) -> StringOpinions:
        """The judge's opinions on n rows with read-outs (n, t, 5)."""
        surprisals = self.surprisals(readouts).reshape(len(readouts), -1)
        where = surprisals.argmax(1)
        score = self.scale.of_scores(surprisals[np.arange(len(where)), where])
        text, readout = np.divmod(where, len(READOUTS))
        return StringOpinions(score, self.columns[text], readout)

    def opinions_without(self, readouts: np.ndarray, replaced: np.ndarray) -> np.ndarray:
        """The opinions (m,) on one row, read-outs (t, 5), as if the strings in `replaced` (m, c) bool were usual."""
        many = np.repeat(readouts[None], len(replaced), axis=0)
        many[replaced[:, self.columns]] = np.nan
        return self.opinions(many).score

    def shared(self, readouts: np.ndarray, score: float, joint_part: float) -> np.ndarray:
        """The parts (t,) of the `joint_part` of a row, read-outs (t, 5), that several strings have in it together.

        Where each of two strings alone would make half of the `score` or more, the score hardly falls without either.
        """
        each = np.where(np.eye(len(readouts), dtype=bool)[:, :, None], readouts[None], np.nan)
        weight = np.clip(self.opinions(each).score - 0.5 * score, 0.0, None)
        if (weight > 0).sum() < 2 or joint_part <= 0:
            return np.zeros(len(readouts))
        return np.asarray(joint_part * weight / weight.sum())

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        arrays = self.scale.to_arrays(f"{prefix}/scale")
        for i, tail in enumerate(self.tails):
            arrays |= tail.to_arrays(f"{prefix}/tail_{i}")
        return arrays

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray], prefix: str) -> StringJudge | None:
        """The judge in arrays of `to_arrays`, None where there is none.

        Raises KeyError or ValueError on arrays that no fit gives.
        """
        own = arrays_within(arrays, f"{prefix}/")
        if not own:
            return None
        columns = text_columns(layout)
        tails = tuple(OpinionScale.from_arrays(own, f"tail_{i}") for i in range(columns.size * len(READOUTS)))
        return cls(columns, tails, OpinionScale.from_arrays(own, "scale"))


def text_columns(layout: Layout) -> np.ndarray:
    """The columns (t,) that hold text."""
    return np.array([j for j, _ in layout.of_kind(Kind.TEXT)], np.int64)
