"""What the time that training covers leaves out."""

from __future__ import annotations

from vaecli.data.clock_units import has_moments
from vaecli.runtime.moments import SECONDS_PER_DAY
from vaecli.schema import Column
from vaecli.sensors.detector import Clock

WEEK = 7 * SECONDS_PER_DAY


def coverage_warnings(column: Column | None, clock: Clock) -> tuple[str, ...]:
    """A warning where training covers less than a day or a week; none for a clock that only counts."""
    span = clock.last - clock.first
    if not has_moments(column) or span >= WEEK:
        return ()
    if span < SECONDS_PER_DAY:
        share = 100 * span / SECONDS_PER_DAY
        return (f"training covers {share:.2g} % of a day: what changes with the hour will look new",)
    days = span / SECONDS_PER_DAY
    return (f"training covers {days:.1f} days: what changes with the day of the week will look new",)
