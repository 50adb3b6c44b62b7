"""Clocks that are plain numbers: seconds since 1970 and parts of them, and the days of spreadsheets."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vaecli.schema import Column

_FIRST, _LAST = 631_152_000.0, 4_102_444_800.0  # 1990 and 2100, in seconds since 1970
_DAYS_TO_1970 = 25_569.0  # from day 0 of spreadsheets
_COUNTS = {"second", "seconds", "minute", "minutes", "hour", "hours", "tick", "ticks", "step", "cycle", "elapsed"}


@dataclass(frozen=True, slots=True)
class ClockUnit:
    """What one unit of a clock is: moment in seconds since 1970 = (number - `origin`) / `per_second`."""

    name: str
    per_second: float
    origin: float = 0.0

    def seconds(self, numbers: np.ndarray) -> np.ndarray:
        """Moments in seconds since 1970 (n,); NaN stays NaN."""
        return (numbers - self.origin) / self.per_second


EPOCH_UNITS = (
    ClockUnit("seconds", 1.0),
    ClockUnit("milliseconds", 1e3),
    ClockUnit("microseconds", 1e6),
    ClockUnit("nanoseconds", 1e9),
)
SPREADSHEET_DAYS = ClockUnit("days since 1899-12-30", 1 / 86_400, _DAYS_TO_1970)


def unit_of(clock: Column) -> ClockUnit | None:
    """The unit of a clock of numbers by the range that training had; None for dates and for clocks that only count.

    Days of spreadsheets are recognised by their fractions, and not in columns that are named like a count.
    """
    if clock.is_date or clock.minimum is None or clock.maximum is None:
        return None
    ends = np.array([clock.minimum, clock.maximum])
    units = EPOCH_UNITS if clock.whole or clock.minimum > 1e8 else (SPREADSHEET_DAYS,)
    if units == (SPREADSHEET_DAYS,) and _COUNTS & set(re.findall(r"[a-z]+", clock.name.lower())):
        return None
    return next(
        (unit for unit in units if ((unit.seconds(ends) >= _FIRST) & (unit.seconds(ends) <= _LAST)).all()), None
    )


def has_moments(clock: Column | None) -> bool:
    """Whether the clock holds moments, in whatever form; without one the rows are numbered."""
    return clock is not None and (clock.is_date or unit_of(clock) is not None)


def clock_seconds(numbers: np.ndarray, clock: Column) -> np.ndarray:
    """Values (n,) of the clock's column in seconds, or as they are for a clock that only counts."""
    unit = unit_of(clock)
    return numbers if unit is None else unit.seconds(numbers)
