"""Moving statistics of series, by elementwise operations: the value of a row does not depend on where a batch ends.

Arrays are (sensors, rows), time along the last axis. The value at column i is computed from columns up to i; the first
`length - 1` columns of a result are computed from fewer columns and are to be dropped.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

N_STATISTICS = 7
STATISTICS = ("level", "spread", "slope", "minimum", "maximum", "smoothness", "activity")
N_ROW_STATISTICS = 4
N_SHAPE_STATISTICS = 6
_LEAST_REACH = 0.05
_LEAST_SPREAD = 0.03  # standard deviations; below it a spread is noise of the sensor's last digit


def shifted(x: np.ndarray, by: int) -> np.ndarray:
    """The array x (…, n) `by` columns later; the first column is repeated in front."""
    if by == 0:
        return x
    moved = np.empty_like(x)
    moved[..., :by] = x[..., :1]
    moved[..., by:] = x[..., :-by]
    return moved


def _halves(x: np.ndarray, length: int, join: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """An associative operation over the last `length` columns, by doubling: log2(length) passes.

    The order of the operations depends on `length` only.
    """
    done, n_done, power, n_power = None, 0, x, 1
    while True:
        if length & n_power:
            done = power if done is None else join(done, shifted(power, n_done))
            n_done += n_power
        if n_done == length:
            assert done is not None
            return done
        power, n_power = join(power, shifted(power, n_power)), 2 * n_power


def moving_sum(x: np.ndarray, length: int) -> np.ndarray:
    """The sum of the last `length` columns of x (sensors, n), as large as x."""
    return _halves(x, length, np.add)


def moving_minimum(x: np.ndarray, length: int) -> np.ndarray:
    """The smallest of the last `length` columns of x (sensors, n)."""
    return _halves(x, length, np.minimum)


def moving_maximum(x: np.ndarray, length: int) -> np.ndarray:
    """The largest of the last `length` columns of x (sensors, n)."""
    return _halves(x, length, np.maximum)


def _moving_sum_and_moment(x: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the last `length` columns, and their sum weighted by how many columns ago each was."""
    sums, moments, n_done = None, None, 0
    power, moment, n_power = x, np.zeros_like(x), 1
    while True:
        if length & n_power:
            if sums is None or moments is None:
                sums, moments = power, moment
            else:
                earlier = shifted(power, n_done)
                moments = moments + shifted(moment, n_done) + n_done * earlier
                sums = sums + earlier
            n_done += n_power
        if n_done == length:
            assert sums is not None
            assert moments is not None
            return sums, moments
        earlier = shifted(power, n_power)
        moment = moment + shifted(moment, n_power) + n_power * earlier
        power, n_power = power + earlier, 2 * n_power


def window_statistics(x: np.ndarray, length: int) -> np.ndarray:
    """The seven statistics of the last `length` columns: (sensors, 7, rows), in the order of STATISTICS.

    Of scaled sensors: mean; log of the standard deviation; slope times length; minimum; maximum; one minus the von
    Neumann ratio (1 for a smooth series, near 0 for white noise), at least -3; log of the mean absolute step. Raises
    ValueError for fewer than 2 columns.
    """
    if length < 2:
        raise ValueError(f"a window has at least 2 rows, not {length}")
    out = np.empty((x.shape[0], N_STATISTICS, x.shape[1]), x.dtype)
    sums, moments = _moving_sum_and_moment(x, length)
    mean = sums / x.dtype.type(length)
    squares = moving_sum(x * x, length)
    variance = np.maximum(squares / x.dtype.type(length) - mean * mean, 0)
    centre = (length - 1) / 2
    slope = (centre * sums - moments) * x.dtype.type(12 / (length * (length * length - 1)))
    step = x - shifted(x, 1)
    n_steps = x.dtype.type(length - 1)
    rough = moving_sum(step * step, length - 1) / n_steps
    out[:, 0] = mean
    out[:, 1] = np.log(np.sqrt(variance) + x.dtype.type(_LEAST_SPREAD))
    out[:, 2] = slope * length
    out[:, 3] = moving_minimum(x, length)
    out[:, 4] = moving_maximum(x, length)
    out[:, 5] = np.clip(1 - rough / (2 * variance + x.dtype.type(0.02)), -3, 1)
    out[:, 6] = np.log(moving_sum(np.abs(step), length - 1) / n_steps + x.dtype.type(_LEAST_SPREAD))
    return out


def row_statistics(x: np.ndarray) -> np.ndarray:
    """Value, step, and distance to the means of the last 8 and 32 columns: (sensors, 4, rows)."""
    out = np.empty((x.shape[0], N_ROW_STATISTICS, x.shape[1]), x.dtype)
    out[:, 0] = x
    out[:, 1] = x - shifted(x, 1)
    out[:, 2] = x - moving_sum(x, 8) / x.dtype.type(8)
    out[:, 3] = x - moving_sum(x, 32) / x.dtype.type(32)
    return out


def shape_statistics(x: np.ndarray, length: int) -> np.ndarray:
    """Six statistics of the last `length` columns that do not know the level: (sensors, 6, rows).

    Log of the standard deviation; slope times length; smoothness; log of the mean absolute step; logs of how far the
    largest and the smallest lie from the mean, in scaled units.
    """
    found = window_statistics(x, length)
    reach = x.dtype.type(_LEAST_REACH)
    above = np.log(reach + np.maximum(found[:, 4] - found[:, 0], 0))
    below = np.log(reach + np.maximum(found[:, 0] - found[:, 3], 0))
    return np.stack([found[:, 1], found[:, 2], found[:, 5], found[:, 6], above, below], axis=1)


def movement(x: np.ndarray, length: int) -> np.ndarray:
    """Distance of each column of x (sensors, n) from the mean of the `length` columns before it."""
    return x - shifted(moving_sum(x, length), 1) / x.dtype.type(length)


def windows(x: np.ndarray, length: int, end: np.ndarray | slice) -> np.ndarray:
    """The last `length` columns of x (sensors, n) up to each column of `end` (m,): a copy (sensors * length, m)."""
    view = np.lib.stride_tricks.sliding_window_view(x, length, axis=1)  # (sensors, rows - length + 1, length)
    if isinstance(end, slice):
        chosen = view[:, end.start - length + 1 : end.stop - length + 1]
    else:
        chosen = view[:, np.asarray(end) - length + 1]
    return np.ascontiguousarray(chosen.transpose(0, 2, 1)).reshape(x.shape[0] * length, -1)
