"""What a message looks like, and what a folder holds."""

from __future__ import annotations

import os
from pathlib import Path


def assert_is_a_message(err: str) -> None:
    """`error:` and its lines, then one line `hint:`; no traceback."""
    first, *more = err.splitlines()
    assert first.startswith("error: ")
    assert all(line.startswith("  ") for line in more[:-1])
    assert more[-1].startswith("hint: ")
    assert err.endswith("\n")


def contents(place: Path) -> dict[str, bytes | None]:
    """Everything below a folder: what is hidden and half-written, too."""
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() and os.access(path, os.R_OK) else None
        for path in sorted(place.rglob("*"))
    }
