"""Learns what training supports: limits that levels exceed once in many times the length of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaecli.data.sensor_columns import SensorColumns
from vaecli.data.sensor_scale import CONTINUOUS, LARGEST
from vaecli.data.series import Stretch
from vaecli.data.support import LEVEL_ROWS, Support, levels
from vaecli.schema import Kind

FEWEST_ROWS = 512  # of training; with fewer no range is known
FEWEST_FOR_SHARP = 1_000
N_BLOCKS = 8  # of time, whose extremes are those of a Gumbel distribution
FEWEST_BLOCKS = 4  # that have a level
ONCE_IN, ONCE_IN_OF_SHORT = 4, 16  # lengths of training a normal level of any sensor exceeds its limits
LEAST_SHARE, LEAST = 0.1, 0.5  # of the range, and in scaled units, that a limit lies beyond it
MOST_NEW = 0.005  # share of rows with values that came in one block only, up to which a new value is news
_GUMBEL_SCALE = np.sqrt(6) / np.pi  # of its standard deviation
_EULER = 0.5772156649


def fit_support(stretches: Sequence[Stretch], columns: SensorColumns, own: np.ndarray, kind: np.ndarray) -> Support:
    """What training rows in these stretches support, in the order of series and time.

    `own` (k,) are the positions among the D sensors of those of `columns`; the others, companions, have no range. Their
    profile is learned from few days and is itself uncertain. `kind` (D,) are the kinds of the sensors. Numbers of few
    values have a range only where they do not outnumber the continuous ones, and where none of their values came in a
    single block of time.
    """
    n_sensors = stretches[0].readings.shape[1]
    n_rows = sum(stretch.row.size for stretch in stretches)
    kinds = np.array([column.kind is Kind.NUMERIC for column in columns.columns])[columns.column]
    numbers = own[kinds]
    discrete = numbers[kind[numbers] < CONTINUOUS]
    if 2 * discrete.size > numbers.size or _brings_new_values(
        np.concatenate([stretch.readings[:, discrete] for stretch in stretches])
    ):
        numbers = numbers[kind[numbers] == CONTINUOUS]
    ends = np.zeros((2, n_sensors), np.float32)
    margin = np.full((2, n_sensors), np.inf, np.float32)
    ends[:, numbers], margin[:, numbers] = _ranges([stretch.readings[:, numbers] for stretch in stretches], n_rows)
    unseen = np.zeros(n_sensors, bool)
    for j, column in enumerate(columns.columns):
        if column.kind is Kind.CATEGORICAL:
            mine = own[columns.column == j]
            values = np.concatenate([stretch.readings[:, mine] for stretch in stretches]) > 0
            unseen[mine[-1]] = _is_news(values)
    return Support(ends, margin, unseen)


def _ranges(readings: Sequence[np.ndarray], n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest levels (2, d) of the readings (m, d) of stretches of n rows, and margins (2, d) beyond them.

    The extremes of blocks of time vary as those of later blocks will: a Gumbel distribution of their mean and deviation
    has the limit as the level that is exceeded once in ONCE_IN trainings, on either side of any sensor.
    """
    d = readings[0].shape[1]
    low, high = np.full((N_BLOCKS, d), np.inf, np.float32), np.full((N_BLOCKS, d), -np.inf, np.float32)
    start = 0
    for x in readings:
        if len(x) >= LEVEL_ROWS:
            level = levels(x)
            block = (np.arange(start + LEVEL_ROWS - 1, start + len(x)) * N_BLOCKS) // n_rows
            edges = np.flatnonzero(np.diff(block, prepend=-1))
            low[block[edges]] = np.minimum(low[block[edges]], np.minimum.reduceat(level, edges, axis=0))
            high[block[edges]] = np.maximum(high[block[edges]], np.maximum.reduceat(level, edges, axis=0))
        start += len(x)
    there = np.isfinite(low).all(1)
    if n_rows < FEWEST_ROWS or there.sum() < FEWEST_BLOCKS or not d:
        return np.zeros((2, d), np.float32), np.full((2, d), np.inf, np.float32)
    low, high = low[there], high[there]
    ends = np.stack([low.min(0), high.max(0)])
    times = ONCE_IN if n_rows >= FEWEST_FOR_SHARP else ONCE_IN_OF_SHORT
    deviations = _GUMBEL_SCALE * (np.log(times * there.sum() * 2 * d) - _EULER)
    beyond = np.stack(
        [
            ends[0] - (low.mean(0) - deviations * low.std(0, ddof=1)),
            high.mean(0) + deviations * high.std(0, ddof=1) - ends[1],
        ]
    )
    margin = np.maximum(beyond, np.maximum(LEAST_SHARE * (ends[1] - ends[0]), LEAST))
    reachable = np.stack([ends[0] - margin[0] > -LARGEST, ends[1] + margin[1] < LARGEST])
    return ends, np.where(reachable, margin, np.inf).astype(np.float32)


def _brings_new_values(readings: np.ndarray) -> bool:
    """Whether a value of discrete sensors, readings (n, d), came in one block of time only.

    Then more new ones are to be expected (Good 1953), as commands are that are seldom given.
    """
    block = np.arange(len(readings)) * N_BLOCKS // len(readings)
    for reading in readings.T:
        values, code = np.unique(reading, return_inverse=True)
        came = np.zeros((values.size, N_BLOCKS), bool)
        came[code, block] = True
        if (came.sum(1) == 1).any():
            return True
    return False


def _is_news(values: np.ndarray) -> bool:
    """Whether a new value of a category is news, by which of n rows hold each of its values, (n, values) bool.

    A value that came in one block of time only was new to the others. The share of such rows estimates that of new
    values to come (Good 1953).
    """
    block = np.arange(len(values)) * N_BLOCKS // len(values)
    edges = np.flatnonzero(np.diff(block, prepend=-1))
    n_blocks = np.logical_or.reduceat(values, edges, axis=0).sum(0)
    return bool(values[:, n_blocks == 1].any(1).sum() <= MOST_NEW * len(values))
