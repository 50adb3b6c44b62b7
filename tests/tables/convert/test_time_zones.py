"""Zones as they are written after dates."""

from __future__ import annotations

from datetime import UTC

import pyarrow as pa
import pytest

from vaecli.tables.convert.dates import zones
from vaecli.tables.convert.time_zones import ahead_of_utc, zone_named

SUMMER, WINTER = 1_720_000_000.0, 1_705_000_000.0


@pytest.mark.parametrize(
    ("name", "seconds", "ahead", "written"),
    [
        ("", SUMMER, 0, ""),
        ("Z", SUMMER, 0, "Z"),
        ("UTC", SUMMER, 0, "Z"),
        ("+00:00", SUMMER, 0, "+00:00"),
        ("-05:30", SUMMER, -19_800, "-05:30"),
        ("Europe/Berlin", SUMMER, 7200, "+02:00"),
        ("Europe/Berlin", WINTER, 3600, "+01:00"),
        ("Europe/London", WINTER, 0, "+00:00"),
        ("Europe/Berlin", -3e9, 0, "Z"),  # 53 minutes and 28 seconds ahead, before zones were agreed on
    ],
)
def test_zones_are_written_as_offsets(name: str, seconds: float, ahead: float, written: str) -> None:
    """ISO 8601: Z, or hours and minutes ahead; nothing where no zone was named."""
    assert ahead_of_utc(zone_named(name), seconds) == (ahead, written)


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../etc/passwd", "/etc/passwd", "+99:00", "\0"])
def test_an_unknown_zone_is_utc(name: str) -> None:
    """A machine without that zone writes the same moment, with its Z."""
    assert zone_named(name) is UTC


@pytest.mark.parametrize(
    ("written", "zone"),
    [
        ("2024-10-12T07:30Z", "Z"),
        ("2024-10-12 07:30:00+02:00", "+02:00"),
        ("2024-10-12T07:30:00.5-1400", "-14:00"),
        ("2024-10-12T07+02", "+02:00"),
        ("2024-10-12 07:30", ""),
        ("Oct 12-2024", ""),  # a year, not twenty hours
        ("07:30-2024", ""),
    ],
)
def test_a_zone_is_read_where_one_is_written(written: str, zone: str) -> None:
    """Z or hours ahead, after a time of day, fourteen at most."""
    assert zones(pa.array([written])) == {zone}
