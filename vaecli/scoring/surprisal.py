"""One scale for the scores of different members: how improbable it is that a normal row scores that much.

    surprisal(s) = −log P(S ≥ s),   S the score that the member gives to normal rows it was not trained on

A nat of one network is not a nat of another: a sharp likelihood spreads its scores over hundreds of nats, a blunt one
over ten. Surprisals can be averaged. Up to the 80 % quantile of held-out scores the probability is the empirical one;
beyond it, normal scores are modelled as exponentially distributed, so the surprisal is linear in the score, and a
difference of a column's nats is a difference of surprisal.

A sum over many columns, each with its own variation, hides one wrong cell. So the most extreme cell of a row is also
scored alone, on the same scale (`MaxCellScale`). It decides where it is larger, less a penalty for the search over all
cells: docs/adr/0019-one-cell-alone.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaecli.scoring.max_cell import NEVER_DECIDES, MaxCellScale, larger_of
from vaecli.scoring.neighbour_judge import Beside
from vaecli.scoring.tail_scale import LEVELS, TailScales, checked_scale, fit_scales


@dataclass(frozen=True, slots=True)
class SurprisalScale:
    """The scale of e members for one score kind, float64. A member may give v ≥ 1 scores, w of them in all."""

    member: np.ndarray  # (w,) int64, the member that gives each score
    knots: np.ndarray  # (w, 65) held-out scores at LEVELS, ascending
    spread: np.ndarray  # (w,) mean excess over the last knot: nats of score per nat of surprisal
    mean_column_score: np.ndarray  # (e, c) mean column score of held-out rows
    max_cell: MaxCellScale | None = None  # where one cell alone may decide
    _first: tuple[int, ...] = field(init=False, repr=False, compare=False)  # (w,) the first score of equal scale
    _scales: TailScales = field(init=False, repr=False, compare=False)  # of the scores that are the first ones
    _place: tuple[int, ...] = field(init=False, repr=False, compare=False)  # (w,) of each score's scale among them
    _distinct: list[int] = field(init=False, repr=False, compare=False)  # the scores that are the first ones
    _again: list[int] = field(init=False, repr=False, compare=False)  # the others
    _n_scores: np.ndarray = field(init=False, repr=False, compare=False)  # (e,) of each member
    _rate: np.ndarray = field(init=False, repr=False, compare=False)  # (e,) surprisal of a row per nat of the member

    def __post_init__(self) -> None:
        """Find the scores of a member that have the scale of an earlier one, itself perhaps: they may count twice."""
        scales = [(k, tuple(row), unit) for k, row, unit in zip(self.member, self.knots, self.spread, strict=True)]
        object.__setattr__(self, "_first", tuple(scales.index(scale) for scale in scales))
        of_all = sorted(set(self._first))
        object.__setattr__(self, "_distinct", of_all)
        object.__setattr__(self, "_again", [i for i, same in enumerate(self._first) if same != i])
        object.__setattr__(self, "_scales", TailScales(self.knots[of_all], self.spread[of_all]))
        object.__setattr__(self, "_place", tuple(of_all.index(same) for same in self._first))
        n_scores = np.bincount(self.member)
        object.__setattr__(self, "_n_scores", n_scores)
        object.__setattr__(self, "_rate", np.bincount(self.member, 1 / self.spread) / n_scores / n_scores.size)

    @classmethod
    def of(
        cls,
        scores: np.ndarray,
        member: np.ndarray,
        score_type: np.ndarray,
        held_out: np.ndarray,
        mean_column_score: np.ndarray,
        max_cell: MaxCellScale | None = None,
    ) -> SurprisalScale:
        """The scale of scores (n, w) of training rows, and which rows are held out from which member (n, e) bool.

        `member` (w,) and `score_type` (w,) are those of `score_index`: where fewer than 200 rows are held out from a
        member, the scores of one type are pooled. NaN scores are left out; raises ValueError when none is left.
        """
        knots, spread = fit_scales(scores, member, score_type, held_out)
        return cls(np.asarray(member, np.int64), knots, spread, mean_column_score, max_cell)

    def of_rows(
        self, scores: np.ndarray, column_score: np.ndarray, beside: Beside | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ensemble's surprisal (n,) of each row, in nats, higher is more anomalous, and each column's part (n, c).

        They come from the members' scores (w, n) and their nats of each cell (e, n, c), joined with the opinion of the
        judge `beside` them, if there is one.
        """
        together, parts = _mean_of(self.of_members(scores)), self.of_columns(column_score)
        if beside is not None:
            together, parts = beside.joined(together), parts * beside.ensemble_share
        if self.max_cell is None:
            return together, parts
        rows = self.max_cell.may_decide(column_score, together)
        largest, where = self.max_cell.largest(column_score[:, rows])
        score, alone = together.copy(), _mean_of(self.max_cell.of_members(largest))
        score[rows] = larger_of(together[rows], alone)
        raised = np.flatnonzero(score[rows] > together[rows])
        more = (score[rows[raised]] - together[rows[raised]]) / len(where)
        for column in where[:, raised]:  # what the most extreme cell adds is attributed to it, member by member
            parts[rows[raised], column] += more
        return score, parts

    def of_members(self, scores: np.ndarray) -> np.ndarray:
        """The surprisal (e, n) of each member in nats, the mean over its scores (w, n): at least 0.

        Higher is more anomalous; it never decreases with a score. It is NaN if one of the member's scores is.
        """
        again = self._again
        if not again or np.array_equal(scores[again], scores[[self._first[i] for i in again]]):
            place = self._place  # a score that counts twice is looked up once
            found = self._scales.at(scores[self._distinct] if again else scores)
        else:
            found, place = TailScales(self.knots, self.spread).at(scores), tuple(range(len(scores)))
        surprisal = np.zeros((self.mean_column_score.shape[0], scores.shape[1]))
        for member, i in zip(self.member, place, strict=True):
            surprisal[member] += found[i]
        return surprisal / self._n_scores[:, None]

    def of_columns(self, column_score: np.ndarray) -> np.ndarray:
        """The surprisal that each column adds beyond its mean (n, c), from nats (e, n, c), averaged over members.

        It is exact where the scale is linear.
        """
        parts = np.multiply(column_score[0], self._rate[0], dtype=np.float64)
        for rate, nats in zip(self._rate[1:], column_score[1:], strict=True):  # all at once would be copied as float64
            parts += np.multiply(nats, rate, dtype=np.float64)
        parts -= self._rate @ self.mean_column_score
        return np.asarray(parts)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        arrays = {
            f"{prefix}.member": self.member,
            f"{prefix}.knots": self.knots,
            f"{prefix}.spread": self.spread,
            f"{prefix}.typical": self.mean_column_score,
        }
        if self.max_cell is not None:
            arrays |= {f"{prefix}.single.{name}": getattr(self.max_cell, name) for name in _MAX_CELL}
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], prefix: str, member: np.ndarray, n_columns: int
    ) -> SurprisalScale:
        """The inverse of `to_arrays`. Raises KeyError or ValueError on arrays not written for `member` (w,)."""
        w, e = member.size, int(member.max()) + 1
        shapes = {"knots": (w, LEVELS.size), "spread": (w,), "typical": (e, n_columns)}
        scale = checked_scale(arrays, prefix, shapes)
        scale["mean_column_score"] = scale.pop("typical")
        stored = arrays[f"{prefix}.member"]
        if stored.dtype != np.int64 or stored.shape != (w,) or (stored != member).any():
            raise ValueError(f"{prefix}.member are not the members")
        max_cell = None
        if any(name.startswith(f"{prefix}.single.") for name in arrays):
            cells = (e, n_columns)
            shapes = {"limit": cells, "excess": cells, "knots": (e, LEVELS.size), "spread": (e,)}
            max_cell = MaxCellScale(**checked_scale(arrays, f"{prefix}.single", shapes))
            if np.abs(max_cell.limit).max() > NEVER_DECIDES:
                raise ValueError(f"{prefix}.single.limit is beyond all nats")
        return cls(stored, **scale, max_cell=max_cell)


def _mean_of(surprisal: np.ndarray) -> np.ndarray:
    """The mean (n,) over the members of `surprisal` (e, n), added up in their order.

    NumPy's own adds eight members and more in another order where there is one row, and so rounds it in another way.
    """
    total: np.ndarray = surprisal[0].copy()
    for of_member in surprisal[1:]:
        total += of_member
    return total / len(surprisal)


_MAX_CELL = ("limit", "excess", "knots", "spread")
