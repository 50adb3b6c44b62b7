"""95 % intervals that know how many rows a figure rests on, in closed form: no draws, no seed, never without width.

| figure                | interval                                                      | reference              |
|-----------------------|---------------------------------------------------------------|------------------------|
| a share, k of n       | beta quantiles, exact                                         | Clopper & Pearson 1934 |
| F1 = 2J / (1 + J)     | that of J, the share of hits in all rows flagged or anomalous |                        |
| average precision     | the wider of two limits, in `average_precision_interval`      | Boyd, Eng & Page 2013  |
| AUROC                 | the wider of two limits, in `auroc_interval`                  | DeLong 1988; Newcombe  |
| difference of methods | square-and-add with the correlation of the two                | Zou & Donner 2008      |

Clopper–Pearson rather than Wilson (1927), although Brown, Cai & DasGupta (2001) find it conservative: with few
anomalies Wilson's coverage falls to 83 %. `benchmarks/results/intervals.md` has the coverage and width of each.
"""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95
Z = 1.959963984540054  # standard deviations on each side of a normal 95 % interval
_TAIL = (1 - CONFIDENCE) / 2
_TINY = 1e-300
_HALVINGS = 60


def clopper_pearson(k: float, n: float) -> tuple[float, float]:
    """The ends of a share of which `k` of `n` were counted; NaN where n is 0.

    Clopper & Pearson (1934) by quantiles of the beta distribution, which exist for fractions of a count too.
    """
    if n == 0:
        return math.nan, math.nan
    low = 0.0 if k <= 0 else beta_quantile(_TAIL, k, n - k + 1)
    high = 1.0 if k >= n else beta_quantile(1 - _TAIL, k + 1, n - k)
    return low, high


def f1_interval(n_hits: int, n_flagged_or_anomalous: int) -> tuple[float, float]:
    """The ends of F1, which grows with the share J of hits in the rows that are flagged or anomalous: 2J / (1 + J)."""
    low, high = clopper_pearson(n_hits, n_flagged_or_anomalous)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def auroc_interval(area: float, variance: float, n_anomalies: int, n_normals: int) -> tuple[float, float]:
    """The ends of the interval of an AUROC, in [0, 1]; `variance` is DeLong's, NaN if a class has one row or none.

    Two limits, of which the outer one counts at each end. (1) DeLong, DeLong & Clarke-Pearson (1988) on the logit scale
    with a t quantile, never beyond Clopper–Pearson with the rows of the smaller class, which allows for the largest
    variance that any distribution has (Birnbaum & Klose 1957). Where a class has one row, Clopper–Pearson takes its
    place; where the variance is 0, as at an AUROC of 0 or 1, (2) stands alone. (2) The score interval with the variance
    of Hanley & McNeil (1982), method 5 of Newcombe (2006). (1) sees anomalies that are unlike each other, (2) does not
    rely on a variance that was estimated from a few rows.
    """
    low, high = _score_interval(area, n_anomalies, n_normals)
    n_fewer = min(n_anomalies, n_normals)
    widest = clopper_pearson(area * n_fewer, n_fewer)
    if math.isnan(variance):
        return min(low, widest[0]), max(high, widest[1])
    if variance <= 0 or not 0 < area < 1:
        return low, high
    of_delong = _logit_interval(area, t_quantile(n_fewer - 1) * math.sqrt(variance))
    return min(low, max(widest[0], of_delong[0])), max(high, min(widest[1], of_delong[1]))


def average_precision_interval(mean_precision: float, variance: float, n_anomalies: int) -> tuple[float, float]:
    """The ends of an average precision, `variance` being that of its influence function; NaN where it is unknown.

    Two limits, of which the outer one counts at each end. (1) Boyd, Eng & Page (2013) take it for a share of the
    anomalies; here with the limits of Clopper & Pearson, which exist at 0 and 1. (2) The influence function on the
    logit scale, which knows of normal rows that score above most anomalies: they lower precision at every anomaly.
    """
    low, high = clopper_pearson(mean_precision * n_anomalies, n_anomalies)
    if not variance > 0 or not 0 < mean_precision < 1:
        return low, high
    of_slopes = _logit_interval(mean_precision, Z * math.sqrt(variance))
    return min(low, of_slopes[0]), max(high, of_slopes[1])


def difference_interval(
    one: tuple[float, float, float], other: tuple[float, float, float], correlation: float
) -> tuple[float, float]:
    """The ends of `one` minus `other`, both (value, low, high) on the same rows, from their own ends.

    Each end is as far away as √(a² + b² − 2ρab), a and b being how far the two figures are from the ends that matter
    there: Newcombe's (1998) square-and-add, for any figures after Zou & Donner (2008).
    """
    (value, low, high), (other_value, other_low, other_high) = one, other
    gap = value - other_value
    below = _side(value - low, other_high - other_value, correlation)
    above = _side(high - value, other_value - other_low, correlation)
    return gap - below, gap + above


def t_quantile(degrees: int, tail: float = _TAIL) -> float:
    """What Student's t with that many degrees of freedom exceeds in a share `tail` of the cases, below a half."""
    x = beta_quantile(2 * tail, degrees / 2, 0.5)  # of degrees / (degrees + t²)
    return math.sqrt(degrees * (1 - x) / x)


def beta_quantile(share: float, a: float, b: float) -> float:
    """The x below which `share` of a beta distribution lies: Newton's steps, halved where they leave the bracket."""
    low, high, x = 0.0, 1.0, a / (a + b)
    for _ in range(200):
        excess = beta_share(x, a, b) - share
        low, high = (low, x) if excess > 0 else (x, high)
        moved = x - excess / max(_density(x, a, b), _TINY)
        if not low < moved < high:
            moved = (low + high) / 2
        if abs(moved - x) <= 1e-15:
            return moved
        x = moved
    return x


def beta_share(x: float, a: float, b: float) -> float:
    """How much of a beta distribution lies below x: I_x(a, b), DLMF 8.17.22, by Lentz's continued fraction."""
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast on the other side
        return 1 - beta_share(1 - x, b, a)
    if x <= 0:
        return 0.0
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return _density(x, a, b) * x * (1 - x) / a * fraction


def _density(x: float, a: float, b: float) -> float:
    if not 0 < x < 1:
        return 0.0
    logarithm = (a - 1) * math.log(x) + (b - 1) * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(logarithm)


def _logit_interval(value: float, half: float) -> tuple[float, float]:
    """Where `half` to each side of `value` ends when the logit is as far from it as that at its slope."""
    middle, reach = math.log(value / (1 - value)), half / (value * (1 - value))
    return _expit(middle - reach), _expit(middle + reach)


def _score_interval(area: float, n_anomalies: int, n_normals: int) -> tuple[float, float]:
    """All θ from which `area` is at most Z standard deviations away, those that θ itself gives."""
    pairs, extra = n_anomalies * n_normals, (n_anomalies + n_normals) / 2 - 1

    def is_near(theta: float) -> bool:
        alike = 1 + extra * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (area - theta) ** 2 <= Z * Z * theta * (1 - theta) * alike / pairs

    return _last_near(is_near, area, 0.0), _last_near(is_near, area, 1.0)


def _last_near(is_near: Callable[[float], bool], near: float, end: float) -> float:
    """The point between `near` and `end` beyond which nothing is near."""
    far = end
    for _ in range(_HALVINGS):
        middle = (near + far) / 2
        near, far = (middle, far) if is_near(middle) else (near, middle)
    return near


def _side(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(one * one + other * other - 2 * correlation * one * other, 0.0))


def _expit(x: float) -> float:
    """1 / (1 + e^−x), without overflow."""
    return 0.5 * (1 + math.tanh(x / 2))
