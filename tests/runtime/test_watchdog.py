"""A signal ends the program also while its main thread, or one that it waits for, never comes back."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

STUCK = """
import ctypes, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from vaecli.cli import app
from vaecli.runtime import watchdog
watchdog.SECONDS = 0.3
lock, libc = ctypes.create_string_buffer(128), ctypes.CDLL(None)
def in_a_library(words):
    threading.Timer(0.1, os.kill, (os.getpid(), {number})).start()
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)
def in_a_thread(words):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 60)
        os.kill(os.getpid(), {number})
        time.sleep(60)
app._run = {where}
app.run()
"""


def ended(where: str, number: int, **streams: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STUCK.format(where=where, number=number)],
        stderr=streams.get("stderr", subprocess.PIPE),
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("where", "number"),
    [
        ("in_a_library", signal.SIGTERM),
        ("in_a_thread", signal.SIGINT),
        pytest.param("in_a_library", signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("in_a_library", signal.SIGHUP, marks=pytest.mark.slow),
        pytest.param("in_a_thread", signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_the_program_is_ended(where: str, number: signal.Signals) -> None:
    """With the exit code of the signal, and one line that claims nothing about what was written."""
    done = ended(where, number)
    said = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted", signal.SIGHUP: "hung up"}[number]
    assert done.returncode == 128 + number
    assert done.stderr == f"error: {said}, and ended 0.3 s later where it stood\n"


def test_a_reader_of_messages_that_does_not_read() -> None:
    """The program is ended also where its message cannot be printed."""
    import fcntl
    import os

    reader, writer = os.pipe()
    try:
        os.write(writer, b" " * fcntl.fcntl(writer, 1032))  # F_GETPIPE_SZ: as much as it holds
        done = ended("in_a_library", signal.SIGTERM, stderr=writer)
    finally:
        os.close(reader)
        os.close(writer)
    assert done.returncode == -signal.SIGALRM
