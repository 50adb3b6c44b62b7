"""How many processor cores this process may use."""

from __future__ import annotations

import os


def n_cores() -> int:
    """At least 1. Honours `taskset` and containers where the system tells; `os.cpu_count` does not."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
