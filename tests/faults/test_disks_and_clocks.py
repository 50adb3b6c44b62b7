"""The short form of faults that docs/reliability.md meets with real disks, wrong clocks and many processes."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import run as run
from tests.cli.messages import assert_is_a_message, contents
from tests.faults.conftest import PROGRAM
from vaecli.runtime.atomic_file import AtomicFile

pytestmark = pytest.mark.usefixtures("place")

WRITES = {
    "csv": ("score fresh.csv -o out.csv", "out.csv"),
    "parquet": ("score fresh.parquet -o out.parquet", "out.parquet"),
    "part": ("score fresh.parquet -o scored/", "scored/fresh.parquet"),
    "reasons": ("explain fresh.csv -o out.csv", "out.csv"),
    "new rows": ("sample -n 5 -o out.csv", "out.csv"),
    "incidents": ("explain fresh.csv --incidents out.json", "out.json"),
    "page": ("report fresh.csv -o out.html", "out.html"),
    "bundle": ("calibrate model.vae fresh.csv -o out.vae", "out.vae"),
    "state": ("score fresh.csv -o out.csv --since-last-run rows.state", "rows.state"),
    "manifest": ("score fresh.csv -o out.csv --manifest", "out.csv.manifest.json"),
}
REFUSALS = {"full": errno.ENOSPC, "read-only": errno.EROFS, "rights lost": errno.EACCES, "quota": errno.EDQUOT}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("what", WRITES)
def test_a_disk_that_refuses_a_file(run, monkeypatch: pytest.MonkeyPatch, what: str, refusal: str):
    """Exit code 7, two lines, the earlier file as it was and nothing half-written, whichever file is refused."""
    words, target = WRITES[what]
    if what in ("state", "manifest"):
        assert run(*words.split(), "-q").code == 0
        with open("fresh.csv", "a") as file:
            file.write("5,100,60,yes,eco\n")
    else:
        Path(target).parent.mkdir(exist_ok=True)
        Path(target).write_bytes(b"an earlier output\n")
    earlier, names = Path(target).read_bytes(), set(contents(Path()))
    commit = AtomicFile.commit

    def refused(file: AtomicFile) -> None:
        if file.path.endswith(target):
            raise OSError(REFUSALS[refusal], os.strerror(REFUSALS[refusal]), file.path)
        commit(file)

    monkeypatch.setattr(AtomicFile, "commit", refused)
    done = run(*words.split(), "-q")
    assert done.code == 7, done.err
    assert_is_a_message(done.err)
    assert Path(target).read_bytes() == earlier
    assert {name for name in contents(Path()) if "_vaecli" not in name} == names


def test_a_link_to_another_folder_stays_a_link(run):
    """The target of a link is replaced, where it lies."""
    os.mkdir("elsewhere")
    os.symlink("elsewhere/out.csv", "out.csv")
    assert run("score", "fresh.csv", "-o", "out.csv", "-q").code == 0
    assert Path("out.csv").is_symlink()
    assert Path("elsewhere/out.csv").read_bytes().count(b"\n") == 501


def set_back(monkeypatch: pytest.MonkeyPatch, seconds: float, after: int) -> None:
    """A clock that goes back after so many looks at it."""
    looks, now_ns = [0], time.time_ns

    def wrong_ns() -> int:
        looks[0] += 1
        return now_ns() - int(seconds * 1e9) * (looks[0] > after)

    monkeypatch.setattr(time, "time_ns", wrong_ns)
    monkeypatch.setattr(time, "time", lambda: wrong_ns() / 1e9)


@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_no_run_ends_before_it_begins(run, monkeypatch: pytest.MonkeyPatch, after: int):
    """The clock is set back by a day before or during a run: metrics and manifest stay in order."""
    set_back(monkeypatch, 86_400, after)
    assert run("score", "fresh.csv", "-o", "out.csv", "-q", "--metrics", "pump.prom", "--manifest").code == 0
    values = {
        name: float(value) for name, value in re.findall(r"^(\w+)\{.*\} (\S+)$", Path("pump.prom").read_text(), re.M)
    }
    assert 0 <= values["vaecli_duration_seconds"] < 600
    assert values["vaecli_start_timestamp_seconds"] <= values["vaecli_end_timestamp_seconds"]
    manifest = json.loads(Path("out.csv.manifest.json").read_text())
    assert manifest["started_utc"] <= manifest["ended_utc"]


def test_every_row_once_by_any_clock(run, monkeypatch: pytest.MonkeyPatch):
    """The clock, and with it the times of files, goes back and forth between runs with --since-last-run."""
    table = pd.read_csv("fresh.csv").assign(number=range(500))
    found: list[int] = []
    for i, shift in enumerate((0, -86_400, 30, -30, 86_400)):
        table[: 20 * (i + 1)].to_csv("log.csv", index=False)
        os.utime("log.csv", (time.time() + shift,) * 2)
        with monkeypatch.context() as patch:
            set_back(patch, -shift, 0)
            assert run("score", "log.csv", "-o", "out.csv", "-q", "--since-last-run", "rows.state").code == 0
        found += pd.read_csv("out.csv")["number"].tolist()
    assert found == list(range(100))


def test_a_run_with_nothing_around_it(place: Path):
    """No HOME, no PATH, no variable, no standard stream: the output is that of an ordinary run."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
    words = ["score", "fresh.csv", "-o"]
    subprocess.run([*PROGRAM, *words, "usual.csv", "-q"], check=True)
    line = " ".join([*PROGRAM, *words, "bare.csv", "-q", "<&-", ">&-", "2>&-"])
    assert subprocess.run(["/bin/sh", "-c", line], env=kept, check=False).returncode == 0
    assert Path("bare.csv").read_bytes() == Path("usual.csv").read_bytes()


@pytest.mark.parametrize("locked", [True, False])
def test_runs_at_once(place: Path, locked: bool):
    """Four runs with one target: one at a time on a lock, all of them without; the output is whole."""
    more = ["--lock", "run.lock"] if locked else []
    command = [*PROGRAM, "score", "fresh.csv", "-o", "out.csv", "-q", "--workers", "1", *more]
    runs = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [one.communicate()[1] for one in runs]
    codes = [one.returncode for one in runs]
    assert 0 in codes
    assert set(codes) <= ({0, 7} if locked else {0})
    for code, answer in zip(codes, answers, strict=True):
        assert not answer if code == 0 else "run.lock" in answer
    assert Path("out.csv").read_bytes().count(b"\n") == 501
    assert not list(Path().glob(".vaecli-*"))


def test_a_page_of_a_killed_run(place: Path):
    """`kill -9` while rows are scored: the page is whole and says that the run is under way; the next one ends."""
    command = [*PROGRAM, "score", "-", "-o", "out.csv", "-q", "--metrics", "pump.prom"]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 60
    while not Path("pump.prom").exists() and time.monotonic() < until:
        time.sleep(0.01)
    run.kill()
    run.communicate()
    page = Path("pump.prom").read_text()
    assert page.endswith("\n")
    assert re.search(r"^vaecli_running\{.*\} 1$", page, re.M)
    with open("fresh.csv", "rb") as rows:
        subprocess.run(command, stdin=rows, check=True)
    assert re.search(r"^vaecli_running\{.*\} 0$", Path("pump.prom").read_text(), re.M)
    assert not list(Path().glob(".vaecli-*"))
