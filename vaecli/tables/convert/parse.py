"""Arrow columns as numbers and text: how one cell is read, the same at fit and at scoring; `dates` has those as text.

Everything here works on a whole column at once, and the answer for a cell never depends on its
neighbours: if a fast reading of the whole column fails, a slower one that distinguishes the cells gives the others the
same values to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, InvalidOperation

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.runtime.moments import SECONDS_PER_DAY, TICKS_PER_SECOND
from vaecli.tables.convert import number_spellings
from vaecli.tables.convert.arrow_types import as_numpy, decimals_as_floats
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
    if pa.types.is_decimal(kind):
        return as_numpy(decimals_as_floats(array))
    return as_numpy(array.cast(pa.float64(), safe=False))


def _floats(integers: pa.Array, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    if integers.null_count == 0:
        return convert(as_numpy(integers))
    values = convert(as_numpy(integers.fill_null(0)))
    return np.where(is_null(integers), np.nan, values)


def _microseconds(whole: np.ndarray, unit: str) -> np.ndarray:
    if unit == "ns":
        return whole // 1000
    # float64, because seconds beyond the year 292,000 do not fit int64 as microseconds
    return whole if unit == "us" else whole * (1e6 / TICKS_PER_SECOND[unit])


def is_null(array: pa.Array) -> np.ndarray:
    """Where there is no value, (n,) bool."""
    return as_numpy(array.is_null())


def parse_numbers(text: pa.Array, spelling: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Text as float64 (n,), and where it is not a number (n,) bool.

    NaN where a cell is missing or not a number. Spaces around a number are ignored; for other spellings, and
    for `spelling`, see `number_spellings`.
    """
    if spelling not in ("", number_spellings.OTHER):
        parsed = number_spellings.respelled(text, spelling).cast(pa.float64())
        return as_numpy(parsed), filled(number_spellings.plain(text)) & is_null(parsed)
    try:
        values = as_numpy(text.cast(pa.float64()))
        return values, np.zeros(len(text), bool)
    except pa.ArrowInvalid:
        trimmed = pc.ascii_trim_whitespace(text)
    readable = pc.match_substring_regex(trimmed, _NUMBER)
    unread = filled(trimmed) & ~is_true(readable)
    if unread.any():
        rewritten = number_spellings.plain(trimmed.filter(pa.array(unread)))
        trimmed = pc.replace_with_mask(trimmed, pa.array(unread), rewritten)
        readable = pc.match_substring_regex(trimmed, _NUMBER)
        unread &= ~is_true(readable)
    return as_numpy(pc.if_else(readable, trimmed, None).cast(pa.float64())), unread


def are_plain_numbers(text: pa.Array) -> bool:
    """Whether every string is spelled as Arrow reads a number, spaces around it aside."""
    return bool(pc.all(pc.match_substring_regex(pc.ascii_trim_whitespace(text), _NUMBER)).as_py())


def parse_one_number(text: str) -> float:
    """One cell as `parse_numbers` reads it."""
    return float(parse_numbers(pa.array([text], pa.large_string()))[0][0])


def parses_exactly(text: str) -> bool:
    """Whether the float of a number has all its digits; False for what is not a number."""
    try:
        exact = Decimal(text.strip())
    except InvalidOperation:
        return False
    return exact == Decimal(repr(float(exact)))


def whole_number(text: str) -> int | None:
    """The number of 64 bits that `1e18` or `5.0` is; None for fractions, larger ones and words."""
    try:
        exact = Decimal(text)
    except InvalidOperation:
        return None
    is_whole = exact.is_finite() and abs(exact) < 2**63 and exact == exact.to_integral_value()
    return int(exact) if is_whole else None


def filled(text: pa.Array) -> np.ndarray:
    """Where there is a value, (n,) bool: neither null nor blank nor one of `MISSING_TOKENS`.

    What delimited text means by NA or ? is meant by it in a typed table too, so that a row keeps its
    score from one format to the other.
    """
    tokens = pa.array(MISSING_TOKENS, text.type)
    missing: np.ndarray = is_true(pc.is_in(pc.ascii_trim_whitespace(text), value_set=tokens)) | is_null(text)
    return ~missing


def lengths(text: pa.Array) -> np.ndarray:
    """Characters in each string, (n,); there may be no null."""
    return as_numpy(pc.utf8_length(text))


def digits_only(text: pa.Array) -> bool:
    """Whether every string is one of digits, and of nothing else."""
    return bool(pc.all(pc.match_substring_regex(text, r"^[0-9]+$")).as_py())


def any_begins_with_zero(text: pa.Array) -> bool:
    """Whether one of the strings begins with a zero."""
    return bool(pc.any(pc.starts_with(text, "0")).as_py())


def is_true(mask: pa.Array) -> np.ndarray:
    """Where a mask holds true, (n,) bool; null is not."""
    return as_numpy(pc.fill_null(mask, False))


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
    unclear = np.flatnonzero(is_true(pc.and_(pc.is_null(found), pc.is_valid(text))))
    if unclear.size:
        odd = pc.ascii_trim_whitespace(text.take(pa.array(unclear)))
        codes = pc.index_in(pc.utf8_lower(odd), value_set=pa.array([*_FALSE, *_TRUE], odd.type))
        number, wrong = parse_numbers(odd)
        known = is_true(pc.is_valid(codes))
        values[unclear] = np.where(known, as_numpy(pc.fill_null(codes, 0)) >= len(_FALSE), number)
        failed[unclear] = ~known & (wrong | ~((number == 0) | (number == 1) | np.isnan(number)))
    return values, failed
