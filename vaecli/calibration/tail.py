"""The tail beyond the largest calibration score: a generalised Pareto distribution, as heavy as one with a mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MIN_PARETO = 5  # exceedances, below which a shape cannot be estimated (Vehtari et al. 2024)
_MAX_SHAPE = 0.9  # the mean of a tail with shape 1 is infinite, and the fit is by means
SHAPE_BEYOND = _MAX_SHAPE  # where training has shown no row, scores grow in another way: docs/calibration.md
TAIL_KINDS = ("pareto", "exponential")  # stored by position: only ever append


@dataclass(frozen=True, slots=True)
class Tail:
    """How scores thin out beyond the largest calibration score; a model, not a guarantee.

    `kind` is "pareto" for a generalised Pareto tail of `shape` >= 0 (no shape is below 0, since that would declare some
    score impossible), or "exponential", of shape 0, for a wide guess from too few rows to fit a tail. A fit gives the
    shape SHAPE_BEYOND; bundles fitted before have the shape of the scores within the rows' range.
    `scale` is that of the excess over the largest calibration score, in the unit of the scores (nats).
    """

    kind: str
    scale: float
    shape: float
    n_exceedances: int  # the scores it was fitted to

    def survival(self, excess: np.ndarray) -> np.ndarray:
        """P(a normal score exceeds the largest by `excess` (n,) | it exceeds it), in [0, 1], never increasing."""
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
        """The tail in numbers of `to_numbers`. Raises ValueError on numbers that it cannot have written."""
        kind, scale, shape, n_exceedances = numbers
        counts = kind in range(len(TAIL_KINDS)) and n_exceedances.is_integer() and n_exceedances >= 1
        if not (counts and 0 < scale < math.inf and 0 <= shape <= _MAX_SHAPE):
            raise ValueError(f"tail {list(numbers)} is not one that a fit gives")
        return cls(TAIL_KINDS[int(kind)], scale, shape, int(n_exceedances))


@np.errstate(over="ignore", invalid="ignore")  # near the largest float64 a spread is inf, which `_tail` sorts out
def fitted_tail(ascending: np.ndarray) -> Tail | None:
    """The tail beyond the largest of the scores `ascending` (m,), or None if they have no spread to fit one to."""
    m = ascending.size
    # how many of the largest: Vehtari et al. 2024, appendix H
    excess = _excess(ascending, math.ceil(min(m / 5, 3 * math.sqrt(m))))
    if excess.size >= MIN_PARETO:
        shape, scale = fit_pareto(excess)
        # a Pareto tail seen from further out is one of the same shape; beyond the rows it may be heavier
        return _tail("pareto", scale + shape * float(excess[-1]), SHAPE_BEYOND, excess.size)
    excess = _excess(ascending, m - 1)
    if not excess.size:
        return None
    # three times as wide as all scores but the smallest suggest: few rows hardly reach the tail
    return _tail("exponential", 3 * float(excess.mean()), 0.0, excess.size)


def _tail(kind: str, scale: float, shape: float, n_exceedances: int) -> Tail | None:
    return Tail(kind, scale, shape, n_exceedances) if 0 < scale < math.inf else None


def _excess(ascending: np.ndarray, n_largest: int) -> np.ndarray:
    """By how much the `n_largest` exceed the next one below them, ascending, without ties with it."""
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
    moment_shape = 2 - mean / spread if spread > 0 else 0.0  # equal excesses: no tail could be lighter
    shape = min(max((k * moment_shape + 10 * 0.5) / (k + 10), 0.0), _MAX_SHAPE)
    return shape, mean * (1 - shape)
