"""Has the system write a large file to disk while it still grows, so that the last flush finds little left to write."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

_AT_ONCE = 16 * 2**20  # bytes


@dataclass(slots=True)
class WriteBack:
    """How much of a file, open for writing from its beginning, the system was asked to write.

    Linux begins to write what it is advised not to keep, and returns at once; pages that are being written stay in its
    cache. Other systems are not asked.
    """

    stream: BinaryIO
    asked: int = 0

    def go_on(self) -> None:
        """Ask for what was written since the last time, if it is much. Raises OSError where the stream does."""
        if not hasattr(os, "posix_fadvise") or (written := self.stream.tell()) - self.asked < _AT_ONCE:
            return
        self.stream.flush()
        with suppress(OSError):  # a file system that takes no advice
            os.posix_fadvise(self.stream.fileno(), self.asked, written - self.asked, os.POSIX_FADV_DONTNEED)
        self.asked = written
