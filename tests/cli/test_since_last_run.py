"""--since-last-run: a job over files that grow scores each row once, and notes it only when its output is complete."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.messages import assert_is_a_message, contents


@pytest.fixture
def place(bundle: Path, fresh_table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: logs/a.csv with 40 rows, all 100 in all.csv, and model.vae."""
    monkeypatch.chdir(tmp_path)
    Path("logs").mkdir()
    fresh_table[:100].to_csv("all.csv", index=False)
    lines = Path("all.csv").read_text().splitlines(keepends=True)
    Path("logs/a.csv").write_text("".join(lines[:41]))
    Path("model.vae").write_bytes(bundle.read_bytes())
    return tmp_path


def rest(start: int, stop: int | None = None) -> str:
    """Rows of all.csv as text."""
    return "".join(Path("all.csv").read_text().splitlines(keepends=True)[1:][start:stop])


def words(output: str, *more: str) -> tuple[str, ...]:
    return ("score", "logs/*.csv", "--since-last-run", "state", "-o", output, *more)


def test_the_outputs_of_all_runs_are_that_of_one(run, place: Path):
    """A file that grows twice and a second one: together the rows of the whole table, and counts of files."""
    counts = []
    for i, (name, more) in enumerate((("a.csv", ""), ("a.csv", rest(40, 70)), ("a.csv", ""), ("b.csv", rest(70)))):
        with open(f"logs/{name}", "a") as file:
            file.write(more if name == "a.csv" else Path("all.csv").read_text().splitlines(keepends=True)[0] + more)
        done = run(*words(f"{i}.csv", "--json"))
        assert (done.code, done.err) == (0, "")
        answer = json.loads(done.out)
        assert answer["since_last_run"].pop("state") == "state"
        counts.append((answer["rows"], *answer["since_last_run"].values()))
    assert counts == [(40, 1, 0, 0), (30, 0, 1, 0), (0, 0, 0, 1), (30, 1, 0, 1)]
    assert run("score", "all.csv", "-q").code == 0
    assert Path("2.csv").read_text() == Path("1.csv").read_text().splitlines(keepends=True)[0]
    parts = pd.concat([pd.read_csv(f"{i}.csv") for i in (0, 1, 3)], ignore_index=True)
    # scores of other batches differ in the rounding of float32 sums
    pd.testing.assert_frame_equal(parts, pd.read_csv("all.scored.csv"), rtol=1e-5)


def test_a_run_without_new_rows_ends_no_incident(run, place: Path):
    """A job that looks more often than rows come: what is wrong goes on under its name."""
    table = pd.read_csv("all.csv")
    table["pressure"] += 25
    table[:40].to_csv("logs/a.csv", index=False)
    found = []
    for i in range(3):
        done = run(*words(f"{i}.csv", "--incident-state", "known", "--json"))
        found.append([(one["id"], one["status"]) for one in json.loads(done.out)["incidents"]])
        if i == 1:
            table[40:].to_csv("logs/b.csv", index=False)
    assert found[1] == []
    assert {(name, "ongoing") for name, _ in found[0][:1]} <= set(found[2])


def test_the_page_counts_files(run, place: Path):
    """For a person: how many files are new, have grown, have nothing new."""
    assert "files      1 new, 0 grown, 0 with nothing new" in run(*words("o.csv")).out


def test_a_failed_run_scores_nothing_away(run, place: Path):
    """A broken row: exit code 4, the line of the file, no rows, and they come again once it is mended."""
    run(*words("0.csv", "-q"))
    good = Path("logs/a.csv").read_text()
    Path("logs/a.csv").write_text(good + rest(40, 42) + "high,1,1,yes,eco\n")
    before = contents(place)
    done = run(*words("1.csv", "-q", "--bad-files", "stop"))
    assert done.code == 4
    assert done.err.startswith("error: logs/a.csv, line 44")
    assert contents(place) == before
    done = run(*words("1.csv", "-q"))
    assert done.code == 4
    assert_is_a_message(done.err)
    assert done.err.startswith("error: the only file is left out:\n  logs/a.csv, line 44")
    assert Path("1.csv").read_text().count("\n") == 1
    Path("logs/a.csv").write_text(good + rest(40, 43))
    assert json.loads(run(*words("1.csv", "--json")).out)["rows"] == 3


def test_a_dry_run_notes_nothing(run, place: Path):
    """--dry-run leaves the state as it is."""
    assert run(*words("0.csv", "--dry-run")).code == 0
    assert not Path("state").exists()


def test_a_run_stopped_before_its_note_is_done_again(run, place: Path, monkeypatch: pytest.MonkeyPatch):
    """Stopped between output and note, a run names its output as complete; the next scores the same rows again."""

    def interrupted(progress: object, rows: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vaecli.tables.read.since.Progress.save", interrupted)
        done = run(*words("0.csv"))
    assert (done.code, done.err) == (130, "error: interrupted; complete: 0.csv\n")
    assert json.loads(run(*words("0.csv", "--json")).out)["rows"] == 40


@pytest.mark.parametrize(
    ("given", "code", "names"),
    [
        ("score logs/a.csv --since-last-run logs/a.csv -o o.csv", 5, "logs/a.csv: is not a state"),
        ("score logs/a.csv --since-last-run o.csv -o o.csv", 2, "o.csv: is the output, the bundle or the input itself"),
        ("score logs/a.csv --since-last-run no/state -o o.csv", 2, "no/state: no such directory"),
        ("score - --since-last-run state", 2, "--since-last-run reads files, not streams or URLs: standard input"),
        ("score - --since-last-run state --follow", 2, "--since-last-run and --follow contradict each other"),
        ("score nowhere/*.csv --since-last-run state -o o.csv", 4, "nowhere/*.csv: there is no folder nowhere"),
        ("score nowhere.csv --since-last-run state -o o.csv", 4, "nowhere.csv: no such file"),
        ("score logs --since-last-run state -o o.csv", 4, "logs: a directory without Parquet files"),
        ("score logs/none*.csv -o o.csv", 4, "matches no file"),
    ],
)
def test_what_cannot_be_meant(run, place: Path, monkeypatch: pytest.MonkeyPatch, given: str, code: int, names: str):
    """Two lines, and no file is changed."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    before = contents(place)
    done = run(*given.split())
    assert done.code == code, done.err
    assert names in done.err.splitlines()[0]
    assert_is_a_message(done.err)
    assert contents(place) == before


def test_an_input_without_new_rows_is_not_replaced(run, place: Path):
    """The output may be no input, also where nothing is read of it."""
    run(*words("0.csv", "-q"))
    Path("logs/b.csv").write_text(Path("logs/a.csv").read_text())
    done = run(*words("logs/a.csv"))
    assert (done.code, done.err.splitlines()[0]) == (2, "error: logs/a.csv: is the input itself")
