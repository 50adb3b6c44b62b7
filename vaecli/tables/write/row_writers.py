"""Writes the user's rows with added columns after theirs: as lines of text, as delimited values, as Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, BinaryIO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vaecli.errors import InputError, UsageError, listed, quoted
from vaecli.tables.convert.arrow_casts import as_schema
from vaecli.tables.convert.arrow_types import as_numpy
from vaecli.tables.convert.kinds import WHOLE_FLOATS, ColumnTypes, NumberType
from vaecli.tables.convert.number_spellings import respelled
from vaecli.tables.convert.parse import filled, parse_numbers, parses_exactly, whole_number
from vaecli.tables.read.delimited import DelimitedSource, parse_lines
from vaecli.tables.read.header import Header
from vaecli.tables.read.records import joined_bytes
from vaecli.tables.row_bytes import row_bytes
from vaecli.tables.source import Batch
from vaecli.tables.write.csv_fields import can_be_spelled, csv_field

_GROUP_ROWS = 2**20
_GROUP_BYTES = 32 * 2**20
_SECTION_ROWS = 2**13
_SECTION_BYTES = 64 * 2**20
_STEP_ROWS = 128
_CHUNKS = 2**16  # of all columns together: each takes a kilobyte, whatever it holds
# Measured on 5 million rows of 30 floats: with pyarrow's 1 MB, columns without repetition get a dictionary that
# saves nothing, and writing takes five times as long.
_DICTIONARY_BYTES = 128 * 2**10
_NUMBER_BYTES = 8
_SAMPLE_ROWS = 256  # of which two are equal in most columns of fewer than 10,000 values


NO_TYPES: ColumnTypes = MappingProxyType({})
Rendered = Any  # rows as their writer appends them: bytes or a table


class RowWriter(Protocol):
    """Writes rows with the added columns, in two steps: any thread may render, one appends in order."""

    def render(self, batch: Batch, added: Sequence[pa.Array], keep: np.ndarray | None) -> Rendered:
        """Convert the rows of `batch`, or those where `keep` (n,) bool is true, with one array (n,) per added column.

        Raises ValueError if the batch was read without `keep=True`.
        """

    def append(self, rendered: Rendered) -> None:
        """Write rendered rows after all earlier ones."""

    def close(self) -> None:
        """Write the rows that are still in memory, and end the output."""

    def abandon(self) -> None:
        """Discard the rows that are still in memory."""


# ---------------------------------------------------------------- the user's own lines


@dataclass(frozen=True, slots=True)
class LineWriter:
    """Writes delimited text as delimited text: the exact bytes of each line, then the added values."""

    stream: BinaryIO
    delimiter: bytes
    line_end: bytes

    def render(self, batch: Batch, added: Sequence[pa.Array], keep: np.ndarray | None) -> Rendered:
        if batch.lines is None:
            raise ValueError("this batch was read without keep=True")
        lines, fields = batch.lines, [_as_field(array, self.delimiter) for array in added]
        if keep is not None:
            mask = pa.array(keep)
            lines, fields = lines.filter(mask), [values.filter(mask) for values in fields]
        if not len(lines):
            return b""
        ended = pc.binary_join_element_wise(fields[-1] if fields else lines, _bytes(b""), _bytes(self.line_end))
        if fields:
            ended = pc.binary_join_element_wise(lines, *fields[:-1], ended, _bytes(self.delimiter))
        return joined_bytes(ended)

    def append(self, rendered: Rendered) -> None:
        self.stream.write(rendered)

    def close(self) -> None:
        self.stream.flush()

    def abandon(self) -> None:
        """Do nothing; no rows are in memory."""


def line_writer(stream: BinaryIO, header: Header, added_names: Sequence[str]) -> LineWriter:
    """Write the exact header of the input followed by the added names, and return the writer of its rows."""
    delimiter = header.delimiter.encode()
    line_end = header.line_end if header.line_end in (b"\n", b"\r\n") else b"\n"
    names = [_quoted(name, header.delimiter).encode() for name in added_names]
    stream.write(header.preamble + delimiter.join([header.line, *names]) + line_end)
    return LineWriter(stream, delimiter, line_end)


def _as_field(array: pa.Array, delimiter: bytes) -> pa.LargeBinaryArray:
    """Values (n,) as the bytes of fields: the shortest digits that parse to the same number, empty for null."""
    text = pc.cast(array, pa.large_string())
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or pa.types.is_dictionary(array.type):
        special = pc.match_substring_regex(text, f'[{"".join(map(_escaped, delimiter.decode()))}"\r\n]')
        quoted = pc.binary_join_element_wise(_text('"'), pc.replace_substring(text, '"', '""'), _text('"'), _text(""))
        text = pc.if_else(special, quoted, text)
    return pc.cast(pc.fill_null(text, ""), pa.large_binary())


def _escaped(character: str) -> str:
    return f"\\x{{{ord(character):x}}}"


def _bytes(value: bytes) -> pa.Scalar:
    return pa.scalar(value, pa.large_binary())


def _text(value: str) -> pa.Scalar:
    return pa.scalar(value, pa.large_string())


def _quoted(name: str, delimiter: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter, lineterminator="\r\n").writerow([name])  # quotes what ends a line
    return line.getvalue().removesuffix("\r\n")


# ---------------------------------------------------------------- typed rows

PassThrough = Callable[[Batch, "np.ndarray | None"], pa.Table]


def pass_through(source: Any, types: ColumnTypes) -> tuple[pa.Schema, PassThrough]:
    """The types of the user's columns, and a function that returns them for the kept rows of a batch.

    Parquet and frames keep their types. Columns of delimited text are float64 or int64 as in `types`, null where a cell
    is one of its words that mean missing, and otherwise the text of their cells, null where a cell is empty. The
    function raises InputError for a whole number that its type cannot hold, and ValueError for a batch that was read
    without `keep=True`.
    """
    if not isinstance(source, DelimitedSource):
        return source.schema, _whole_rows
    header = source.headers[0]
    kinds = {name: types[name].kind if name in types else pa.string() for name in source.names}
    typed = {name: types[name] for name, kind in kinds.items() if kind in (pa.float64(), pa.int64())}
    floats = [name for name, one in typed.items() if one == NumberType(pa.float64())]  # which Arrow reads by itself
    schema = pa.schema(list(kinds.items()))

    def parsed_rows(batch: Batch, keep: np.ndarray | None) -> pa.Table:
        if batch.lines is None:
            raise ValueError("this batch was read without keep=True")
        rows = np.arange(len(batch.lines)) if keep is None else np.flatnonzero(keep)
        lines = batch.lines if keep is None else batch.lines.filter(pa.array(keep))
        table = parse_lines(lines, header, floats)
        for name in floats:
            far = np.abs(table[name].to_numpy()) >= WHOLE_FLOATS
            if (far & (table[name].to_numpy() < np.inf)).any():
                texts = parse_lines(lines.filter(pa.array(far)), header, ())[name].to_pylist()
                _reject_rounded(batch, name, rows[far], texts)
        for name in typed.keys() - set(floats):
            convert = _whole_numbers if kinds[name] == pa.int64() else _floats
            numbers = convert(batch, name, rows, _digits(table[name], typed[name]))
            table = table.set_column(table.schema.get_field_index(name), name, numbers)
        return table

    return schema, parsed_rows


def _reject_rounded(batch: Batch, name: str, rows: np.ndarray, texts: Sequence[str | None]) -> None:
    """Raise InputError for the first of the texts whose digits a float does not hold; those with an exponent do not
    claim to be exact."""
    for row, text in zip(rows.tolist(), texts, strict=True):
        if text and "e" not in text.lower() and not parses_exactly(text):
            raise _unfit(batch, row, name, text, pa.float64())


def _digits(cells: pa.ChunkedArray, kind: NumberType) -> pa.Array:
    """The cells as numbers are spelled, without blanks around them; null where missing or a word that means so."""
    text = pc.utf8_trim_whitespace(pa.concat_arrays([pa.array([], cells.type), *cells.chunks]))
    is_word = as_numpy(pc.fill_null(pc.is_in(text, value_set=pa.array(kind.missing, text.type)), False))
    text = pc.if_else(pa.array(filled(text) & ~is_word), text, None)
    return respelled(text, kind.spelling) if kind.spelling else text


def _floats(batch: Batch, name: str, rows: np.ndarray, text: pa.Array) -> pa.Array:
    numbers, _ = parse_numbers(text)
    far = (np.abs(numbers) >= WHOLE_FLOATS) & (np.abs(numbers) < np.inf)
    _reject_rounded(batch, name, rows[far], text.filter(pa.array(far)).to_pylist())
    return pa.array(numbers, mask=np.isnan(numbers))


def _whole_numbers(batch: Batch, name: str, rows: np.ndarray, text: pa.Array) -> pa.Array:
    try:
        return text.cast(pa.int64())
    except pa.ArrowInvalid:  # 1e18, or 5.0
        numbers = [None if cell is None else whole_number(cell) for cell in text.to_pylist()]
    for row, cell, number in zip(rows.tolist(), text.to_pylist(), numbers, strict=True):
        if cell is not None and number is None:
            raise _unfit(batch, row, name, cell, pa.int64())
    return pa.array(numbers, pa.int64())


def _unfit(batch: Batch, row: int, name: str, text: str, kind: pa.DataType) -> InputError:
    return InputError(
        f"{batch.where(row)}: column {quoted(name)} holds {quoted(text)}, whose digits {kind} cannot hold in Parquet",
        "write CSV, which keeps every digit: -o NAME.csv",
        path=batch.where(row).rpartition(", ")[0],
        row=batch.first_row + row + 1,
        column=name,
    )


def _whole_rows(batch: Batch, keep: np.ndarray | None) -> pa.Table:
    if batch.whole is None:
        raise ValueError("this batch was read without keep=True")
    return batch.whole if keep is None else batch.whole.filter(pa.array(keep))


@dataclass(frozen=True, slots=True)
class TypedRows:
    """Converts a batch and its added columns to the table that is written."""

    schema: pa.Schema
    user_columns: PassThrough

    def table(self, batch: Batch, added: Sequence[pa.Array], keep: np.ndarray | None) -> pa.Table:
        """The rows where `keep` (n,) is true, or all, with the user's columns first; string views as strings."""
        user = self.user_columns(batch, keep)
        if keep is not None:
            added = [array.filter(pa.array(keep)) for array in added]
        columns = [*user.columns, *added]
        # views, and dictionaries of numbers in Parquet, are plain until they are written
        fields = [field.with_type(column.type) for field, column in zip(self.schema, columns, strict=True)]
        return pa.Table.from_arrays(columns, schema=pa.schema(fields, self.schema.metadata))


def typed_rows(source: Any, added: Sequence[tuple[str, pa.DataType]], types: ColumnTypes) -> TypedRows:
    """The user's columns followed by `added` (name, type); the metadata of the schema is kept."""
    schema, user_columns = pass_through(source, types)
    for name, kind in added:
        schema = schema.append(pa.field(name, kind))
    return TypedRows(schema, user_columns)


@dataclass(slots=True)
class ParquetRows:
    """Writes Parquet in row groups that depend on the rows alone, not on how they came in batches.

    A group consists of sections, as many as make a million rows or 32 MB, whichever is reached first. A section has
    8,192 rows; where these take more than 64 MB, it ends with the 128 rows that reach them. How columns are encoded
    is decided by the first group, with which the file begins.
    """

    rows: TypedRows
    stream: BinaryIO
    compression: str
    writer: pq.ParquetWriter | None = None
    pending: list[pa.Table] = field(default_factory=list)  # fewer rows than a section
    pending_bytes: int = 0
    sections: list[pa.Table] = field(default_factory=list)

    def render(self, batch: Batch, added: Sequence[pa.Array], keep: np.ndarray | None) -> Rendered:
        return self.rows.table(batch, added, keep)

    def append(self, rendered: Rendered) -> None:
        self.pending.append(rendered)
        self.pending_bytes += rendered.nbytes  # measuring many columns is slow, and most rows do not fill a section
        if len(self.pending) * rendered.num_columns > _CHUNKS:
            self.pending = [pa.concat_tables(self.pending).combine_chunks()]
        if sum(len(part) for part in self.pending) < _SECTION_ROWS and self.pending_bytes <= _SECTION_BYTES:
            return
        table = pa.concat_tables(self.pending)
        self.pending.clear()
        while n_rows := _rows_of_section(table):
            self._add_section(table.slice(0, n_rows))
            table = table.slice(n_rows)
        self.pending, self.pending_bytes = ([table], table.nbytes) if table.num_rows else ([], 0)

    def close(self) -> None:
        if self.pending:
            self._add_section(pa.concat_tables(self.pending))
        if self.sections:
            self._write_group()
        self._begun(self.rows.schema.empty_table()).close()

    def abandon(self) -> None:
        self.pending.clear()
        self.sections.clear()
        if self.writer is not None:
            _discard(self.writer)

    def _add_section(self, section: pa.Table) -> None:
        # in one chunk: pages end where chunks do, and the bytes of a table depend on its chunks
        self.sections.append(section.combine_chunks())
        n_bytes = sum(section.nbytes for section in self.sections)
        n_rows = sum(section.num_rows for section in self.sections)
        if n_rows >= _GROUP_ROWS or n_bytes >= _GROUP_BYTES:
            self._write_group()

    def _write_group(self) -> None:
        group = as_schema(pa.concat_tables(self.sections), self.rows.schema)
        self._begun(group).write_table(group, row_group_size=_GROUP_ROWS)
        self.sections.clear()

    def _begun(self, first: pa.Table) -> pq.ParquetWriter:
        """The writer of the file, whose first group is `first` where it has not begun."""
        if self.writer is None:
            self.writer = _parquet_writer(self.stream, self.rows.schema, self.compression, _columns_to_encode(first))
        return self.writer


def _rows_of_section(table: pa.Table) -> int:
    """How many rows the first section of `table` has; 0 where it is not complete."""
    head = table.slice(0, _SECTION_ROWS)
    if head.nbytes > _SECTION_BYTES:
        after = np.cumsum(row_bytes(head))[_STEP_ROWS - 1 :: _STEP_ROWS]
        steps = np.flatnonzero(after >= _SECTION_BYTES)
        if steps.size:
            return int(steps[0] + 1) * _STEP_ROWS
    return _SECTION_ROWS if head.num_rows == _SECTION_ROWS else 0


def parquet_rows(stream: BinaryIO, rows: TypedRows, compression: str) -> ParquetRows:
    """Begin a Parquet file on `stream`, its column chunks compressed with the codec `compression`.

    Raises InputError listing the columns whose type cannot be written.
    """
    unsuitable = [f"{column.name} ({column.type})" for column in rows.schema if not _can_be_stored(column.type)]
    if unsuitable:
        raise InputError(
            f"these columns cannot be written as Parquet:\n{listed(unsuitable)}",
            "write CSV: -o NAME.csv, or cast them, an interval to seconds",
        )
    _discard(_parquet_writer(io.BytesIO(), rows.schema, compression, True))  # which raises what the first group would
    return ParquetRows(rows, stream, compression)


def _parquet_writer(
    stream: BinaryIO, schema: pa.Schema, compression: str, dictionaries: bool | list[str]
) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        stream,
        schema,
        compression=compression,
        use_dictionary=dictionaries,
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
    )


def _discard(writer: pq.ParquetWriter) -> None:
    writer.is_open = False  # otherwise its garbage collection writes a footer


def _columns_to_encode(group: pa.Table) -> bool | list[str]:
    """Which columns of a small first group get a dictionary: all but numbers and moments that do not repeat.

    A dictionary ends at _DICTIONARY_BYTES, so a large group of such a column loses little; a small one is all
    dictionary, which takes three times as long to write and a fifth more bytes.
    """
    if not group.num_rows or group.num_rows * _NUMBER_BYTES > _DICTIONARY_BYTES:
        return True
    if any(pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType) for kind in group.schema.types):
        return True  # whose columns of numbers have names of their own
    return [name for name in group.column_names if not _is_all_different(group[name].chunk(0))]


def _is_all_different(column: pa.Array) -> bool:
    """Whether no two of _SAMPLE_ROWS numbers are the same: neighbours, as values come in runs, and from everywhere."""
    kind, half = column.type, _SAMPLE_ROWS // 2
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_timestamp(kind)):
        return False
    values = column.drop_null() if column.null_count else column
    if len(values) < _SAMPLE_ROWS:
        return False
    rows = np.r_[:half, np.linspace(half, len(values) - 1, half).astype(np.int64)]
    return bool(np.unique(values.to_numpy()[rows]).size == _SAMPLE_ROWS)


def _can_be_stored(kind: pa.DataType) -> bool:
    return not (pa.types.is_interval(kind) or pa.types.is_run_end_encoded(kind) or pa.types.is_union(kind))


@dataclass(frozen=True, slots=True)
class DelimitedRows:
    """Writes typed rows as delimited text: an empty field for null, `""` for an empty string (see `csv_fields`)."""

    rows: TypedRows
    stream: BinaryIO
    delimiter: bytes

    def render(self, batch: Batch, added: Sequence[pa.Array], keep: np.ndarray | None) -> Rendered:
        table = self.rows.table(batch, added, keep)
        if not table.num_rows:
            return b""
        fields = [csv_field(pa.concat_arrays(table[name].chunks), name) for name in table.column_names]
        ended = pc.binary_join_element_wise(fields[-1], _bytes(b""), _bytes(b"\n"))
        return joined_bytes(pc.binary_join_element_wise(*fields[:-1], ended, _bytes(self.delimiter)))

    def append(self, rendered: Rendered) -> None:
        self.stream.write(rendered)

    def close(self) -> None:
        self.stream.flush()

    def abandon(self) -> None:
        """Do nothing; no rows are in memory."""


def delimited_rows(stream: BinaryIO, rows: TypedRows, delimiter: str) -> DelimitedRows:
    """Write a header to `stream` and return the writer of its rows.

    Raises UsageError listing the columns whose type cannot be written as text.
    """
    unsuitable = [f"{column.name} ({column.type})" for column in rows.schema if not can_be_spelled(column.type)]
    if unsuitable:
        raise UsageError(
            f"these columns cannot be written as delimited text:\n{listed(unsuitable)}",
            "write Parquet: -o NAME.parquet",
        )
    stream.write(delimiter.join(_quoted(name, delimiter) for name in rows.schema.names).encode() + b"\n")
    return DelimitedRows(rows, stream, delimiter.encode())
