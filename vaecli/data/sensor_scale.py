"""The scale of sensors: what their readings are measured in before windows are taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

LARGEST = 10.0  # standard deviations; readings further out are cut there
MOST_DISCRETE_VALUES = 10  # sensors with more different readings than this are continuous
DEAD, DISCRETE, CONTINUOUS = 0, 1, 2


@dataclass(frozen=True, slots=True)
class SensorScale:
    """Centre, scale and kind of each of D sensors, as training had them.

    `median`, `mean` and `deviation` (D,) float64 are in the sensor's own units; `kind` (D,) uint8 is DEAD (one value),
    DISCRETE (at most ten) or CONTINUOUS.
    """

    median: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    kind: np.ndarray

    @classmethod
    def of(cls, readings: np.ndarray) -> SensorScale:
        """The scale of readings (n, D), in which NaN is a missing cell. A sensor without any reading is dead at 0."""
        kinds, medians = np.zeros(readings.shape[1], np.uint8), np.zeros(readings.shape[1])
        for j, column in enumerate(readings.T):
            present = column[~np.isnan(column)]
            if not present.size:
                continue
            medians[j] = np.median(present)
            n_values = np.unique(present[:: max(1, present.size // 200_000)]).size
            kinds[j] = DEAD if n_values <= 1 else DISCRETE if n_values <= MOST_DISCRETE_VALUES else CONTINUOUS
        filled = np.where(np.isnan(readings), medians, readings)
        mean, deviation = filled.mean(0), filled.std(0)
        # a reading of 50.000 that never moves is one in which a step of 0.5 is ten standard deviations
        too_small = deviation < 1e-4 * np.maximum(np.abs(mean), 0.01)
        deviation = np.where(too_small, np.maximum(0.01 * np.abs(mean), 0.01), deviation)
        return cls(medians, mean, deviation, kinds)

    @property
    def n_sensors(self) -> int:
        """The number D of sensors."""
        return self.mean.size

    @property
    def continuous(self) -> np.ndarray:
        """(d,) int64: positions of the sensors whose movement is modelled: continuous ones, or else all that move."""
        for least in (CONTINUOUS, DISCRETE):
            if (self.kind >= least).any():
                return np.flatnonzero(self.kind >= least)
        return np.empty(0, np.int64)

    @property
    def start(self) -> np.ndarray:
        """(D,) float32: the scaled reading that stands for a missing one before the first reading of a series."""
        return self.scaled(self.median)

    def take(self, which: np.ndarray) -> SensorScale:
        """The scale of the sensors `which` (k,), in that order."""
        return SensorScale(self.median[which], self.mean[which], self.deviation[which], self.kind[which])

    def scaled(self, readings: np.ndarray) -> np.ndarray:
        """Readings (…, D) in standard deviations from the mean, cut at ±10, float32; NaN stays NaN."""
        return np.clip((readings - self.mean) / self.deviation, -LARGEST, LARGEST).astype(np.float32)

    def in_units(self, scaled: np.ndarray) -> np.ndarray:
        """The inverse of `scaled` between the cuts: (…, D) float64."""
        return scaled * self.deviation + self.mean

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return {"median": self.median, "mean": self.mean, "deviation": self.deviation, "kind": self.kind}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], n_sensors: int) -> SensorScale:
        """The inverse of `to_arrays`. Raises KeyError or ValueError on arrays that it cannot have written."""
        scale = cls(*(arrays[name] for name in ("median", "mean", "deviation", "kind")))
        numbers = (scale.median, scale.mean, scale.deviation)
        if any(a.shape != (n_sensors,) or a.dtype != np.float64 or not np.isfinite(a).all() for a in numbers):
            raise ValueError("the scale of the sensors is not one finite number per sensor")
        if scale.kind.shape != (n_sensors,) or scale.kind.dtype != np.uint8 or (scale.kind > CONTINUOUS).any():
            raise ValueError("the kinds of the sensors are not kinds")
        if not (scale.deviation > 0).all():
            raise ValueError("a standard deviation is not positive")
        return scale
