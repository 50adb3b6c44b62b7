"""Freed memory is used again by the next array, on systems with glibc."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

CYCLES = """
import resource, sys
import numpy as np
from vaecli.runtime.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def cycle():
    arrays = [np.ones(3 * 2**20, np.uint8) for _ in range(3)]
if sys.argv[1] == "ask":
    cycle = keep_freed_memory
cycle()
cycle()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    cycle()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    """Pages that the system gave to a process that five times makes and frees arrays of 9 MB together, or asks."""
    done = subprocess.run([sys.executable, "-c", CYCLES, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_arrays_that_are_made_again_are_given_no_new_pages() -> None:
    """Five times 9 MB are 11,520 pages of 4 kB; kept, they are given once, before the count."""
    assert page_faults("keep") < 100
    assert page_faults("leave") > 1_000


def test_who_asks_again_is_given_no_pages() -> None:
    """Scores of a few rows at a time each ask: from the third time on the block was one of touched pages, 32 MB."""
    assert page_faults("ask") < 100
