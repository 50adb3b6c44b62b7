"""Reads Parquet in bounded memory, whatever the size of the row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from vaecli.errors import InputError, UnreadableFile, listed
from vaecli.tables.read.locations import Location, RemoteFile, unreadable
from vaecli.tables.read.named_columns import as_table, reject_repeated_names, requested_columns
from vaecli.tables.source import ALL_COLUMNS, Batch, Piece, ReadRequest, parsed_piece

# Measured on one row group of 5 million rows of 30 floats (1.2 GB): whole column chunks hold 1,370 MB, read through
# a small buffer they hold 170 MB, at the same speed. Pre-buffering reads whole row groups ahead.
_BUFFER_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """One or more Parquet files with the same columns, read one after the other.

    `schema` is common to all files: where their types differ, it has the wider one. `rows` are the numbers of rows of
    each file, and `compression` the codec of the first.
    """

    name: str
    locations: tuple[Location, ...]
    schema: pa.Schema
    rows: tuple[int, ...]
    compression: str

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
    def files(self) -> tuple[str, ...]:
        """Paths and URLs that are read, so that no output overwrites them."""
        return tuple(location.url if isinstance(location, RemoteFile) else location.name for location in self.locations)

    def pieces(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Piece]:
        """Batches that are decoded already, as a row group is decoded in order; see `Source.pieces`."""
        return map(parsed_piece, self.batches(request))

    def batches(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Batch]:
        """Stream the rows with the types of the file; see `Source.batches`."""
        requested = requested_columns(self.names, request.columns, self.name)
        read = list(self.names) if request.keep else requested
        schema = pa.schema([self.schema.field(name) for name in read], metadata=self.schema.metadata)
        first_row = 0
        for location, n_rows in zip(self.locations, self.rows, strict=True):
            first_of_file = first_row
            for batch in _record_batches(location, read, request.aligned_rows):
                table = as_table(batch, schema)
                yield Batch(
                    table.select(requested),
                    first_row,
                    partial(_where, location.name, first_row - first_of_file),
                    whole=table if request.keep else None,
                )
                first_row += table.num_rows
            if first_row - first_of_file != n_rows:
                raise UnreadableFile(
                    f"{location.name}: changed while it was read", "try again when it is complete", path=location.name
                )


def open_parquet(locations: Sequence[Location], name: str) -> ParquetSource:
    """Read the footers of all files and open them as one table.

    Raises InputError when a file is damaged, two columns of a file share a name, or the columns of the files are not
    the same (all such files are listed).
    """
    footers = [_footer(location) for location in locations]
    schemas = [footer.schema.to_arrow_schema() for footer in footers]
    for location, schema in zip(locations, schemas, strict=True):
        reject_repeated_names(schema.names, location.name)
    first = footers[0]
    codec = first.row_group(0).column(0).compression if first.num_row_groups and first.num_columns else "ZSTD"
    return ParquetSource(
        name,
        tuple(locations),
        _common_schema(locations, schemas),
        tuple(footer.num_rows for footer in footers),
        codec.lower(),
    )


def _footer(location: Location) -> pq.FileMetaData:
    try:
        with location.open() as stream, pq.ParquetFile(stream, pre_buffer=False) as file:
            return file.metadata
    except (OSError, pa.ArrowException) as problem:
        raise _damaged(location.name, problem) from problem


def _record_batches(location: Location, columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        with (
            location.open() as stream,
            pq.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file,
        ):
            # threads cost memory and gain nothing on buffered column chunks
            yield from file.iter_batches(batch_rows, columns=list(columns), use_threads=False)
    except (OSError, pa.ArrowException) as problem:
        raise _damaged(location.name, problem) from problem


def _damaged(name: str, problem: Exception) -> UnreadableFile:
    if isinstance(problem, OSError) and problem.errno is not None:
        return unreadable(name, problem)
    lines = str(problem).strip().splitlines()
    reason = lines[0] if lines else type(problem).__name__
    return UnreadableFile(f"{name}: damaged, or not Parquet: {reason}", "write it again", path=name)


def _common_schema(locations: Sequence[Location], schemas: Sequence[pa.Schema]) -> pa.Schema:
    first = schemas[0]
    problems = [
        f"{location.name}: {_difference(first, schema)}"
        for location, schema in zip(locations, schemas, strict=True)
        if set(schema.names) != set(first.names)
    ]
    common = first.remove_metadata()
    for location, schema in zip(locations, schemas, strict=True):
        if problems:
            break
        try:
            common = pa.unify_schemas([common, schema.remove_metadata()], promote_options="permissive")
        except pa.ArrowException as problem:
            problems.append(f"{location.name}: {problem}")
    if problems:
        raise InputError(
            f"the files do not have the columns of {locations[0].name}:\n{listed(problems)}",
            "give files with the same columns and types",
        )
    return common.with_metadata(first.metadata)


def _difference(first: pa.Schema, other: pa.Schema) -> str:
    missing = [name for name in first.names if name not in other.names]
    extra = [name for name in other.names if name not in first.names]
    parts = [f"missing {', '.join(map(repr, missing))}"] if missing else []
    parts += [f"has also {', '.join(map(repr, extra))}"] if extra else []
    return "; ".join(parts)


def _where(name: str, first: int, i: int) -> str:
    return f"{name}, row {first + i + 1}"
