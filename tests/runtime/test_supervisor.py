"""Under a limit on its memory the program ends with a code and a message of its own, whatever a library does."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

LIMITED = """
import ctypes, os, resource, signal, sys, threading, time
from vaecli.cli import app
from vaecli.runtime import supervisor, watchdog
resource.setrlimit(resource.RLIMIT_AS, (2**32, resource.getrlimit(resource.RLIMIT_AS)[1]))
watchdog.SECONDS, supervisor._LATER = 0.2, 0.2
first = os.getpid()
def hold_the_lock_of_the_interpreter(words):
    libc, lock = ctypes.PyDLL(None), ctypes.create_string_buffer(128)
    subprocess_sends({send})
    libc.pthread_mutex_lock(lock)
    libc.pthread_mutex_lock(lock)
def subprocess_sends(number):
    if os.fork() == 0:
        time.sleep(0.2)
        os.kill(first, number)
        os._exit(0)
def wait(words):
    subprocess_sends({send})
    time.sleep(60)
app._run = {what}
app.run()
"""


def ended(
    what: str, *words: str, send: int = 0, before: Callable[[], object] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LIMITED.format(what=what, send=send), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=before,
    )


@pytest.mark.parametrize(
    ("what", "how"),
    [
        ("lambda words: (time.sleep(0.5), os.abort())", "was ended by signal 6"),
        ("lambda words: os._exit(1)", "was ended by a library"),
        pytest.param("lambda words: os.kill(os.getpid(), 9)", "was ended by signal 9", marks=pytest.mark.slow),
    ],
    ids=["abort", "exit", "kill"],
)
def test_a_library_that_ends_the_process(what: str, how: str, tmp_path: Path) -> None:
    """Exit code 7, also in the metrics; the message names the limit."""
    page = tmp_path / "run.prom"
    done = ended(what, "score", "--metrics", str(page))
    assert done.returncode == 7
    assert done.stderr.startswith(f"error: the process {how}; its memory is limited (`ulimit -v`)")
    assert "\nhint: raise the limit (`ulimit -v`)" in done.stderr
    [duration] = re.findall(r"^vaecli_duration_seconds{.*} (\S+)$", page.read_text(), re.MULTILINE)
    assert "\nvaecli_exit_code{" in page.read_text()
    assert float(duration) >= 0.5 or "abort" not in what


@pytest.mark.parametrize("code", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_an_orderly_end(code: int) -> None:
    """The exit code is that of the run, and nothing is added."""
    done = ended(f"lambda words: {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_an_end_is_noticed_where_the_signal_of_it_is_ignored() -> None:
    """A program may hand SIGCHLD down as ignored: then the system reports the end of no process."""
    done = ended("lambda words: 3", before=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_is_passed_on(number: signal.Signals) -> None:
    """The run ends by it as without a limit."""
    done = ended("wait", send=number)
    assert done.returncode == 128 + number
    assert "Traceback" not in done.stderr


def test_a_library_that_never_comes_back() -> None:
    """Also one that holds the lock of the interpreter, so that no thread of Python can do anything."""
    done = ended("hold_the_lock_of_the_interpreter", send=signal.SIGTERM)
    assert done.returncode == 143
    assert done.stderr == "error: terminated, and ended where it stood\n"
