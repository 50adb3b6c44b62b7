"""Views of a single sensor: its reading, and the level and the roughness of its latest rows.

Each view is compared with the range that it had in training, less what the rows before already lay beyond it: a sensor
that has been out of its range for long is no news.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from vaecli.data.windows import moving_sum, shifted
from vaecli.model.window_model import HISTORY, SHORT, columns_of

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

    def largest(self, x: np.ndarray, tiles: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the sensor that is furthest out lies out, in `limits` (4, d), and which it is: (t TILE,) each.

        At the columns of `tiles` (t,) of x (d, …); 0 and −1 where all are within their limits. The bits of a result
        depend on the column's place in its tile and on the rows before it, on nothing else.
        """
        columns = columns_of(tiles)
        found, sensor = np.zeros(columns.size, np.float32), np.full(columns.size, -1)
        before = _before(x)
        hits = [self._outside(view, _values(x, view), before, columns, limits) for view in range(N_VIEWS)]
        which, at, value = (np.concatenate(part) for part in zip(*hits, strict=True))
        order = np.lexsort((-which, value))  # the last of several stays
        found[at[order]], sensor[at[order]] = value[order], which[order]
        return np.where(found > 1, found, np.float32(0)), np.where(found > 1, sensor, -1)

    def _outside(
        self, view: int, values: np.ndarray, before: np.ndarray, columns: np.ndarray, limits: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(sensor, place among `columns`, how far in limits) of the values (d, …) of a view that are outside.

        `before` (d, …) are the means of the readings before, which readings and levels are compared with.
        """
        now = values[:, columns] - self.middle[view][:, None]
        which, at = np.nonzero(np.abs(now) > limits[view][:, None])
        is_rough = view in ROUGHNESS
        earlier = _earlier(values, which, columns[at]) if is_rough else before[which, columns[at]]
        far = news(now[which, at], earlier - self.middle[view][which], self.half[view][which])
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


def _before(x: np.ndarray) -> np.ndarray:
    """The mean of the HISTORY columns before each column of x (d, …)."""
    return shifted(moving_sum(x, HISTORY), 1) / x.dtype.type(HISTORY)


def _values(x: np.ndarray, view: int) -> np.ndarray:
    """The values (d, …) of a view of x (d, …).

    They are x; the mean of the last SHORT columns; the logs of their standard deviation, and of their mean step.
    """
    if view == READING:
        return x
    least, n = x.dtype.type(_LEAST_ROUGHNESS), x.dtype.type(SHORT)
    if view == STEP:
        step = np.abs(x - shifted(x, 1))
        return np.asarray(np.log(moving_sum(step, SHORT - 1) / x.dtype.type(SHORT - 1) + least))
    level = moving_sum(x, SHORT) / n
    if view == LEVEL:
        return level
    variance = np.maximum(moving_sum(x * x, SHORT) / n - level * level, 0)
    return np.asarray(np.log(np.sqrt(variance) + least))


def _earlier(rough: np.ndarray, which: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The mean of `rough` (d, …) of sensors `which` over the columns EARLIER before `columns`."""
    first, second, third = (rough[which, columns - rows] for rows in EARLIER)
    return np.asarray((first + second + third) / rough.dtype.type(len(EARLIER)))


def view_values(x: np.ndarray, view: int, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values of a view and of the rows before: (d, n) each, at `columns` (n,) of x (d, …)."""
    values = _values(x, view)
    if view in ROUGHNESS:
        return values[:, columns], _earlier(values, np.arange(len(x))[:, None], columns)
    return values[:, columns], _before(x)[:, columns]


def range_of(now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Middle and half (d,) of the range of values (d, n)."""
    n = now.shape[1]
    k = min(max(int(OUTER * n), FEWEST_OUTER), max((n - 1) // 2, 0))
    parts = np.partition(now, (k, n - 1 - k), axis=1)
    low, high = parts[:, k], parts[:, n - 1 - k]
    least = np.maximum(LEAST_OF_SPREAD * now.std(1), LEAST_HALF)
    return (high + low) / 2, np.maximum((high - low) / 2, least)
