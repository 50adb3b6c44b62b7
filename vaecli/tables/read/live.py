"""Reads delimited text from a stream that goes on: rows are given on as they come, not when a block is full.

The header is known when it and the first row are there. What arrives together is one block of whole records; a record
whose quotes are open waits for its end.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from vaecli.errors import InputError, MalformedText, UsageError
from vaecli.runtime import file_types
from vaecli.runtime.signals import waiting
from vaecli.runtime.urls import in_shell
from vaecli.tables.read.first_lines import DELIMITERS
from vaecli.tables.read.header import Header
from vaecli.tables.read.locations import STANDARD_INPUT, STANDARD_INPUT_FILE, unreadable
from vaecli.tables.read.records import RecordBlock, cut_into_blocks, find_record_ends
from vaecli.tables.source import Batch, Piece, parsed_piece

_READ_BYTES = 2**20
_WAIT_SECONDS = 0.2  # a signal that comes in the moment before a wait is handled after it at the latest
_PACKED = (file_types.PARQUET, file_types.GZIP, file_types.ZSTD, file_types.BZIP2)


@dataclass(slots=True)
class LiveStream:
    """A stream that is read as it comes; `head` are the bytes that hold its header and its first row."""

    name: str
    file: str
    head: bytes
    rest: BinaryIO

    def open(self) -> pa.NativeFile:
        raise RuntimeError(f"{self.name} is read as it comes: see `live_pieces`")

    def peek(self) -> pa.NativeFile:
        return pa.BufferReader(self.head)

    def require_unchanged(self) -> None:
        """A stream is read once."""


def live_location(inputs: Sequence[str]) -> LiveStream:
    """Standard input (`-`) or a named pipe, once its first row is there.

    Raises UsageError for anything else, and for bytes that are Parquet or compressed; UnreadableFile.
    """
    if len(inputs) != 1:
        raise UsageError("--follow reads one stream", "give `-` for standard input, or a named pipe")
    [name] = inputs
    try:
        if name == "-":
            name, file, stream = STANDARD_INPUT, STANDARD_INPUT_FILE, sys.stdin.buffer
        elif stat.S_ISREG(os.stat(name).st_mode) or stat.S_ISDIR(os.stat(name).st_mode):
            raise UsageError(
                f"{name}: --follow reads standard input or a named pipe, not files",
                f"`tail -n +1 -F {in_shell(name)} | vaecli score - --follow`",
            )
        else:
            file, stream = name, open(name, "rb", buffering=0)  # noqa: SIM115 - read as long as the location exists
        head = _head(stream)
    except OSError as problem:
        raise unreadable(name, problem) from None
    if head.startswith(_PACKED):
        what = "Parquet" if head.startswith(file_types.PARQUET) else "compressed"
        raise UsageError(f"{name}: {what}; --follow reads plain CSV or TSV", "leave --follow out, or unpack it before")
    return LiveStream(name, file, head, stream)


def _head(stream: BinaryIO) -> bytes:
    """The bytes up to the end of the first row at least, or all; or the first that show that they are no text."""
    head = b""
    while piece := _next_bytes(stream):
        head += piece
        if head.startswith(_PACKED):
            return head
        # the delimiter, which decides where quotes open, is not known yet
        if b"\n" in piece and all(_n_records(head, delimiter) > 1 for delimiter in DELIMITERS):
            return head
    return head


def _n_records(data: bytes, delimiter: str) -> int:
    """How many complete records there are, without blank ones and a `sep=` line of Excel."""
    ends = find_record_ends(data, delimiter, at_end=False)
    starts = [0, *ends.starts_after.tolist()]
    lines = [data[start:stop] for start, stop in zip(starts, ends.stops.tolist(), strict=False)]
    return sum(bool(line) and b"sep=" not in line[:8] for line in lines)


def _next_bytes(stream: BinaryIO) -> bytes:
    """What has arrived, waiting for the first byte; nothing at the end. Signals are handled while it waits."""
    descriptor = stream.fileno()
    with waiting():
        while not select.select([descriptor], [], [], _WAIT_SECONDS)[0]:
            pass
    return os.read(descriptor, _READ_BYTES)


class _LiveReader(io.RawIOBase):
    """Bytes already read, then the stream they came from, as they come."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._ready = deque([head] if head else [])
        self._rest = rest
        self._given = b""  # what was read since `forget`

    def readable(self) -> bool:
        return True

    def read(self, n_bytes: int = -1) -> bytes:
        piece = self._ready.popleft() if self._ready else _next_bytes(self._rest)
        if 0 <= n_bytes < len(piece):
            self._ready.appendleft(piece[n_bytes:])
            piece = piece[:n_bytes]
        self._given += piece
        return piece

    def forget(self, n_bytes: int) -> None:
        """Note that the first `n_bytes` of what was read are done with."""
        self._given = self._given[n_bytes:]

    def again_by_lines(self) -> None:
        """Read what is not done with a second time, line by line."""
        self._ready.extendleft(reversed(self._given.splitlines(keepends=True)))
        self._given = b""


def live_pieces(location: LiveStream, header: Header, batch_of: Callable[[RecordBlock, int], Batch]) -> Iterator[Piece]:
    """Yield what arrives together as one parsed piece; `batch_of(block, first_row)` parses a block.

    Raises InputError for a row that cannot be read, after the rows above it.
    """
    first_row = 0
    for block in _live_blocks(location, header):
        try:
            batch = batch_of(block, first_row)
        except InputError:
            for i in range(len(block)):
                yield parsed_piece(batch_of(block.only(i), first_row + i))
            raise
        yield parsed_piece(batch)
        first_row += len(block)


def _live_blocks(location: LiveStream, header: Header) -> Iterator[RecordBlock]:
    reader = _LiveReader(location.head[header.size :], location.rest)
    stream = pa.PythonFile(reader, mode="r")
    line, byte = header.first_line, header.size
    by_lines = False
    while True:
        try:
            for block in cut_into_blocks(
                stream,
                header.delimiter,
                name=location.name,
                first_line=line,
                first_byte=byte,
                n_fields=len(header.names),
                keep_blank=len(header.names) == 1,
            ):
                line, byte = block.line_at(block.size), byte + block.size
                reader.forget(block.size)
                yield block
            return
        except MalformedText:
            if by_lines:
                raise
            by_lines = True
            reader.again_by_lines()
        except OSError as problem:
            raise unreadable(location.name, problem) from problem
