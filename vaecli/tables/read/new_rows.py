"""Files of which a run reads only the new rows, or none."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass

import pyarrow as pa

from vaecli.tables.read.growing import Prefix
from vaecli.tables.read.header import Header
from vaecli.tables.read.locations import LocalFile, changed


@dataclass(frozen=True, slots=True)
class NewRows:
    """The rows of a text file from byte `start` up to `end`; `line` is the number of the line at `start`.

    Both are 0 for a file that is new: its rows begin after its header.
    """

    found: LocalFile
    start: int
    end: int
    line: int
    marks: Prefix

    @property
    def name(self) -> str:
        return self.found.name

    @property
    def file(self) -> str:
        return self.found.file

    def first_row(self, header: Header) -> tuple[int, int]:
        """Where the rows begin: byte, and number of the line."""
        return (self.start, self.line) if self.start > header.size else (header.size, header.first_line)

    def open(self) -> pa.NativeFile:
        stream = pa.PythonFile(_UpTo(self.name, self.end), mode="r")
        self.require_unchanged()
        return stream

    def peek(self) -> pa.NativeFile:
        return self.open()

    def require_unchanged(self) -> None:
        """Raise UnreadableFile when what was found is no longer there; the file may have grown."""
        try:
            now = os.stat(self.name)
            is_same = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns) == self.found.state
            if is_same or (now.st_ino == self.found.state[1] and self.marks.is_in(self.name)):
                return
        except OSError:
            pass
        raise changed(self.name)


@dataclass(frozen=True, slots=True)
class NothingNew:
    """A file of which only the names of its columns are read, as no file has new rows."""

    found: LocalFile

    @property
    def name(self) -> str:
        return self.found.name

    @property
    def file(self) -> str:
        return self.found.file

    def open(self) -> pa.NativeFile:
        return self.found.open()

    def peek(self) -> pa.NativeFile:
        return self.found.peek()

    def require_unchanged(self) -> None:
        """No row of it is read."""


class _UpTo(io.RawIOBase):
    """Reads a file up to a position."""

    def __init__(self, path: str, end: int) -> None:
        super().__init__()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed with this object
        self._end = end

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_END:
            offset, whence = self._end + offset, os.SEEK_SET
        return self._file.seek(offset, whence)

    def read(self, n_bytes: int = -1) -> bytes:
        left = max(self._end - self._file.tell(), 0)
        return self._file.read(left if n_bytes < 0 else min(n_bytes, left))

    def close(self) -> None:
        super().close()
        self._file.close()
