"""Reads Parquet in bounded memory, whatever the size of the row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vaecli.errors import InputError, UnreadableFile, VaecliError, listed, quoted, shortage
from vaecli.runtime import file_types
from vaecli.tables.convert.arrow_casts import as_schema, cast, changed, common_type, plain_schema
from vaecli.tables.convert.valid_text import require_valid_text
from vaecli.tables.read.joined import joined_batches
from vaecli.tables.read.locations import Location, changed as changed_file, unreadable
from vaecli.tables.read.named_columns import reject_repeated_names, requested_columns
from vaecli.tables.read.new_rows import NothingNew
from vaecli.tables.read.parquet_types import has_int96, meant_schema, nanoseconds
from vaecli.tables.row_bytes import (
    BATCH_BYTES,
    FEWEST_ROWS,
    MAX_ROW_BYTES,
    require_few_columns,
    row_bytes,
    value_bytes,
)
from vaecli.tables.source import ALL_COLUMNS, Batch, Piece, ReadRequest, parsed_piece

# Measured on one row group of 5 million rows of 30 floats (1.2 GB): whole column chunks hold 1,370 MB, read through
# a small buffer they hold 170 MB, at the same speed. Pre-buffering reads whole row groups ahead.
_BUFFER_BYTES = 16 * 2**10
_SMALL_FILE_BYTES = 16 * 2**20  # that may be held as a whole

_SAMPLE_ROWS = 64  # of which the bytes of a row are measured
_MOST_ROWS_WITH_TEXT = 4096  # of a batch: later cells may be far longer than those that were measured
_INT128_BYTES = 16
_SCANNED_ROWS = 65_536
Constant = str | int | None
# a damaged file; names of columns that are not UTF-8 have no error of pyarrow's own
_DAMAGE = (OSError, pa.ArrowException, UnicodeDecodeError)


@dataclass(frozen=True, slots=True)
class Footer:
    """What is asked of the footer of a file: nothing that the library does not check itself when it reads it.

    `stored` and `metadata` decide everything else but the number of rows.
    """

    stored: pq.ParquetSchema
    metadata: Mapping[bytes, bytes] | None
    schema: pa.Schema
    n_rows: int
    has_int96: bool

    @classmethod
    def of(cls, footer: pq.FileMetaData, schema: pa.Schema) -> Footer:
        """That of a file whose columns pyarrow reads as `schema`."""
        meant = meant_schema(footer, schema)
        return cls(footer.schema, footer.metadata, meant, footer.num_rows, has_int96(footer))

    def alike(self, footer: pq.FileMetaData) -> Footer | None:
        """That of a file with the same columns, which need not be looked at one by one; None where they differ."""
        if footer.schema.equals(self.stored) and footer.metadata == self.metadata:
            return replace(self, n_rows=footer.num_rows)
        return None


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """One or more Parquet files with the same columns, read one after the other.

    `schema` is common to all files: where their types differ, it has the wider one. `rows` are the numbers of rows of
    each file. `constants` are, for each file, the columns that the names of its folders hold; they come last.
    `int96_unit` is that in which timestamps of the type INT96 are read.
    """

    name: str
    locations: tuple[Location, ...]
    schema: pa.Schema
    rows: tuple[int, ...]
    constants: tuple[Mapping[str, Constant], ...]
    int96_unit: str = "us"

    @property
    def format(self) -> str:
        """The format name `parquet`."""
        return "parquet"

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in file order."""
        return tuple(self.schema.names)

    @property
    def n_rows(self) -> int:
        """Number of rows, from the footers of the files."""
        return sum(self.rows)

    @property
    def rows_of_files(self) -> dict[str, int]:
        """The number of rows of each file by its name."""
        return dict(zip((location.name for location in self.locations), self.rows, strict=True))

    @property
    def files(self) -> tuple[str, ...]:
        """Paths and URLs that are read, so that no output overwrites them."""
        return tuple(location.file for location in self.locations)

    def pieces(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Piece]:
        """Batches that are decoded already, as a row group is decoded in order; see `Source.pieces`."""
        return map(parsed_piece, self.batches(request))

    def batches(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Batch]:
        """Stream the rows with the types of the file; see `Source.batches`."""
        requested = requested_columns(self.names, request.columns, self.name)
        batches = self._batches_of_files(request, requested)
        in_tiles = request.multiple_of > 1 and len(self.locations) > 1 and bool(requested)
        return joined_batches(batches, request) if in_tiles else batches

    def _batches_of_files(self, request: ReadRequest, requested: Sequence[str]) -> Iterator[Batch]:
        read = list(self.names) if request.keep else requested
        schema = pa.schema([self.schema.field(name) for name in requested], metadata=self.schema.metadata)
        whole = plain_schema(pa.schema([self.schema.field(name) for name in read], metadata=self.schema.metadata))
        encoded = _with_numbers_encoded(schema)
        first_row = 0
        for location, n_rows, constants in zip(self.locations, self.rows, self.constants, strict=True):
            if isinstance(location, NothingNew):
                return
            first_of_file = first_row
            stored = [name for name in read if name not in constants]
            for batch in _record_batches(location, stored, request.aligned_rows, self.int96_unit):
                where = partial(_where, location.name, first_row - first_of_file)
                table = self._in_common_types(_with_constants(batch, constants, whole), whole, where, request.keep)
                asked = as_schema(table.select(requested), encoded)
                require_valid_text(asked, where, first_row)
                yield Batch(
                    asked,
                    first_row,
                    where,
                    whole=table if request.keep else None,
                )
                first_row += table.num_rows
            if first_row - first_of_file != n_rows:
                raise changed_file(location.name)

    def _in_common_types(self, batch: pa.RecordBatch, schema: pa.Schema, where: Where, exact: bool) -> pa.Table:
        """The batch with the columns and types of `schema`; without columns it still has its rows.

        Raises InputError for a value that the type cannot hold, and with `exact` for one that it cannot hold exactly.
        """
        table = pa.Table.from_batches([batch])
        if not table.num_columns or table.schema.equals(schema):
            return table
        columns = []
        for field in schema:
            before = batch.column(field.name)
            try:
                after = cast(before, field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                rows = [i for i in range(len(before)) if not _can_cast(before.slice(i, 1), field.type)]
                raise self._unfit(before, (rows or [0])[0], field, where) from None
            if exact and (rounded := np.flatnonzero(changed(before, after))).size:
                raise self._unfit(before, int(rounded[0]), field, where)
            columns.append(after)
        return pa.Table.from_arrays(columns, schema=schema)

    def _unfit(self, before: pa.Array, row: int, field: pa.Field, where: Where) -> InputError:
        others = (location.name for location in self.locations if _type_in(location, field.name) != before.type)
        elsewhere = f", as in {other}" if (other := next(others, "")) else ""
        return InputError(
            f"{where(row)}: column {quoted(field.name)} holds {quoted(before[row].as_py())} ({before.type}), "
            f"which cannot be {field.type}{elsewhere}",
            "write the files with one type for the column, or give them one by one",
        )


Where = Callable[[int], str]


def _can_cast(array: pa.Array, kind: pa.DataType) -> bool:
    try:
        cast(array, kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _type_in(location: Location, name: str) -> pa.DataType:
    return _footer(location).schema.field(name).type


def _with_numbers_encoded(schema: pa.Schema) -> pa.Schema:
    """The schema of what the model reads: without views, with the dictionaries that declare categories."""
    plain = plain_schema(schema)
    return pa.schema(
        [field if pa.types.is_dictionary(field.type) else plain.field(i) for i, field in enumerate(schema)],
        schema.metadata,
    )


def open_parquet(
    locations: Sequence[Location], name: str, constants: Sequence[Mapping[str, Constant]] | None = None
) -> ParquetSource:
    """Read the footers of all files and open them as one table.

    `constants` are columns of one value per file; a column of the same name in the files takes their place. Raises
    InputError when a file is damaged, two columns of a file share a name, or the columns of the files are not the
    same (all such files are listed).
    """
    footers = _footers(locations)
    unit = _int96_unit(locations, footers)
    if unit != "us":
        footers = _footers(locations, unit)
    schemas = [footer.schema for footer in footers]
    for location, schema in zip(locations, schemas, strict=True):
        require_few_columns(len(schema.names), location.name)
        reject_repeated_names(schema.names, location.name)
    common = _common_schema(locations, schemas)
    by_file = [
        {column: value for column, value in values.items() if column not in common.names}
        for values in constants or [{} for _ in locations]
    ]
    for column in by_file[0]:
        common = common.append(pa.field(column, pa.array([values[column] for values in by_file]).type))
    return ParquetSource(
        name, tuple(locations), common, tuple(footer.n_rows for footer in footers), tuple(by_file), unit
    )


def _int96_unit(locations: Sequence[Location], footers: Sequence[Footer]) -> str:
    """The unit in which timestamps of the type INT96, which has days and nanoseconds, keep their values.

    The nanoseconds of 64 bits that pyarrow reads by itself reach from 1677 to 2262 and wrap beyond, 9999-12-31 to 1816.
    Raises InputError where a table has both: nanoseconds, and moments that are further away.
    """
    fine, far = "", ""
    for location, footer in zip(locations, footers, strict=True):
        if not footer.has_int96:
            continue
        names = [field.name for field in footer.schema if pa.types.is_timestamp(field.type) or _is_nested(field.type)]
        by_unit = [_record_batches(location, names, _SCANNED_ROWS, unit) for unit in ("us", "ns")]
        for whole, finer in zip(*by_unit, strict=True):
            for name in names:
                is_fine, is_far = nanoseconds(whole.column(name), finer.column(name))
                fine = f"{location.name}, column {quoted(name)}" if is_fine else fine
                far = f"{location.name}, column {quoted(name)}" if is_far else far
    if fine and far:
        raise InputError(
            f"timestamps of the type INT96 that no other type holds: nanoseconds ({fine}), "
            f"and moments before 1677 or after 2262 ({far})",
            "write the timestamps in microseconds, not as INT96",
        )
    return "ns" if fine else "us"


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind))


def _with_constants(batch: pa.RecordBatch, constants: Mapping[str, Constant], schema: pa.Schema) -> pa.RecordBatch:
    """The batch with those of the constant columns that are in `schema`, in its order."""
    if not any(name in constants for name in schema.names):
        return batch
    columns = [
        pa.repeat(pa.scalar(constants[field.name], field.type), batch.num_rows)
        if field.name in constants
        else batch.column(field.name)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, names=schema.names)


def _footers(locations: Sequence[Location], int96_unit: str = "us") -> list[Footer]:
    found: list[Footer] = []
    for location in locations:
        found.append(_footer(location, int96_unit, found[-1] if found else None))
    return found


def _footer(location: Location, int96_unit: str = "us", before: Footer | None = None) -> Footer:
    try:
        with (
            location.open() as stream,
            pq.ParquetFile(stream, pre_buffer=False, coerce_int96_timestamp_unit=int96_unit) as file,
        ):
            found = None if before is None else before.alike(file.metadata)
            return Footer.of(file.metadata, file.schema_arrow) if found is None else found
    except pa.ArrowNotImplementedError as problem:
        raise _unknown_type(location, problem) from problem
    except _DAMAGE as problem:
        location.require_unchanged()
        raise _damaged(location.name, problem) from problem


def _record_batches(
    location: Location, columns: Sequence[str], batch_rows: int, int96_unit: str
) -> Iterator[pa.RecordBatch]:
    try:
        with (
            location.open() as stream,
            pq.ParquetFile(
                stream, pre_buffer=False, buffer_size=_buffer_bytes(stream), coerce_int96_timestamp_unit=int96_unit
            ) as file,
        ):
            yield from _within_bytes(file, location.name, columns, batch_rows)
        location.require_unchanged()
    except _DAMAGE as problem:
        location.require_unchanged()
        raise _damaged(location.name, problem) from problem


def _buffer_bytes(stream: pa.NativeFile) -> int:
    """The size of the buffer through which a file is read; 0, all of a column at once, for a small file.

    Through a buffer pyarrow allocates what a page claims to hold before it finds that the file ends, which may be 2 GB.
    """
    return 0 if stream.size() <= _SMALL_FILE_BYTES else _BUFFER_BYTES


def _within_bytes(file: pq.ParquetFile, name: str, columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows in batches of at most `batch_rows`, and of about BATCH_BYTES once their text is decoded.

    How many rows that are is measured on the first few; where later ones turn out longer, reading begins again at
    them with fewer. Raises InputError for a row of more than MAX_ROW_BYTES.
    """
    by_name = file.schema_arrow
    widths = {name: value_bytes(by_name.field(name).type) for name in columns}
    of_varying_length = [name for name, width in widths.items() if width is None]
    fixed = sum(width for width in widths.values() if width is not None)
    n_rows = max(_rows_of_a_batch(fixed, batch_rows), min(FEWEST_ROWS, batch_rows))
    if of_varying_length:
        batch_rows = min(batch_rows, _MOST_ROWS_WITH_TEXT)
        for batch in _batches_from(file, 0, of_varying_length, _SAMPLE_ROWS):
            n_rows = _rows_of_a_batch(fixed + float(row_bytes(batch, as_text=True).mean()), batch_rows)
            break
    n_read = 0
    while n_read < file.metadata.num_rows:
        for batch in _batches_from(file, n_read, columns, n_rows):
            longest, total = _fixed_or_measured(batch, fixed, of_varying_length)
            if longest > MAX_ROW_BYTES:
                row = n_read + int(row_bytes(batch, as_text=True).argmax()) + 1
                raise UnreadableFile(
                    f"{name}, row {row}: a row of more than {MAX_ROW_BYTES // 2**20} MB",
                    "write the table again without the column that holds so much, or shorten its cells",
                    path=name,
                    row=row,
                )
            fewer = _rows_of_a_batch(total / batch.num_rows, n_rows) if of_varying_length else n_rows
            for start in range(0, batch.num_rows, fewer):
                yield batch.slice(start, fewer)
            n_read += batch.num_rows
            if 4 * fewer <= n_rows:
                n_rows = fewer
                break
        else:
            return


def _fixed_or_measured(batch: pa.RecordBatch, fixed: float, of_varying_length: Sequence[str]) -> tuple[float, float]:
    """Bytes of the longest row, and of all rows."""
    if not of_varying_length:
        return fixed, fixed * batch.num_rows
    sizes = fixed + row_bytes(batch.select(of_varying_length), as_text=True)
    return float(sizes.max(initial=0.0)), float(sizes.sum())


def _rows_of_a_batch(bytes_per_row: float, most: int) -> int:
    """`most`, or half of it so many times that the rows take BATCH_BYTES, and 1 at least."""
    rows = most
    while rows > 1 and rows * bytes_per_row > BATCH_BYTES:
        rows = -(-rows // 2)
    return rows


def _batches_from(
    file: pq.ParquetFile, first_row: int, columns: Sequence[str], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Batches of `batch_rows` from row `first_row` of the file on, counted from 0."""
    group, start = 0, first_row
    while group < file.num_row_groups and start >= (n := file.metadata.row_group(group).num_rows):
        group, start = group + 1, start - n
    groups = range(group, file.num_row_groups)
    # threads cost memory and gain nothing on buffered column chunks
    for batch in file.iter_batches(batch_rows, row_groups=groups, columns=list(columns), use_threads=False):
        if start < batch.num_rows:
            yield batch.slice(start)
        start = max(start - batch.num_rows, 0)


def _unknown_type(location: Location, problem: pa.ArrowNotImplementedError) -> VaecliError:
    """The error about a whole file with columns of a type that pyarrow does not know, as 128-bit integers of polars."""
    columns = _columns_without_arrow_type(location)
    if not columns:
        return _damaged(location.name, problem)
    reason = str(problem).strip().splitlines()[0]
    return UnreadableFile(
        f"{location.name}: the file is whole, but a column's type cannot be read ({reason}): {', '.join(columns)}",
        "cast it and write the file again, in polars "
        f"`frame.with_columns(polars.col({columns[0]!r}).cast(polars.Int64))`, or Float64 for larger numbers",
        path=location.name,
        column=columns[0],
    )


def _columns_without_arrow_type(location: Location) -> list[str]:
    """Columns of 16 bytes to which Parquet gives no meaning, in a file whose Arrow schema cannot be read."""
    try:
        with location.open() as stream:
            size = stream.size()
            stream.seek(size - 8)
            n_bytes = int.from_bytes(stream.read(4), "little")
            stream.seek(max(size - 8 - n_bytes, 0))
            # under another key the Arrow schema, which is what pyarrow cannot read, is only a text
            footer = stream.read(n_bytes + 8).replace(b"ARROW:schema", b"ARROW:hidden")
        schema = pq.read_metadata(pa.BufferReader(file_types.PARQUET + footer)).schema
    except _DAMAGE:
        return []
    columns = [schema.column(i) for i in range(len(schema))]
    return [column.name for column in columns if column.length == _INT128_BYTES and column.logical_type.type == "NONE"]


def _damaged(name: str, problem: Exception) -> VaecliError:
    if (short := shortage(problem)) is not None:
        return short
    if isinstance(problem, OSError) and problem.errno is not None:
        return unreadable(name, problem)
    lines = str(problem).strip().splitlines()
    reason = lines[0] if lines else type(problem).__name__
    if isinstance(problem, pa.ArrowNotImplementedError):
        return UnreadableFile(
            f"{name}: the file may be whole, but its columns cannot be read: {reason}",
            "write nested columns without dictionaries, or leave them out",
            path=name,
        )
    return UnreadableFile(f"{name}: damaged, or not Parquet: {reason}", "write it again", path=name)


def _common_schema(locations: Sequence[Location], schemas: Sequence[pa.Schema]) -> pa.Schema:
    first = schemas[0]
    problems = [
        f"{location.name}: {_difference(first, schema)}"
        for location, schema in zip(locations, schemas, strict=True)
        if set(schema.names) != set(first.names)
    ]
    fields = [] if problems else [_common_field(field, locations, schemas, problems) for field in first]
    if problems:
        raise InputError(
            f"the files do not have the columns of {locations[0].name}:\n{listed(problems)}",
            "give files with the same columns and types",
        )
    return pa.schema(fields, first.metadata)


def _common_field(
    first: pa.Field, locations: Sequence[Location], schemas: Sequence[pa.Schema], problems: list[str]
) -> pa.Field:
    """The column in the type that all files have in common; where there is none, a line more in `problems`."""
    kind, of, nullable = first.type, locations[0].name, first.nullable
    for location, schema in zip(locations[1:], schemas[1:], strict=True):
        field = schema.field(first.name)
        found = common_type(kind, field.type)
        if found is None:
            problems.append(f"{location.name}: column {quoted(first.name)} is {field.type}, in {of} {kind}")
            break
        of = of if found == kind else location.name
        kind, nullable = found, nullable or field.nullable
    return first.with_type(kind).with_nullable(nullable)


def _difference(first: pa.Schema, other: pa.Schema) -> str:
    missing = [name for name in first.names if name not in other.names]
    extra = [name for name in other.names if name not in first.names]
    parts = [f"missing {', '.join(map(quoted, missing))}"] if missing else []
    parts += [f"has also {', '.join(map(quoted, extra))}"] if extra else []
    return "; ".join(parts)


def _where(name: str, first: int, i: int) -> str:
    return f"{name}, row {first + i + 1}"
