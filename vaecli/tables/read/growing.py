"""A text file to which others append while it is read: the rows that it had when it was found are the table."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass

from vaecli.runtime import file_types

_MARK_BYTES = 4096
_NOT_TEXT = (file_types.PARQUET, file_types.GZIP, file_types.ZSTD, file_types.BZIP2)


@dataclass(slots=True)
class Prefix:
    """The first `n_bytes` of a file, recognised by their first and last few kilobytes.

    `end` is where the last row ends, once they were read to their end: before a last line without an end to which more
    had been written by then.
    """

    n_bytes: int
    head: bytes
    tail: bytes
    end: int | None = None
    has_grown: bool = False

    @classmethod
    def found(cls, path: str, n_bytes: int) -> Prefix | None:
        """The prefix of a file of that size; None for a format that is not read row by row. Raises OSError."""
        with open(path, "rb", buffering=0) as file:
            head = file.read(_MARK_BYTES)
            if not head or head.startswith(_NOT_TEXT):
                return None
            return cls(n_bytes, head, os.pread(file.fileno(), _MARK_BYTES, max(n_bytes - _MARK_BYTES, 0)))

    @property
    def has_half_a_row(self) -> bool:
        """Whether the last line was taken for a row though it had no end, so that more of it may have followed."""
        return self.end == self.n_bytes and not self.tail.endswith(b"\n")

    def is_in(self, path: str) -> bool:
        """Whether a longer file still begins with these bytes, as far as the marks show. Raises OSError."""
        with open(path, "rb", buffering=0) as file:
            at_end = os.pread(file.fileno(), len(self.tail), self.n_bytes - len(self.tail))
            return file.read(len(self.head)) == self.head and at_end == self.tail


class PrefixReader(io.RawIOBase):
    """Reads a prefix of a file, without the half-written line at its end if more was written by then."""

    def __init__(self, path: str, prefix: Prefix) -> None:
        super().__init__()
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed with this object
        self._prefix = prefix
        self._left = prefix.n_bytes

    def readable(self) -> bool:
        return True

    def read(self, n_bytes: int = -1) -> bytes:
        wanted = self._left if n_bytes < 0 else min(n_bytes, self._left)
        data = self._file.read(wanted) if wanted else b""
        self._left -= len(data)
        return data if self._left or not data else self._whole_lines(data)

    def _whole_lines(self, data: bytes) -> bytes:
        """The last bytes of the prefix up to the end of its last row."""
        prefix = self._prefix
        if prefix.end is None:
            is_cut = not data.endswith(b"\n") and os.fstat(self._file.fileno()).st_size > prefix.n_bytes
            n_half = len(data) - data.rfind(b"\n") - 1 if is_cut and b"\n" in data else 0
            prefix.end = prefix.n_bytes - n_half
        return data[: len(data) - (prefix.n_bytes - prefix.end)]

    def close(self) -> None:
        super().close()
        self._file.close()
