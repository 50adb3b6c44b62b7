"""Numbers far outside the rest of their column that stand for "missing": -9999, 65535, netCDF's fill value."""

from __future__ import annotations

import numpy as np

KEPT = 24  # distinct values at each end
MOST_PLACEHOLDERS = 4  # at each end
FEWEST_OTHERS = 20  # distinct values that the rest must have
LARGEST_SHARE = 0.5  # of the numbers
FAR, FAR_OF_KNOWN = 10.0, 2.0  # times the range of the rest
REPEATED = 3  # times that a value which is not a known placeholder must occur
_NINES = {digits * sign for digits in (99.9, 99.99, 999.0, 999.9, 999.99, 9999.0, 9999.9, 99999.0) for sign in (1, -1)}
_WORDS = {-128.0, 255.0, -32768.0, -32767.0, 32767.0, 65535.0, -(2.0**31), 2.0**31 - 1, 2.0**32 - 1}
KNOWN = _NINES | _WORDS | {-99.0, 6999.0, 999999.0, -999999.0}
HUGE = 1e18  # beyond what is measured
APART = 0.2  # of the range of the rest: how far a value that may be a placeholder is from it, and
MORE_FREQUENT = 3  # times as frequent as its neighbours


class Extremes:
    """The smallest and the largest distinct numbers of a stream, each with its count."""

    def __init__(self) -> None:
        self._low = self._high = (np.empty(0), np.empty(0, np.int64))
        self.n = 0

    def add(self, finite: np.ndarray) -> None:
        """Add the next numbers, (n,) and all finite."""
        self.n += finite.size
        low, high = self._low[0], self._high[0]
        if low.size < KEPT:
            near_low = near_high = finite
        else:
            near_low, near_high = finite[finite <= low[-1]], finite[finite >= high[0]]
        if near_low.size:
            values, counts = _merged(self._low, near_low)
            self._low = (values[:KEPT], counts[:KEPT])
        if near_high.size:
            values, counts = _merged(self._high, near_high)
            self._high = (values[-KEPT:], counts[-KEPT:])

    def placeholders(self) -> tuple[tuple[tuple[float, int], ...], float, float]:
        """The placeholders with their counts, ascending, and the smallest and the largest of the other numbers.

        A placeholder lies at least ten ranges of the other numbers away from them and occurs three times; two
        ranges, and once, are enough for one that is known as such, or that is beyond 1e18.
        """
        counts_by_value = dict(zip(*map(np.ndarray.tolist, self._low), strict=True))
        counts_by_value |= dict(zip(*map(np.ndarray.tolist, self._high), strict=True))
        values = sorted(counts_by_value)
        best: list[float] = []
        for n_low in range(MOST_PLACEHOLDERS + 1):
            for n_high in range(MOST_PLACEHOLDERS + 1):
                others = values[n_low : len(values) - n_high]
                if len(best) >= n_low + n_high or len(others) < FEWEST_OTHERS:
                    continue
                beyond = values[:n_low] + values[len(values) - n_high :]
                few = sum(counts_by_value[value] for value in beyond) <= LARGEST_SHARE * self.n
                if few and all(_is_far(value, counts_by_value[value], others[0], others[-1]) for value in beyond):
                    best = beyond
        rest = [value for value in values if value not in best]
        found = tuple((value, counts_by_value[value]) for value in best)
        return found, min(rest, default=np.inf), max(rest, default=-np.inf)

    def spikes(self) -> tuple[tuple[float, int], ...]:
        """The smallest and the largest number with their counts, where they may be placeholders near the others.

        Such a number is a fifth of the range of the others away from them, occurs three times, in at most half of the
        cells, and three times as often as any of the 20 nearest others. Of 5,908 columns of real tables two have one.
        """
        found = []
        for (values, counts), farthest in (
            (self._low, self._high[0][-1:]),
            ((self._high[0][::-1], self._high[1][::-1]), self._low[0][:1]),
        ):
            if values.size <= FEWEST_OTHERS:
                continue
            count, nearest = int(counts[0]), int(counts[1 : FEWEST_OTHERS + 1].max())
            is_frequent = MORE_FREQUENT * nearest <= count <= LARGEST_SHARE * self.n and count >= REPEATED
            if is_frequent and abs(values[1] - values[0]) > APART * abs(float(farthest[0]) - values[1]):
                found.append((float(values[0]), count))
        return tuple(found)


def _merged(before: tuple[np.ndarray, np.ndarray], new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    distinct, counts = np.unique(new, return_counts=True)
    values, where = np.unique(np.concatenate([before[0], distinct]), return_inverse=True)
    return values, np.bincount(where, np.concatenate([before[1], counts])).astype(np.int64)


def _is_far(value: float, count: int, low: float, high: float) -> bool:
    is_known = value in KNOWN or abs(value) >= HUGE
    distance = max(low - value, value - high)
    return count >= (1 if is_known else REPEATED) and distance > (FAR_OF_KNOWN if is_known else FAR) * (high - low)
