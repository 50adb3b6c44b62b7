"""Fits the judge of single sensors: the range of each, by how far sensors leave it in blocks not learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from vaecli.model.sensor_views import (
    CONDITIONAL,
    N_VIEWS,
    READING,
    ROUGHNESS,
    SensorViews,
    conditional_of,
    news,
    range_of,
)
from vaecli.scoring.single_sensors import CORROBORATED, SingleSensors

WITHIN = 0.999  # of held-out rows lie within the limit of one sensor in one view, and a margin beyond it is its limit
BLOCK_DEVIATIONS = 2.0  # of the blocks' quantiles, by which a limit lies above their mean, and
LEAST, LEAST_OF_ROUGHNESS = 1.5, 2.0  # times the quantile of all blocks, or
LEAST_OF_SHORT = 2.5  # where fewer than FEWEST_FOR_SHARP rows are held out
FEWEST_FOR_SHARP = 1_000
TOGETHER = 0.9975  # of held-out rows lie within all limits
USUAL_LEVEL = 0.99
MOST_ROUNDS = 10  # a threshold beyond all held-out rows may rise with the worth of opinions
_ABOVE = 1 + 1e-6  # an opinion lies above the threshold by more than float32 can lose

Values = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class FittedViews:
    """The views of d sensors, their `limits` (5, d), and how `far` (n,) the furthest sensor of a held-out row lies out.

    `far` is in limits.
    """

    views: SensorViews
    limits: np.ndarray
    far: np.ndarray


def fit_views(values: Callable[[int], Values], block: np.ndarray, gap: int) -> FittedViews:
    """The views of d sensors, with limits by held-out rows.

    `values` gives those of a view and of the rows before, (d, n) each, of n rows in the order of series and time, in
    blocks (n,). A block is judged by the others, without the `gap` rows after it.
    """
    readings = values(READING)[0]
    rows = np.arange(block.size)
    parts = [(rows[block == b], rows[_is_other(block, b, gap)]) for b in np.unique(block)]
    final = conditional_of(readings)
    of_blocks = [conditional_of(readings[:, others]) for _, others in parts]
    d, n = readings.shape
    middle, half = np.zeros((N_VIEWS, d), np.float32), np.ones((N_VIEWS, d), np.float32)
    limits, far = np.ones((N_VIEWS, d), np.float32), np.zeros(n, np.float32)
    views = SensorViews(middle, half, *final)
    for view in range(N_VIEWS if d > 1 else CONDITIONAL):
        now, before = values(READING if view == CONDITIONAL else view)
        beyond = np.empty((d, n), np.float32)
        for (mine, others), conditional in zip(parts, of_blocks, strict=True):
            judge = SensorViews(middle, half, *conditional)
            a, b = (judge.residuals(v) for v in (now, before)) if view == CONDITIONAL else (now, before)
            centre, reach = (part[:, None] for part in range_of(a[:, others]))
            beyond[:, mine] = news(a[:, mine] - centre, b[:, mine] - centre, reach) / reach
        middle[view], half[view] = range_of(views.residuals(now) if view == CONDITIONAL else now)
        limit = _limits(beyond, block, view)
        limits[view] = half[view] * limit
        far = np.maximum(far, (beyond / limit[:, None]).max(0))
    together = np.float32(max(float(np.quantile(far, TOGETHER)), 1.0))
    return FittedViews(views, limits * together, far / together)


def _is_other(block: np.ndarray, b: int, gap: int) -> np.ndarray:
    last = int(np.flatnonzero(block == b)[-1])
    other = block != b
    other[last : last + gap] = False
    return other


def _limits(beyond: np.ndarray, block: np.ndarray, view: int) -> np.ndarray:
    """The limit (d,) of each sensor by how far it left its range in held-out rows, (d, n), in half ranges."""
    of_blocks = np.stack([np.quantile(beyond[:, block == b], WITHIN, axis=1) for b in np.unique(block)])
    least = LEAST_OF_ROUGHNESS if view in ROUGHNESS else LEAST
    least = LEAST_OF_SHORT if block.size < FEWEST_FOR_SHARP else least
    wanted = of_blocks.mean(0) + BLOCK_DEVIATIONS * of_blocks.std(0)
    return np.maximum(np.maximum(wanted, least * np.quantile(beyond, WITHIN, axis=1)), 1.0).astype(np.float32)


def judge_of(
    fitted: FittedViews,
    mean: np.ndarray,
    opinions: Callable[[SingleSensors], np.ndarray],
    highest_threshold: Callable[[np.ndarray], float],
) -> SingleSensors:
    """The judge whose opinion is worth just more than the threshold, in the held-out rows that it calibrates with.

    `mean` (n,) are held-out means of read-outs, NaN where there is none, `opinions` gives a judge's on these rows (n,),
    and `highest_threshold` that of the calibrations with such opinions.
    """
    from_score = float(np.nanquantile(mean, CORROBORATED))
    worth = highest_threshold(np.full(mean.size, np.nan)) * _ABOVE
    judge = SingleSensors(fitted.views, fitted.limits, from_score, worth)
    for _ in range(MOST_ROUNDS):
        highest = highest_threshold(opinions(judge))
        if highest <= judge.worth:
            break
        judge = replace(judge, worth=highest * _ABOVE)
    return judge
