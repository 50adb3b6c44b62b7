"""Moving statistics of series, by elementwise operations: the value of a row does not depend on where a batch ends.

Arrays are (sensors, rows), time along the last axis. The value at column i is computed from columns up to i; the first
`length - 1` columns of a result are computed from fewer columns and are to be dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

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


def _joined(x: np.ndarray, y: np.ndarray, by: int, join: np.ufunc) -> np.ndarray:
    """`join(x, shifted(y, by))` without the copy, for `by` of at least 1."""
    out = np.empty_like(x)
    join(x[..., :by], y[..., :1], out=out[..., :by])
    join(x[..., by:], y[..., :-by], out=out[..., by:])
    return out


def _doubled(x: np.ndarray, lengths: Sequence[int], join: np.ufunc) -> list[np.ndarray]:
    """An associative operation over the last columns of x (…, n), for each of `lengths`: log2(length) passes.

    The order of the operations depends on the length only, not on the others.
    """
    partial: dict[int, np.ndarray] = {}  # by the low bits of the lengths, which several share
    power, n_power = x, 1
    while True:
        for low in {length & (2 * n_power - 1) for length in lengths if length & n_power}:
            earlier = low - n_power
            partial[low] = power if not earlier else _joined(partial[earlier], power, earlier, join)
        if 2 * n_power > max(lengths):
            return [partial[length] for length in lengths]
        power, n_power = _joined(power, power, n_power, join), 2 * n_power


def moving_sum(x: np.ndarray, length: int) -> np.ndarray:
    """The sum of the last `length` columns of x (sensors, n), as large as x."""
    return _doubled(x, (length,), np.add)[0]


def moving_minimum(x: np.ndarray, length: int) -> np.ndarray:
    """The smallest of the last `length` columns of x (sensors, n)."""
    return _doubled(x, (length,), np.minimum)[0]


def moving_maximum(x: np.ndarray, length: int) -> np.ndarray:
    """The largest of the last `length` columns of x (sensors, n)."""
    return _doubled(x, (length,), np.maximum)[0]


def _sums_and_moments(x: np.ndarray, lengths: Sequence[int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """The sum of the last columns, and their sum weighted by how many columns ago each was, for each of `lengths`."""
    partial: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    power, moment, n_power = x, np.zeros_like(x), 1
    while True:
        for low in {length & (2 * n_power - 1) for length in lengths if length & n_power}:
            earlier = low - n_power
            partial[low] = _with_earlier(*partial[earlier], power, moment, earlier) if earlier else (power, moment)
        if 2 * n_power > max(lengths):
            return [partial[length] for length in lengths]
        power, moment = _with_earlier(power, moment, power, moment, n_power)
        n_power *= 2


def _with_earlier(
    sums: np.ndarray, moments: np.ndarray, power: np.ndarray, moment: np.ndarray, by: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sums and moments with those of the columns from `by` columns ago."""
    found = _joined(moments, moment, by, np.add)
    found[..., :by] += by * power[..., :1]
    found[..., by:] += by * power[..., :-by]
    return _joined(sums, power, by, np.add), found


def window_statistics(x: np.ndarray, length: int) -> np.ndarray:
    """The seven statistics of the last `length` columns: (sensors, 7, rows), in the order of STATISTICS.

    Of scaled sensors: mean; log of the standard deviation; slope times length; minimum; maximum; one minus the von
    Neumann ratio (1 for a smooth series, near 0 for white noise), at least -3; log of the mean absolute step. Raises
    ValueError for fewer than 2 columns.
    """
    out = np.empty((x.shape[0], N_STATISTICS, x.shape[1]), x.dtype)
    statistics_into(x, (length,), (out,))
    return out


def statistics_into(x: np.ndarray, lengths: Sequence[int], outs: Sequence[np.ndarray]) -> None:
    """Write what `window_statistics` gives for each of `lengths` into its array (sensors, 7, rows).

    Several lengths cost little more than the longest: the passes over few columns are shared. Raises ValueError for
    fewer than 2 columns.
    """
    if min(lengths) < 2:
        raise ValueError(f"a window has at least 2 rows, not {min(lengths)}")
    steps = tuple(length - 1 for length in lengths)
    step = x - shifted(x, 1)
    rough = _doubled(step * step, steps, np.add)
    active = _doubled(np.abs(step), steps, np.add)
    squares = _doubled(x * x, lengths, np.add)
    least, most = _doubled(x, lengths, np.minimum), _doubled(x, lengths, np.maximum)
    for i, (sums, moments) in enumerate(_sums_and_moments(x, lengths)):
        length, out, n_steps = lengths[i], outs[i], x.dtype.type(steps[i])
        mean = np.divide(sums, x.dtype.type(length), out=out[:, 0])
        variance = squares[i] / x.dtype.type(length)
        variance -= mean * mean
        np.maximum(variance, 0, out=variance)
        _log_of(np.sqrt(variance, out=out[:, 1]), _LEAST_SPREAD)
        slope = np.subtract((length - 1) / 2 * sums, moments, out=out[:, 2])
        slope *= x.dtype.type(12 / (length * (length * length - 1)))
        slope *= length
        out[:, 3], out[:, 4] = least[i], most[i]
        variance *= 2
        variance += x.dtype.type(0.02)
        smooth = np.divide(rough[i], n_steps, out=out[:, 5])
        smooth /= variance
        np.clip(np.subtract(1, smooth, out=smooth), -3, 1, out=smooth)
        _log_of(np.divide(active[i], n_steps, out=out[:, 6]), _LEAST_SPREAD)


def _log_of(values: np.ndarray, least: float) -> np.ndarray:
    """The log of values plus `least`, in place."""
    values += values.dtype.type(least)
    return np.log(values, out=values)


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
    return shape_of(window_statistics(x, length))


def shape_of(found: np.ndarray) -> np.ndarray:
    """What `shape_statistics` gives, of what `window_statistics` does (sensors, 7, rows)."""
    out = np.empty((found.shape[0], N_SHAPE_STATISTICS, found.shape[2]), found.dtype)
    for place, j in enumerate((1, 2, 5, 6)):
        out[:, place] = found[:, j]
    for place, larger, smaller in ((4, 4, 0), (5, 0, 3)):
        distance = np.subtract(found[:, larger], found[:, smaller], out=out[:, place])
        _log_of(np.maximum(distance, 0, out=distance), _LEAST_REACH)
    return out


def movement(x: np.ndarray, length: int) -> np.ndarray:
    """Distance of each column of x (sensors, n) from the mean of the `length` columns before it."""
    return x - shifted(moving_sum(x, length), 1) / x.dtype.type(length)


def each_window(x: np.ndarray, length: int) -> np.ndarray:
    """A view of x (sensors, n): its windows of `length` columns (sensors, length, n - length + 1) by their first."""
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=1).transpose(0, 2, 1)


def windows(x: np.ndarray, length: int, end: np.ndarray) -> np.ndarray:
    """The last `length` columns of x (sensors, n) up to each column of `end` (m,): a copy (sensors * length, m)."""
    chosen = each_window(x, length)[:, :, end - length + 1]
    return np.ascontiguousarray(chosen).reshape(x.shape[0] * length, -1)
