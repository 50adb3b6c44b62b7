"""How a number becomes a feature, and back: soft clip, rank to normal score, the bend between the two."""

from __future__ import annotations

from typing import Any

import numpy as np

CLIP = 10.0
LARGEST = 1e150  # of a number, as its square must be one too
NORMAL_LIMIT = 3.5
MOST_DECIMALS = 15
RANK_MARGIN = 1e-7  # scikit-learn's BOUNDS_THRESHOLD: readings this near the extremes count as the extremes
FEW_DISTINCT = 17  # readings below which ranks are mostly ties
FLAT, HEAVY, VERY_HEAVY = -1.1, 3.0, 6.0  # excess kurtosis: about uniform; an exponential's half; an exponential's
MOSTLY_RANK, HALF_RANK = 0.95, 0.5


def distinct(values: np.ndarray) -> np.ndarray:
    """The distinct numbers (m,) among `values` (n,), ascending; none of them is NaN.

    As `numpy.unique`, which loads `numpy.ma` on its way.
    """
    ascending: np.ndarray = np.sort(values)
    return ascending[np.append(True, ascending[1:] != ascending[:-1])[: ascending.size]]


def soft_clip(values: np.ndarray) -> np.ndarray:
    """Clip values (n, …) softly: v up to |v| = 10, logarithmic beyond; antisymmetric, increasing, of smooth slope."""
    far = np.abs(values) > CLIP  # few: NumPy's log1p calls the C library cell by cell
    if not far.any():
        return values
    clipped, beyond = np.array(values), values[far]
    clipped[far] = np.sign(beyond) * (CLIP + CLIP * np.log1p((np.abs(beyond) - CLIP) / CLIP))
    return clipped


def undo_soft_clip(values: np.ndarray) -> np.ndarray:
    """The inverse of `soft_clip`, for values (n,)."""
    size = np.abs(values)
    beyond = CLIP * np.expm1(np.maximum(size - CLIP, 0.0) / CLIP)
    return np.where(size <= CLIP, values, np.sign(values) * (CLIP + beyond))


def rank_to_normal(values: np.ndarray, quantiles: np.ndarray) -> np.ndarray:
    """The normal scores (n,) of `values` (n,), within ±3.5, by their ranks among `quantiles` (q,); NaN stays NaN.

    As scikit-learn's QuantileTransformer(output_distribution="normal"), whose `quantiles_` are at evenly spaced ranks.
    """
    ranks = np.linspace(0.0, 1.0, quantiles.size)
    rank = np.interp(values, quantiles, ranks)
    if (np.diff(quantiles) == 0).any():  # tied readings share the middle of their ranks
        rank = 0.5 * (rank - np.interp(-values, -quantiles[::-1], -ranks[::-1]))
    rank = np.where(values + RANK_MARGIN > quantiles[-1], 1.0, rank)
    rank = np.where(values - RANK_MARGIN < quantiles[0], 0.0, rank)
    return np.clip(normal_quantile(rank), -NORMAL_LIMIT, NORMAL_LIMIT)


def rank_share(values: np.ndarray) -> np.ndarray:
    """w (m,), how far each column of `values` (n, m), NaN where missing, is bent towards its ranks.

    By excess kurtosis. Flat and moderately heavy columns are mostly ranked, so that their edges stand out; very heavy
    ones half, as the size of an outlier is the plainest sign there is; near-normal and few-valued ones not at all.
    """
    shares = np.zeros(values.shape[1])
    for j in range(values.shape[1]):
        present = within_largest(values[~np.isnan(values[:, j]), j])
        if np.unique(present).size < FEW_DISTINCT:
            continue
        centred = present - present.mean()
        centred /= max(float(np.abs(centred).max()), np.finfo(float).tiny)  # its fourth power must be a number
        kurtosis = float(np.mean(centred**4) / max(float(np.mean(centred**2)) ** 2, np.finfo(float).tiny)) - 3
        if kurtosis >= VERY_HEAVY:
            shares[j] = HALF_RANK
        elif kurtosis > HEAVY or kurtosis < FLAT:
            shares[j] = MOSTLY_RANK
    return shares


def bend(standardised: np.ndarray, rank: np.ndarray, share: Any, low: Any, high: Any) -> np.ndarray:
    """(1 − w)·v + w·r(v), (n, m): towards the normal score of the rank; beyond [low, high] r goes on with slope 1."""
    beyond = standardised - np.clip(standardised, low, high)
    return (1 - share) * standardised + share * (rank + beyond)


def within_largest(numbers: np.ndarray) -> np.ndarray:
    """The numbers (n, …) clipped to ±1e150, so that their squares are finite."""
    return np.clip(numbers, -LARGEST, LARGEST)


def rounded(numbers: np.ndarray, decimals: int | None) -> np.ndarray:
    """The numbers (n,) rounded to `decimals`, below 0 for multiples of 10, 100, …; unchanged for None or above 15."""
    return numbers if decimals is None or abs(decimals) > MOST_DECIMALS else np.round(numbers, decimals) + 0.0  # no −0


def normal_quantile(probability: np.ndarray) -> np.ndarray:
    """Φ⁻¹(p), (n,), for `probability` (n,) in [0, 1], to 1e-15 relative: algorithm AS 241 (Wichura 1988)."""
    q = probability - 0.5
    central = np.clip(0.180625 - q * q, 0.0, None)
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.sqrt(-np.log(np.minimum(probability, 1.0 - probability)))
        tail = np.where(r <= 5, _ratio(_MIDDLE, r - 1.6), _ratio(_FAR, r - 5.0))
        tail = np.where(np.isinf(r), np.inf, tail)
    return np.where(np.abs(q) <= 0.425, q * _ratio(_CENTRE, central), np.copysign(tail, q))


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], r: np.ndarray) -> np.ndarray:
    return np.polyval(coefficients[0], r) / np.polyval(coefficients[1], r)


# fmt: off
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457,
     13731.693765509461125, 1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867,
     5394.1960214247511077, 687.1870074920579083, 42.313330701600911252, 1.0),
)
_MIDDLE = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)
_FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)
