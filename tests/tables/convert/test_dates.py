"""Dates as people, loggers and databases write them, against Python's own calendar."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from tests.conftest import of_a_hundred
from vaecli.tables.convert.dates import date_shaped, parse_dates, unread_dates, zones

EPOCH = dt.datetime(1970, 1, 1)


def texts(*cells: str) -> pa.Array:
    return pa.array(cells, pa.large_string())


def read(cell: str, pattern: str | None) -> dt.datetime | None:
    """The moment, beside a cell that is no date, so that no fast reading of all cells is possible."""
    seconds, failed = parse_dates(texts(cell, "word"), pattern)
    assert failed[1]
    return None if failed[0] else EPOCH + dt.timedelta(seconds=float(seconds[0]))


def iso_week(day: dt.date) -> str:
    year, week, weekday = day.isocalendar()
    return f"{year:04}-W{week:02}-{weekday}"


FORMS = {
    "%d-%b-%y": lambda d: f"{d:%d-%b-%y}",
    "%d-%b-%Y": lambda d: f"{d.day}-{d:%B}-{d:%Y}",
    "%d %b %Y": lambda d: f"{d.day}  {d:%B} {d:%Y}",
    "%b %d %Y": lambda d: f"{d:%b} {d.day} {d:%Y}",
    "%b %d, %Y": lambda d: f"{d:%B} {d.day}, {d:%Y}",
    "%G-W%V-%u": iso_week,
    "%GW%V%u": lambda d: iso_week(d).replace("-", ""),
    "%Y-%j": lambda d: f"{d:%Y-%j}",
    "%y-%m-%d": lambda d: f"{d:%y-%m-%d}",
    "%y/%m/%d": lambda d: f"{d:%y/%m/%d}",
}
ZONES = {"": 0, "Z": 0, " UTC": 0, " GMT": 0, " CET": 60, " cest": 120, "+0100": 60, "-03:30": -210, " UTC+02:00": 120}
ZONES |= {"+01:00[Europe/Berlin]": 60, " JST": 540}


@of_a_hundred(80)
@given(
    st.dates(dt.date(1970, 1, 1), dt.date(2067, 12, 31)),
    st.sampled_from([*FORMS, None]),
    st.sampled_from([None, *range(0, 86_401, 7_200), 86_399]),
    st.sampled_from(list(ZONES)),
)
def test_a_spelling_is_the_moment_that_it_names(day: dt.date, pattern: str | None, time: int | None, zone: str):
    """Every form of a date, with a time of day to 24:00 and a zone, against Python's calendar."""
    cell = FORMS[pattern](day) if pattern else day.isoformat()
    truth = dt.datetime.combine(day, dt.time())
    if time is not None:
        cell += f" {time // 3600:02}:{time // 60 % 60:02}:{time % 60:02}{zone}"
        truth += dt.timedelta(seconds=time) - dt.timedelta(minutes=ZONES[zone])
    assert read(cell, pattern) == truth
    assert date_shaped(texts(cell))[0]


@pytest.mark.parametrize(
    ("cell", "pattern"),
    [
        ("2024-01-02 03:04:05 CST", None),
        ("2024-01-02 03:04:05 IST", None),
        ("2024-01-02 03:04:05 X", None),
        ("2024-01-02 24:00:01", None),
        ("2024-01-02 25:00", None),
        ("2 Mai 2024", "%d %b %Y"),
        ("31 June 2024", "%d %b %Y"),
        ("2023-W53-1", "%G-W%V-%u"),
        ("2024-W00-1", "%G-W%V-%u"),
        ("2023-366", "%Y-%j"),
        ("2024-000", "%Y-%j"),
        ("4711-035", "%Y-%j"),
        ("2024-13", "%Y-%m"),
    ],
)
def test_what_names_no_one_moment_is_not_read(cell: str, pattern: str | None):
    """A zone of several meanings, another language, a day that the calendar does not have, a code."""
    assert read(cell, pattern) is None


def test_the_zone_of_letters_is_kept_as_an_offset():
    """So that `sample` writes the same moments."""
    assert zones(texts("2024-01-02 03:04 CET", "2024-01-02 03:04")) == {"+01:00", ""}
    assert zones(texts("20240102T0304Z", "2024-01-02 03:04 GMT")) == {"Z"}


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("5 janvier 2024", "not English"),
        ("05-ene-24", "not English"),
        ("5. März 2024 10:00", "not English"),
        ("5 мая 2024", "not English"),
        ("2024年1月2日", "English"),
        ("2024-01-02 03:04:05 CST", "several meanings"),
        ("2024-01-02 03:04 America/New_York", "several meanings"),
        ("Tue Jan  2 03:04:05 2024", "day of the week"),
    ],
)
def test_why_dates_are_not_read(cell: str, why: str):
    """What a person takes for a date has a reason."""
    found, reason = unread_dates(texts(cell))
    assert found[0]
    assert why in reason


def test_codes_are_not_dates():
    """Nothing is said about words, codes and sizes."""
    found, _ = unread_dates(texts("10-ABC-20", "Monday 5", "5 mm", "A 12 2024", "12 Marlin 3", "4711-035"))
    np.testing.assert_array_equal(found, False)
