"""Dates written as text: the formats that are read, and how a whole column of one format becomes moments.

| form                     | examples                                                                       |
|--------------------------|--------------------------------------------------------------------------------|
| ISO 8601                 | `2024-01-02`, `20240102T030405`, `2024-W05-3`, `2024-035`, `2024-01`           |
| numbers                  | `31/12/2024`, `12/31/2024`, `31.12.24`, `24-12-31`                             |
| English names of months  | `2-Jan-24`, `2 January 2024`, `Jan 2, 2024`                                    |
| a time of day after each | `03:04`, `03:04:05.678`, `3:04 PM`, `24:00` (the midnight that ends the day)   |
| a zone after the time    | `Z`, `UTC`, `+01:00`, `+0100`, `GMT+01:00`, `CET` and others with one meaning  |
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.runtime.moments import SECONDS_PER_DAY
from vaecli.tables.convert.arrow_types import as_numpy
from vaecli.tables.convert.parse import filled, is_null, is_true, numbers

# strptime patterns, None for ISO 8601; a time of day may follow each. Only those that stand together
# can read the same text.
DATE_FORMATS: tuple[tuple[str | None, ...], ...] = (
    (None,),
    ("%d/%m/%Y", "%m/%d/%Y"),
    ("%d-%m-%Y", "%m-%d-%Y"),
    ("%d.%m.%Y",),
    ("%Y/%m/%d",),
    ("%Y.%m.%d",),
    ("%d-%b-%Y",),
    ("%d %b %Y",),
    ("%b %d %Y",),
    ("%b %d, %Y",),
    ("%d/%m/%y", "%m/%d/%y", "%y/%m/%d"),
    ("%d.%m.%y", "%y.%m.%d"),
    ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d"),
    ("%d-%b-%y",),
    ("%d %b %y",),
    ("%G-W%V-%u",),
    ("%GW%V%u",),
    ("%Y-%j",),
    ("%Y-%m",),
)
_WRITTEN_FORMATS = tuple(pattern for together in DATE_FORMATS for pattern in together if pattern is not None)

FIRST_YEAR_OF_1900 = 69  # of two digits, as POSIX has it: 69 to 99 are 1969 to 1999
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_MONTH_NAMES = (*_MONTHS, *(name[:3] for name in _MONTHS), "sept")
_MONTH_NUMBERS = np.array([*range(1, 13), *range(1, 13), 9])
# minutes ahead of UTC; letters that stand for several zones (CST, IST, EST) are not read
_ZONES = {"Z": 0, "UTC": 0, "UT": 0, "GMT": 0, "WET": 0, "WEST": 60, "CET": 60, "MEZ": 60, "CEST": 120, "MESZ": 120}
_ZONES |= {"EET": 120, "EEST": 180, "MSK": 180, "HKT": 480, "SGT": 480, "JST": 540, "KST": 540}
_ZONES |= {"AEST": 600, "AEDT": 660, "NZST": 720, "NZDT": 780}

_DATE_SHAPED = (
    r"^\s*(?:\d{1,4}[-/. ] *(?:\d{1,2}|[A-Za-z]{3,9}\.?)[-/. ] *\d{1,4}|[A-Za-z]{3,9}\.? +\d{1,2},? +\d{4}"
    r"|\d{8}[Tt]\d{4}|\d{4}-?W\d{2}|(?:19|20)\d{2}-\d{2,3}(?:[Tt ,]|$))"
)
_ISO_BASIC = r"^(\d{4})(\d{2})(\d{2})[Tt](\d{2})(\d{2})(\d{2})"
_ISO_BASIC_MINUTES = r"^(\d{4})(\d{2})(\d{2})[Tt](\d{2})(\d{2})($|[Zz+-])"
_ISO_DATE = r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})"
_DIRECTIVES = {
    "%d": r"(?P<d>\d{1,2})",
    "%m": r"(?P<m>\d{1,2})",
    "%b": r"(?P<m>[A-Za-z]{3,9})\.?",
    "%Y": r"(?P<y>\d{4})",
    "%y": r"(?P<y>\d{2})",
    "%G": r"(?P<y>\d{4})",
    "%V": r"(?P<w>\d{2})",
    "%u": r"(?P<u>[1-7])",
    "%j": r"(?P<j>\d{3})",
}
# any four digits and two or three more may be a code, such as 4711-035
_ISO_PARTS = {"%Y-%j": r"(?P<y>(?:19|20)\d{2})-(?P<j>\d{3})", "%Y-%m": r"(?P<y>(?:19|20)\d{2})-(?P<m>\d{2})"}
_TIME = (
    r"(?:(?:T|t|,? +)(?P<H>\d{1,2})(?::(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,12}))?)?)?"
    r" ?(?P<p>[AaPp][Mm])?"
    r" ?(?:(?:UTC|GMT)?(?P<zs>[+-])(?P<zh>\d{2})(?::?(?P<zm>\d{2}))?|(?P<zn>[A-Za-z]{1,4}))?"
    r"(?:\[[A-Za-z0-9_/+-]+\])?)?"
)


def date_shaped(text: pa.Array) -> np.ndarray:
    """Where a cell starts like a date of any format, (n,) bool; cheap."""
    return is_true(pc.match_substring_regex(text, _DATE_SHAPED))


def parse_dates(text: pa.Array, pattern: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Text as seconds since the epoch, UTC, float64 (n,), and where it is not such a date (n,) bool.

    `pattern` is one of those in `DATE_FORMATS`, with or without a time of day after it, or None for ISO
    8601. NaN where a cell is missing or not a date. Without a zone a time is taken as UTC; digits beyond
    microseconds are dropped.
    """
    if pattern is None:
        for kind in (pa.timestamp("us"), pa.timestamp("us", tz="UTC")):
            try:
                return numbers(text.cast(kind)), np.zeros(len(text), bool)
            except pa.ArrowInvalid:
                continue
    trimmed = pc.ascii_trim_whitespace(text)
    if pattern is None:
        trimmed = pc.replace_substring_regex(trimmed, _ISO_BASIC, r"\1-\2-\3T\4:\5:\6")
        trimmed = pc.replace_substring_regex(trimmed, _ISO_BASIC_MINUTES, r"\1-\2-\3T\4:\5\6")
    parts = pc.extract_regex(trimmed, f"^{_date_regex(pattern)}{_TIME}$")
    values, valid = _moments({name: parts.field(name) for name in (field.name for field in parts.type)}, parts)
    return np.where(valid, values, np.nan), filled(trimmed) & ~valid


def _date_regex(pattern: str | None) -> str:
    if pattern is None:
        return _ISO_DATE
    short = pattern.replace("%B", "%b")
    date = next(known for known in _WRITTEN_FORMATS if short.startswith(known))
    if date in _ISO_PARTS:
        return _ISO_PARTS[date]
    escaped = date.replace(".", r"\.").replace(" ", " +")
    return re.sub("%[a-zA-Z]", lambda directive: _DIRECTIVES[directive[0]], escaped)


def _moments(part: dict[str, pa.Array], parts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since the epoch, and whether the calendar and the clock have such a moment."""
    days, valid = _days(part)
    valid &= ~is_null(parts)
    hour, minute, second = _integer(part["H"]), _integer(part["M"]), _integer(part["S"])
    fraction = _integer(pc.utf8_slice_codeunits(pc.utf8_rpad(part["f"], 6, "0"), 0, 6))
    valid &= (minute <= 59) & (second <= 59)

    half = pc.fill_null(pc.utf8_lower(part["p"]), "")
    morning, evening = is_true(pc.equal(half, "am")), is_true(pc.equal(half, "pm"))
    ends_the_day = (hour == 24) & (minute == 0) & (second == 0) & (fraction == 0)
    valid &= np.where(morning | evening, (hour >= 1) & (hour <= 12), (hour <= 23) | ends_the_day)
    hour = np.where(morning | evening, hour % 12 + 12 * evening, hour)

    zone_hours, zone_minutes = _integer(part["zh"]), _integer(part["zm"])
    lettered, known = _zone_minutes(part["zn"])
    valid &= (zone_hours <= 23) & (zone_minutes <= 59) & known
    ahead = np.where(is_true(pc.equal(part["zs"], "-")), -1, 1) * (zone_hours * 60 + zone_minutes) + lettered

    seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - ahead * 60
    return (seconds * 1_000_000 + fraction) / 1e6, valid


def _days(part: dict[str, pa.Array]) -> tuple[np.ndarray, np.ndarray]:
    """Days since the epoch, and whether the calendar has such a day; without one, the first of the month."""
    year = _integer(part["y"])
    century = np.where(year >= FIRST_YEAR_OF_1900, 1900, 2000)
    year = np.where(is_true(pc.equal(pc.utf8_length(part["y"]), 2)), year + century, year)
    if "w" in part:
        monday, week = _first_monday(year), _integer(part["w"])
        days = monday + 7 * (week - 1) + _integer(part["u"]) - 1
        return days, (week >= 1) & (monday + 7 * (week - 1) < _first_monday(year + 1))
    if "j" in part:
        day = _integer(part["j"])
        new_year = _first_of_month(year, 1)
        return new_year + day - 1, (day >= 1) & (day <= _first_of_month(year + 1, 1) - new_year)
    month, named = _month(part["m"])
    valid = named & (month >= 1) & (month <= 12)
    first = _first_of_month(year, np.where(valid, month, 1))
    day = _integer(part["d"]) if "d" in part else np.ones_like(year)
    valid &= (day >= 1) & (day <= _first_of_month(year, np.where(valid, month, 1) + 1) - first)
    return first + day - 1, valid


def _first_of_month(year: np.ndarray, month: np.ndarray | int) -> np.ndarray:
    """Days since the epoch of the first of month 1 to 13, which is January of the next year."""
    first: np.ndarray = (
        ((year - 1970) * 12 + month - 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    )
    return first


def _first_monday(year: np.ndarray) -> np.ndarray:
    """Days since the epoch of the Monday of ISO week 1, the week of 4 January; day 0 was a Thursday."""
    fourth = _first_of_month(year, 1) + 3
    return fourth - (fourth + 3) % 7


def _integer(digits: pa.Array) -> np.ndarray:
    """Digits as int64, 0 where there are none."""
    present = pc.if_else(pc.equal(digits, ""), "0", digits)
    return as_numpy(pc.fill_null(present.cast(pa.int64()), 0))


def _month(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The month's number, and whether a number or an English name stood for one."""
    lower = pc.utf8_lower(text)
    names = pc.index_in(lower, value_set=pa.array(_MONTH_NAMES, lower.type))
    by_name = is_true(pc.is_valid(names))
    digits = is_true(pc.match_substring_regex(text, r"^\d+$"))
    number = _integer(pc.if_else(pa.array(digits), text, None))
    return np.where(by_name, _MONTH_NUMBERS[as_numpy(pc.fill_null(names, 0))], number), by_name | digits


# -- zones, and how dates are written -----------------------------------------------------------

_ZONE = (
    r"(?:[Tt ]\d{1,2}|[Tt]\d{4,6}|:\d{2}|[.,]\d{1,12}|[AaPp][Mm]) ?"
    r"(?:UTC|GMT)?(?P<zone>[+-](?:0\d|1[0-4])(?::?[0-5]\d)?"
    rf"|(?i:{'|'.join(sorted(_ZONES, key=len, reverse=True))}))(?:\[[^\]]+\])?$"
)


def _zone_minutes(letters: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Minutes ahead of UTC of zones as letters, 0 where there are none, and where they have one meaning or are none."""
    found = pc.index_in(pc.utf8_upper(letters), value_set=pa.array(_ZONES, letters.type))
    known = is_true(pc.is_valid(found))
    minutes = np.array(list(_ZONES.values()))[as_numpy(pc.fill_null(found, 0))]
    return np.where(known, minutes, 0), known | ~is_true(pc.greater(pc.utf8_length(letters), 0))


def zones(text: pa.Array) -> set[str]:
    """The zones that dates are written in: Z, +02:00, and nothing for a date that names none."""
    found = pc.extract_regex(pc.ascii_trim_whitespace(text), _ZONE).field("zone")
    return {_zone(one or "") for one in pc.unique(found).to_pylist()}


def _zone(written: str) -> str:
    if written[:1] in ("+", "-"):
        return f"{written[:3]}:{written[3:].removeprefix(':') or '00'}"
    minutes = _ZONES[written.upper()] if written else 0
    return f"+{minutes // 60:02}:{minutes % 60:02}" if minutes else "Z" if written else ""


def with_time_of_day(pattern: str, text: pa.Array) -> str:
    """The strptime pattern of dates like `pattern` that are written as `text`."""
    if "%b" in pattern and _any(text, f"(?i)(?:{'|'.join(name for name in _MONTHS if len(name) > 3)})"):
        pattern = pattern.replace("%b", "%B")
    time = "%H:%M"
    if _any(text, r"\d:\d{2}:\d{2}"):
        time = "%H:%M:%S.%f" if _any(text, r":\d{2}[.,]\d") else "%H:%M:%S"
    if _any(text, r"(?i)[ap]m\s*$"):
        time = f"{time.replace('%H', '%I')} %p"
    return f"{pattern} {time}" if _any(text, r"\d:\d{2}|(?i)\d ?[ap]m\s*$") else pattern


def is_date_format(pattern: str) -> bool:
    """Whether `with_time_of_day` gives this pattern, of one in `DATE_FORMATS`."""
    of_a_day = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f")
    times = ["", *(f" {time}" for time in of_a_day), *(f" {time.replace('%H', '%I')} %p" for time in of_a_day)]
    short = pattern.replace("%B", "%b")
    return any(short == date + time for date in _WRITTEN_FORMATS for time in times)


def _any(text: pa.Array, regex: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(text, regex)).as_py())


# -- dates that are not read --------------------------------------------------------------------

# how months begin in German, French, Spanish, Italian, Portuguese, Dutch, Scandinavian, Polish, Finnish, Turkish and
# Russian, where English months do not
_OTHER_MONTHS = (
    "jän|jan|mär|mrz|mai|okt|dez|janv|fév|fev|mars|avr|juin|juil|aoû|aou|déc|ene|abr|ago|set|dic|gen|mag|giu|lug|ott"
    "|out|mrt|maa|mei|maj|des|sty|lut|kwi|cze|lip|sie|wrz|paź|lis|gru|tam|hel|huh|tou|kes|hei|elo|syy|lok|mar|jou"
    "|oca|şub|nis|haz|tem|ağu|eyl|eki|kas|ara|янв|фев|мар|апр|мая|май|июн|июл|авг|сен|окт|ноя|дек"
    "|jan|feb|apr|may|jun|jul|aug|sep|oct|nov|dec"
)
_TIME_LIKE = r"(?:[Tt,]? *\d{1,2}:\d{2}\S*(?: ?[\p{L}/_+:0-9-]+)?)?"
_UNREAD = (
    (
        rf"(?i)^(?:\d{{1,2}}[ .-]+(?:{_OTHER_MONTHS})\p{{L}}*[ .,-]+(?:\d{{2}}|\d{{4}})"
        rf"|(?:{_OTHER_MONTHS})\p{{L}}*\.? +\d{{1,2}},? +\d{{4}}){_TIME_LIKE}$",
        "the names of their months are not English",
    ),
    (
        rf"^\d{{4}} ?[年년] ?\d{{1,2}} ?[月월] ?\d{{1,2}} ?[日일]?{_TIME_LIKE}$",
        "only numbers and English months are read",
    ),
    (
        r"^[0-9]{1,4}[-/. ](?:\d{1,2}|[A-Za-z]{3,9})[-/. ]\d{1,4}[Tt ,]+\d{1,2}:\d{2}[0-9:.,]*(?: ?[AaPp][Mm])? ?"
        r"[A-Za-z][A-Za-z/_+-]+$",
        "their zone has several meanings or is not known; +01:00 has one",
    ),
    (
        r"(?i)^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? .*\d{1,2}.*\d{2}$",
        "they begin with the day of the week",
    ),
)


def unread_dates(text: pa.Array) -> tuple[np.ndarray, str]:
    """Where texts are dates to a person in a form that is not read, (n,) bool, and why not; empty if none is."""
    found, reason = np.zeros(len(text), bool), ""
    trimmed = pc.utf8_trim_whitespace(text)
    for regex, why in _UNREAD:
        matches = is_true(pc.match_substring_regex(trimmed, regex)) & ~found
        reason = reason or (why if matches.any() else "")
        found |= matches
    return found, reason
