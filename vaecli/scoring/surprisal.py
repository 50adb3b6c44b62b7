"""One scale for the scores of different members: how improbable it is that a normal row scores that much.

    surprise(s) = −log P(S ≥ s),   S the score that the member gives to normal rows it was not trained on

A nat of one network is not a nat of another: a sharp likelihood spreads its scores over hundreds of nats, a blunt one
over ten. Surprises can be averaged. Up to the 80 % quantile of held-out scores the probability is the
empirical one; beyond, normal scores are taken to thin out exponentially, so the surprise is linear in the score, and a
difference of a column's nats is a difference of surprise.

One wrong cell among many drowns in a sum over columns that vary by themselves. So the oddest cell of a row is also
judged by itself, on the same scale (`Single`), and counts where it says more, less the price of having looked at all
of them: docs/adr/0019-one-cell-alone.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.scoring.max_cell import BEYOND_ALL, Single, joined
from vaecli.scoring.tail_scale import LEVELS, checked_scale, fit_scales, surprisal_at


@dataclass(frozen=True, slots=True)
class Surprise:
    """The scale of e members for one score kind, float64. A member may give v ≥ 1 scores, w of them in all."""

    member: np.ndarray  # (w,) int64, whose score each is
    knots: np.ndarray  # (w, 65) held-out scores at LEVELS, ascending
    spread: np.ndarray  # (w,) mean excess over the last knot: nats of score a nat of surprise
    typical: np.ndarray  # (e, c) mean column score of held-out rows
    single: Single | None = None  # where one cell alone may decide

    @classmethod
    def of(
        cls,
        scores: np.ndarray,
        member: np.ndarray,
        alike: np.ndarray,
        held_out: np.ndarray,
        typical: np.ndarray,
        single: Single | None = None,
    ) -> Surprise:
        """From the scores (n, w) of training rows, and which rows are held out from which member (n, e).

        `alike` (w,) numbers the sorts of scores: where fewer than 200 rows are held out from a member, those of all
        scores of its sort are pooled. NaN scores are left out; raises ValueError when none is left.
        """
        knots, spread = fit_scales(scores, member, alike, held_out)
        return cls(np.asarray(member, np.int64), knots, spread, typical, single)

    def of_rows(self, scores: np.ndarray, column_score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ensemble's surprise at each row (n,), and each column's part in it (n, c), see `of_columns`.

        From the members' scores (w, n) and their nats of each cell (e, n, c).
        """
        together, parts = self.of_members(scores).mean(0), self.of_columns(column_score)
        if self.single is None:
            return together, parts
        largest, where = self.single.largest(column_score)
        score = joined(together, self.single.of_members(largest).mean(0))
        more = np.subtract(score, together, out=np.zeros_like(score), where=score > together)
        for column in where:  # what one cell adds is that cell's, member by member
            parts[np.arange(len(score)), column] += more / len(where)
        return score, parts

    def of_members(self, scores: np.ndarray) -> np.ndarray:
        """The surprise of each member (e, n), the mean over its scores (w, n): at least 0, never decreasing.

        NaN where one of its scores is.
        """
        surprise = np.zeros((self.typical.shape[0], scores.shape[1]))
        for i, score in enumerate(scores):
            surprise[self.member[i]] += surprisal_at(score, self.knots[i], self.spread[i])
        return surprise / self._n_scores[:, None]

    def of_columns(self, column_score: np.ndarray) -> np.ndarray:
        """What each column of each member (e, n, c) adds beyond what is usual, mean over members: (n, c).

        Exact where the scale is linear.
        """
        rate = np.bincount(self.member, 1 / self.spread) / self._n_scores / self._n_scores.size
        parts: np.ndarray = np.tensordot(rate, column_score, 1) - rate @ self.typical
        return parts

    @property
    def _n_scores(self) -> np.ndarray:
        """(e,) how many each member gives."""
        return np.bincount(self.member)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        arrays = {f"{prefix}.{name}": getattr(self, name) for name in ("member", "knots", "spread", "typical")}
        if self.single is not None:
            arrays |= {f"{prefix}.single.{name}": getattr(self.single, name) for name in _SINGLE}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str, member: np.ndarray, n_columns: int) -> Surprise:
        """Raises KeyError or ValueError on arrays that `to_arrays` cannot have written for scores of `member` (w,)."""
        w, e = member.size, int(member.max()) + 1
        shapes = {"knots": (w, LEVELS.size), "spread": (w,), "typical": (e, n_columns)}
        found = checked_scale(arrays, prefix, shapes)
        whose = arrays[f"{prefix}.member"]
        if whose.dtype != np.int64 or whose.shape != (w,) or (whose != member).any():
            raise ValueError(f"{prefix}.member are not the members")
        single = None
        if any(name.startswith(f"{prefix}.single.") for name in arrays):
            cells = (e, n_columns)
            shapes = {"limit": cells, "excess": cells, "knots": (e, LEVELS.size), "spread": (e,)}
            single = Single(**checked_scale(arrays, f"{prefix}.single", shapes))
            if np.abs(single.limit).max() > BEYOND_ALL:
                raise ValueError(f"{prefix}.single.limit is beyond all nats")
        return cls(whose, **found, single=single)


_SINGLE = ("limit", "excess", "knots", "spread")
