"""Holds signals back while rows are computed and written, so that a stream ends after whole rows."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_holds: list[_Hold] = []


class _Hold:
    """The handlers that are held back, and the signals that came meanwhile."""

    def __init__(self) -> None:
        found = {number: signal.getsignal(number) for number in _STOPS}
        self.before: dict[int, Callable[[int, FrameType | None], Any]] = {
            number: handler for number, handler in found.items() if callable(handler)
        }
        self.came: list[int] = []
        self.is_waiting = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Remember the signal, or handle it at once while nothing is under way."""
        if self.is_waiting:
            self.before[number](number, frame)
        else:
            self.came.append(number)

    def handle_those_that_came(self) -> None:
        """Handle what was held back."""
        while self.came:
            number = self.came.pop(0)
            self.before[number](number, None)


@contextmanager
def held_signals() -> Iterator[None]:
    """Handle SIGINT, SIGTERM and SIGHUP only inside `waiting`, and at the end of the block.

    Does nothing outside the main thread, which alone has handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hold = _Hold()
    for number in hold.before:
        signal.signal(number, hold.handle)
    _holds.append(hold)
    try:
        yield
    finally:
        _holds.remove(hold)
        for number, handler in hold.before.items():
            # a handler that ran may have replaced itself
            if signal.getsignal(number) == hold.handle:
                signal.signal(number, handler)
    hold.handle_those_that_came()


@contextmanager
def waiting() -> Iterator[None]:
    """Inside `held_signals`, a moment in which nothing is under way: signals are handled at once."""
    if not _holds:
        yield
        return
    hold = _holds[-1]
    hold.is_waiting = True
    try:
        hold.handle_those_that_came()
        yield
    finally:
        hold.is_waiting = False
