"""Moving statistics of series, by elementwise operations: the value of a row does not depend on where a batch ends.

Arrays are (sensors, rows), time along the last axis. The value at column i is computed from columns up to i; the first
`length - 1` columns of a result are computed from fewer columns and are to be dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

N_STATISTICS = 7
STATISTICS = ("level", "spread", "slope", "minimum", "maximum", "smoothness", "activity")
N_ROW_STATISTICS = 4
N_SHAPE_STATISTICS = 6
_SHORT_RUN = 8  # columns; shorter runs cost less as single columns
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


class Rolling:
    """Sums, extremes and steps of the last columns of x (sensors, n), for several lengths; each is computed once.

    `lengths` are those that are wanted of most of them: in one go they cost little more than the longest.
    """

    __slots__ = ("_found", "_lengths", "x")

    def __init__(self, x: np.ndarray, lengths: Sequence[int] = ()) -> None:
        self.x = x
        self._lengths = tuple(sorted(set(lengths)))
        self._found: dict[tuple[str, int], np.ndarray] = {}

    def sums(self, length: int) -> np.ndarray:
        """The sum of the last `length` columns (sensors, n)."""
        return self._of("sums", length, lambda lengths: _doubled(self.x, lengths, np.add))

    def moments(self, length: int) -> np.ndarray:
        """The sum of the last `length` columns, each times how many columns ago it was (sensors, n)."""
        if ("moments", length) not in self._found:
            lengths = self._lengths if length in self._lengths else (length,)
            for of_length, (sums, moments) in zip(lengths, _sums_and_moments(self.x, lengths), strict=True):
                self._found["sums", of_length], self._found["moments", of_length] = sums, moments
        return self._found["moments", length]

    def squares(self, length: int) -> np.ndarray:
        """The sum of the squares of the last `length` columns (sensors, n)."""
        return self._of("squares", length, lambda lengths: _doubled(self.x * self.x, lengths, np.add))

    def least(self, length: int) -> np.ndarray:
        """The smallest of the last `length` columns (sensors, n)."""
        return self._of("least", length, lambda lengths: _doubled(self.x, lengths, np.minimum))

    def most(self, length: int) -> np.ndarray:
        """The largest of the last `length` columns (sensors, n)."""
        return self._of("most", length, lambda lengths: _doubled(self.x, lengths, np.maximum))

    def rough(self, length: int) -> np.ndarray:
        """The sum of the squared steps between the last `length` columns (sensors, n)."""
        return self._of("rough", length, lambda lengths: _doubled(self._steps() ** 2, _one_less(lengths), np.add))

    def active(self, length: int) -> np.ndarray:
        """The sum of the absolute steps between the last `length` columns (sensors, n)."""
        return self._of("active", length, lambda lengths: _doubled(np.abs(self._steps()), _one_less(lengths), np.add))

    def _steps(self) -> np.ndarray:
        if ("steps", 1) not in self._found:
            self._found["steps", 1] = self.x - shifted(self.x, 1)
        return self._found["steps", 1]

    def _of(self, name: str, length: int, compute: Callable[[tuple[int, ...]], list[np.ndarray]]) -> np.ndarray:
        if (name, length) not in self._found:
            lengths = self._lengths if length in self._lengths else (length,)
            self._found |= {(name, of): array for of, array in zip(lengths, compute(lengths), strict=True)}
        return self._found[name, length]


def _one_less(lengths: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length - 1 for length in lengths)


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of an array, copied run by run where they follow each other: `index` (m,), `runs` of (first, number)."""

    index: np.ndarray
    runs: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, index: np.ndarray) -> Columns:
        """The columns `index` (m,)."""
        edges = [0, *(np.flatnonzero(np.diff(index) != 1) + 1).tolist(), index.size] if index.size else [0]
        return cls(index, tuple((int(index[a]), b - a) for a, b in pairwise(edges)))

    def within(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Runs among the columns numbered from `start` to `stop`: (first, its number less `start`, how many)."""
        at = 0
        for first, number in self.runs:
            begin, end = max(at, start), min(at + number, stop)
            if begin < end:
                yield first + begin - at, begin - start, end - begin
            at += number
            if at >= stop:
                return

    def take(self, x: np.ndarray, out: np.ndarray | None = None, by: int = 0) -> np.ndarray:
        """The columns of x (…, n), or those `by` before them, into `out` (…, m)."""
        if out is None:
            out = np.empty((*x.shape[:-1], self.index.size), x.dtype)
        if len(self.runs) * _SHORT_RUN > self.index.size:
            out[...] = x[..., self.index - by]
            return out
        at = 0
        for first, number in self.runs:
            out[..., at : at + number] = x[..., first - by : first - by + number]
            at += number
        return out


def statistics_at(rolling: Rolling, length: int, columns: Columns, out: np.ndarray | None = None) -> np.ndarray:
    """The seven statistics of the last `length` columns, at m columns, into `out` (sensors, 7, m), as STATISTICS.

    Of scaled sensors: mean; log of the standard deviation; slope times length; minimum; maximum; one minus the von
    Neumann ratio (1 for a smooth series, near 0 for white noise), at least -3; log of the mean absolute step. Raises
    ValueError for fewer than 2 columns.
    """
    if length < 2:
        raise ValueError(f"a window has at least 2 rows, not {length}")
    dtype = rolling.x.dtype.type
    if out is None:
        out = np.empty((rolling.x.shape[0], N_STATISTICS, columns.index.size), dtype)
    mean, spread, slope, least, most, smooth, active = (out[:, j] for j in range(N_STATISTICS))
    moments, n_steps = columns.take(rolling.moments(length)), dtype(length - 1)
    sums = columns.take(rolling.sums(length))
    np.divide(sums, dtype(length), out=mean)
    variance = columns.take(rolling.squares(length))
    variance /= dtype(length)
    variance -= np.multiply(mean, mean, out=spread)
    np.maximum(variance, 0, out=variance)
    _log_of(np.sqrt(variance, out=spread), _LEAST_SPREAD)
    sums *= dtype((length - 1) / 2)
    np.subtract(sums, moments, out=slope)
    slope *= dtype(12 / (length * (length * length - 1)))
    slope *= dtype(length)
    columns.take(rolling.least(length), least)
    columns.take(rolling.most(length), most)
    variance *= 2
    variance += dtype(0.02)
    columns.take(rolling.rough(length), smooth)
    smooth /= n_steps
    smooth /= variance
    np.clip(np.subtract(1, smooth, out=smooth), -3, 1, out=smooth)
    columns.take(rolling.active(length), active)
    active /= n_steps
    _log_of(active, _LEAST_SPREAD)
    return out


def _log_of(values: np.ndarray, least: float) -> np.ndarray:
    """The log of values plus `least`, in place."""
    values += values.dtype.type(least)
    return np.log(values, out=values)


def row_statistics_at(rolling: Rolling, columns: Columns, out: np.ndarray | None = None) -> np.ndarray:
    """Value, step, and distance to the means of the last 8 and 32 columns, at m columns, into `out` (sensors, 4, m)."""
    x, dtype = columns.take(rolling.x), rolling.x.dtype.type
    if out is None:
        out = np.empty((x.shape[0], N_ROW_STATISTICS, x.shape[1]), dtype)
    out[:, 0] = x
    out[:, 1] = x - columns.take(shifted(rolling.x, 1))
    out[:, 2] = x - columns.take(rolling.sums(8)) / dtype(8)
    out[:, 3] = x - columns.take(rolling.sums(32)) / dtype(32)
    return out


def shape_of(found: np.ndarray) -> np.ndarray:
    """Six statistics that do not know the level (sensors, 6, m), of the seven of `statistics_at`.

    Log of the standard deviation; slope times length; smoothness; log of the mean absolute step; logs of how far the
    largest and the smallest lie from the mean, in scaled units.
    """
    out = np.empty((found.shape[0], N_SHAPE_STATISTICS, found.shape[2]), found.dtype)
    for place, j in enumerate((1, 2, 5, 6)):
        out[:, place] = found[:, j]
    for place, larger, smaller in ((4, 4, 0), (5, 0, 3)):
        distance = np.subtract(found[:, larger], found[:, smaller], out=out[:, place])
        _log_of(np.maximum(distance, 0, out=distance), _LEAST_REACH)
    return out


def movement(x: np.ndarray, length: int) -> np.ndarray:
    """Distance of each column of x (sensors, n) from the mean of the `length` columns before it."""
    return x - shifted(Rolling(x).sums(length), 1) / x.dtype.type(length)


def each_window(x: np.ndarray, length: int) -> np.ndarray:
    """A view of x (sensors, n): its windows of `length` columns (sensors, length, n - length + 1) by their first."""
    return np.lib.stride_tricks.sliding_window_view(x, length, axis=1).transpose(0, 2, 1)


def windows(x: np.ndarray, length: int, end: np.ndarray) -> np.ndarray:
    """The last `length` columns of x (sensors, n) up to each column of `end` (m,): a copy (sensors * length, m)."""
    chosen = each_window(x, length)[:, :, end - length + 1]
    return np.ascontiguousarray(chosen).reshape(x.shape[0] * length, -1)
