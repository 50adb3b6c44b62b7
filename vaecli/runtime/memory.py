"""Memory that is freed and soon wanted again."""

from __future__ import annotations

_LARGEST = 2**25 - 2**16  # bytes; glibc does not learn from larger blocks (DEFAULT_MMAP_THRESHOLD_MAX)


def keep_freed_memory() -> None:
    """Have glibc keep up to 64 MB of freed memory for later arrays, instead of fetching each page anew.

    Its threshold follows the largest block that was freed; the pages of this one are never touched, so it costs
    nothing. A fifth of the time of scoring windows went into pages. With other allocators nothing changes.
    """
    bytes(_LARGEST)
