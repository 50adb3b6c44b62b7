"""Writes the user's rows with columns added after theirs: a complete output or none."""

from __future__ import annotations

import bz2
import gzip
import io
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

import numpy as np
import pyarrow as pa

from vaecli.errors import UsageError
from vaecli.runtime import file_types
from vaecli.runtime.atomic_file import AtomicFile, translated
from vaecli.runtime.urls import is_http, is_url, shown, without_file_scheme
from vaecli.runtime.write_back import WriteBack
from vaecli.tables.convert.arrow_casts import as_schema
from vaecli.tables.convert.arrow_types import from_numpy
from vaecli.tables.convert.kinds import ColumnTypes
from vaecli.tables.read.delimited import DelimitedSource
from vaecli.tables.read.open import format_of_name
from vaecli.tables.source import Batch, Source
from vaecli.tables.write.row_writers import (
    NO_TYPES,
    DelimitedRows,
    LineWriter,
    Rendered,
    RowWriter,
    TypedRows,
    delimited_rows,
    line_writer,
    typed_rows,
)
from vaecli.tables.write.targets import Target, is_stream, open_growing, open_target, refuse_to_overwrite

FORMATS = ("csv", "tsv", "parquet")
_EXTENSIONS = (*file_types.CSV_EXTENSIONS, *file_types.TSV_EXTENSIONS, ".txt", *file_types.PARQUET_EXTENSIONS)
_UNWRITABLE = (".xlsx", ".xls", ".json", ".jsonl", ".ndjson", ".feather", ".arrow", ".zip", ".xz", ".pkl")
_GZIP_LEVEL = 6


@dataclass(frozen=True, slots=True)
class Sink:
    """An output that is being written.

    As a context manager it replaces the target when the block ends without an exception, and else leaves no trace.
    """

    target: Target
    stream: BinaryIO  # the target's, or a compressor around it
    rows: RowWriter
    added: tuple[tuple[str, pa.DataType], ...]
    is_live: bool = False  # rows are in the output as soon as they are appended
    write_back: WriteBack | None = None  # of a file

    def render(
        self, batch: Batch, added: Mapping[str, np.ndarray | pa.Array], keep: np.ndarray | None = None
    ) -> Rendered:
        """Convert the n rows of `batch`, or those where `keep` (n,) bool is true, to what `append` takes.

        `batch` was read with `keep=True`; `added` holds values (n,) for every added column, by its name without
        the prefix; NaN in a NumPy array is written as null. Any thread may call this.
        """
        return self.rows.render(batch, [_as_array(added[name], kind) for name, kind in self.added], keep)

    def append(self, rendered: Rendered) -> None:
        """Write rendered rows after all earlier ones.

        Raises EnvironmentProblem when the disk is full; BrokenPipeError when the reader of standard output is gone.
        """
        with translated(self.target.name):
            self.rows.append(rendered)
            if self.is_live:
                self.stream.flush()
            elif self.write_back is not None:
                self.write_back.go_on()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with translated(self.target.name):
                    self._finish()
                return
        except BaseException:
            self._abandon()
            raise
        self._abandon()

    def _finish(self) -> None:
        self.rows.close()
        if self.stream is not self.target.stream:
            self.stream.close()
        self.target.commit()

    def _abandon(self) -> None:
        self.rows.abandon()
        if self.stream is not self.target.stream:
            # a compressor writes its last bytes when it is closed, at the latest when it is garbage-collected
            with suppress(OSError, ValueError):
                self.stream.close()
        self.target.abort()


@dataclass(frozen=True, slots=True)
class CollectSink:
    """Collects the rows in memory as one Arrow table."""

    rows: TypedRows
    added: tuple[tuple[str, pa.DataType], ...]
    parts: list[pa.Table] = field(default_factory=list)

    def render(
        self, batch: Batch, added: Mapping[str, np.ndarray | pa.Array], keep: np.ndarray | None = None
    ) -> Rendered:
        """Convert the rows that `keep` (n,) marks to a table; see `Sink.render`."""
        return self.rows.table(batch, [_as_array(added[name], kind) for name, kind in self.added], keep)

    def append(self, rendered: Rendered) -> None:
        """Store rendered rows after all earlier ones."""
        self.parts.append(rendered)

    def table(self) -> pa.Table:
        """All rows appended so far."""
        parts = [as_schema(part, self.rows.schema) for part in self.parts]
        return pa.concat_tables([pa.Table.from_batches([], self.rows.schema), *parts])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""


@dataclass(frozen=True, slots=True)
class AddedSink:
    """Collects the added columns alone, in memory, for a caller who has the rows."""

    added: tuple[tuple[str, pa.DataType], ...]
    prefix: str
    parts: list[list[pa.Array]] = field(default_factory=list)

    def render(
        self, batch: Batch, added: Mapping[str, np.ndarray | pa.Array], keep: np.ndarray | None = None
    ) -> Rendered:
        """The added columns, (n,) each, of the rows of `batch` that `keep` (n,) marks."""
        del batch  # the caller has its rows
        arrays = [_as_array(added[name], kind) for name, kind in self.added]
        return arrays if keep is None else [array.filter(pa.array(keep)) for array in arrays]

    def append(self, rendered: Rendered) -> None:
        """Store them after all earlier ones."""
        self.parts.append(rendered)

    def columns(self) -> dict[str, np.ndarray]:
        """All cells appended so far by the name of their column: (n,) each, null as NaN or None."""
        named = [self.prefix + name for name, _ in self.added]
        of_columns = zip(*self.parts, strict=True) if self.parts else [()] * len(named)
        kinds = (kind for _, kind in self.added)
        return {
            name: pa.chunked_array(chunks, kind).to_numpy()
            for name, kind, chunks in zip(named, kinds, of_columns, strict=True)
        }


def open_sink(
    target: str,
    like: Source,
    added: Sequence[tuple[str, pa.DataType]],
    *,
    prefix: str = "",
    output_format: str | None = None,
    types: ColumnTypes = NO_TYPES,
) -> Sink:
    """Open an output with the columns of `like` followed by `added` (name, type), with `prefix` before their names.

    `target` is a path, a URL or `-`; an existing file is replaced when the sink is closed without an exception.
    The format is `output_format`, else that of the extension, else that of `like`. Text stays text byte for
    byte; text that becomes Parquet has the `types` of its columns, float64 or int64, and is strings otherwise.

    Raises UsageError when `like` already has a column of an added name (all are listed), or the target is one of the
    inputs, a directory, or of an unsuitable format; EnvironmentProblem when it cannot be written.
    """
    named = [(prefix + name, kind) for name, kind in added]
    _reject_taken_names([name for name, _ in named], like)
    refuse_to_overwrite(target, like.files, "the input")
    format = _format_of(target, like, output_format)
    opened = open_target(target)
    try:
        with translated(opened.name):
            stream = _compressed(opened.stream, target, format)
            rows = _row_writer(stream, like, named, format, types)
    except BaseException:
        opened.abort()
        raise
    write_back = WriteBack(opened.stream) if isinstance(opened, AtomicFile) else None
    return Sink(opened, stream, rows, tuple(added), write_back=write_back)


def check_sink(target: str, like: Source, added: Sequence[tuple[str, pa.DataType]], *, prefix: str = "") -> None:
    """Raise what `open_sink` would raise, and open nothing that a reader may wait for."""
    _reject_taken_names([prefix + name for name, _ in added], like)
    refuse_to_overwrite(target, like.files, "the input")
    _format_of(target, like, None)
    if not is_stream(target):
        open_target(target).abort()


def open_live_sink(
    target: str,
    like: Source,
    added: Sequence[tuple[str, pa.DataType]],
    *,
    prefix: str = "",
    types: ColumnTypes = NO_TYPES,
) -> Sink:
    """Open an output of delimited text to which rows are added as they come; otherwise as `open_sink`.

    What was written stays, however the run ends. A file that begins with the same header is continued. Raises also
    UsageError when the output is Parquet, compressed or a URL, or a file that holds something else.
    """
    named = [(prefix + name, kind) for name, kind in added]
    _reject_taken_names([name for name, _ in named], like)
    refuse_to_overwrite(target, like.files, "the input")
    format = _format_of(target, like, None)
    if format == "parquet" or target.lower().endswith(file_types.COMPRESSED_EXTENSIONS) or is_url(target):
        raise UsageError(
            f"{shown(target)}: --follow writes rows as they come, to plain CSV or TSV", "name one: -o NAME.csv"
        )
    header = io.BytesIO()
    rows = cast(LineWriter | DelimitedRows, _row_writer(header, like, named, format, types))
    opened = open_growing(target, header.getvalue())
    return Sink(opened, opened.stream, replace(rows, stream=opened.stream), tuple(added), is_live=True)


def collect_sink(
    like: Source,
    added: Sequence[tuple[str, pa.DataType]],
    *,
    prefix: str = "",
    types: ColumnTypes = NO_TYPES,
) -> CollectSink:
    """A sink that collects the rows as one Arrow table in memory. Raises UsageError if added names are taken."""
    named = [(prefix + name, kind) for name, kind in added]
    _reject_taken_names([name for name, _ in named], like)
    return CollectSink(typed_rows(like, named, types), tuple(added))


def added_sink(like: Source, added: Sequence[tuple[str, pa.DataType]], *, prefix: str = "") -> AddedSink:
    """A sink that collects the added columns alone. Raises UsageError if their names are taken in `like`."""
    _reject_taken_names([prefix + name for name, _ in added], like)
    return AddedSink(tuple(added), prefix)


def default_output(inputs: Sequence[str], verb: str = "scored", extension: str | None = None) -> str:
    """The output of a run without `-o`: `pump.csv.gz` → `pump.scored.csv.gz`, in the folder of the input.

    A directory `data/` gives `data.scored.parquet`, standard input and pipes give `-` (standard output). `extension`
    replaces that of the input, for outputs that are not tables. Raises UsageError asking for `-o` when there are
    several inputs, a pattern, or a web address, from which no name can be derived.
    """
    hint = "name an output: -o FILE"
    if len(inputs) != 1:
        raise UsageError(f"{len(inputs)} inputs have no common name for the output", hint)
    name = inputs[0]
    if name == "-":
        return "-"
    if is_http(name):
        raise UsageError(f"{shown(name)}: the output cannot be written beside it", hint)
    path = without_file_scheme(name)
    exists = not is_url(name) and os.path.exists(path)
    if not exists and any(character in name for character in "*?["):
        raise UsageError(f"{shown(name)}: a pattern gives no name for the output", hint)
    if name.endswith("/") or (exists and os.path.isdir(path)):
        folder = os.path.abspath(path) if path.strip("./") == "" else name.rstrip("/")
        return f"{folder}.{verb}{extension or '.parquet'}"
    if exists and not os.path.isfile(path):
        return "-"
    stem, extensions = _split(name)
    return f"{stem}.{verb}{extensions if extension is None else extension}"


def _split(name: str) -> tuple[str, str]:
    """`a/pump.v2.csv.gz` as (`a/pump.v2`, `.csv.gz`)."""
    stem, extension = os.path.splitext(name)
    if extension.lower() in file_types.COMPRESSED_EXTENSIONS:
        inner_stem, inner = os.path.splitext(stem)
        if inner.lower() in _EXTENSIONS:
            return inner_stem, inner + extension
        return stem, extension
    return (stem, extension) if extension.lower() in _EXTENSIONS else (name, "")


def _reject_taken_names(names: Sequence[str], like: Source) -> None:
    known = set(like.names)
    taken = [name for name in names if name in known]
    if taken:
        raise UsageError(
            f"{like.name} already has {'a column' if len(taken) == 1 else 'columns'} {', '.join(map(repr, taken))}",
            "give the added columns other names: --prefix vae_",
        )


def _format_of(target: str, like: Source, output_format: str | None) -> str:
    if output_format is not None and output_format not in FORMATS:
        raise UsageError(f"{output_format!r} is not an output format", f"choose one of {', '.join(FORMATS)}")
    format = output_format or format_of_name(target)
    extension = os.path.splitext(target.lower())[1]
    if output_format is None and extension in _UNWRITABLE:
        raise UsageError(f"{shown(target)}: {extension} files are not written", "name a .csv, .tsv or .parquet file")
    if format is None:
        is_text = like.format in ("csv", "tsv")
        format = like.format if is_text else "csv" if target == "-" else "parquet"
    if format == "parquet" and target.lower().endswith(file_types.COMPRESSED_EXTENSIONS):
        raise UsageError(
            f"{shown(target)}: Parquet is not compressed as a whole", "it compresses by itself: -o NAME.parquet"
        )
    return format


def _row_writer(
    stream: BinaryIO,
    like: Source,
    added: Sequence[tuple[str, pa.DataType]],
    format: str,
    types: ColumnTypes,
) -> RowWriter:
    if isinstance(like, DelimitedSource) and format == like.format:
        return line_writer(stream, like.headers[0], [name for name, _ in added])
    if format == "parquet":
        from vaecli.tables.write.parquet_rows import compression_like, parquet_rows

        return parquet_rows(stream, typed_rows(like, added, types), compression_like(like))
    return delimited_rows(stream, typed_rows(like, added, NO_TYPES), "\t" if format == "tsv" else ",")


def _compressed(stream: BinaryIO, target: str, format: str) -> BinaryIO:
    if format == "parquet":
        return stream
    if target.lower().endswith(".gz"):
        # no name and no time inside, so that the same rows give the same bytes
        return cast(BinaryIO, gzip.GzipFile("", "wb", _GZIP_LEVEL, stream, mtime=0))
    if target.lower().endswith(".bz2"):
        return cast(BinaryIO, bz2.BZ2File(stream, "wb"))
    if target.lower().endswith(".zst"):
        return cast(BinaryIO, _Zstd(stream))
    return stream


class _Zstd:
    """A zstd compressor that leaves the stream below it open when it is closed."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = pa.CompressedOutputStream(pa.PythonFile(_Unclosed(stream), "w"), "zstd")

    def write(self, data: Any) -> int:
        return int(self._stream.write(data))

    def flush(self) -> None:
        """Do nothing; only closing ends the frame."""

    @property
    def closed(self) -> bool:
        return bool(self._stream.closed)

    def close(self) -> None:
        self._stream.close()


class _Unclosed:
    """A stream whose `close` does nothing: pyarrow closes what it wraps, but the target still has to be flushed."""

    closed = False

    def __init__(self, stream: BinaryIO) -> None:
        self.write = stream.write
        self.flush = stream.flush

    def close(self) -> None:
        """Do nothing; the target closes its stream."""


def _as_array(values: np.ndarray | pa.Array, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array):
        return values if values.type == kind else values.cast(kind)
    if values.dtype.kind in "bfiu" and pa.from_numpy_dtype(values.dtype) == kind:
        return from_numpy(values)
    return pa.array(values, kind, from_pandas=True)
