"""How far a zone is ahead of UTC at a moment, and how that is written after a date."""

from __future__ import annotations

import re
from datetime import UTC, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vaecli.runtime.moments import EPOCH

__all__ = ["ahead_of_utc", "zone_named"]

_OFFSET = re.compile(r"([+-])([01]\d|2[0-3]):([0-5]\d)")


def zone_named(name: str) -> tzinfo | None:
    """The zone of a column; None for no name, and UTC for one that this machine does not know."""
    if not name:
        return None
    if found := _OFFSET.fullmatch(name):
        ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-ahead if found[1] == "-" else ahead, name)  # named, or +00:00 would be UTC, written Z
    if name in ("Z", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def ahead_of_utc(zone: tzinfo | None, seconds: float) -> tuple[float, str]:
    """Seconds to add to a moment (seconds since the epoch), and what is written after it: nothing, Z, +02:00."""
    if zone is None:
        return 0.0, ""
    ahead = (EPOCH + timedelta(seconds=seconds)).astimezone(zone).utcoffset() or timedelta()
    minutes, rest = divmod(abs(int(ahead.total_seconds())), 60)
    if zone is UTC or rest:  # ISO 8601 has no offsets with seconds, which zones had before they were agreed on
        return 0.0, "Z"
    return ahead.total_seconds(), f"{'-' if ahead < timedelta() else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
