"""Why rows of series scored as they did: the part of each sensor, and what its readings were before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.data.sensor_scale import LARGEST
from vaecli.data.series import Chunk, Stretch
from vaecli.model.window_model import HISTORY
from vaecli.scoring.sensor_parts import AT_ONCE, sensor_parts
from vaecli.sensors.detector import SensorDetector

FEWEST_BEFORE = 16  # rows by which a reading is expected; with fewer, those of training
LATEST = 16  # rows, at most, by which the behaviour of a sensor is described
UP, DOWN, FLAT, NOISY = "up", "down", "flat", "noisy"
_FAR = 3.0  # deviations from the expected reading
_QUIETER, _LOUDER = 0.1, 2.5  # times the usual step from row to row


@dataclass(frozen=True, slots=True)
class ExplainedRows:
    """The k explained rows of a batch, ascending: `row` (k,) are their positions in it.

    `parts` (D, k) in nats add up to the score of each row. `expected` and `deviation` (D, k), in the sensors' own
    units, are those of the rows before the window; `direction` (D, k) is how the latest rows differ from these.
    """

    row: np.ndarray
    parts: np.ndarray
    expected: np.ndarray
    deviation: np.ndarray
    direction: np.ndarray

    def take(self, which: np.ndarray) -> ExplainedRows:
        """The rows `which` (k,), in that order."""
        of_rows = (getattr(self, name)[:, which] for name in ("parts", "expected", "deviation", "direction"))
        return ExplainedRows(self.row[which], *of_rows)


def explain(detector: SensorDetector, stretches: Sequence[Stretch], wanted: np.ndarray, kind: str) -> ExplainedRows:
    """Explain the rows `wanted` (n,) bool of a batch that is in these stretches; others cost next to nothing."""
    chosen = [stretch for stretch in stretches if wanted[stretch.row].any()]
    found = []
    for chunk in detector.chunks(chosen):
        index = np.flatnonzero(wanted[chunk.row])
        most = max(AT_ONCE // (max(detector.scale.n_sensors, 1) * HISTORY), 1)
        for start in range(0, index.size, most):
            found.append(_explained(detector, chunk, index[start : start + most], kind))
    if not found:
        empty = np.empty((detector.scale.n_sensors, 0))
        return ExplainedRows(np.empty(0, np.int64), empty, empty, empty, empty.astype(str))
    row = np.concatenate([part.row for part in found])
    each = (
        np.concatenate([getattr(part, name) for part in found], axis=1)
        for name in ("parts", "expected", "deviation", "direction")
    )
    return ExplainedRows(row, *each).take(np.argsort(row, kind="stable"))


def _explained(detector: SensorDetector, chunk: Chunk, index: np.ndarray, kind: str) -> ExplainedRows:
    column = chunk.column[index]
    surprisals = detector.surprisals_at(chunk, index)
    parts = sensor_parts(detector.model, chunk.x, column, surprisals, kind)
    mean, deviation, direction = _before(detector, chunk.x, column)
    scale = detector.scale
    expected = scale.in_units(mean.T).T
    return ExplainedRows(chunk.row[index], parts, expected, deviation * scale.deviation[:, None], direction)


def _before(detector: SensorDetector, x: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and deviation (D, k), scaled, of the rows before the windows that end at `column`; and directions.

    A history that is not yet full repeats its first row, which counts once.
    """
    window = detector.model.shape.window
    recent = x[:, column[:, None] + np.arange(-HISTORY, 1)]  # (D, k, HISTORY + 1)
    differs = (recent != recent[:, :, :1]).any(0)
    first = np.where(differs.any(1), np.argmax(differs, axis=1) - 1, 0)  # of the rows that are not repeated
    place = np.arange(HISTORY + 1)
    counts = (place >= first[:, None]) & (place <= HISTORY - window)
    n = counts.sum(1)
    total = np.maximum(n, 1)
    mean = np.where(counts, recent, 0).sum(2, dtype=np.float64) / total
    deviation = np.sqrt(np.where(counts, np.square(recent - mean[:, :, None]), 0).sum(2) / total)
    enough = n >= FEWEST_BEFORE
    mean, deviation = np.where(enough, mean, 0.0), np.where(enough, deviation, 1.0)
    return mean, deviation, _directions(recent, counts, enough, mean, deviation, min(window, LATEST))


def _directions(
    recent: np.ndarray, counts: np.ndarray, enough: np.ndarray, mean: np.ndarray, deviation: np.ndarray, latest: int
) -> np.ndarray:
    """How the `latest` rows differ from those before the window: up, down, flat or noisy, (D, k)."""
    now = recent[:, :, -latest:]
    level = now.mean(2)
    steps = np.abs(np.diff(recent, axis=2))
    usual = np.nanmedian(np.where(counts[:, 1:] | ~enough[:, None], steps, np.nan), axis=2)
    usual = np.where(enough, usual, np.nan)
    step = np.median(steps[:, :, -latest + 1 :], axis=2)
    far = np.abs(level - mean) >= _FAR * np.maximum(deviation, 1e-3)
    found = np.where(level >= mean, UP, DOWN)
    with np.errstate(invalid="ignore"):
        found = np.where(~far & (step >= _LOUDER * usual) & (step > 0), NOISY, found)
        is_flat = (step <= _QUIETER * usual) & (usual > 0) & (np.abs(level) < LARGEST)
    return np.asarray(np.where(is_flat, FLAT, found))
