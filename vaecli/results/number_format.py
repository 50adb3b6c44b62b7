"""Numbers, shares and times as a person reads them, in a terminal and on a page."""

from __future__ import annotations

import math
from datetime import timedelta

from vaecli.runtime.moments import EPOCH, SECONDS_PER_DAY


def number(value: float, digits: int = 4) -> str:
    """So many significant digits: `1,235`, `12.35`, `0.0001234`, `1.2e+09`; a sign can be pasted into a command."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞" if value < 0 else "–"
    if value == 0:
        return "0"
    if 1000 <= abs(value) < 1e7:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}" if 1e-4 <= abs(value) < 1e7 else f"{value:.2g}"


def per_cent(share: float) -> str:
    """A measured share: `100 %`, `99.9 %`, `12 %`, `1.2 %`, `0.03 %`, `0 %`; less than all is never `100 %`."""
    value = 100 * share
    if 99.5 <= value < 100:
        return f"{math.floor(10 * value) / 10} %"
    if value >= 9.95:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.995 else f"{value:.2g} %"


def exact_per_cent(level: float) -> str:
    """A level that somebody chose, with all its digits: 0.9995 → `99.95 %`."""
    return f"{100 * level:.10g} %"


def whole_per_cent(share: float) -> str:
    """An estimate with an interval: `<1 %`, `93 %`, `>99 %`; 0 and 100 only where they are exact."""
    if 0 < share < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def how_often(level: float) -> str:
    """How many normal rows a threshold level flags: 0.99 → `about 1 in 100`, 0.3 → `about 70 in 100`."""
    alpha = round(1 - level, 12)
    one_in = 1 / alpha
    if abs(one_in - round(one_in)) < 1e-6 * one_in and one_in >= 2:
        return f"about 1 in {round(one_in):,}"
    return f"about {100 * alpha:.3g} in 100"


def counted(n: int, noun: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def worth_of(n_rows: int, n_effective: int, n_groups: int | None) -> str:
    """`2,000 rows of one series, worth about 29 independent ones`."""
    of = f"of {counted(n_groups, 'group')}" if n_groups else "of one series"
    return f"{counted(n_rows, 'row')} {of}, worth about {n_effective:,} independent ones"


def times(ratio: float) -> str:
    """How many times as many: `14`, `1.7`."""
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.1f}"


def size(n_bytes: int) -> str:
    """`812 B`, `1.2 MB`; thousands of bytes, as disks count."""
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} B"


def duration(seconds: float) -> str:
    """How long something took: `0.42 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def bin_width(seconds: float) -> str:
    """The width of a bin of time: `15 minutes`, `1 day`."""
    for unit, name in ((7 * SECONDS_PER_DAY, "week"), (SECONDS_PER_DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit and seconds % unit == 0:
            return counted(int(seconds // unit), name)
    return counted(int(seconds), "second") if seconds == int(seconds) else f"{number(seconds)} seconds"


def moment(seconds: float, span: float) -> str:
    """The date of `seconds` since the epoch, with the time of day where `span` seconds are few days."""
    try:
        when = EPOCH + timedelta(seconds=seconds)
    except (OverflowError, ValueError):
        return f"{number(seconds)} s"
    if span >= 4 * SECONDS_PER_DAY:
        return when.date().isoformat()  # strftime leaves years below 1000 unpadded on some systems
    return when.strftime("%m-%d %H:%M") if span > 600 else when.strftime("%H:%M:%S")
