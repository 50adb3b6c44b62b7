"""`score -o FOLDER/`: a part for each file, whole or not at all, by any number of runs, threads and processes."""

from __future__ import annotations

import fcntl
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.cli.messages import assert_is_a_message, contents
from vaecli.cli.app import TERMINATED, _Stopped
from vaecli.runtime.atomic_file import AtomicFile

N_PARTS = 5
N_ROWS = 40
GOLDEN = Path(__file__).resolve().parent.parent / "golden"


@pytest.fixture
def place(fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a bundle, a folder of Parquet by day and a folder of CSV."""
    shutil.copy(bundle, tmp_path / "model.vae")
    for i in range(N_PARTS):
        rows = fresh_table[i * N_ROWS : (i + 1) * N_ROWS]
        folder = tmp_path / f"data/day=2026-11-0{1 + i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(folder / f"p{i}.parquet", index=False)
        (tmp_path / "texts").mkdir(exist_ok=True)
        rows.to_csv(tmp_path / f"texts/{i}.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parts_of(folder: str) -> dict[str, bytes | None]:
    """The parts of a folder, and the manifest without what differs between two runs."""
    found = contents(Path(folder))
    manifest = json.loads(found.pop("_manifest.json") or b"")
    manifest.pop("seconds")
    return found | {"_manifest.json": json.dumps(manifest).encode()}


def names_of(folder: str) -> set[str]:
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


# -- what a part is ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "files"),
    [
        ("data", [f"data/day=2026-11-0{1 + i % 2}/p{i}.parquet" for i in range(N_PARTS)]),
        ("texts/*.csv", [f"texts/{i}.csv" for i in range(N_PARTS)]),
        ("texts/3.csv", ["texts/3.csv"]),
    ],
    ids=["folder", "pattern", "file"],
)
@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_part_has_the_bytes_of_its_file_scored_alone(run, place: Path, inputs: str, files: list[str], workers: str):
    """Names, folders and formats stay; the columns that folders hold stay in the folders; the manifest counts all."""
    done = run("score", inputs, "-o", "out/", "--explain", "2", "--workers", workers, "--json")
    assert done.code == 0, done.err
    root = inputs.partition("/")[0]
    manifest = json.loads(Path("out/_manifest.json").read_text())
    n_flagged = 0
    for file, entry in zip(sorted(files), manifest["inputs"], strict=True):
        part = Path("out") / Path(file).relative_to(root)
        assert run("score", file, "-o", "alone" + part.suffix, "--explain", "2", "--quiet").code == 0
        assert part.read_bytes() == Path("alone" + part.suffix).read_bytes()
        assert (entry["path"], "out/" + entry["output"], entry["rows"]) == (file, str(part), N_ROWS)
        n_flagged += entry["anomalies"]
    assert len(names_of("out")) == len(files) + 1  # and the manifest
    answer = json.loads(done.out)
    assert answer["anomalies"] == manifest["anomalies"] == n_flagged
    assert (answer["parts"], answer["reused"], answer["rows"]) == (len(files), 0, len(files) * N_ROWS)


def test_the_page_and_the_gate_are_those_of_all_parts(run, place: Path):
    """The summary counts parts and rows and names the parts with most flags; --fail-on judges all rows."""
    done = run("score", "data", "-o", "out/", "--min-score", "0", "--fail-on", "150")
    assert done.code == 3
    assert f"{N_PARTS * N_ROWS} of {N_PARTS * N_ROWS} rows are flagged" in done.err
    assert "parts      5" in done.out
    assert "day=2026-11-01/p0.parquet" in done.out


# -- going on ------------------------------------------------------------------------------------------


def reused_by(run, *words: str) -> int:
    done = run("score", "data", "-o", "out/", "--resume", "--json", *words)
    assert done.code == 0, done.err
    return json.loads(done.out)["reused"]


def test_resume_uses_what_is_the_same(run, place: Path, fresh_table: pd.DataFrame):
    """A part is scored again if its input, the bundle, a setting or the part itself changed, and only then."""
    assert run("score", "data", "-o", "out/", "--quiet").code == 0
    whole = parts_of("out")
    assert reused_by(run) == N_PARTS
    assert parts_of("out") == whole
    fresh_table[:7].to_parquet("data/day=2026-11-01/p0.parquet", index=False)
    assert reused_by(run) == N_PARTS - 1
    assert pq.read_metadata("out/day=2026-11-01/p0.parquet").num_rows == 7
    fresh_table[:3].to_parquet("data/day=2026-11-01/new.parquet", index=False)
    assert reused_by(run) == N_PARTS
    Path("out/day=2026-11-02/p1.parquet").write_bytes(b"damaged")
    assert reused_by(run) == N_PARTS
    assert reused_by(run, "--threshold", "0.9") == 0
    assert reused_by(run, "--threshold", "0.9", "--workers", "1", "--batch-rows", "9") == N_PARTS + 1
    assert run("calibrate", "model.vae", "texts/*.csv", "-o", "model2.vae", "--quiet").code == 0
    assert reused_by(run, "--threshold", "0.9", "-m", "model2.vae") == 0


def test_without_resume_everything_is_scored_again(run, place: Path):
    """A second run replaces the first."""
    for _ in range(2):
        done = run("score", "data", "-o", "out/", "--json")
        assert json.loads(done.out)["reused"] == 0


@contextmanager
def stopped_at(monkeypatch: pytest.MonkeyPatch, n: int, problem: BaseException, *, renamed: bool) -> Iterator[None]:
    """Raise `problem` at the n-th rename of a file to its place, before or after it."""
    commit, calls, lock = AtomicFile.commit, [0], threading.Lock()

    def counted(file: AtomicFile) -> None:
        with lock:
            calls[0] += 1
            is_it = calls[0] == n
        if is_it and not renamed:
            raise problem
        commit(file)
        if is_it:
            raise problem

    with monkeypatch.context() as patch:
        patch.setattr(AtomicFile, "commit", counted)
        yield


@pytest.mark.parametrize("renamed", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("n", [1, pytest.param(3, marks=pytest.mark.slow), N_PARTS, N_PARTS + 1])
def test_a_stopped_run_that_goes_on_equals_a_whole_one(
    run, place: Path, monkeypatch: pytest.MonkeyPatch, n: int, renamed: bool
):
    """Wherever it is stopped: no manifest, the finished parts stay, the message says how to go on, and it does."""
    assert run("score", "data", "-o", "whole/", "--quiet").code == 0
    with stopped_at(monkeypatch, n, _Stopped("terminated", TERMINATED), renamed=renamed):
        done = run("score", "data", "-o", "out/", "--workers", "1")
    assert done.code == TERMINATED
    if n <= N_PARTS:  # else the manifest came first
        assert not Path("out/_manifest.json").exists()
        assert "parts that are finished stay in out/" in done.err
        left = len([name for name in names_of("out") if name.startswith("day=")])
        assert n - 1 <= left  # the next part may be computed while one waits for the disk
        assert left - 1 <= reused_by(run) <= left
    assert reused_by(run) == N_PARTS
    assert parts_of("out") == parts_of("whole")


def test_a_broken_cell_is_named_and_the_other_parts_stay(run, place: Path):
    """Exit 4 names file, row, column and value; repaired, the run goes on."""
    file = Path("texts/3.csv")
    good = file.read_text()
    lines = good.splitlines()
    file.write_text("\n".join([*lines[:5], "broken" + lines[5][lines[5].index(",") :], *lines[6:]]))
    done = run("score", "texts/*.csv", "-o", "out/", "--workers", "1")
    assert done.code == 4
    assert_is_a_message(done.err)
    assert 'texts/3.csv, line 6, column pressure: "broken" is not a number' in done.err
    assert "--resume goes on from there" in done.err
    assert {"0.csv", "1.csv", "2.csv"} <= names_of("out")
    assert not {"3.csv", "_manifest.json"} & names_of("out")
    file.write_text(good)
    done = run("score", "texts/*.csv", "-o", "out/", "--resume", "--json")
    assert json.loads(done.out)["reused"] >= 3


# -- several at once -----------------------------------------------------------------------------------


def score_folder(inputs: str = "data", threshold: float = 0.99):
    """A run as another process has it: flock tells open files apart, not processes."""
    from vaecli.config import ScoreConfig
    from vaecli.workflows.score import score

    return score([inputs], Path("model.vae"), "out/", ScoreConfig(threshold=threshold, workers=1), resume=True)


def test_several_runs_share_one_folder(run, place: Path):
    """Each part is written once, every run counts all of them, and the folder is that of one run."""
    assert run("score", "data", "-o", "whole/", "--quiet").code == 0
    with ThreadPoolExecutor(3) as pool:
        found = [future.result() for future in [pool.submit(score_folder) for _ in range(3)]]
    assert {(summary.rows, summary.parts) for summary in found} == {(N_PARTS * N_ROWS, N_PARTS)}
    assert sum(summary.parts - summary.reused for summary in found) == N_PARTS
    assert parts_of("out") == parts_of("whole")


@contextmanager
def held(path: str, content: str = "") -> Iterator[Callable[[], None]]:
    """A lock that another process has; yields what gives it up, as the end of that process does."""
    Path(path).parent.mkdir(parents=True)
    with open(path, "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(content)
        file.flush()
        yield file.close


def test_the_part_of_a_process_that_died_is_taken_over(run, place: Path):
    """A run waits for parts that others write; if they die it writes them."""
    with held("out/_vaecli/parts/day=2026-11-01/p2.parquet.json", content='{"half a rec') as die:
        timer = threading.Timer(0.3, die)
        timer.start()
        summary = score_folder()
    timer.join()
    assert summary.parts - summary.reused == N_PARTS
    assert "day=2026-11-01/p2.parquet" in names_of("out")


def test_a_run_with_other_settings_is_kept_out(run, place: Path):
    """Exit 7 while a run with another level fills the folder, and nothing of it is touched."""
    with held("out/_vaecli/run.json", content='{"run": "another"}'):
        before = contents(Path("out"))
        done = run("score", "data", "-o", "out/")
        assert done.code == 7
        assert "another run, with another bundle or other settings, is filling this folder" in done.err
        assert contents(Path("out")).keys() - before.keys() <= {"_vaecli/start.lock"}
    assert run("score", "data", "-o", "out/", "--quiet").code == 0


# -- refusals ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("data -o data/", 2, "is the input itself"),
        ("data -o data/scored/", 2, "lies in the folder of the input"),
        ("data -o out/ --plot p.png --events e.csv", 2, "--plot, --events: not where a folder of parts is written"),
        ("data -o out.parquet --resume", 2, "--resume goes on with a folder of parts"),
        ("data -o texts/", 2, "holds files that are not parts of this output"),
        ("data -o no/such/", 2, "no such directory"),
        ("data -o model.vae/", 2, "model.vae: is a file, not a folder"),
        ("data data/day=2026-11-01 -o out/", 2, "files are named twice"),
        ("data -o s3://bucket/scored/", 2, "parts are written to a folder of this machine"),
        ("/dev/stdin -o out/", 2, "a stream has no parts"),
        ("data -o out/ -m series.vae", 2, "a model of series scores one table"),
        ("none -o out/", 4, "none: no such file"),
        ("data -o out/ -m none.vae", 5, "there is no such bundle"),
    ],
)
def test_what_cannot_be_parts_is_refused(run, place: Path, words: str, code: int, says: str, monkeypatch):
    """Before anything is written, with the exit code of its kind."""
    shutil.copy(next((GOLDEN / "sensors_v5").glob("*.vae")), "series.vae")
    before = contents(place)
    with open("texts/0.csv") as stream:
        if "/dev/stdin" in words:
            monkeypatch.setattr("sys.stdin", stream)
            words = words.replace("/dev/stdin", "-")
        done = run("score", *words.split())
    assert done.code == code, done.err
    assert says in done.err
    assert_is_a_message(done.err)
    assert contents(place) == before
