"""What a table asks of a kind of column: cells ← Arrow, Arrow and text ← cells, and its words; one entry per kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.runtime.moments import EPOCH, SECONDS_PER_DAY
from vaecli.schema import Column, Kind
from vaecli.tables.convert import dates, parse
from vaecli.tables.convert.arrow_types import FLOAT64, ArrowFamily, as_code, as_numpy, as_text, family
from vaecli.tables.convert.declared_missing import numbers_among, without
from vaecli.tables.convert.time_zones import ahead_of_utc, zone_named

WHOLE_FLOATS = 2.0**53  # below it floats distinguish all whole numbers
_MOST_TICKS = 2.0**63
_FIRST, _LAST = -62_135_510_400.0, 253_402_214_400.0  # what a calendar of four-digit years holds, less a day
_NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class NumberType:
    """What a column of numbers of delimited text becomes in a typed table; the texts `missing` become null."""

    kind: pa.DataType  # float64 or int64, and string where neither holds all digits
    missing: tuple[str, ...] = ()
    spelling: str = ""  # of its numbers, as in `Column`


ColumnTypes = Mapping[str, NumberType]  # of columns of delimited text; others stay text


@dataclass(frozen=True, slots=True)
class Reading:
    """One column of a batch. `values` (n,) float64 is NaN where there is none; `novel` and `failed` are
    the rows whose value has no place in the column, and those whose value is not of its kind. `texts` (n,) are the
    strings of a text column, as in `Cells`."""

    values: np.ndarray
    novel: np.ndarray = field(default_factory=lambda: _NO_ROWS)
    failed: np.ndarray = field(default_factory=lambda: _NO_ROWS)
    texts: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class TableKind:
    """One kind of column in a table. Functions take the column as it was at fit."""

    holds: str  # what its columns hold, in words
    wants: Callable[[Column], str]  # a cell of it, in words
    types: frozenset[ArrowFamily]  # that its cells can be read from; text and dictionaries aside
    read: Callable[[pa.Array, Column], Reading]  # of text or of these types
    parse: Callable[[pa.Array, Column], tuple[np.ndarray, np.ndarray]] | None  # text: values, failed; None: any will do
    texts: Callable[[Column, np.ndarray], list[str]]  # cells as they are written in the column
    new_type: Callable[[Column, bool], pa.DataType]  # of new rows, which may become delimited text
    value: Callable[[Column, float], float | int | str | None]  # a cell as a person would write it; None for a rare one

    @property
    def is_float(self) -> bool:
        """Whether a source of delimited text may parse it to float64."""
        return self.parse is _parsed_numbers

    @property
    def is_text(self) -> bool:
        """Whether cells are texts, whatever the Arrow type that holds them."""
        return self.parse is None


def read(array: pa.Array, column: Column) -> Reading:
    """The cells of a column; those of a type of another kind are failed."""
    if are_plain_numbers(array.type, column):
        return Reading(as_numpy(array))
    array = without(array, column.missing)
    group = family(array.type)
    if group is ArrowFamily.EMPTY:
        return Reading(np.full(len(array), np.nan))
    if _is_text(array) or group in TABLE_KINDS[column.kind].types:
        return TABLE_KINDS[column.kind].read(array, column)
    return Reading(np.full(len(array), np.nan), failed=np.flatnonzero(as_numpy(array.is_valid())))


def can_hold(array: pa.Array, column: Column) -> bool:
    """Whether a column of a table may hold cells of `column`: by its type, or by most of its texts."""
    if are_plain_numbers(array.type, column):
        return True
    kind = TABLE_KINDS[column.kind]
    if not _is_text(array):
        return family(array.type) in {ArrowFamily.EMPTY, *kind.types}
    if kind.parse is None:
        return True
    # a model may have been trained on numbers kept as text; one bad cell is reported when it is read
    text = as_text(without(array, column.missing))
    _, failed = kind.parse(text, column)
    return bool(2 * failed.sum() <= len(text) - text.null_count)


def are_plain_numbers(kind: pa.DataType, column: Column) -> bool:
    """Whether cells of that Arrow type are what they seem: float64 in a column of numbers, none means "missing"."""
    return column.kind is Kind.NUMERIC and kind.id == FLOAT64 and not column.missing


def _is_text(array: pa.Array) -> bool:
    return family(array.type) in (ArrowFamily.TEXT, ArrowFamily.DICTIONARY)


# -- numbers and dates --------------------------------------------------------------------------


def _quantities(array: pa.Array, column: Column) -> Reading:
    """Numbers, or moments in seconds."""
    parsed = TABLE_KINDS[column.kind].parse
    if parsed is None or not _is_text(array):
        return Reading(parse.numbers(array))
    found, failed = parsed(as_text(array), column)
    return Reading(found, failed=np.flatnonzero(failed))


def _parsed_numbers(text: pa.Array, column: Column) -> tuple[np.ndarray, np.ndarray]:
    return parse.parse_numbers(text, column.number_spelling)


def _parsed_dates(text: pa.Array, column: Column) -> tuple[np.ndarray, np.ndarray]:
    if column.datetime_format is None:
        return dates.parse_dates(text, None)
    # Arrow has no fast reading of these, and days repeat
    encoded = text.dictionary_encode()
    found, failed = dates.parse_dates(encoded.dictionary, column.datetime_format)
    code = as_numpy(encoded.indices.fill_null(-1))
    return np.append(found, np.nan)[code], np.append(failed, False)[code]


def _wanted_date(column: Column) -> str:
    return f"a date like {column.datetime_format or 'YYYY-MM-DD'}"


def _number_texts(column: Column, values: np.ndarray) -> list[str]:
    return [_number_text(value, column) for value in values.tolist()]


def _number_text(value: float, column: Column) -> str:
    if not column.whole or (abs(value) >= WHOLE_FLOATS and not column.width):
        return repr(value)
    return f"{int(value):0{column.width}d}"


def _date_texts(column: Column, seconds: np.ndarray) -> list[str]:
    """Seconds since the epoch as dates are written in the column and its zone, ISO 8601 where it has no format."""
    pattern = column.datetime_format or ("%Y-%m-%d" if _is_of_days(column) else "%Y-%m-%dT%H:%M:%S")
    steps = (("%f", 1e-6), ("%S", 1.0), ("%M", 60.0), ("%H", 3600.0), ("%I", 3600.0))
    step = next((step for directive, step in steps if directive in pattern), float(SECONDS_PER_DAY))
    zone, found = zone_named(column.zone), []
    for second in np.clip(seconds, _FIRST, _LAST).tolist():
        ahead, written = ahead_of_utc(zone, second)
        local = second + ahead
        moment = EPOCH + timedelta(seconds=local if step < 1 else round(local / step) * step)
        # strftime leaves years below 1000 unpadded on some systems
        found.append(moment.strftime(pattern.replace("%Y", f"{moment.year:04d}")) + written)
    return found


def _is_of_days(column: Column) -> bool:
    """Whether no time of day belongs to the dates: the first and the last of them are at midnight, in no zone."""
    ends = (column.minimum, column.maximum)
    return not column.zone and all(end is not None and end % SECONDS_PER_DAY == 0 for end in ends)


def _number_type(column: Column, _as_text: bool) -> pa.DataType:
    """int64 where floats distinguish all whole numbers of the column; text where zeros would be lost."""
    if column.width:
        return pa.string()
    return pa.int64() if column.whole and _furthest(column) < WHOLE_FLOATS else pa.float64()


def delimited_type(column: Column) -> pa.DataType:
    """The type of a numeric column that was delimited text: that whose values have all digits, text beyond int64."""
    not_measured = [*numbers_among(column.missing), *(value for value, _ in column.placeholders)]
    furthest = max(_furthest(column), *(abs(value) for value in not_measured if np.isfinite(value)), 0.0)
    if not column.whole or column.n_infinite or furthest < WHOLE_FLOATS:
        return pa.float64()
    return pa.int64() if furthest <= _MOST_TICKS else pa.string()


def _date_type(column: Column, as_text: bool) -> pa.DataType:
    if as_text:
        return pa.string()
    if _is_of_days(column):
        return pa.date32()
    zone = "UTC" if column.zone == "Z" else column.zone or None
    return pa.timestamp("us" if _furthest(column) * 1e6 < _MOST_TICKS else "s", tz=zone)


def _furthest(column: Column) -> float:
    return max(abs(column.minimum or 0.0), abs(column.maximum or 0.0))


def _number(column: Column, cell: float) -> float | int:
    return int(cell) if column.whole and cell == round(cell) and abs(cell) < WHOLE_FLOATS else float(cell)


def _moment(_column: Column, seconds: float) -> str:
    try:
        return f"{(EPOCH + timedelta(seconds=round(float(seconds)))).replace(tzinfo=None).isoformat()}Z"
    except (OverflowError, ValueError):
        return f"{seconds:.6g} s since 1970"


# -- booleans and categories --------------------------------------------------------------------


def _booleans(array: pa.Array, column: Column) -> Reading:
    if _is_text(array):
        found, failed = parse.parse_booleans(as_text(array))
    else:
        found = parse.numbers(array)
        failed = ~((found == 0) | (found == 1) | np.isnan(found))
    if not failed.any():
        return Reading(found)
    # a count that was never above 1 while the model learned may well be 2 one day
    surprising = failed & ~np.isnan(found) if _are_numbers(column) else np.zeros_like(failed)
    return Reading(found, np.flatnonzero(surprising), np.flatnonzero(failed & ~surprising))


def _categories(array: pa.Array, column: Column) -> Reading:
    text = as_text(array)
    found = _codes(text, column.categories)
    unknown = np.flatnonzero(found < 0)
    if not unknown.size:
        return Reading(found)
    # a writer that met a gap has 1.0 for the code 1, a typed table has no such spellings
    found[unknown] = _codes(as_code(text.take(pa.array(unknown))), as_code(pa.array(column.categories, text.type)))
    unknown = unknown[found[unknown] < 0]
    filled = parse.filled(text.take(pa.array(unknown)))
    found[unknown] = np.where(filled & column.has_other, len(column.categories), np.nan)
    return Reading(found, _NO_ROWS if column.has_other else unknown[filled])


def _strings(array: pa.Array, _column: Column) -> Reading:
    text = as_text(array)
    missing = ~parse.filled(text)
    texts = np.empty(len(text), object)
    texts[:] = pc.if_else(pa.array(missing), pa.scalar(None, text.type), text).cast(pa.large_binary()).to_pylist()
    return Reading(np.where(missing, np.nan, 0.0), texts=texts)


def _codes(text: pa.Array, categories: Sequence[str] | pa.Array) -> np.ndarray:
    """The place of each text (n,) among the categories, −1 for others."""
    codes = pc.index_in(text, value_set=pa.array(categories, text.type))
    return as_numpy(pc.fill_null(codes, -1)).astype(np.float64)


def _parsed_booleans(text: pa.Array, _column: Column) -> tuple[np.ndarray, np.ndarray]:
    return parse.parse_booleans(text)


def _wanted_boolean(column: Column) -> str:
    return " or ".join(column.categories)


def _code_texts(column: Column, values: np.ndarray) -> list[str]:
    return [column.categories[int(value)] for value in values.tolist()]


def _boolean_type(column: Column, as_text: bool) -> pa.DataType:
    if all(map(_is_whole, column.categories)):
        return pa.int64()
    if as_text:
        return pa.string()
    if [one.lower() for one in column.categories] == ["false", "true"]:
        return pa.bool_()
    return pa.float64() if _are_numbers(column) else pa.string()


def _category_type(column: Column, as_text: bool) -> pa.DataType:
    """Text also where rarer values are not known, one of which may be a word."""
    is_whole = all(map(_is_whole, column.categories)) and (as_text or not column.has_other)
    return pa.int64() if is_whole else pa.string()


def _are_numbers(column: Column) -> bool:
    return not np.isnan([parse.parse_one_number(spelling) for spelling in column.categories]).any()


def _is_whole(spelling: str) -> bool:
    """Whether a whole number is written just so."""
    digits = spelling.removeprefix("-")
    return digits.isdecimal() and digits.isascii() and len(digits) < 19 and str(int(spelling)) == spelling


def _word(column: Column, cell: float) -> str | None:
    return column.categories[int(cell)] if cell < len(column.categories) else None


# -- the kinds ----------------------------------------------------------------------------------

_NUMBER, _DATE = frozenset({ArrowFamily.NUMBER, ArrowFamily.BOOLEAN}), frozenset({ArrowFamily.DATETIME})

TABLE_KINDS = {
    Kind.NUMERIC: TableKind(
        "numbers", lambda _: "a number", _NUMBER, _quantities, _parsed_numbers, _number_texts, _number_type, _number
    ),
    Kind.DATETIME: TableKind(
        "dates",
        _wanted_date,
        frozenset({ArrowFamily.DATETIME}),
        _quantities,
        _parsed_dates,
        _date_texts,
        _date_type,
        _moment,
    ),
    Kind.BOOLEAN: TableKind(
        "true or false", _wanted_boolean, _NUMBER, _booleans, _parsed_booleans, _code_texts, _boolean_type, _word
    ),
    Kind.CATEGORICAL: TableKind(
        "categories", lambda _: "text", _NUMBER, _categories, None, _code_texts, _category_type, _word
    ),
    Kind.TEXT: TableKind("text", lambda _: "text", _NUMBER, _strings, None, _code_texts, lambda *_: pa.string(), _word),
}
