"""A machine that is short of memory, disk or permissions: the exit code and the message name what is short."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.faults.conftest import PROGRAM

# the reader library, as it fails when an allocation is refused
NO_ARROW_MEMORY = """
import pyarrow as pa, pyarrow.parquet as pq, pyarrow.csv as csv
def refuse(*_, **__):
    raise pa.ArrowMemoryError("malloc of size 4294967296 failed")
pq.ParquetFile.iter_batches = refuse
csv.read_csv = refuse
"""
NO_SPACE = """
import errno, tempfile
class Full:
    def __init__(self, file): self.file = file
    def write(self, data): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    def __getattr__(self, name): return getattr(self.file, name)
whole = tempfile.TemporaryFile
tempfile.TemporaryFile = lambda *a, **k: Full(whole(*a, **k))
"""
SCORE_RAISES = """
import vaecli.workflows.score as workflow
def refuse(*_, **__):
    raise {problem}
workflow.load_any_detector = refuse
"""
OPENING_FAILS = """
import builtins, errno
whole = builtins.open
def opening(path, *rest, **named):
    if str(path).endswith(".vae"):
        raise OSError(errno.{error}, os.strerror(errno.{error}), str(path))
    return whole(path, *rest, **named)
builtins.open = opening
"""


@pytest.mark.parametrize("table", ["fresh.csv", "fresh.parquet"])
@pytest.mark.parametrize("verb", ["score", "fit"])
def test_memory_that_the_reader_lacks_is_7(program, verb: str, table: str):
    """The table is whole: nothing is called damaged."""
    done = program(
        NO_ARROW_MEMORY, verb, table, "-o", "out.vae", *(["--config", "quick.toml"] if verb == "fit" else [])
    )
    assert done.returncode == 7
    assert done.stderr.startswith("error: too little free memory: malloc of size 4294967296 failed\nhint: ")


@pytest.mark.parametrize(
    "problem",
    [
        "MemoryError()",
        "OSError(12, 'Cannot allocate memory')",
        "RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')",
        'RuntimeError("can\'t start new thread")',
        "__import__('pyarrow').ArrowException('Unknown error: Failed to launch worker thread: Resource unavailable')",
        "ImportError('libfoo.so: failed to map segment from shared object')",
    ],
)
def test_memory_by_any_name_is_7(program, problem: str):
    """Libraries raise what they like."""
    change = SCORE_RAISES.format(problem=problem)
    done = program(change, "score", "fresh.csv", "-o", "out.csv")
    assert done.returncode == 7
    assert done.stderr.startswith("error: too little free memory")


def test_another_runtime_error_is_a_bug(program):
    """What is not known to be a shortage is reported in full."""
    change = (
        "import vaecli.workflows.score as s\ndef refuse(*_, **__): raise RuntimeError('x')\ns.open_source = refuse\n"
    )
    done = program(change, "score", "fresh.csv", "-o", "out.csv")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("table", ["fresh.csv", "fresh.parquet"])
def test_a_full_folder_for_temporary_files_is_7(program, place, table: str):
    """The copy of standard input does not fit: that is no fault of the table."""
    code = f"import os\n{NO_SPACE}\nfrom vaecli.cli.app import run\nrun()\n"
    done = subprocess.run(
        [PROGRAM[0], "-c", code, "fit", "-", "-o", "out.vae"],
        input=Path(table).read_bytes(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 7
    assert b"cannot hold a copy of standard input: No space left on device\nhint: free some space" in done.stderr
    assert b"TMPDIR" in done.stderr


def test_a_limit_on_the_size_of_files_is_7(shell):
    """As a quota does, for the copy and for the output."""
    done = shell("ulimit -f 1; cat fresh.parquet | $V score - -o out.csv")
    assert (done.returncode, "cannot hold a copy of standard input: File too large" in done.stderr) == (7, True)
    done = shell("ulimit -f 1; $V score fresh.csv -o out.csv")
    assert (done.returncode, "out.csv: cannot be written: File too large" in done.stderr) == (7, True)
    assert not Path("out.csv").exists()


@pytest.mark.parametrize(("error", "code"), [("EACCES", 5), ("EIO", 5), ("ENOMEM", 7), ("EMFILE", 7)])
def test_a_bundle_that_cannot_be_opened(program, error: str, code: int):
    """5 for the bundle, 7 for the machine."""
    done = program(OPENING_FAILS.format(error=error), "score", "fresh.csv", "-o", "out.csv")
    assert done.returncode == code
    assert "Traceback" not in done.stderr


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
def test_permissions_are_left_to_the_opening(program, words: str):
    """The command line asks nothing of a file: the one place that opens it explains why it cannot."""
    Path("locked.vae").write_bytes(Path("model.vae").read_bytes())
    refuse = "os.access = lambda *_, **__: False\n" + OPENING_FAILS.format(error="EACCES")
    done = program(refuse, *words.split())
    assert done.returncode == 5
    assert done.stderr.startswith("error: locked.vae: may not be read: permission denied\n")


# every ten seconds is too seldom for a test
ALWAYS = "import vaecli.training.schedule as schedule\nschedule.SECONDS_BETWEEN_CHECKPOINTS = 0\n"
FIT = ("fit", "fresh.csv", "--config", "quick.toml", "-o", "out.vae")


@pytest.mark.slow
def test_a_checkpoint_that_cannot_be_written_is_a_warning(program):
    """Training goes on, the bundle is that of an undisturbed fit, and the summary warns once."""
    assert program("", *FIT, "--quiet").returncode == 0
    undisturbed = Path("out.vae").read_bytes()
    Path("out.vae").unlink()
    Path("out.vae.checkpoint").mkdir()
    done = program(ALWAYS, *FIT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("warning: the progress of training could not be saved: out.vae.checkpoint") == 1
    assert Path("out.vae").read_bytes() == undisturbed


@pytest.mark.parametrize(
    "error",
    ["ENOSPC", *(pytest.param(error, marks=pytest.mark.slow) for error in ("EACCES", "EDQUOT", "EIO", "EROFS"))],
)
def test_no_failure_of_a_checkpoint_ends_a_fit(program, error: str):
    """Whatever the disk answers while training runs; the bundle is written when it has recovered."""
    change = (
        ALWAYS + "import errno\nfrom vaecli.runtime import atomic_file\nrename = os.replace\n"
        "def renaming(temporary, target):\n"
        "    if target.endswith('.checkpoint'):\n"
        f"        raise OSError(errno.{error}, os.strerror(errno.{error}))\n"
        "    rename(temporary, target)\n"
        "os.replace = renaming\n"
    )
    done = program(change, *FIT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("warning: the progress of training could not be saved") == 1
    assert [path.name for path in Path().iterdir() if path.name.startswith((".vaecli", "out.vae"))] == ["out.vae"]
