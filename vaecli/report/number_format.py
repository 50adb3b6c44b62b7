"""Numbers and moments as a reader of a page wants them."""

from __future__ import annotations

import math
from datetime import timedelta

from vaecli.data.moments import EPOCH, SECONDS_PER_DAY


def number(value: float, digits: int = 4) -> str:
    """So many digits that matter: `1,235`, `12.35`, `1.2e+09`."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "–"
    if value == 0:
        return "0"
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}".replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−") if 1e-4 <= abs(value) < 1e7 else f"{value:.2g}".replace("-", "−")


def per_cent(share: float) -> str:
    """`100 %`, `99.9 %`, `12 %`, `1.2 %`, `0.03 %`, `0 %`."""
    value = 100 * share
    if 99.5 <= value < 100:  # nearly all is not all
        return f"{math.floor(10 * value) / 10} %"
    if value >= 9.95:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.995 else f"{value:.2g} %"


def counted(n: int, noun: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def times(ratio: float) -> str:
    """How many times as many: `14`, `1.7`."""
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.1f}"


def moment(seconds: float, span: float) -> str:
    """A date, with the time of day where `span` seconds are few days."""
    try:
        when = EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return f"{number(seconds)} s"
    if span >= 4 * SECONDS_PER_DAY:
        return when.date().isoformat()  # strftime leaves years below 1000 unpadded on some systems
    return when.strftime("%m-%d %H:%M") if span > 600 else when.strftime("%H:%M:%S")


def duration(seconds: float) -> str:
    """`15 minutes`, `1 day`: of a width on the ladder of clocks."""
    for unit, name in ((7 * SECONDS_PER_DAY, "week"), (SECONDS_PER_DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit and seconds % unit == 0:
            return counted(int(seconds // unit), name)
    return counted(int(seconds), "second") if seconds == int(seconds) else f"{number(seconds)} seconds"


_SMALLEST = 1e-300  # of an axis whose steps can be divided


def round_steps(low: float, high: float, most: int = 5) -> list[float]:
    """At most about `most` round numbers between the two, also where floats are hardly finer than the step."""
    span = high - low
    if not _SMALLEST < span < math.inf:
        return [low] if math.isfinite(low) else []
    size = 10.0 ** math.floor(math.log10(span / most))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor * most >= span)
    slack = 1e-9 * span
    first = math.ceil(low / step - 1e-9)
    ticks = [i * step for i in range(first, first + most + 2) if low - slack <= i * step <= high + slack]
    return list(dict.fromkeys(ticks))
