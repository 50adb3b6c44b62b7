"""Fits the judge of single sensors: the range of each, by how far sensors leave it in blocks not learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from vaecli.data.series import missing_runs
from vaecli.model.sensor_views import N_VIEWS, ROUGHNESS, SensorViews, news, range_of
from vaecli.model.window_model import SHORT
from vaecli.scoring.single_sensors import CORROBORATED, SingleSensors

WITHIN = 0.999  # of held-out rows lie within the limit of one sensor in one view, and a margin beyond it is its limit
BLOCK_DEVIATIONS = 2.0  # of the blocks' quantiles, by which a limit lies above their mean, and
LEAST, LEAST_OF_ROUGHNESS = 1.5, 2.0  # times the quantile of all blocks, or
LEAST_OF_SHORT = 2.5  # where fewer than FEWEST_FOR_SHARP rows are held out
FEWEST_FOR_SHARP = 1_000
TOGETHER = 0.9975  # of held-out rows lie within all limits
USUAL_LEVEL = 0.99
MOST_ROUNDS = 10  # a threshold beyond all held-out rows may rise with the worth of opinions
OF_LONGEST = 2.0  # times the longest run of missing readings in training is the limit of silence
_ABOVE = 1 + 1e-6  # an opinion lies above the threshold by more than float32 can lose

Values = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class FittedViews:
    """The views of d sensors, their `limits` (4, d), and how `far` (n,) the furthest sensor of a held-out row lies out.

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
    rows = np.arange(block.size)
    parts = [(rows[block == b], rows[_is_other(block, b, gap)]) for b in np.unique(block)]
    ranges, limits, far = [], [], np.zeros(block.size, np.float32)
    for view in range(N_VIEWS):
        now, before = values(view)
        beyond = np.empty(now.shape, np.float32)
        for mine, others in parts:
            middle, half = (part[:, None] for part in range_of(now[:, others]))
            beyond[:, mine] = news(now[:, mine] - middle, before[:, mine] - middle, half) / half
        ranges.append(range_of(now))
        limit = _limits(beyond, block, view)
        limits.append(ranges[-1][1] * limit)
        far = np.maximum(far, (beyond / limit[:, None]).max(0))
    views = SensorViews(*(np.stack(part).astype(np.float32) for part in zip(*ranges, strict=True)))
    together = np.float32(max(float(np.quantile(far, TOGETHER)), 1.0))
    return FittedViews(views, np.stack(limits).astype(np.float32) * together, far / together)


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


def silence_limits(missing: Iterable[np.ndarray], n_sensors: int) -> np.ndarray:
    """(D,) float32: for how many rows each of `n_sensors` sensors may have no reading, SHORT - 1 at least.

    `missing` (m, D) marks cells without a reading, of each piece of the training rows.
    """
    longest, none = np.zeros(n_sensors, np.int64), np.zeros(n_sensors, np.int64)
    for part in missing:
        if part.any():
            longest = np.maximum(longest, missing_runs(part, none).max(0))
    return np.maximum(OF_LONGEST * longest, SHORT - 1).astype(np.float32)


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
