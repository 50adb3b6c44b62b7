"""Why rows of series scored as they did: the part of each sensor, and what its readings were before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaecli.data.cycle_profile import CycleProfile, bins_of
from vaecli.data.sensor_scale import LARGEST
from vaecli.data.series import Cause, Chunk, Stretch
from vaecli.model.window_model import HISTORY
from vaecli.scoring.sensor_parts import AT_ONCE, sensor_parts
from vaecli.scoring.window_scores import READOUTS, score_of
from vaecli.sensors.detector import SensorDetector

FEWEST_BEFORE = 16  # rows by which a reading is expected; with fewer, those of training
LATEST = 16  # rows, at most, by which the behaviour of a sensor is described
UP, DOWN, FLAT, NOISY, SILENT = "up", "down", "flat", "noisy", "silent"
_FAR = 3.0  # deviations of the latest readings' mean from the expected reading
_QUIETER, _LOUDER = 0.1, 2.5  # times the usual step from row to row


@dataclass(frozen=True, slots=True)
class ExplainedRows:
    """The k explained rows of a batch, ascending: `row` (k,) are their positions in it.

    `parts` (D, k) in nats add up to the score of each row. The others are (D, k) in the sensors' own units: `expected`
    and `deviation` are those of the rows before the window, `usual_step` the median step from row to row then, NaN
    where these rows are too few; `now` is the reading of the row, cut where the scale ends, and `level` and `step` are
    mean and median step of the latest rows. `is_cut` marks latest rows of which one is cut, and `is_silent` the sensor
    that decides by having had no reading for long, `is_beyond` the one that does by a level beyond the range of
    training.
    """

    row: np.ndarray
    parts: np.ndarray
    expected: np.ndarray
    deviation: np.ndarray
    usual_step: np.ndarray
    now: np.ndarray
    level: np.ndarray
    step: np.ndarray
    is_cut: np.ndarray
    is_silent: np.ndarray
    is_beyond: np.ndarray

    def take(self, which: np.ndarray) -> ExplainedRows:
        """The rows `which` (k,), in that order."""
        return ExplainedRows(self.row[which], *(getattr(self, name)[:, which] for name in _OF_SENSORS))


_OF_SENSORS = ExplainedRows.__slots__[1:]


def explain(
    detector: SensorDetector,
    stretches: Sequence[Stretch],
    wanted: np.ndarray,
    score: np.ndarray,
    kind: str,
    time: np.ndarray,
) -> ExplainedRows:
    """Explain the rows `wanted` (n,) bool of a batch that is in these stretches; others cost next to nothing.

    `score` (n,) are their scores of a kind, which may look ahead; the parts are those of the window that ends at a row.
    A sensor whose companion has the larger part is expected to read as usual at the row's `time` (n,), and one that
    decides by its level to stay within the range of training: half of it to either side of the middle.
    """
    chosen = [stretch for stretch in stretches if wanted[stretch.row].any()]
    found = []
    for chunk in detector.chunks(chosen):
        index = np.flatnonzero(wanted[chunk.row])
        most = max(AT_ONCE // (max(detector.scale.n_sensors, 1) * HISTORY), 1)
        for start in range(0, index.size, most):
            found.append(_explained(detector, chunk, index[start : start + most], kind))
    if not found:
        return ExplainedRows(np.empty(0, np.int64), *(np.empty((detector.scale.n_sensors, 0)) for _ in _OF_SENSORS))
    row = np.concatenate([part.row for part in found])
    arrays = (np.concatenate([getattr(part, name) for part in found], axis=1) for name in _OF_SENSORS)
    explained = ExplainedRows(row, *arrays).take(np.argsort(row, kind="stable"))
    total = explained.parts.sum(0)
    explained.parts[:] *= np.divide(score[explained.row], total, out=np.ones_like(total), where=total > 0)
    if detector.cycle is not None:
        explained = _at_the_hour(explained, detector, detector.cycle, time)
    return _within_range(explained, detector) if explained.is_beyond.any() else explained


def training_levels(detector: SensorDetector) -> np.ndarray:
    """The lowest and the highest level of each sensor in training, (2, D) in its own units."""
    assert detector.judge is not None
    assert detector.judge.support is not None
    return detector.scale.in_units(detector.judge.support.ends)


def _within_range(explained: ExplainedRows, detector: SensorDetector) -> ExplainedRows:
    low, high = training_levels(detector)[:, :, None]
    expected = np.where(explained.is_beyond, (low + high) / 2, explained.expected)
    deviation = np.where(explained.is_beyond, (high - low) / 2, explained.deviation)
    return replace(explained, expected=expected, deviation=deviation)


def _at_the_hour(
    explained: ExplainedRows, detector: SensorDetector, cycle: CycleProfile, time: np.ndarray
) -> ExplainedRows:
    column = detector.sensors.column
    own = np.searchsorted(detector.sensor_column, column[cycle.sensor])  # a companion follows its sensor
    place = bins_of(time[explained.row], cycle.period, len(cycle.mean))
    scale = detector.scale.take(own)
    is_hour = explained.parts[own + 1] > explained.parts[own]
    expected, deviation = explained.expected.copy(), explained.deviation.copy()
    expected[own] = np.where(is_hour, scale.in_units(cycle.mean[place]).T, expected[own])
    deviation[own] = np.where(is_hour, (cycle.deviation[place] * scale.deviation).T, deviation[own])
    return replace(explained, expected=expected, deviation=deviation)


def _explained(detector: SensorDetector, chunk: Chunk, index: np.ndarray, kind: str) -> ExplainedRows:
    column, scale, window = chunk.column[index], detector.scale, detector.model.shape.window
    surprisals = detector.surprisals_at(chunk, index)
    parts = sensor_parts(detector.model, chunk.x, column, surprisals, kind)
    alarms = chunk.alarms[index]
    decides = score_of(surprisals.of, kind, detector.model.shape) > score_of(
        surprisals.of[: len(READOUTS)], kind, detector.model.shape
    )
    is_of_sensor = np.arange(scale.n_sensors)[:, None] == alarms.sensor
    recent = chunk.x[:, column[:, None] + np.arange(-HISTORY, 1)].astype(np.float64)  # (D, k, HISTORY + 1)
    is_before, enough = _before(chunk.seen[index], window)
    n = np.maximum(is_before.sum(1), 1)
    mean = np.where(is_before, recent, 0).sum(2) / n
    deviation = np.sqrt(np.where(is_before, np.square(recent - mean[:, :, None]), 0).sum(2) / n)
    mean, deviation = np.where(enough, mean, 0.0), np.where(enough, deviation, 1.0)
    steps = np.abs(np.diff(recent, axis=2))
    usual = np.nanmedian(np.where(is_before[:, 1:] | ~enough[:, None], steps, np.nan), axis=2)
    latest = min(window, LATEST)
    level = recent[:, :, -latest:].mean(2)
    step = np.median(steps[:, :, 1 - latest :], axis=2)
    unit = scale.deviation[:, None]
    return ExplainedRows(
        chunk.row[index],
        parts,
        scale.in_units(mean.T).T,
        deviation * unit,
        np.where(enough, usual, np.nan) * unit,
        scale.in_units(recent[:, :, -1].T).T,
        scale.in_units(level.T).T,
        step * unit,
        np.asarray((np.abs(recent[:, :, -latest:]) >= LARGEST).any(2)),
        is_of_sensor & (alarms.cause == Cause.SILENT),
        is_of_sensor & (alarms.cause == Cause.BEYOND) & decides,
    )


def _before(seen: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of the HISTORY + 1 latest rows lie before the window (k, HISTORY + 1); whether they are enough (k,).

    `seen` (k,) rows came before; a history that is not yet full repeats its first row, which counts once.
    """
    place = np.arange(HISTORY + 1)
    is_before = (place >= HISTORY - np.minimum(seen, HISTORY)[:, None]) & (place <= HISTORY - window)
    return is_before, is_before.sum(1) >= FEWEST_BEFORE


def directions(
    before: ExplainedRows,
    now: np.ndarray,
    level: np.ndarray,
    step: np.ndarray,
    is_silent: np.ndarray,
    is_beyond: np.ndarray,
) -> np.ndarray:
    """How sensors differ from what was expected `before` (one row): up, down, flat, noisy or silent, (D,).

    `now`, `level` and `step` (2, D) are the least and the largest reading, mean of the latest readings and median step;
    `is_silent` (D,) bool marks sensors without a reading for long, `is_beyond` (D,) bool those beyond the range of
    training, which are up or down.
    """
    expected, deviation, usual = before.expected[:, 0], before.deviation[:, 0], before.usual_step[:, 0]
    above, below = level[1] - expected, expected - level[0]
    far = np.maximum(above, below) >= _FAR * deviation
    with np.errstate(invalid="ignore"):
        is_noisy = ~far & (step[1] > 0) & (step[1] >= _LOUDER * usual)
        is_flat = (usual > 0) & (step[0] <= _QUIETER * usual)
    is_up = np.where(far, above >= below, now[1] - expected >= expected - now[0])
    up_or_down = np.where(is_up, UP, DOWN)
    found = np.where(is_beyond, up_or_down, np.where(is_flat, FLAT, np.where(is_noisy, NOISY, up_or_down)))
    return np.where(is_silent, SILENT, found)
