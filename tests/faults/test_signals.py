"""Signals at the worst moments: what the message claims is true, and no temporary file outlives the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import PROGRAM

ENDS = {signal.SIGTERM: (143, "terminated"), signal.SIGHUP: (129, "hung up"), signal.SIGINT: (130, "interrupted")}
# a signal directly before or after the rename that completes an output
SIGNAL_AT_RENAME = """
rename = os.replace
def renaming(temporary, target):
    if {before}:
        os.kill(os.getpid(), {number})
    rename(temporary, target)
    os.kill(os.getpid(), {number})
os.replace = renaming
"""
SIGNAL_IN_SUMMARY = """
from vaecli import render
render.show = lambda *_, **__: os.kill(os.getpid(), {number})
"""
OUTPUTS = {
    "score": ("score", "fresh.csv", "-o", "out.csv"),
    "score to Parquet": ("score", "fresh.parquet", "-o", "out.parquet"),
    "explain": ("explain", "fresh.csv", "-o", "out.csv"),
    "encode": ("encode", "fresh.csv", "-o", "out.csv"),
    "reconstruct": ("reconstruct", "fresh.csv", "-o", "out.csv"),
    "sample": ("sample", "-n", "20", "-o", "out.csv"),
    "selftest": ("selftest", "fresh.csv", "-o", "out.csv"),
    "report": ("report", "fresh.csv", "-o", "out.html"),
    "fit": ("fit", "fresh.csv", "--config", "quick.toml", "-o", "out.vae"),
}

# one signal for every verb, and every signal for one; the others are as slow as they are alike
AT_RENAME = [
    pytest.param(verb, number, id=f"{verb}-{number.name}", marks=[] if is_quick else pytest.mark.slow)
    for verb in OUTPUTS
    for number in ENDS
    for is_quick in [number == signal.SIGTERM or verb == "score"]
]


def left_over(folder: str | Path = ".") -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir() if path.name.startswith((".vaecli", "vaecli")))


@pytest.mark.parametrize(("verb", "number"), AT_RENAME)
def test_a_signal_after_the_rename(program, verb: str, number: signal.Signals):
    """The output is complete, and the message names it."""
    words = OUTPUTS[verb]
    done = program(SIGNAL_AT_RENAME.format(before=False, number=int(number)), *words)
    code, said = ENDS[number]
    assert done.returncode == code
    assert done.stderr == f"error: {said}; complete: {words[-1]}\n"
    assert Path(words[-1]).stat().st_size > 100
    assert left_over() == []


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
def test_a_signal_before_the_rename(program, number: signal.Signals):
    """Nothing was written, an earlier output is what it was."""
    Path("out.csv").write_text("earlier\n")
    done = program(SIGNAL_AT_RENAME.format(before=True, number=int(number)), *OUTPUTS["score"])
    code, said = ENDS[number]
    assert (done.returncode, done.stderr) == (code, f"error: {said}; nothing was written\n")
    assert Path("out.csv").read_text() == "earlier\n"
    assert left_over() == []


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
def test_a_signal_while_the_summary_is_shown(program, number: signal.Signals):
    """Long after the rename the output is still complete."""
    done = program(SIGNAL_IN_SUMMARY.format(number=int(number)), *OUTPUTS["score"])
    code, said = ENDS[number]
    assert (done.returncode, done.stderr) == (code, f"error: {said}; complete: out.csv\n")


def test_a_second_signal_does_not_stop_the_cleaning(program):
    """A terminal that closes sends SIGHUP, and its shell another."""
    twice = "unlink = os.unlink\ndef removing(path):\n    os.kill(os.getpid(), signal.SIGHUP)\n    unlink(path)\n"
    change = twice + "os.unlink = removing\n" + SIGNAL_AT_RENAME.format(before=True, number=int(signal.SIGTERM))
    done = program(change, *OUTPUTS["score"])
    assert (done.returncode, done.stderr) == (143, "error: terminated; nothing was written\n")
    assert left_over() == []


@pytest.fixture
def waiting(place: Path, fresh_table) -> Callable[..., subprocess.Popen[bytes]]:
    """Start a score of standard input that has written rows and waits for more."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*before: str, output: str = "out.csv") -> subprocess.Popen[bytes]:
        already = set(left_over())
        process = subprocess.Popen(
            [*before, *PROGRAM, "score", "-", "-o", output],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        assert process.stdin is not None
        header, *rows = Path("fresh.csv").read_bytes().splitlines(keepends=True)
        process.stdin.write(header + b"".join(rows) * 200)
        process.stdin.flush()
        until = time.monotonic() + 30
        while not set(left_over()) - already and time.monotonic() < until:
            time.sleep(0.01)
        assert len(set(left_over()) - already) == 1
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)], ids=lambda number: number.name
)
def test_a_signal_while_rows_are_written(waiting, number: signal.Signals):
    """The temporary file goes with the run."""
    process = waiting()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    code, said = ENDS[number]
    assert (process.returncode, err.decode()) == (code, f"error: {said}; nothing was written\n")
    assert left_over() == []


def test_nohup_is_respected(waiting):
    """A run that was started to survive its terminal survives it."""
    process = waiting("nohup")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert Path("out.csv").exists()


def test_the_next_run_removes_what_killed_runs_left(waiting, shell):
    """Five kills leave one file at most, as each run removes that of the one before; a last run leaves none."""
    for _ in range(5):
        waiting().kill()
        time.sleep(0.1)
        assert len(left_over()) <= 2
    assert shell("$V score fresh.csv -o out.csv -q").returncode == 0
    assert left_over() == []


def test_what_a_live_run_writes_is_safe(waiting, shell):
    """Two runs write to one target at the same time: each output is whole, the later replaces the earlier."""
    slow = waiting()
    (mine,) = left_over()
    assert f"-{slow.pid}-" in mine
    assert shell("$V score fresh.csv -o out.csv -q").returncode == 0
    assert left_over() == [mine]
    slow.communicate(timeout=60)
    assert slow.returncode == 0
    n_rows = Path("fresh.csv").read_text().count("\n") - 1
    assert Path("out.csv").read_text().count("\n") == 200 * n_rows + 1
    assert left_over() == []


def test_files_for_other_targets_and_of_other_hosts_are_kept(waiting, shell):
    """Whether their process lives is not known here."""
    waiting(output="other.csv").kill()
    (other,) = left_over()
    _, _, target, host, rest = other.split("-", 4) if other.startswith("-") else ["", "", *other.split("-", 3)[1:]]
    Path(f".vaecli-{target}-00000000-{rest}").touch()
    assert shell("$V score fresh.csv -o out.csv -q").returncode == 0
    assert len(left_over()) == 2
    assert shell("$V score fresh.csv -o other.csv -q").returncode == 0
    assert left_over() == [f".vaecli-{target}-00000000-{rest}"]
    assert host != "00000000"


@pytest.mark.parametrize(
    "number",
    [signal.SIGKILL, *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGTERM, signal.SIGHUP))],
    ids=lambda number: number.name,
)
def test_the_copy_of_standard_input_has_no_name(place, number: signal.Signals):
    """A Parquet table that comes through a pipe is copied; while the run waits, and after any end, no file is left."""
    temporary = Path("temporary")
    temporary.mkdir()
    with subprocess.Popen(
        [*PROGRAM, "fit", "-", "-o", "out.vae"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(temporary.resolve())},
    ) as process:
        assert process.stdin is not None
        process.stdin.write(Path("fresh.parquet").read_bytes()[:5000] * 2000)  # more than is read ahead
        process.stdin.flush()
        spool_is_open = f"/proc/{process.pid}/fd"
        until = time.monotonic() + 30
        while os.path.isdir(spool_is_open) and time.monotonic() < until:
            if any(os.readlink(link).startswith(str(temporary.resolve())) for link in _links(spool_is_open)):
                break
            time.sleep(0.01)
        assert left_over(temporary) == []
        process.send_signal(number)
        process.communicate(timeout=30)
    assert list(temporary.iterdir()) == []


def _links(folder: str) -> list[str]:
    return [path for name in os.listdir(folder) if os.path.islink(path := f"{folder}/{name}")]
