"""A machine that is short of memory, disk or permissions: the exit code and the message name what is short."""

from __future__ import annotations

import builtins
import errno
import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import run as run
from vaecli.runtime import atomic_file
from vaecli.training import schedule
from vaecli.workflows import score as workflow

pytestmark = pytest.mark.usefixtures("place")


def refusing(problem: BaseException) -> Callable[..., NoReturn]:
    """A function that raises `problem`, whatever it is given."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise problem

    return refuse


def refuse_bundles(patch: pytest.MonkeyPatch, number: int) -> None:
    """Opening a file whose name ends with .vae fails with this number of the operating system."""
    whole = builtins.open

    def opening(path: Any, *rest: Any, **named: Any) -> Any:
        if str(path).endswith(".vae"):
            raise OSError(number, os.strerror(number), str(path))
        return whole(path, *rest, **named)

    patch.setattr(builtins, "open", opening)


@pytest.mark.parametrize("table", ["fresh.csv", "fresh.parquet"])
@pytest.mark.parametrize("verb", ["score", "fit"])
def test_memory_that_the_reader_lacks_is_7(run, monkeypatch: pytest.MonkeyPatch, verb: str, table: str):
    """The table is whole: nothing is called damaged."""
    refuse = refusing(pa.ArrowMemoryError("malloc of size 4294967296 failed"))
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", refuse)
    monkeypatch.setattr(pyarrow.csv, "read_csv", refuse)
    done = run(verb, table, "-o", "out.vae", *(["--config", "quick.toml"] if verb == "fit" else []))
    assert done.code == 7
    assert done.err.startswith("error: too little free memory: malloc of size 4294967296 failed\nhint: ")


@pytest.mark.parametrize(
    "problem",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        ImportError("libfoo.so: failed to map segment from shared object"),
    ],
    ids=repr,
)
def test_memory_by_any_name_is_7(run, monkeypatch: pytest.MonkeyPatch, problem: Exception):
    """Libraries raise what they like."""
    monkeypatch.setattr(workflow, "load_any_detector", refusing(problem))
    done = run("score", "fresh.csv", "-o", "out.csv")
    assert done.code == 7
    assert done.err.startswith("error: too little free memory")


@pytest.mark.parametrize(
    "problem",
    [
        RuntimeError("can't start new thread"),
        pa.ArrowException("Unknown error: Failed to launch worker thread: Resource unavailable"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    ],
    ids=repr,
)
def test_threads_by_any_name_are_7(run, monkeypatch: pytest.MonkeyPatch, problem: Exception):
    """The message does not name memory, which there may be, and the hint names the limits."""
    monkeypatch.setattr(workflow, "load_any_detector", refusing(problem))
    done = run("score", "fresh.csv", "-o", "out.csv")
    assert done.code == 7
    assert done.err.startswith("error: no more threads or processes can be started: ")
    assert "`ulimit -u`" in done.err


def test_another_runtime_error_is_a_bug(run, monkeypatch: pytest.MonkeyPatch):
    """What is not known to be a shortage is reported in full."""
    monkeypatch.setattr(workflow, "load_any_detector", refusing(RuntimeError("x")))
    done = run("score", "fresh.csv", "-o", "out.csv")
    assert done.code == 1
    assert "Traceback" in done.err


class Full:
    """A temporary file on a disk without space."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize("table", ["fresh.csv", "fresh.parquet"])
def test_a_full_folder_for_temporary_files_is_7(run, monkeypatch: pytest.MonkeyPatch, table: str):
    """The copy of standard input does not fit: that is no fault of the table. What there is of it is closed."""
    whole, made = tempfile.TemporaryFile, []

    def full(*given: Any, **named: Any) -> Full:
        made.append(Full(whole(*given, **named)))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(table).read_bytes())))
    done = run("fit", "-", "-o", "out.vae")
    assert done.code == 7
    assert "cannot hold a copy of standard input: No space left on device\nhint: free some space" in done.err
    assert "TMPDIR" in done.err
    assert [one.file.closed for one in made] == [True]


def test_a_limit_on_the_size_of_files_is_7(shell):
    """As a quota does, for the copy and for the output."""
    done = shell("ulimit -f 1; cat fresh.parquet | $V score - -o out.csv")
    assert (done.returncode, "cannot hold a copy of standard input: File too large" in done.stderr) == (7, True)
    done = shell("ulimit -f 1; $V score fresh.csv -o out.csv")
    assert (done.returncode, "out.csv: cannot be written: File too large" in done.stderr) == (7, True)
    assert not Path("out.csv").exists()


@pytest.mark.parametrize(("number", "code"), [(errno.EACCES, 5), (errno.EIO, 5), (errno.ENOMEM, 7), (errno.EMFILE, 7)])
def test_a_bundle_that_cannot_be_opened(run, monkeypatch: pytest.MonkeyPatch, number: int, code: int):
    """5 for the bundle, 7 for the machine."""
    refuse_bundles(monkeypatch, number)
    done = run("score", "fresh.csv", "-o", "out.csv")
    assert done.code == code
    assert "Traceback" not in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("words", ["score fresh.csv -m locked.vae", "inspect locked.vae", "sample -n 5 -m locked.vae"])
def test_a_bundle_without_permission_is_5(shell, words: str):
    """Not a mistake on the command line."""
    Path("locked.vae").write_bytes(Path("model.vae").read_bytes())
    Path("locked.vae").chmod(0)
    done = shell(f"$V {words}")
    assert done.returncode == 5
    assert done.stderr.startswith("error: locked.vae: may not be read: permission denied\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("words", ["score fresh.csv -m locked.vae", "inspect locked.vae", "sample -n 5 -m locked.vae"])
def test_permissions_are_left_to_the_opening(run, monkeypatch: pytest.MonkeyPatch, words: str):
    """The command line asks nothing of a file: the one place that opens it explains why it cannot."""
    Path("locked.vae").write_bytes(Path("model.vae").read_bytes())
    monkeypatch.setattr(os, "access", lambda *_, **__: False)
    refuse_bundles(monkeypatch, errno.EACCES)
    done = run(*words.split())
    assert done.code == 5
    assert done.err.startswith("error: locked.vae: may not be read: permission denied\n")


FIT = ("fit", "fresh.csv", "--config", "quick.toml", "-o", "out.vae")


@pytest.fixture
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit saves its progress after every step, as every ten seconds is too seldom for a test."""
    monkeypatch.setattr(schedule, "SECONDS_BETWEEN_CHECKPOINTS", 0)


def test_a_checkpoint_that_cannot_be_written_is_a_warning(run, checkpoints):
    """Training goes on, the bundle is that of an undisturbed fit, and the summary warns once."""
    assert run(*FIT, "--quiet").code == 0
    undisturbed = Path("out.vae").read_bytes()
    Path("out.vae").unlink()
    Path("out.vae.checkpoint").mkdir()
    done = run(*FIT)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("warning: the progress of training could not be saved: out.vae.checkpoint") == 1
    assert Path("out.vae").read_bytes() == undisturbed


@pytest.mark.parametrize(
    "error",
    ["ENOSPC", "EROFS", *(pytest.param(error, marks=pytest.mark.slow) for error in ("EACCES", "EDQUOT", "EIO"))],
)
def test_no_failure_of_a_checkpoint_ends_a_fit(run, checkpoints, monkeypatch: pytest.MonkeyPatch, error: str):
    """Whatever the disk answers while training runs; the bundle is written when it has recovered."""
    number, rename = getattr(errno, error), os.replace
    refused: list[str] = []

    def renaming(temporary: Any, target: Any) -> None:
        if str(target).endswith(".checkpoint"):
            refused.append(target)
            raise OSError(number, os.strerror(number))
        rename(temporary, target)

    monkeypatch.setattr(atomic_file.os, "replace", renaming)
    done = run(*FIT)
    assert (done.code, done.err) == (0, "")
    assert refused
    assert done.out.count("warning: the progress of training could not be saved") == 1
    assert [path.name for path in Path().iterdir() if path.name.startswith((".vaecli", "out.vae"))] == ["out.vae"]
