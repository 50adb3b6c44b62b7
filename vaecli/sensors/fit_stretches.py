"""Learns how stretches of the training series differ from the rest of it, so that a check knows what chance does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from vaecli.calibration.effective_rows import along_time
from vaecli.data.sensor_columns import SensorColumns
from vaecli.data.series import equal_runs
from vaecli.decisions.drift import Reference
from vaecli.schema import Column, Kind
from vaecli.sensors.stretches import (
    FEWEST,
    MOST_EDGES,
    SHORTEST,
    UNREACHABLE,
    Events,
    TrainingStretches,
    n_codes_of,
    places,
)

MOST_STRETCHES = 200  # of one length, half of each in the next
N_PARTS = 8  # of training, each compared with the range of the others
BEYOND_PARTS = 2.0  # times how far a part leaves the range of the others is the margin of a range,
LEAST_MARGIN = 0.1  # and at least this share of the range
USUAL_PRESENCE = 0.5  # times the usual share of readings, below which a stretch is not compared
LONG_STEP = 1.5  # median steps from which on time is lost between two rows

Windows = tuple[np.ndarray, np.ndarray]


def column_values(columns: Sequence[Column], readings: np.ndarray) -> np.ndarray:
    """The values (n, c) of feature columns, codes where these have no order, of the readings (n, D) of their sensors.

    NaN where a reading is missing or was never seen.
    """
    sensors = SensorColumns(tuple(columns)).column
    values = np.empty((len(readings), len(columns)))
    for j, column in enumerate(columns):
        own = readings[:, sensors == j]
        if column.kind is Kind.CATEGORICAL:
            code = own.argmax(1) if own.shape[1] else np.zeros(len(own), np.int64)
            values[:, j] = np.where(np.isnan(own).any(1) | (code >= column.n_categories), np.nan, code)
        else:
            values[:, j] = np.where(np.isinf(own[:, 0]), np.nan, own[:, 0])
    return values


def learn_stretches(
    columns: Sequence[Column],
    values: np.ndarray,
    companions: np.ndarray,
    score: np.ndarray,
    time: np.ndarray,
    group: np.ndarray,
    step: float,
) -> TrainingStretches:
    """What stretches of n training rows are like, in the order of series and time.

    `values` (n, c) are those of the columns, `companions` (n, k) those of the cycle and `score` (n,) held-out scores,
    NaN where missing; `time` (n,), `group` (n,) codes of series, `step` the median step.
    """
    everything = [*values.T, *companions.T, score]
    codes = n_codes_of(columns, companions.shape[1])
    worth = np.array([_worth(one) for one in everything])
    references = tuple(_reference(one, *of) for one, *of in zip(everything, codes, worth.tolist(), strict=True))
    bounds = np.append(np.flatnonzero(np.diff(group, prepend=-1)), group.size)
    lengths = list(_lengths(bounds))
    windows = [_windows(bounds, length) for length in lengths]
    steps = np.diff(time, prepend=time[:1])
    steps[bounds[:-1]] = np.nan
    lost = np.where(steps > LONG_STEP * step, steps - step, 0.0)
    missing = np.isnan(values)
    moved = np.zeros((3, len(everything), len(lengths)))
    absent, of_lost = np.zeros((3, len(columns), len(lengths))), np.zeros((3, len(lengths)))
    of_step = np.zeros(len(lengths))
    bins = [None if one is None else _bins(one, of) for one, of in zip(references, everything, strict=True)]
    n_lost, n_time = _cumulative(lost), _cumulative(np.nan_to_num(steps))
    n_missing = np.concatenate([np.zeros((1, len(columns)), np.int64), np.cumsum(missing, axis=0)])
    lost_share = float(n_lost[-1] / n_time[-1]) if n_time[-1] > 0 else 0.0
    for i, ((first, last), length) in enumerate(zip(windows, lengths, strict=True)):
        for v, (reference, own) in enumerate(zip(references, bins, strict=True)):
            if reference is not None and own is not None:
                moved[:, v, i] = _summary(_distances(reference, own, first, last), UNREACHABLE)
        here = n_missing[last] - n_missing[first]
        others = (n_missing[-1] - here) / max(len(values) - length, 1)
        absent[:, :, i] = np.stack([_summary(one, 1.0) for one in np.abs(here / length - others).T], axis=1)
        own_lost, own_time = n_lost[last] - n_lost[first + 1], n_time[last] - n_time[first + 1]
        share = own_lost / np.where(own_time > 0, own_time, 1)
        of_lost[:, i] = _summary(np.maximum(share - lost_share, 0), 1.0)
        of_step[i] = _largest_step(steps, first, last, step)
    low, high, margin = _ranges(columns, values)
    is_repeated = steps == 0
    return TrainingStretches(
        len(values),
        references,
        np.array(lengths, np.int64),
        np.array([int((np.diff(bounds) // length).sum()) for length in lengths], np.int64),
        moved,
        absent,
        of_lost,
        of_step,
        worth,
        low,
        high,
        margin,
        *_equal(values, bounds),
        Events(missing.sum(0), _starts(missing, bounds).sum(0)),
        Events(np.array([is_repeated.sum()]), _starts(is_repeated[:, None], bounds).sum(0)),
        int((lost > 0).sum()),
        min(lost_share, 1.0),
    )


def _worth(values: np.ndarray) -> float:
    """How many independent values those that are there are worth, by their ranks along time."""
    there = values[~np.isnan(values)]
    if there.size < SHORTEST:
        return 1.0
    rank = np.searchsorted(np.sort(there), there).astype(np.float64)
    return max(along_time(rank), 1.0)


def _reference(values: np.ndarray, n_codes: int, worth: float) -> Reference | None:
    there = values[~np.isnan(values)]
    if not there.size:
        return None
    if n_codes:
        counts = np.bincount(there.astype(np.int64), minlength=n_codes)
        return Reference(counts / there.size, worth, None, float((counts == 1).sum()))
    edges = np.unique(there)
    if edges.size > MOST_EDGES:
        edges = np.unique(np.quantile(there, np.linspace(0, 1, MOST_EDGES), method="inverted_cdf"))
    empty = Reference(np.zeros(2 * edges.size + 1), worth, edges)
    return Reference(np.bincount(places(empty, there), minlength=empty.share.size) / there.size, worth, edges)


def _bins(reference: Reference, values: np.ndarray) -> np.ndarray:
    found = np.full(values.size, -1, np.int64)
    there = np.flatnonzero(~np.isnan(values))
    found[there] = places(reference, values[there])
    return found


def _lengths(bounds: np.ndarray) -> Iterator[int]:
    length = SHORTEST
    while (np.diff(bounds) // length).sum() >= FEWEST:
        yield length
        length *= 2


def _windows(bounds: np.ndarray, length: int) -> Windows:
    """The first rows and the ends of stretches of `length` rows, each half in the next, evenly spread over training."""
    starts = np.concatenate(
        [np.arange(first, last - length + 1, max(length // 2, 1)) for first, last in pairwise(bounds.tolist())]
    ).astype(np.int64)
    if starts.size > MOST_STRETCHES:
        starts = starts[np.linspace(0, starts.size - 1, MOST_STRETCHES).round().astype(np.int64)]
    return starts, starts + length


def _distances(reference: Reference, bins: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The distances of the stretches from the rest of training, of those that have enough readings."""
    n_bins, points = reference.share.size, np.unique(np.concatenate([first, last]))
    part = np.repeat(np.arange(points.size + 1), np.diff(points, prepend=0, append=bins.size))
    there = bins >= 0
    counts = np.bincount(part[there] * n_bins + bins[there], minlength=(points.size + 1) * n_bins)
    before = np.cumsum(counts.reshape(points.size + 1, n_bins), axis=0)  # rows before each point
    own = before[np.searchsorted(points, last)] - before[np.searchsorted(points, first)]
    usual = USUAL_PRESENCE * float(there.mean()) * (last - first)
    enough = own.sum(1) >= np.maximum(usual, 1)
    others = before[-1] - own[enough]
    enough_left = others.sum(1) > 0
    return reference.between(own[enough][enough_left], others[enough_left])


def _summary(values: np.ndarray, otherwise: float) -> np.ndarray:
    """Mean, standard deviation and largest (3,); `otherwise` thrice where there are too few values."""
    if values.size < FEWEST:
        return np.array([otherwise] * 3)
    return np.array([values.mean(), values.std(ddof=1), values.max()])


def _cumulative(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(values)])


def _largest_step(steps: np.ndarray, first: np.ndarray, last: np.ndarray, step: float) -> float:
    """The largest |log| of the ratio of the median step of a stretch to that of all."""
    largest = 0.0
    for start, end in zip(first.tolist(), last.tolist(), strict=True):
        own = steps[start + 1 : end]
        own = own[own > 0]
        if own.size:
            largest = max(largest, abs(float(np.log(np.median(own) / step))))
    return largest


def _ranges(columns: Sequence[Column], values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lowest, highest and margin (c,) of the numbers of each column; 0 of other columns and of those without one."""
    low, high, margin = np.zeros((3, len(columns)))
    part = np.arange(len(values)) * N_PARTS // len(values)
    for j, column in enumerate(columns):
        there = ~np.isnan(values[:, j])
        if column.kind is not Kind.NUMERIC or not there.any():
            continue
        own, of_part = values[there, j], part[there]
        low[j], high[j] = own.min(), own.max()
        farthest = 0.0
        for b in np.unique(of_part):
            mine, others = own[of_part == b], own[of_part != b]
            if others.size:
                farthest = max(farthest, mine.max() - others.max(), others.min() - mine.min())
        margin[j] = max(LEAST_MARGIN * (high[j] - low[j]), BEYOND_PARTS * farthest)
    return low, high, margin


def _starts(happens: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Where runs of what `happens` (n, c) begin, (n, c) bool; a series begins a run of its own."""
    before = np.concatenate([np.zeros((1, happens.shape[1]), bool), happens[:-1]])
    before[bounds[:-1]] = False
    return happens & ~before


def _equal(values: np.ndarray, bounds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(c,) the largest number of equal readings of a column that follow each other in a series, and the share of ties.

    Both are 0 without a reading.
    """
    longest, ties = np.zeros(values.shape[1], np.int64), np.zeros(values.shape[1])
    here = ~np.isnan(values)
    for first, last in pairwise(bounds.tolist()):
        runs = equal_runs(values[first:last])[1]
        longest = np.maximum(longest, runs.max(0))
        ties += ((runs > 1) & here[first:last]).sum(0)
    return longest, ties / np.maximum(here.sum(0), 1)
