"""Keeps memory that was freed for the next array, instead of handing it to the system and taking it back."""

from __future__ import annotations

import ctypes

# of malloc.h in glibc; the largest values that its own adjustment reaches or the heap of a thread allows
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_TRIMMED_BEYOND, _MAPPED_BEYOND = 64 * 2**20, 32 * 2**20


def keep() -> bool:
    """Tell the C library to keep up to 64 MB of freed memory per heap; returns whether it will.

    Arrays of a fit are freed as soon as the next are made; without this the system gives half as many pages more for
    them. Nothing happens where the library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _TRIMMED_BEYOND)) and bool(mallopt(_MMAP_THRESHOLD, _MAPPED_BEYOND))
