"""Views of a single sensor: its reading, and the level and the roughness of its latest rows.

Each view is compared with the range that it had in training, less what the rows before already lay beyond it: a sensor
that has been out of its range for long is no news.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial

import numpy as np

from vaecli.data.windows import Columns, Rolling
from vaecli.model.window_model import HISTORY, SHORT

READING, LEVEL, SPREAD, STEP = range(4)
N_VIEWS = 4
ROUGHNESS = (SPREAD, STEP)
EARLIER = (32, 64, 96)  # rows ago, whose mean roughness is what a sensor had before
OUTER = 0.005  # share of the rows beyond each end of a range,
FEWEST_OUTER = 3  # or so many
LEAST_HALF, LEAST_OF_SPREAD = 0.02, 0.5  # of half a range: in training deviations, and of the view's own deviation
_LEAST_ROUGHNESS = 0.03  # as in window_statistics


@dataclass(frozen=True, slots=True)
class SensorViews:
    """The range of each view of d sensors: `middle` and `half` (4, d), float32."""

    middle: np.ndarray
    half: np.ndarray

    def largest(self, rolling: Rolling, column: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the sensor that is furthest out lies out, in `limits` (4, d), and which it is: (m,) each.

        At the columns `column` (m,) of sensors (d, …); 0 and −1 where all are within their limits. The bits of a result
        depend on the columns before it, on nothing else.
        """
        columns = Columns.of(column)
        found, sensor = np.zeros(column.size, np.float32), np.full(column.size, -1)
        hits = [self._outside(view, rolling, columns, limits) for view in range(N_VIEWS)]
        which, at, value = (np.concatenate(part) for part in zip(*hits, strict=True))
        order = np.lexsort((-which, value))  # the last of several stays
        found[at[order]], sensor[at[order]] = value[order], which[order]
        return np.where(found > 1, found, np.float32(0)), np.where(found > 1, sensor, -1)

    def _outside(
        self, view: int, rolling: Rolling, columns: Columns, limits: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(sensor, place among the columns, how far in limits) of the values of a view that are outside."""
        now = _values(rolling, view, columns.take)
        now -= self.middle[view][:, None]
        which, at = np.nonzero(np.abs(now) > limits[view][:, None])
        column = columns.index[at]
        earlier = _earlier(rolling, view, lambda values, rows: values[which, column - rows]) - self.middle[view][which]
        far = news(now[which, at], earlier, self.half[view][which])
        return which, at, far / limits[view][which]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], n_sensors: int) -> SensorViews:
        """The inverse of `to_arrays`. Raises KeyError or ValueError on arrays that it cannot have written."""
        views = cls(*(arrays[item.name] for item in fields(cls)))
        for name, array in views.to_arrays().items():
            if array.shape != (N_VIEWS, n_sensors) or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError(f"{name} does not hold finite float32 of {N_VIEWS} views of each sensor")
        if (views.half <= 0).any():
            raise ValueError("a range is not positive")
        return views


def news(now: np.ndarray, before: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The distance (n,) of `now` (n,) from the middle of a range, less how far `before` (n,) lies beyond the same end.

    `now` and `before` are relative to the middle, `half` (n,) is half of the range; the result is at least 0.
    """
    out = np.maximum(np.sign(now) * before - half, 0)
    return np.maximum(np.abs(now) - out, 0)


def _values(rolling: Rolling, view: int, at: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The values of a view, `at` some columns of (d, …).

    They are readings; the mean of the last SHORT columns; the logs of their standard deviation, and of their mean step.
    """
    dtype = rolling.x.dtype.type
    if view == READING:
        return at(rolling.x)
    if view == STEP:
        return np.asarray(np.log(at(rolling.active(SHORT)) / dtype(SHORT - 1) + dtype(_LEAST_ROUGHNESS)))
    level = at(rolling.sums(SHORT)) / dtype(SHORT)
    if view == LEVEL:
        return level
    variance = np.maximum(at(rolling.squares(SHORT)) / dtype(SHORT) - level * level, 0)
    return np.asarray(np.log(np.sqrt(variance) + dtype(_LEAST_ROUGHNESS)))


def _earlier(rolling: Rolling, view: int, at: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """What a view was before, `at` so many rows before some columns of (d, …).

    Of roughness the mean of the rows EARLIER before, of others the mean of the HISTORY readings before.
    """
    dtype = rolling.x.dtype.type
    if view not in ROUGHNESS:
        return np.asarray(at(rolling.sums(HISTORY), 1) / dtype(HISTORY))
    first, second, third = (_values(rolling, view, partial(_before, at, rows)) for rows in EARLIER)
    return np.asarray((first + second + third) / dtype(len(EARLIER)))


def _before(at: Callable[[np.ndarray, int], np.ndarray], rows: int, values: np.ndarray) -> np.ndarray:
    return at(values, rows)


def view_values(rolling: Rolling, view: int, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of a view and of the rows before: (d, n) each, at `column` (n,) of sensors (d, …)."""
    columns = Columns.of(column)
    now = _values(rolling, view, columns.take)
    return now, _earlier(rolling, view, lambda values, rows: columns.take(values, by=rows))


def range_of(now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half (d,) of the range of values (d, n)."""
    n = now.shape[1]
    k = min(max(int(OUTER * n), FEWEST_OUTER), max((n - 1) // 2, 0))
    parts = np.partition(now, (k, n - 1 - k), axis=1)
    low, high = parts[:, k], parts[:, n - 1 - k]
    least = np.maximum(LEAST_OF_SPREAD * now.std(1), LEAST_HALF)
    return (high + low) / 2, np.maximum((high - low) / 2, least)
