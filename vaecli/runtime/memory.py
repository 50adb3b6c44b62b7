"""Memory that is freed and soon wanted again."""

from __future__ import annotations

MOST = 2**25 - 2**16  # bytes; glibc does not learn from larger blocks (DEFAULT_MMAP_THRESHOLD_MAX)


def keep_freed_memory(largest: int = MOST) -> None:
    """Have glibc keep freed memory for later arrays of up to `largest` bytes, instead of fetching each page anew.

    It keeps twice as much per heap. Its threshold follows the largest block that was freed; the pages of this one are
    never touched, so it costs nothing. With other allocators nothing changes.
    """
    bytes(largest)
