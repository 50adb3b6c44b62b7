"""What sensors usually read at each hour of the day, or of the week, and how far readings are from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vaecli.data.sensor_scale import CONTINUOUS, LARGEST, SensorScale
from vaecli.runtime.moments import SECONDS_PER_DAY

PERIODS = (float(SECONDS_PER_DAY), 7.0 * SECONDS_PER_DAY)
FEWEST_PERIODS = 4  # that training spans
MOST_BINS, FEWEST_BINS = 48, 12  # of a day
HELPS = 0.7  # of the squared distance from the mean that may remain, in blocks that the profile was not learned from
HELPS_EACH = 0.9  # that may remain in every single one of them
WEEK_HELPS = 0.9  # times what the profile of the day leaves
LEAST_SPREAD = 0.1  # standard deviations, added to that of a bin
MOST_SENSORS = 128  # with the added ones; with more, statistics of all sensors would not be judged together


@dataclass(frozen=True, slots=True)
class CycleProfile:
    """The usual readings of k of D sensors in the bins of a cycle of `period` seconds.

    `sensor` (k,) int64 are their positions, ascending; `mean` and `deviation` (bins, k) float32 are scaled as readings
    are. Each of these sensors gets a companion: how many deviations its reading is from the mean of its bin.
    """

    period: float
    sensor: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray

    def companions(self, scaled: np.ndarray, time: np.ndarray) -> np.ndarray:
        """The companions (n, k) float32 of scaled readings (n, D) at moments (n,), cut at ±10; NaN where missing."""
        place = bins_of(time, self.period, len(self.mean))
        return _distance(scaled[:, self.sensor], self.mean[place], self.deviation[place])

    def order(self, column: np.ndarray) -> np.ndarray:
        """The order (D + k,) in which companions follow their sensors; `column` (D,) is the column of each sensor."""
        return np.argsort(np.append(column, column[self.sensor]), kind="stable")

    def widened(self, values: np.ndarray, companions: np.ndarray, column: np.ndarray) -> np.ndarray:
        """Values (…, D) of sensors with those of their companions (…, k) among them: (…, D + k)."""
        both: np.ndarray = np.concatenate([values, companions], axis=-1)[..., self.order(column)]
        return both

    def widened_scale(self, scale: SensorScale, column: np.ndarray) -> SensorScale:
        """The scale of the sensors with that of the companions, which are in deviations already.

        `column` (D,) is the column of each sensor.
        """
        none, one = np.zeros(self.sensor.size), np.ones(self.sensor.size)
        return SensorScale(
            self.widened(scale.median, none, column),
            self.widened(scale.mean, none, column),
            self.widened(scale.deviation, one, column),
            self.widened(scale.kind, np.full(self.sensor.size, CONTINUOUS, np.uint8), column),
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return {
            "cycle/period": np.array([self.period]),
            "cycle/sensor": self.sensor,
            "cycle/mean": self.mean,
            "cycle/deviation": self.deviation,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], n_sensors: int) -> CycleProfile | None:
        """The inverse of `to_arrays`; None where there is none. Raises KeyError or ValueError on foreign arrays."""
        if "cycle/period" not in arrays:
            return None
        period, sensor, mean, deviation = (
            arrays[f"cycle/{name}"] for name in ("period", "sensor", "mean", "deviation")
        )
        if period.shape != (1,) or float(period[0]) not in PERIODS:
            raise ValueError("cycle/period is neither a day nor a week")
        if sensor.dtype != np.int64 or sensor.ndim != 1 or not sensor.size or (np.diff(sensor) <= 0).any():
            raise ValueError("cycle/sensor are not ascending positions")
        if not 0 <= sensor[0] <= sensor[-1] < n_sensors:
            raise ValueError("cycle/sensor is not one of the sensors")
        for array in (mean, deviation):
            if array.ndim != 2 or array.shape != mean.shape or array.shape[1] != sensor.size or not len(array):
                raise ValueError("the profiles of the cycle do not fit")
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError("the profiles of the cycle are not finite float32")
        if len(mean) > 7 * MOST_BINS or (np.abs(mean) > LARGEST).any() or (deviation < LEAST_SPREAD).any():
            raise ValueError("the profiles of the cycle are out of range")
        return cls(float(period[0]), sensor, mean, deviation)


def bins_of(time: np.ndarray, period: float, n_bins: int) -> np.ndarray:
    """The bin of a cycle (n,) in which moments (n,) lie; 0 for NaN."""
    share = np.mod(np.nan_to_num(time), period) / period
    return np.minimum((share * n_bins).astype(np.int64), n_bins - 1)


def find_profile(
    scaled: np.ndarray, time: np.ndarray, block: np.ndarray, candidates: np.ndarray, step: float
) -> tuple[CycleProfile, np.ndarray] | None:
    """The profile that helps on held-out blocks, with companions (n, k) of each block by a profile of the others.

    `scaled` (n, D) are readings without missing ones at moments (n,), which follow each other by about `step` seconds,
    in blocks (n,) of time; `candidates` (c,) are the sensors that may get a companion. None where no sensor is nearer
    to the mean of its hour than to its own mean, or where training does not cover every hour in several cycles.
    """
    best: tuple[CycleProfile, np.ndarray] | None = None
    best_left = 1.0 / WEEK_HELPS
    for period in PERIODS:
        n_bins = int(np.clip(PERIODS[0] / step, 0, MOST_BINS)) * round(period / PERIODS[0])
        if n_bins < FEWEST_BINS or time.max() - time.min() < FEWEST_PERIODS * period:
            break
        place = bins_of(time, period, n_bins)
        others = [block != b for b in np.unique(block)]
        if any((np.bincount(place[which], minlength=n_bins) == 0).any() for which in others):
            break
        x = scaled[:, candidates].astype(np.float64)
        cross, left = np.empty(x.shape, np.float32), np.zeros((len(others), candidates.size))
        for i, which in enumerate(others):
            mean, deviation = _profile(x[which], place[which], n_bins)
            mine = ~which
            around = np.square(x[mine] - x[which].mean(0)).sum(0)
            left[i] = np.square(x[mine] - mean[place[mine]]).sum(0) / np.maximum(around, 1e-12)
            cross[mine] = _distance(x[mine], mean[place[mine]], deviation[place[mine]])
        helps = (left.mean(0) < HELPS) & (left.max(0) < HELPS_EACH)
        room = max(MOST_SENSORS - scaled.shape[1], 0)
        chosen = np.sort(np.flatnonzero(helps)[np.argsort(left.mean(0)[helps], kind="stable")[:room]])
        if chosen.size and left.mean(0)[chosen].mean() < WEEK_HELPS * best_left:
            mean, deviation = _profile(x[:, chosen], place, n_bins)
            profile = CycleProfile(period, candidates[chosen], mean.astype(np.float32), deviation.astype(np.float32))
            best, best_left = (profile, cross[:, chosen]), float(left.mean(0)[chosen].mean())
    return best


def _profile(x: np.ndarray, place: np.ndarray, n_bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation (n_bins, c) of readings (n, c) in bins (n,)."""
    n = np.bincount(place, minlength=n_bins)[:, None]
    mean = np.stack([np.bincount(place, of_one, n_bins) for of_one in x.T], axis=1) / n
    square = np.square(x - mean[place])
    variance = np.stack([np.bincount(place, of_one, n_bins) for of_one in square.T], axis=1) / n
    return mean, np.sqrt(variance) + LEAST_SPREAD


def _distance(x: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    return np.clip((x - mean) / deviation, -LARGEST, LARGEST).astype(np.float32)
