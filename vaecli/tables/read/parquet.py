"""Reads Parquet in bounded memory, whatever the size of the row groups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from vaecli.errors import InputError, UnreadableFile, listed
from vaecli.tables.read.locations import Location, RemoteFile, unreadable
from vaecli.tables.read.named_columns import as_table, asked_columns, refuse_repeated_names
from vaecli.tables.source import Batch, Piece, ready, whole

# Measured on one row group of 5 million rows of 30 floats (1.2 GB): whole column chunks hold 1,370 MB, read through
# a small buffer they hold 170 MB, at the same speed. Pre-buffering reads whole row groups ahead.
_BUFFER_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """One or more Parquet files with the same columns, read one after the other.

    `schema` is common to all files: where they differ, the wider type. `rows` counts the rows of each.
    """

    name: str
    places: tuple[Location, ...]
    schema: pa.Schema
    rows: tuple[int, ...]
    compression: str

    @property
    def format(self) -> str:
        """`parquet`."""
        return "parquet"

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in file order."""
        return tuple(self.schema.names)

    @property
    def n_rows(self) -> int:
        """From the footers."""
        return sum(self.rows)

    @property
    def files(self) -> tuple[str, ...]:
        """Paths and URLs that are read, so that nobody overwrites them."""
        return tuple(place.url if isinstance(place, RemoteFile) else place.name for place in self.places)

    def pieces(
        self,
        columns: Sequence[str] | None = None,
        *,
        numbers: Collection[str] = (),
        keep: bool = False,
        batch_rows: int = 16_384,
        multiple_of: int = 1,
    ) -> Iterator[Piece]:
        """Batches that are decoded already: within a row group that has an order; see `Source.pieces`."""
        return map(ready, self.batches(columns, numbers=numbers, keep=keep, batch_rows=whole(batch_rows, multiple_of)))

    def batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        numbers: Collection[str] = (),  # noqa: ARG002 - the Protocol's; columns have types already
        keep: bool = False,
        batch_rows: int = 16_384,
    ) -> Iterator[Batch]:
        """Stream the rows with the file's own types, `numbers` included; see `Source.batches`."""
        asked = asked_columns(self.names, columns, self.name)
        read = list(self.names) if keep else asked
        schema = pa.schema([self.schema.field(name) for name in read], metadata=self.schema.metadata)
        first_row = 0
        for place, n_rows in zip(self.places, self.rows, strict=True):
            first_of_file = first_row
            for batch in _record_batches(place, read, batch_rows):
                table = as_table(batch, schema)
                yield Batch(
                    table.select(asked),
                    first_row,
                    partial(_where, place.name, first_row - first_of_file),
                    whole=table if keep else None,
                )
                first_row += table.num_rows
            if first_row - first_of_file != n_rows:
                raise UnreadableFile(
                    f"{place.name}: changed while it was read", "try again when it is complete", path=place.name
                )


def open_parquet(places: Sequence[Location], name: str) -> ParquetSource:
    """Read the footers of all files.

    Raises InputError when a file is damaged, a name stands for two columns, or the files' columns do
    not fit together (all such files are listed).
    """
    footers = [_footer(place) for place in places]
    schemas = [footer.schema.to_arrow_schema() for footer in footers]
    for place, schema in zip(places, schemas, strict=True):
        refuse_repeated_names(schema.names, place.name)
    first = footers[0]
    used = first.row_group(0).column(0).compression if first.num_row_groups and first.num_columns else "ZSTD"
    return ParquetSource(
        name, tuple(places), _common_schema(places, schemas), tuple(footer.num_rows for footer in footers), used.lower()
    )


def _footer(place: Location) -> pq.FileMetaData:
    try:
        with place.open() as stream, pq.ParquetFile(stream, pre_buffer=False) as file:
            return file.metadata
    except (OSError, pa.ArrowException) as problem:
        raise _damaged(place.name, problem) from problem


def _record_batches(place: Location, columns: Sequence[str], batch_rows: int) -> Iterator[pa.RecordBatch]:
    try:
        with (
            place.open() as stream,
            pq.ParquetFile(stream, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file,
        ):
            # threads cost memory and gain nothing on buffered column chunks
            yield from file.iter_batches(batch_rows, columns=list(columns), use_threads=False)
    except (OSError, pa.ArrowException) as problem:
        raise _damaged(place.name, problem) from problem


def _damaged(name: str, problem: Exception) -> UnreadableFile:
    if isinstance(problem, OSError) and problem.errno is not None:
        return unreadable(name, problem)
    said = str(problem).strip().splitlines()
    what = said[0] if said else type(problem).__name__
    return UnreadableFile(f"{name}: damaged, or not Parquet: {what}", "write it again", path=name)


def _common_schema(places: Sequence[Location], schemas: Sequence[pa.Schema]) -> pa.Schema:
    first = schemas[0]
    problems = [
        f"{place.name}: {_difference(first, schema)}"
        for place, schema in zip(places, schemas, strict=True)
        if set(schema.names) != set(first.names)
    ]
    common = first.remove_metadata()
    for place, schema in zip(places, schemas, strict=True):
        if problems:
            break
        try:
            common = pa.unify_schemas([common, schema.remove_metadata()], promote_options="permissive")
        except pa.ArrowException as problem:
            problems.append(f"{place.name}: {problem}")
    if problems:
        raise InputError(
            f"the files do not have the columns of {places[0].name}:\n{listed(problems)}",
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
