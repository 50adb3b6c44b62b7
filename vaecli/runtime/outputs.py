"""The outputs that a run has completed: what the message of a run that is stopped before its end must name."""

from __future__ import annotations

import os

_streams: list[str] = []
_begun: dict[str, str] = {}  # by the output's name in messages: the temporary file that becomes the output


def begin_rename(name: str, temporary: str) -> None:
    """Note, before the rename, that the file `temporary` becomes the output `name`: a signal may follow it at once."""
    _begun[name] = temporary


def forget(name: str) -> None:
    """Note that the output `name` was not completed after all."""
    _begun.pop(name, None)


def begin_stream(name: str) -> None:
    """Note that something is written to standard output, a pipe or a device, which cannot be taken back."""
    _streams.append(name)


def n_streams() -> int:
    """How often such an output has been begun."""
    return len(_streams)


def forget_all() -> None:
    """Begin a run."""
    _begun.clear()
    _streams.clear()


def complete_outputs() -> tuple[str, ...]:
    """The names of the outputs that are in their place, in the order in which they came there."""
    return tuple(name for name, temporary in _begun.items() if not os.path.lexists(temporary))
