"""Arrow columns as numbers and text: how one cell is read, the same at fit and at scoring.

Everything here works on a whole column at once, and the answer for a cell never depends on its
neighbours: where a fast reading of the whole column fails, a slower one that tells the cells apart
gives the others the same values to the last bit.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.runtime.moments import SECONDS_PER_DAY, TICKS_PER_SECOND
from vaecli.tables.convert import number_spellings
from vaecli.tables.convert.arrow_types import as_numpy
from vaecli.tables.convert.missing_tokens import MISSING_TOKENS

# -- numbers ------------------------------------------------------------------------------------

# what Arrow's own reading of text as float64 accepts
_NUMBER = r"(?i)^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)$"


def numbers(array: pa.Array) -> np.ndarray:
    """A NUMBER, BOOLEAN or DATETIME array as float64 (n,); NaN where it is null.

    Durations, times of day and timestamps become seconds; timestamps those since the epoch, UTC, a
    naive one being taken as UTC, rounded down to the microsecond.
    """
    kind = array.type
    if pa.types.is_timestamp(kind):
        return _floats(array.cast(pa.int64()), lambda whole: _microseconds(whole, kind.unit) / 1e6)
    if pa.types.is_date32(kind):
        return _floats(array.cast(pa.int32()), lambda days: days.astype(np.float64) * SECONDS_PER_DAY)
    if pa.types.is_date64(kind):
        return _floats(array.cast(pa.int64()), lambda whole: whole / 1e3)
    if pa.types.is_duration(kind) or pa.types.is_time64(kind):
        return _floats(array.cast(pa.int64()), lambda whole: whole / TICKS_PER_SECOND[kind.unit])
    if pa.types.is_time32(kind):
        return _floats(array.cast(pa.int32()), lambda whole: whole / TICKS_PER_SECOND[kind.unit])
    return as_numpy(array.cast(pa.float64(), safe=False))


def _floats(integers: pa.Array, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    if integers.null_count == 0:
        return convert(as_numpy(integers))
    values = convert(as_numpy(integers.fill_null(0)))
    return np.where(_null(integers), np.nan, values)


def _microseconds(whole: np.ndarray, unit: str) -> np.ndarray:
    if unit == "ns":
        return whole // 1000
    # float64, because seconds beyond the year 292,000 do not fit int64 as microseconds
    return whole if unit == "us" else whole * (1e6 / TICKS_PER_SECOND[unit])


def _null(array: pa.Array) -> np.ndarray:
    return as_numpy(array.is_null())


def parse_numbers(text: pa.Array, *, decimal_comma: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Text as float64 (n,), and where it is not a number (n,) bool.

    NaN where a cell is missing or not a number. Spaces around a number are ignored; for other spellings see
    `number_spellings`.
    """
    if decimal_comma:
        spelled = number_spellings.plain(text)
        parsed = number_spellings.with_point(spelled).cast(pa.float64())
        return as_numpy(parsed), filled(spelled) & _null(parsed)
    try:
        values = as_numpy(text.cast(pa.float64()))
        return values, np.zeros(len(text), bool)
    except pa.ArrowInvalid:
        trimmed = pc.ascii_trim_whitespace(text)
    readable = pc.match_substring_regex(trimmed, _NUMBER)
    unread = filled(trimmed) & ~_true(readable)
    if unread.any():
        rewritten = number_spellings.plain(trimmed.filter(pa.array(unread)))
        trimmed = pc.replace_with_mask(trimmed, pa.array(unread), rewritten)
        readable = pc.match_substring_regex(trimmed, _NUMBER)
        unread &= ~_true(readable)
    return as_numpy(pc.if_else(readable, trimmed, None).cast(pa.float64())), unread


def are_plain_numbers(text: pa.Array) -> bool:
    """Whether every string is spelled as Arrow reads a number, spaces around it aside."""
    return bool(pc.all(pc.match_substring_regex(pc.ascii_trim_whitespace(text), _NUMBER)).as_py())


def parse_one_number(text: str) -> float:
    """One cell as `parse_numbers` reads it."""
    return float(parse_numbers(pa.array([text], pa.large_string()))[0][0])


def filled(text: pa.Array) -> np.ndarray:
    """Where there is a value, (n,) bool: neither null nor blank nor one of `MISSING_TOKENS`.

    What delimited text means by NA or ? is meant by it in a typed table too, so that a row keeps its
    score from one format to the other.
    """
    tokens = pa.array(MISSING_TOKENS, text.type)
    missing: np.ndarray = _true(pc.is_in(pc.ascii_trim_whitespace(text), value_set=tokens)) | _null(text)
    return ~missing


def lengths(text: pa.Array) -> np.ndarray:
    """Characters in each string, (n,); there may be no null."""
    return as_numpy(pc.utf8_length(text))


def digits_only(text: pa.Array) -> bool:
    """Whether every string is one of digits, and of nothing else."""
    return bool(pc.all(pc.match_substring_regex(text, r"^[0-9]+$")).as_py())


def any_begins_with_zero(text: pa.Array) -> bool:
    """Whether one of the strings does."""
    return bool(pc.any(pc.starts_with(text, "0")).as_py())


def _true(mask: pa.Array) -> np.ndarray:
    return as_numpy(pc.fill_null(mask, False))


# -- dates --------------------------------------------------------------------------------------

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
    ("%d/%m/%y", "%m/%d/%y"),
    ("%d.%m.%y",),
    ("%d-%b-%y",),
    ("%d %b %y",),
)
_WRITTEN_FORMATS = tuple(pattern for together in DATE_FORMATS for pattern in together if pattern is not None)

FIRST_YEAR_OF_1900 = 69  # of two digits, as POSIX has it: 69 to 99 are 1969 to 1999
_DATE_SHAPED = r"^\s*(?:\d{1,4}[-/. ](?:\d{1,2}|[A-Za-z]{3})[-/. ]\d{1,4}|\d{8}[Tt]\d{6})"
_ISO_BASIC = r"^(\d{4})(\d{2})(\d{2})[Tt](\d{2})(\d{2})(\d{2})"
_ISO_DATE = r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})"
_DIRECTIVES = {
    "%d": r"(?P<d>\d{1,2})",
    "%m": r"(?P<m>\d{1,2})",
    "%b": r"(?P<m>[A-Za-z]{3})",
    "%Y": r"(?P<y>\d{4})",
    "%y": r"(?P<y>\d{2})",
}
_TIME = (
    r"(?:(?:T|t|,? +)(?P<H>\d{1,2})(?::(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,12}))?)?)?"
    r" ?(?P<p>[AaPp][Mm])?"
    r" ?(?:[Zz]|UTC|(?P<zs>[+-])(?P<zh>\d{2})(?::?(?P<zm>\d{2}))?)?)?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def date_shaped(text: pa.Array) -> np.ndarray:
    """Where a cell starts like a date of any format, (n,) bool; cheap."""
    return _true(pc.match_substring_regex(text, _DATE_SHAPED))


def parse_dates(text: pa.Array, pattern: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Text as seconds since the epoch, UTC, float64 (n,), and where it is no such date (n,) bool.

    `pattern` is one of those in `DATE_FORMATS`, with or without a time of day behind it, or None for ISO
    8601. NaN where a cell is missing or no date. Without a zone a time is taken as UTC; what is
    finer than a microsecond is dropped.
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
    parts = pc.extract_regex(trimmed, f"^{_date_regex(pattern)}{_TIME}$")
    values, valid = _moments({name: parts.field(name) for name in (field.name for field in parts.type)}, parts)
    return np.where(valid, values, np.nan), filled(trimmed) & ~valid


def _date_regex(pattern: str | None) -> str:
    if pattern is None:
        return _ISO_DATE
    date = next(known for known in _WRITTEN_FORMATS if pattern.startswith(known))
    return re.sub("%[dmbYy]", lambda directive: _DIRECTIVES[directive[0]], date.replace(".", r"\."))


def _moments(part: dict[str, pa.Array], parts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since the epoch, and whether the calendar and the clock have such a moment."""
    year, day = _integer(part["y"]), _integer(part["d"])
    year = np.where(
        _true(pc.equal(pc.utf8_length(part["y"]), 2)), year + np.where(year >= FIRST_YEAR_OF_1900, 1900, 2000), year
    )
    month, named = _month(part["m"])
    hour, minute, second = _integer(part["H"]), _integer(part["M"]), _integer(part["S"])
    valid = ~_null(parts) & named & (month >= 1) & (month <= 12) & (minute <= 59) & (second <= 59)

    first = ((year - 1970) * 12 + np.where(valid, month, 1) - 1).astype("datetime64[M]")
    in_month = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64)
    valid &= (day >= 1) & (day <= in_month)

    half = pc.fill_null(pc.utf8_lower(part["p"]), "")
    morning, evening = _true(pc.equal(half, "am")), _true(pc.equal(half, "pm"))
    valid &= np.where(morning | evening, (hour >= 1) & (hour <= 12), hour <= 23)
    hour = np.where(morning | evening, hour % 12 + 12 * evening, hour)

    fraction = _integer(pc.utf8_slice_codeunits(pc.utf8_rpad(part["f"], 6, "0"), 0, 6))
    zone_hours, zone_minutes = _integer(part["zh"]), _integer(part["zm"])
    valid &= (zone_hours <= 23) & (zone_minutes <= 59)
    ahead = np.where(_true(pc.equal(part["zs"], "-")), -1, 1) * (zone_hours * 60 + zone_minutes) * 60

    days = first.astype("datetime64[D]").astype(np.int64) + day - 1
    seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - ahead
    return (seconds * 1_000_000 + fraction) / 1e6, valid


def _integer(digits: pa.Array) -> np.ndarray:
    """Digits as int64, 0 where there are none."""
    present = pc.if_else(pc.equal(digits, ""), "0", digits)
    return as_numpy(pc.fill_null(present.cast(pa.int64()), 0))


def _month(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The month's number, and whether a name stood for one."""
    lower = pc.utf8_lower(text)
    names = pc.index_in(lower, value_set=pa.array(_MONTHS, lower.type))
    by_name = _true(pc.is_valid(names))
    digits = _true(pc.match_substring_regex(text, r"^\d+$"))
    number = _integer(pc.if_else(pa.array(digits), text, None))
    return np.where(by_name, as_numpy(pc.fill_null(names, 0)) + 1, number), by_name | digits


_ZONE = r"(?:[Tt ]\d{1,2}|:\d{2}|[.,]\d{1,12}|[AaPp][Mm]) ?(?P<zone>[Zz]|UTC|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)$"


def zones(text: pa.Array) -> set[str]:
    """The zones that dates are written in: Z, +02:00, and nothing for a date that names none."""
    found = pc.extract_regex(pc.ascii_trim_whitespace(text), _ZONE).field("zone")
    return {_zone(one or "") for one in pc.unique(found).to_pylist()}


def _zone(written: str) -> str:
    if written[:1] not in ("+", "-"):
        return "Z" if written else ""
    return f"{written[:3]}:{written[3:].removeprefix(':') or '00'}"


def with_time_of_day(pattern: str, text: pa.Array) -> str:
    """The strptime pattern of dates like `pattern` that are written as `text`."""
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
    return any(pattern == date + time for date in _WRITTEN_FORMATS for time in times)


def _any(text: pa.Array, regex: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(text, regex)).as_py())


# -- text and booleans --------------------------------------------------------------------------


BOOLEAN_PAIRS = (("false", "true"), ("f", "t"), ("no", "yes"), ("n", "y"))
_FALSE = tuple(pair[0] for pair in BOOLEAN_PAIRS)
_TRUE = tuple(pair[1] for pair in BOOLEAN_PAIRS)


def _spellings() -> tuple[tuple[str, ...], np.ndarray]:
    falses = [how(word) for word in _FALSE for how in (str.lower, str.upper, str.title)]
    trues = [how(word) for word in _TRUE for how in (str.lower, str.upper, str.title)]
    words = dict.fromkeys(["0", *falses], 0.0) | dict.fromkeys(["1", *trues], 1.0)
    return tuple(words), np.array(list(words.values()))


_WORDS, _WORD_VALUES = _spellings()


def parse_booleans(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Text as 0.0 and 1.0 (n,), and where it is no spelling of either (n,) bool.

    Any case of true/false, t/f, yes/no, y/n, and the numbers 0 and 1. NaN where a cell is
    missing; a number that is neither 0 nor 1 is returned as it is, marked as no spelling.
    """
    found = pc.index_in(text, value_set=pa.array(_WORDS, text.type))
    values = np.append(_WORD_VALUES, np.nan)[as_numpy(pc.fill_null(found, len(_WORDS)))]
    failed = np.zeros(len(text), bool)
    unclear = np.flatnonzero(_true(pc.and_(pc.is_null(found), pc.is_valid(text))))
    if unclear.size:
        odd = pc.ascii_trim_whitespace(text.take(pa.array(unclear)))
        codes = pc.index_in(pc.utf8_lower(odd), value_set=pa.array([*_FALSE, *_TRUE], odd.type))
        number, wrong = parse_numbers(odd)
        known = _true(pc.is_valid(codes))
        values[unclear] = np.where(known, as_numpy(pc.fill_null(codes, 0)) >= len(_FALSE), number)
        failed[unclear] = ~known & (wrong | ~((number == 0) | (number == 1) | np.isnan(number)))
    return values, failed
