"""Scores of normal rows turn scores into decisions: p-values, thresholds, and what they guarantee.

With m held-out scores s_1 … s_m of normal rows, the conformal p-value of a new score s is

    p(s) = (1 + #{i : s_i >= s}) / (m + 1)            Vovk et al. 2005; Bates et al. 2023

and P(p <= alpha) <= alpha for every new row whose score is exchangeable with the m. No p-value of this form is
below 1/(m+1): beyond the largest score a fitted tail takes over, which is a model and not a guarantee,

    p(s) = S(s) / (m + 1),   S(s) = (1 + shape (s - s_max) / scale) ** (-1 / shape)      Coles 2001, chapter 4

so that every level that the rows resolve keeps its guarantee untouched. Where the rows are not exchangeable, n_eff
independent ones take the place of the m: with F(s) the share of the m that score at least s,

    p(s) = (1 + n_eff F(s)) / (n_eff + 1)

docs/calibration.md explains it in plain words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np

from vaecli.calibration.effective_rows import Dependence, EffectiveRows
from vaecli.calibration.tail import Tail, fitted_tail

N_TOP = 4096  # the largest scores, all kept: where thresholds lie
N_BULK = 4096  # order statistics kept of the rest: p-values there are too large by 1/N_BULK at most
LARGEST = float(np.finfo(np.float64).max)  # stands for an infinite score, as arrays of bundles are finite
SMALLEST_P = 1e-300  # a p-value is never 0, so its logarithm is a number


@lru_cache(maxsize=256)
def alpha_of(level: float) -> float:
    """The share of normal rows flagged at `level`: exactly 0.01 for 0.99, where 1 - 0.99 is 0.010000000000000009.

    Raises ValueError unless 0 < level < 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a threshold level lies strictly between 0 and 1, not at {level}")
    return float(1 - Decimal(repr(float(level))))


def rows_needed(level: float) -> int:
    """The fewest calibration rows that resolve `level`: 99 for 0.99. Raises ValueError unless 0 < level < 1."""
    alpha = alpha_of(level)
    n_rows = max(1, math.ceil(1 / alpha) - 1)
    while 1 / (n_rows + 1) > alpha:
        n_rows += 1
    return n_rows


@dataclass(frozen=True, slots=True)
class Calibration:
    """The scores of m held-out normal rows, thinned where they are dense, and what they let us claim.

    Valid for rows exchangeable with these. Rows of one series or of a few groups are not: `effective` then has what
    they are worth, and claims are those of so many rows.
    `scores` (r,) are distinct and ascending, float64; higher is more anomalous. `ranks` (r,) int64 counts how many
    of the m rows score at most that. Build it with `Calibration.of`.
    """

    scores: np.ndarray
    ranks: np.ndarray
    tail: Tail | None  # None when the scores have no spread to fit one to
    effective: EffectiveRows | None = None  # None for rows that are taken as independent

    @classmethod
    def of(cls, scores: np.ndarray, dependence: Dependence | None = None) -> Calibration:
        """The calibration by held-out scores (m,) of normal rows in any order; NaN (a row without a score) is left out.

        They are taken as independent where `dependence` does not name which of them resemble each other. Raises
        ValueError when no score is left. An infinite score counts as the largest float64.
        """
        ascending = np.sort(np.asarray(scores, dtype=np.float64).ravel())
        ascending = ascending[: np.searchsorted(ascending, np.nan)]
        if not ascending.size:
            raise ValueError("no calibration row has a score")
        if dependence is None:
            return cls(*_thinned(ascending), fitted_tail(ascending))
        effective = dependence.effective_rows(np.asarray(scores, dtype=np.float64))
        # so few rows cannot show more of the tail than so many of their quantiles do
        quantiles = ascending[np.arange(1, effective.n + 1) * ascending.size // effective.n - 1]
        tail = fitted_tail(quantiles) or fitted_tail(ascending)
        return cls(*_thinned(ascending), tail, effective)

    def extended(self, scores: np.ndarray) -> Calibration:
        """The calibration by the rows of this one and by `scores` (m,) of more; NaN is left out.

        Rows of this one that were thinned count at the next kept score above theirs, which never lowers a p-value.
        Raises ValueError for rows of a series or of groups: what these and more are worth together is not known.
        """
        if self.effective is not None:
            raise ValueError("what dependent rows and more of them are worth together is not known")
        return Calibration.of(np.concatenate([np.repeat(self.scores, np.diff(self.ranks, prepend=0)), scores]))

    @property
    def n_rows(self) -> int:
        """The number m of calibration rows."""
        return int(self.ranks[-1])

    @property
    def n_independent(self) -> int:
        """The number of independent rows that the calibration rows are worth: m where they are independent."""
        return self.n_rows if self.effective is None else self.effective.n

    @property
    def finest_level(self) -> float:
        """The highest level with a guarantee, m/(m+1): beyond it the tail model decides.

        Rows of one series or of groups promise less, with a margin for few of them: `EffectiveRows.finest_level`.
        """
        if self.effective is not None:
            return self.effective.finest_level
        level = self.n_rows / (self.n_rows + 1)
        while not self.resolves(level):  # the quotient may be rounded up, by a few ulps of 1 at most
            level = math.nextafter(level, 0)
        return level

    def resolves(self, level: float) -> bool:
        """Whether there are enough calibration rows for `level` to need no tail model, and to be promised.

        Raises ValueError unless 0 < level < 1, where rows are independent.
        """
        if self.effective is not None:
            return level <= self.effective.finest_level
        return 1 / (self.n_rows + 1) <= alpha_of(level)

    def at_least_as_extreme(self, score: np.ndarray) -> np.ndarray:
        """How many of the m rows score at least `score` (n,): exact among the largest N_TOP, never too few below."""
        below = np.concatenate([[0], self.ranks])
        score = np.clip(score, -LARGEST, LARGEST)
        count: np.ndarray = self.n_rows - below[np.searchsorted(self.scores, score, side="left")]
        return count

    def p_value(self, score: np.ndarray) -> np.ndarray:
        """The share (n,) of normal rows that score at least `score` (n,), in (0, 1], never increasing; NaN for NaN."""
        score = np.asarray(score, dtype=np.float64)
        conformal = self._conformal(self.at_least_as_extreme(score))
        p_value = np.where(np.isnan(score), np.nan, conformal)
        if self.tail is None:
            return p_value
        with np.errstate(invalid="ignore", over="ignore"):
            excess = np.maximum(score - self.scores[-1], 0)
        beyond = np.maximum(self.tail.survival(excess) * (1 / (1 + self.n_independent)), SMALLEST_P)
        return np.where(score > self.scores[-1], beyond, p_value)

    def threshold(self, level: float) -> float:
        """The smallest score flagged at `level`: `score >= threshold` just when `p_value(score) <= alpha_of(level)`.

        -inf when every score is flagged; inf when no finite score is. Raises ValueError unless 0 < level < 1.
        """
        alpha = alpha_of(level)
        if alpha >= 1:
            return -math.inf
        # the same division as in p_value, so that the two agree to the last bit: 0.29 * 100 is 28.999…
        just_above = self._conformal(self.n_rows - self.ranks)
        flagged = np.flatnonzero(just_above <= alpha)
        if flagged.size:
            return math.nextafter(float(self.scores[flagged[0]]), math.inf)
        return self._threshold_in_tail(alpha)

    def _conformal(self, at_least: np.ndarray) -> np.ndarray:
        """The p-value of a score that so many of the m rows reach."""
        n = self.n_independent
        if n == self.n_rows:
            return np.asarray((1 + at_least) / (1 + n))
        return np.minimum((1 + at_least * (n / self.n_rows)) / (1 + n), 1.0)

    def _threshold_in_tail(self, alpha: float) -> float:
        """The smallest float64 whose modelled p-value is at most `alpha`, found by halving the floats between."""
        unflagged, flagged = _position(float(self.scores[-1])), _position(math.inf)
        while flagged - unflagged > 1:
            middle = (unflagged + flagged) // 2
            if self.p_value(np.array(_float_at(middle))) <= alpha:
                flagged = middle
            else:
                unflagged = middle
        return _float_at(flagged)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle: `<prefix>.scores`, `.ranks` and `.tail`; `from_arrays` is the inverse.

        Rows that are not taken as independent have `<prefix>.effective` too.
        """
        tail = [] if self.tail is None else self.tail.to_numbers()
        dependent = {} if self.effective is None else {f"{prefix}.effective": self.effective.to_array()}
        return dependent | {
            f"{prefix}.scores": self.scores,
            f"{prefix}.ranks": self.ranks,
            f"{prefix}.tail": np.array(tail, dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Calibration:
        """The calibration in arrays of `to_arrays`. Raises ValueError on arrays that it cannot have written."""
        missing = [name for name in ("scores", "ranks", "tail") if f"{prefix}.{name}" not in arrays]
        if missing:
            raise ValueError(f"{prefix}: {', '.join(missing)} missing")
        scores, ranks, tail = (arrays[f"{prefix}.{name}"] for name in ("scores", "ranks", "tail"))
        problem = _problem(scores, ranks, tail)
        if problem:
            raise ValueError(f"{prefix}: {problem}")
        effective = arrays.get(f"{prefix}.effective")
        return cls(
            scores,
            ranks,
            Tail.from_numbers(tail.tolist()) if tail.size else None,
            None if effective is None else EffectiveRows.from_array(effective, int(ranks[-1])),
        )


def _problem(scores: np.ndarray, ranks: np.ndarray, tail: np.ndarray) -> str:
    if scores.dtype != np.float64 or ranks.dtype != np.int64 or tail.dtype != np.float64:
        return "scores and tail are not float64, or ranks not int64"
    if scores.ndim != 1 or scores.shape != ranks.shape or not scores.size or tail.shape not in ((0,), (4,)):
        return f"shapes {scores.shape}, {ranks.shape} and {tail.shape} do not fit"
    if not np.isfinite(scores).all():
        return "scores are not finite"
    if not (scores[1:] > scores[:-1]).all():
        return "scores are not ascending numbers"
    if ranks[0] < 1 or not (ranks[1:] > ranks[:-1]).all():
        return "ranks are not ascending counts"
    return ""


def _thinned(ascending: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct scores and how many rows score at most each: all of the N_TOP largest, every so many of the rest."""
    ascending = np.clip(ascending, -LARGEST, LARGEST)
    distinct, counts = np.unique(ascending, return_counts=True)
    ranks = np.cumsum(counts)
    if distinct.size <= N_TOP + N_BULK:
        return distinct, ranks
    top = int(np.searchsorted(distinct, ascending[-N_TOP]))
    wanted = np.linspace(1, ranks[top - 1], N_BULK).round()
    kept = np.unique(np.concatenate([np.searchsorted(ranks, wanted), np.arange(top, distinct.size)]))
    return distinct[kept], ranks[kept]


def _position(number: float) -> int:
    """The position of a float64 among all of them, ascending; `_float_at` is the inverse."""
    bits = int(np.float64(number).view(np.int64))
    return bits if bits >= 0 else -(bits + 2**63)


def _float_at(position: int) -> float:
    return float(np.int64(position if position >= 0 else -position - 2**63).view(np.float64))
