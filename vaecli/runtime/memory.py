"""Memory that is freed and soon wanted again."""

from __future__ import annotations

from functools import cache

MOST = 2**25 - 2**16  # bytes; glibc does not learn from larger blocks (DEFAULT_MMAP_THRESHOLD_MAX)


@cache
def keep_freed_memory(largest: int = MOST) -> None:
    """Have glibc keep freed memory for later arrays of up to `largest` bytes, instead of fetching each page anew.

    It keeps twice as much per heap. Its threshold follows the largest block that was freed; the pages of this one are
    never touched, so it costs nothing. A later block would come from what is kept, and every page of it be cleared: a
    process asks once per size. With other allocators nothing changes.
    """
    bytes(largest)
