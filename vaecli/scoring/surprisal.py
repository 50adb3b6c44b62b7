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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

TAIL_BEGINS = 0.8
LEVELS = np.linspace(0.0, TAIL_BEGINS, 65)
SURPRISES = -np.log1p(-LEVELS)  # at the knots
MIN_OWN_ROWS = 200  # held out from a member, below which its quantiles are too noisy to stand alone
SMALLEST_SPREAD = 0.1  # nats a nat of surprise; below it rounding would tell scores of normal rows apart
LIMIT = 0.99  # the quantile of a column's nats from which a cell is odd by itself; of few rows a lower one, so that
MIN_BEYOND = 100  # cells are beyond it: the mean excess of fewer is no unit to count in
BEYOND_ALL = 1e100  # nats: the limit of a column of which no cell decides; a difference from it has to be finite
_SLICE_ROWS = 1024  # whose excesses are in memory at once
PRICE = 2.0  # nats of surprise by which a single cell must be odder than its row


@dataclass(frozen=True, slots=True)
class Limits:
    """What single cells are judged by, for e members and c columns, see `Single`; and how many cells were beyond."""

    limit: np.ndarray  # (e, c)
    excess: np.ndarray  # (e, c)
    n_beyond: np.ndarray  # (e, c)

    @classmethod
    def of(cls, columns: Iterable[np.ndarray]) -> Limits:
        """From each member's nats (n, c) of held-out cells."""
        found = []
        for nats in columns:
            level = max(min(1 - MIN_BEYOND / len(nats), LIMIT), TAIL_BEGINS)
            limit = np.quantile(nats, level, axis=0).astype(np.float64)
            beyond = nats > limit
            n_beyond = np.maximum(beyond.sum(0), 1)
            found.append((limit, np.where(beyond, nats - limit, 0.0).sum(0) / n_beyond, n_beyond))
        limits, excesses, numbers = map(np.stack, zip(*found, strict=True))
        return cls(limits, np.maximum(excesses, SMALLEST_SPREAD), numbers)

    def largest(self, column_score: np.ndarray, own: np.ndarray) -> np.ndarray:
        """The largest excess of each row by each member (e, n), of nats (e, n, c).

        `own` (e, n) tells which rows the limits came from. These are judged by the excess of the others, as new rows
        will be: a cell as odd as no other would else be measured by itself.
        """
        largest = np.empty(column_score.shape[:2])
        for k, nats in enumerate(column_score):
            total, n_others = self.excess[k] * self.n_beyond[k], np.maximum(self.n_beyond[k] - 1, 1)
            for start in range(0, len(nats), _SLICE_ROWS):
                rows = slice(start, start + _SLICE_ROWS)
                over = nats[rows] - self.limit[k]
                mine, odd = own[k, rows], over / self.excess[k]
                of_others = np.maximum((total - over[mine]) / n_others, SMALLEST_SPREAD)
                odd[mine] = np.where(over[mine] > 0, over[mine] / of_others, odd[mine])
                largest[k, rows] = odd.max(-1)
        return largest


@dataclass(frozen=True, slots=True)
class Single:
    """The scale of the oddest single cell of a row, for e members and c columns, float64.

    How far a cell is beyond its column's limit is counted in what normal cells beyond it exceed it by, on the mean; the
    largest such excess of a row is that member's score of it.
    """

    limit: np.ndarray  # (e, c) nats of held-out cells at a quantile from 80 % to LIMIT
    excess: np.ndarray  # (e, c) mean nats beyond it of those that are beyond
    knots: np.ndarray  # (e, 65) largest excess of held-out rows at LEVELS, ascending
    spread: np.ndarray  # (e,) mean excess over the last knot

    @classmethod
    def of(cls, limits: Limits, largest: np.ndarray, alike: np.ndarray, held_out: np.ndarray) -> Single:
        """From the `largest` excess (n, e) of each training row; `alike` (e,) and `held_out` as in `Surprise.of`."""
        knots, spread = _scales(largest, np.arange(len(limits.limit)), alike, held_out)
        return cls(limits.limit, limits.excess, knots, spread)

    def largest(self, column_score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The largest excess of each row by each member, and the column it is in, both (e, n), of nats (e, n, c)."""
        largest, where = np.empty(column_score.shape[:2]), np.empty(column_score.shape[:2], np.int64)
        for k, nats in enumerate(column_score):  # one member after the other: its cells stay in the processor's cache
            odd = nats - self.limit[k]
            odd /= self.excess[k]
            where[k] = odd.argmax(-1)
            largest[k] = np.take_along_axis(odd, where[k, :, None], -1)[:, 0]
        return largest, where

    def of_members(self, largest: np.ndarray) -> np.ndarray:
        """The surprise of each member (e, n) at the largest excess (e, n) of rows."""
        return np.stack([_surprise(*one) for one in zip(largest, self.knots, self.spread, strict=True)])


def joined(together: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """The surprise of rows (n,): that of all their cells together, or of the oddest alone where that says more."""
    return np.maximum(together, alone - PRICE)


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
        knots, spread = _scales(scores, member, alike, held_out)
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
            surprise[self.member[i]] += _surprise(score, self.knots[i], self.spread[i])
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
        found = _checked(arrays, prefix, shapes)
        whose = arrays[f"{prefix}.member"]
        if whose.dtype != np.int64 or whose.shape != (w,) or (whose != member).any():
            raise ValueError(f"{prefix}.member are not the members")
        single = None
        if any(name.startswith(f"{prefix}.single.") for name in arrays):
            cells = (e, n_columns)
            shapes = {"limit": cells, "excess": cells, "knots": (e, LEVELS.size), "spread": (e,)}
            single = Single(**_checked(arrays, f"{prefix}.single", shapes))
            if np.abs(single.limit).max() > BEYOND_ALL:
                raise ValueError(f"{prefix}.single.limit is beyond all nats")
        return cls(whose, **found, single=single)


_SINGLE = ("limit", "excess", "knots", "spread")


def _checked(
    arrays: Mapping[str, np.ndarray], prefix: str, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    found = {name: arrays[f"{prefix}.{name}"] for name in shapes}
    for name, array in found.items():
        if array.dtype != np.float64 or array.shape != shapes[name] or not np.isfinite(array).all():
            raise ValueError(f"{prefix}.{name} is not {shapes[name]} finite numbers of float64")
    units = [found[name] for name in ("spread", "excess") if name in found]
    if (np.diff(found["knots"]) < 0).any() or any((unit < SMALLEST_SPREAD).any() for unit in units):
        raise ValueError(f"{prefix}: knots are not ascending, or a spread is below {SMALLEST_SPREAD}")
    return found


def _scales(
    scores: np.ndarray, member: np.ndarray, alike: np.ndarray, held_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Knots (w, 65) and spreads (w,) of the scores (n, w), see `Surprise.of`."""
    usable = held_out[:, member] & np.isfinite(scores)
    knots, spread = np.empty((member.size, LEVELS.size)), np.empty(member.size)
    for i in range(member.size):
        of = np.arange(member.size) == i if usable[:, i].sum() >= MIN_OWN_ROWS else alike == alike[i]
        unseen = scores[:, of][usable[:, of]]
        if not unseen.size:
            raise ValueError("no calibration row has a score")
        # knots at least as far apart as rounding: among tied scores it must not decide the surprise
        steps = SMALLEST_SPREAD * SURPRISES
        knots[i] = np.maximum.accumulate(np.quantile(unseen, LEVELS) - steps) + steps
        excess = unseen[unseen > knots[i, -1]] - knots[i, -1]
        spread[i] = max(float(excess.mean()) if excess.size else 0.0, SMALLEST_SPREAD)
    return knots, spread


def _surprise(score: np.ndarray, knots: np.ndarray, spread: float) -> np.ndarray:
    """Surprises (n,) at scores (n,): read off between the knots (65,), linear beyond the last."""
    beyond = SURPRISES[-1] + (score - knots[-1]) / spread
    return np.where(score > knots[-1], beyond, np.interp(score, knots, SURPRISES))
