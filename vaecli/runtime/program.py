"""Whether this process is the program `vaecli`, which runs one command line and ends."""

from __future__ import annotations

_begun: list[bool] = []


def begin() -> None:
    """Note that it is."""
    _begun.append(True)


def is_running() -> bool:
    """Whether it is. In a Python session, which may fit again, torch is loaded once and stays."""
    return bool(_begun)
