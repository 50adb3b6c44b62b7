"""Scores of normal rows turn scores into decisions: p-values, thresholds, and what they guarantee.

With m held-out scores s_1 … s_m of normal rows, the conformal p-value of a new score s is

    p(s) = (1 + #{i : s_i >= s}) / (m + 1)            Vovk et al. 2005; Bates et al. 2023

and P(p <= alpha) <= alpha for every new row whose score is exchangeable with the m. No p-value of this form is
below 1/(m+1): what lies beyond the largest score is told apart by a fitted tail, a model and not a guarantee,

    p(s) = S(s) / (m + 1),   S(s) = (1 + shape (s - s_max) / scale) ** (-1 / shape)      Coles 2001, chapter 4

so that every level that the rows resolve keeps its guarantee untouched. docs/calibration.md says it in plain words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

SURPRISE_LEVEL = 0.999  # at which a cell unlike all of training is flagged
N_TOP = 4096  # the largest scores, all kept: where thresholds lie
N_BULK = 4096  # order statistics kept of the rest: p-values there are too large by 1/N_BULK at most
SMALLEST_P = 1e-300  # a p-value is never 0, so its logarithm is a number

MIN_PARETO = 5  # exceedances, below which a shape cannot be estimated (Vehtari et al. 2024)
_MAX_SHAPE = 0.9  # the mean of a tail with shape 1 is infinite, and the fit is by means


def alpha_of(level: float) -> float:
    """The share of normal rows flagged at `level`: exactly 0.01 for 0.99, where 1 - 0.99 is 0.010000000000000009.

    Raises ValueError unless 0 < level < 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a threshold level lies strictly between 0 and 1, not at {level}")
    return float(1 - Decimal(repr(float(level))))


def rows_needed(level: float) -> int:
    """The fewest calibration rows that resolve `level` without a tail model: 99 for 0.99, 999 for 0.999."""
    alpha = alpha_of(level)
    n_rows = max(1, math.ceil(1 / alpha) - 1)
    while 1 / (n_rows + 1) > alpha:
        n_rows += 1
    return n_rows


TAIL_KINDS = ("pareto", "exponential")  # stored by position: only ever append


@dataclass(frozen=True, slots=True)
class Tail:
    """How scores thin out beyond the largest calibration score; a model, not a guarantee.

    `kind` is "pareto" for a fitted generalised Pareto tail of `shape` >= 0 (no shape is below 0, since that would
    declare some score impossible), or "exponential", of shape 0, for a wide guess from too few rows to fit a shape.
    `scale` is that of the excess over the largest calibration score, in the unit of the scores (nats).
    """

    kind: str
    scale: float
    shape: float
    n_exceedances: int  # the scores it was fitted to

    def survival(self, excess: np.ndarray) -> np.ndarray:
        """P(a normal score exceeds the largest by `excess` | it exceeds it), in [0, 1], never increasing."""
        # log1p and exp may err by an ulp, which could order two neighbours wrongly; steps coarser than their
        # error, before each of them, make the whole monotone to the last bit, so that a threshold exists
        with np.errstate(over="ignore"):
            steps = (excess / self.scale).astype(np.float32).astype(np.float64)
        hazard = steps if self.shape == 0 else np.log1p(self.shape * steps) / self.shape
        return np.exp(-np.round(hazard * 2.0**24) / 2.0**24)

    def to_numbers(self) -> list[float]:
        """Kind by position, scale, shape, number of exceedances; `from_numbers` is the inverse."""
        return [TAIL_KINDS.index(self.kind), self.scale, self.shape, self.n_exceedances]

    @classmethod
    def from_numbers(cls, numbers: Sequence[float]) -> Tail:
        """Raises ValueError on numbers that `to_numbers` cannot have written."""
        kind, scale, shape, n_exceedances = numbers
        counts = kind in range(len(TAIL_KINDS)) and n_exceedances.is_integer() and n_exceedances >= 1
        if not (counts and 0 < scale < math.inf and 0 <= shape <= _MAX_SHAPE):
            raise ValueError(f"tail {list(numbers)} cannot be")
        return cls(TAIL_KINDS[int(kind)], scale, shape, int(n_exceedances))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The scores of m held-out normal rows, thinned where they are dense, and what they let us claim.

    Valid for rows exchangeable with these; neighbouring rows of one series are not.
    `scores` (r,) are distinct and ascending, float64; higher is more anomalous. `ranks` (r,) int64 says how many of
    the m rows score at most that. Build it with `Calibration.of`.
    """

    scores: np.ndarray
    ranks: np.ndarray
    tail: Tail | None  # None when the scores have no spread to fit one to

    @classmethod
    def of(cls, scores: np.ndarray) -> Calibration:
        """From the held-out scores of normal rows, in any order; NaN (a row that could not be scored) is left out.

        Raises ValueError when no score is left.
        """
        ascending = np.sort(np.asarray(scores, dtype=np.float64).ravel())
        ascending = ascending[: np.searchsorted(ascending, np.nan)]
        if not ascending.size:
            raise ValueError("no calibration row has a score")
        return cls(*_thinned(ascending), _fitted_tail(ascending))

    @property
    def n_rows(self) -> int:
        """How many rows calibrate: m."""
        return int(self.ranks[-1])

    @property
    def finest_level(self) -> float:
        """The highest level with a guarantee, m/(m+1): beyond it the tail model decides."""
        level = self.n_rows / (self.n_rows + 1)
        while not self.resolves(level):  # the quotient may be rounded up, by a few ulps of 1 at most
            level = math.nextafter(level, 0)
        return level

    def resolves(self, level: float) -> bool:
        """Whether there are rows enough for `level` to need no tail model."""
        return 1 / (self.n_rows + 1) <= alpha_of(level)

    @property
    def lift(self) -> float:
        """What raises the score of the most normal row to that of one in a thousand, or of the oddest of fewer."""
        finite = self.scores[np.isfinite(self.scores)]
        if not finite.size:
            return 0.0
        odd = self.threshold(SURPRISE_LEVEL) if self.resolves(SURPRISE_LEVEL) else float(finite[-1])
        return max(min(odd, float(finite[-1])) - float(finite[0]), 0.0)

    def at_least_as_odd(self, score: np.ndarray) -> np.ndarray:
        """How many of the m rows score at least `score`: exact among the largest N_TOP, never too few below them."""
        below = np.concatenate([[0], self.ranks])
        found: np.ndarray = self.n_rows - below[np.searchsorted(self.scores, score, side="left")]
        return found

    def p_value(self, score: np.ndarray) -> np.ndarray:
        """Share of normal rows at least this odd, in (0, 1], never increasing with the score; NaN for NaN."""
        score = np.asarray(score, dtype=np.float64)
        conformal = (1 + self.at_least_as_odd(score)) / (1 + self.n_rows)
        p_value = np.where(np.isnan(score), np.nan, conformal)
        if self.tail is None:
            return p_value
        with np.errstate(invalid="ignore", over="ignore"):
            excess = np.maximum(score - self.scores[-1], 0)
        beyond = np.maximum(self.tail.survival(excess) * (1 / (1 + self.n_rows)), SMALLEST_P)
        return np.where(score > self.scores[-1], beyond, p_value)

    def threshold(self, level: float) -> float:
        """The smallest score flagged at `level`: `score >= threshold` just when `p_value(score) <= alpha_of(level)`.

        -inf when every score is flagged; inf when no finite score is. Raises ValueError unless 0 < level < 1.
        """
        alpha = alpha_of(level)
        if alpha >= 1:
            return -math.inf
        # the same division as in p_value, so that the two agree to the last bit: 0.29 * 100 is 28.999…
        just_above = (1 + self.n_rows - self.ranks) / (1 + self.n_rows)
        flagged = np.flatnonzero(just_above <= alpha)
        if flagged.size:
            return math.nextafter(float(self.scores[flagged[0]]), math.inf)
        return self._threshold_in_tail(alpha)

    def _threshold_in_tail(self, alpha: float) -> float:
        """The smallest float64 whose modelled p-value is at most `alpha`, found by halving the floats between."""
        unflagged, flagged = _place(float(self.scores[-1])), _place(math.inf)
        while flagged - unflagged > 1:
            middle = (unflagged + flagged) // 2
            if self.p_value(np.array(_float_at(middle))) <= alpha:
                flagged = middle
            else:
                unflagged = middle
        return _float_at(flagged)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle: `<prefix>.scores`, `.ranks` and `.tail`; `from_arrays` is the inverse."""
        tail = [] if self.tail is None else self.tail.to_numbers()
        return {
            f"{prefix}.scores": self.scores,
            f"{prefix}.ranks": self.ranks,
            f"{prefix}.tail": np.array(tail, dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str) -> Calibration:
        """Raises ValueError on arrays that `to_arrays` cannot have written."""
        missing = [name for name in ("scores", "ranks", "tail") if f"{prefix}.{name}" not in arrays]
        if missing:
            raise ValueError(f"{prefix}: {', '.join(missing)} missing")
        scores, ranks, tail = (arrays[f"{prefix}.{name}"] for name in ("scores", "ranks", "tail"))
        problem = _problem(scores, ranks, tail)
        if problem:
            raise ValueError(f"{prefix}: {problem}")
        return cls(scores, ranks, Tail.from_numbers(tail.tolist()) if tail.size else None)


def _problem(scores: np.ndarray, ranks: np.ndarray, tail: np.ndarray) -> str:
    if scores.dtype != np.float64 or ranks.dtype != np.int64 or tail.dtype != np.float64:
        return "scores and tail are not float64, or ranks not int64"
    if scores.ndim != 1 or scores.shape != ranks.shape or not scores.size or tail.shape not in ((0,), (4,)):
        return f"shapes {scores.shape}, {ranks.shape} and {tail.shape} do not fit"
    if np.isnan(scores).any() or not (scores[1:] > scores[:-1]).all():
        return "scores are not ascending numbers"
    if ranks[0] < 1 or not (ranks[1:] > ranks[:-1]).all():
        return "ranks are not ascending counts"
    if tail.size and not math.isfinite(scores[-1]):
        return "a tail begins at no number"
    return ""


def _thinned(ascending: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct scores and how many rows score at most each: all of the N_TOP largest, every so many of the rest."""
    distinct, counts = np.unique(ascending, return_counts=True)
    ranks = np.cumsum(counts)
    if distinct.size <= N_TOP + N_BULK:
        return distinct, ranks
    top = int(np.searchsorted(distinct, ascending[-N_TOP]))
    wanted = np.linspace(1, ranks[top - 1], N_BULK).round()
    kept = np.unique(np.concatenate([np.searchsorted(ranks, wanted), np.arange(top, distinct.size)]))
    return distinct[kept], ranks[kept]


def _place(number: float) -> int:
    """The position of a float64 among all of them, ascending; `_float_at` is the inverse."""
    bits = int(np.float64(number).view(np.int64))
    return bits if bits >= 0 else -(bits + 2**63)


def _float_at(place: int) -> float:
    return float(np.int64(place if place >= 0 else -place - 2**63).view(np.float64))


# ------------------------------------------------------------------------------------------ the tail


@np.errstate(over="ignore", invalid="ignore")  # near the largest float64 a spread is inf, which `_tail` sorts out
def _fitted_tail(ascending: np.ndarray) -> Tail | None:
    """The tail beyond the largest of `ascending` (m,), or None where there is nothing to fit one to."""
    m = ascending.size
    # how many of the largest: Vehtari et al. 2024, appendix H
    excess = _excess(ascending, math.ceil(min(m / 5, 3 * math.sqrt(m))))
    if excess.size >= MIN_PARETO:
        shape, scale = fit_pareto(excess)
        # a Pareto tail seen from further out is one of the same shape
        return _tail("pareto", scale + shape * float(excess[-1]), shape, excess.size)
    excess = _excess(ascending, m - 1)
    if not excess.size:
        return None
    # three times as wide as all scores but the smallest suggest: few rows have not seen the tail yet
    return _tail("exponential", 3 * float(excess.mean()), 0.0, excess.size)


def _tail(kind: str, scale: float, shape: float, n_exceedances: int) -> Tail | None:
    return Tail(kind, scale, shape, n_exceedances) if 0 < scale < math.inf else None


def _excess(ascending: np.ndarray, n_largest: int) -> np.ndarray:
    """By how much the `n_largest` exceed the next one below them, ascending; ties with it are not in excess."""
    if not 0 < n_largest < ascending.size:
        return ascending[:0]
    start = ascending[-n_largest - 1]
    excess: np.ndarray = ascending[-n_largest:] - start
    return excess[excess > 0]


def fit_pareto(excess: np.ndarray) -> tuple[float, float]:
    """Shape and scale of the generalised Pareto tail of ascending excesses (k,), k >= 2.

    Probability-weighted moments (Hosking & Wallis 1987, section 3), the shape drawn towards 0.5 as by 10 more
    excesses (Vehtari et al. 2024) and kept in [0, 0.9]; the scale then matches the mean excess.
    """
    k = excess.size
    mean = float(excess.mean())
    weighted = float((excess * np.arange(k - 1, -1, -1)).mean()) / (k - 1)
    spread = mean - 2 * weighted
    found = 2 - mean / spread if spread > 0 else 0.0  # equal excesses: no tail could be lighter
    shape = min(max((k * found + 10 * 0.5) / (k + 10), 0.0), _MAX_SHAPE)
    return shape, mean * (1 - shape)


# ------------------------------------------------------------------------------------------ cross-fitting

MIN_OWN_MAP = 200  # held-out rows of a member, below which its quantiles are too noisy to stand alone


def ensemble_scores(member_scores: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """What the ensemble would have scored each training row, had no member been trained on it: (n,).

    `member_scores` (n, e) is the score of each row by each member, on one scale; `held_out` (n, e) says where the
    member was not trained on the row. A new row is scored by the mean of e members that have not seen it; of a training
    row only one or two such scores exist. The others are too low, as scores of rows one has learned are, and are raised
    to what rows unseen score: member by member the quantiles of its in-sample scores are mapped to those of its
    held-out ones, pooled over members where a fold is small. So marginals come from held-out rows and the dependence
    between members from learned ones. A model, not a theorem: docs/calibration.md. Rows with a NaN stay NaN.
    """
    scores = np.array(member_scores, dtype=np.float64)
    raised = scores.copy()
    usable = np.isfinite(scores).all(axis=1, keepdims=True)
    for member, n_held_out in enumerate((held_out & usable).sum(axis=0)):
        of = slice(member, member + 1) if n_held_out >= MIN_OWN_MAP else slice(None)
        learned = np.sort(scores[:, of][(usable & ~held_out)[:, of]])
        unseen = np.sort(scores[:, of][(usable & held_out)[:, of]])
        rows = ~held_out[:, member]
        raised[rows, member] = _mapped(scores[rows, member], learned, unseen)
    return np.asarray(raised.mean(axis=1))


def _mapped(scores: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Each score where its quantile in ascending `source` lies in ascending `target`; shifted beyond their ends."""
    n_quantiles = min(source.size, target.size)
    if not n_quantiles:
        return scores
    at = (np.arange(n_quantiles) + 0.5) / n_quantiles
    low, high = _quantiles(source, at), _quantiles(target, at)
    return np.asarray(scores + np.interp(scores, low, high - low))


def _quantiles(ascending: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Hazen's: the i-th of n is at (i - 1/2) / n. np.quantile takes a minute for 50,000 levels, sorted or not."""
    return np.asarray(np.interp(at * ascending.size - 0.5, np.arange(ascending.size), ascending))
