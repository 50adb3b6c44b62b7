"""The inputs that a run has opened: what its manifest lists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file, pipe or URL that was opened to be read; of a local file the bytes from `start` up to `end`.

    `name` is fit for messages; `path` is None for what is no regular file of this machine, and so is `end`.
    """

    name: str
    path: str | None = None
    start: int = 0
    end: int | None = None


_opened: dict[OpenedFile, None] = {}  # in order, each once


def note(file: OpenedFile) -> None:
    """Note that a file is read."""
    _opened[file] = None


def forget(name: str) -> None:
    """Note that no row of a file is read after all."""
    for file in [one for one in _opened if one.name == name]:
        del _opened[file]


def forget_all() -> None:
    """Begin a run."""
    _opened.clear()


def opened() -> tuple[OpenedFile, ...]:
    """What was opened, in order."""
    return tuple(_opened)
