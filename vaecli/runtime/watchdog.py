"""Ends the program `vaecli` some time after a signal that stops it, if the signal has not.

Python handles a signal when the main thread comes back from a library, and then waits for other threads. A product of
matrices for which there is no memory, or a file system that does not answer, never comes back.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

STOPS = {signal.SIGHUP: "hung up", signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
SECONDS = 20.0  # from the signal; an orderly end takes less than one, unless rows under way are being explained
_TO_PRINT = 2  # seconds


def start(show: Callable[[str, int], None]) -> None:
    """Watch from a thread, to the end of the process. Called in the main thread, once.

    `show` is given what happened and the exit code, and prints it; the process leaves with that code after it.
    """
    try:
        reader, writer = os.pipe()
    except OSError:  # no more files, of which the run will report
        return
    os.set_blocking(writer, False)
    try:
        threading.Thread(target=_watch, args=(reader, show), name="vaecli-watchdog", daemon=True).start()
    except RuntimeError:  # no more threads
        os.close(reader)
        os.close(writer)
        return
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)


def _watch(reader: int, show: Callable[[str, int], None]) -> None:
    number = 0
    while number not in STOPS:
        number = os.read(reader, 1)[0]
    time.sleep(SECONDS)
    code = 128 + number
    signal.alarm(_TO_PRINT)  # kills where the message cannot be printed either
    try:
        show(f"{STOPS[signal.Signals(number)]}, and ended {SECONDS:g} s later where it stood", code)
    finally:
        os._exit(code)
