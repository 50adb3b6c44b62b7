"""What becomes of a fit whose training runs in another process, when something happens to either of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import PROGRAM, QUICK

LONG = QUICK.replace("max_steps = 12", "max_steps = 10000000\nmax_epochs = 1000000\npatience = 1000000")
FIT = ("fit", "fresh.csv", "--config", "quick.toml", "-o", "out.vae")
BESIDE = "import vaecli.training.trainer_process as beside; beside.n_cores = lambda: 2"
# a line once the other process announces steps
ANNOUNCING = """
def listening(self, receive=beside.Beside._received, known=[]):
    received = receive(self)
    if isinstance(received, beside.Event) and not known:
        known.append(print("it trains", file=sys.stderr, flush=True))
    return received
beside.Beside._received = listening
"""

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="processes are found in /proc")


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended; one that nobody has asked for its exit code has."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def state(pid: int) -> str:
    """R, S, T (stopped) or Z, as in `ps`."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def training(place: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], int]]]:
    """Start a fit that never ends by itself, in a group of its own; it and the process that trains, once it does."""
    started: list[subprocess.Popen[str]] = []
    Path("quick.toml").write_text(LONG)

    def start() -> tuple[subprocess.Popen[str], int]:
        code = f"import sys\n{BESIDE}\n{ANNOUNCING}\nfrom vaecli.cli.app import run\nrun()\n"
        command = [sys.executable, "-c", code, *FIT]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        assert process.stderr is not None
        assert process.stderr.readline() == "it trains\n"
        time.sleep(0.2)  # a signal while it prints would have it print the line again
        (trainer,) = children(process.pid)
        return process, trainer

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)],
    ids=["interrupt", "termination"],
)
def test_a_signal_to_both(training, number: signal.Signals, code: int) -> None:
    """As from a terminal: one message, and neither process is left."""
    process, trainer = training()
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == f"error: {'interrupted' if code == 130 else 'terminated'}; nothing was written\n"
    assert not is_running(trainer)


def test_the_process_that_trains_is_killed(training) -> None:
    """As by a system that is short of memory: what happened, and what to try."""
    process, trainer = training()
    os.kill(trainer, signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 7
    said = err.splitlines()
    assert said[0] == "error: the process that trains was killed (signal 9)"
    assert said[1].startswith("hint: if memory is short, try --preset fast")
    assert len(said) == 2
    assert not Path("out.vae").exists()


def test_the_program_is_killed(training) -> None:
    """The process that trains notices, and ends."""
    process, trainer = training()
    process.kill()
    process.wait()
    wait_until(lambda: not is_running(trainer))


def test_a_stop_and_a_continuation_of_both(training) -> None:
    """Ctrl-Z and fg: both stand still, both go on, and a signal that comes meanwhile ends both."""
    process, trainer = training()
    os.killpg(process.pid, signal.SIGSTOP)  # SIGTSTP does nothing to a group without a terminal
    for pid in (process.pid, trainer):
        wait_until(lambda pid=pid: state(pid) == "T")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGCONT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (143, "error: terminated; nothing was written\n")
    assert not is_running(trainer)


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)], ids=["killed", "terminated"]
)
def test_the_program_ends_while_the_other_process_hangs(place: Path, number: signal.Signals) -> None:
    """In a library that it loads, where it would notice nothing: it is not left."""
    Path("torch.py").write_text("import time\nopen('hangs', 'w').close()\ntime.sleep(600)\n")
    code = f"import os, sys\n{BESIDE}\nsys.path.insert(0, os.getcwd())\nfrom vaecli.cli.app import run\nrun()\n"
    process = subprocess.Popen([sys.executable, "-c", code, *FIT], stderr=subprocess.DEVNULL)
    wait_until(Path("hangs").exists)
    (trainer,) = children(process.pid)
    process.send_signal(number)
    assert process.wait(timeout=60) == (-9 if number == signal.SIGKILL else 143)
    wait_until(lambda: not is_running(trainer))
    assert not Path("out.vae").exists()


@pytest.mark.slow
def test_unusual_surroundings(shell) -> None:
    """A job of a scheduler: no terminal, no HOME, no folder for temporary files, variables of the interpreter."""
    variables = "PYTHONSTARTUP=/no PYTHONPATH=/no:/tmp PYTHONOPTIMIZE=2 PYTHONSAFEPATH=1 TMPDIR=/no HOME=/proc LC_ALL=C"
    done = shell(f"nohup setsid -w env {variables} $V {' '.join(FIT)} --quiet <&- >&-")
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("out.vae").exists()


def test_the_same_bundle(program, place: Path) -> None:
    """Whether another process trains or this one, byte by byte."""
    for cores in (1, 2):
        assert program(BESIDE.replace("2", str(cores)), *FIT[:-1], f"{cores}.vae").returncode == 0
    assert Path("1.vae").read_bytes() == Path("2.vae").read_bytes()


@pytest.mark.slow
def test_torch_that_cannot_be_loaded(program, place: Path) -> None:
    """It is the message of a fit that trains by itself."""
    Path("torch.py").write_text("raise ImportError('no such library')\n")
    done = {
        cores: program(BESIDE.replace("2", str(cores)) + "\nsys.path.insert(0, os.getcwd())", *FIT) for cores in (1, 2)
    }
    assert [one.returncode for one in done.values()] == [1, 1]
    assert "no such library" in done[1].stderr
    assert "no such library" in done[2].stderr


@pytest.mark.slow
def test_the_installed_command(place: Path) -> None:
    """With nothing changed: a bundle, nothing on standard error, and no process that is left."""
    before = set(children(os.getpid()))
    done = subprocess.run([*PROGRAM, *FIT, "--quiet"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert set(children(os.getpid())) <= before
