"""Several files of which some are bad: the others are scored, the bad ones are named, and nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.cli.messages import assert_is_a_message, contents
from tests.conftest import sensor_table
from vaecli.tables.read.left_out import LeftOut
from vaecli.tables.read.locations import LocalFile

BAD = {
    "cell": ("in/1_cell.csv", "line 3, column pressure"),
    "ragged": ("in/1_ragged.csv", "line 4: 2 fields"),
    "columns": ("in/1_columns.csv", "'flow' (did you mean 'flw'?)"),
    "empty": ("in/1_empty.csv", "the file is empty"),
    "other": ("in/1_other.csv", "has also 'note'"),
}


@pytest.fixture
def place(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: in/0.csv to in/3.csv of 30 rows each, and model.vae."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    for i in range(4):
        sensor_table(30, seed=i).to_csv(f"in/{i}.csv", index=False)
    Path("model.vae").write_bytes(bundle.read_bytes())
    return tmp_path


def make_bad(what: str) -> str:
    """Write a bad file among the others; its path."""
    path, _ = BAD[what]
    lines = Path("in/2.csv").read_text().splitlines(keepends=True)
    if what == "cell":
        lines[2] = "high" + lines[2][lines[2].index(",") :]
    elif what == "ragged":
        lines[3] = "1,2\n"
    elif what == "columns":
        lines[0] = lines[0].replace("flow", "flw")
    elif what == "other":
        lines = [line.rstrip("\n") + (",note\n" if i == 0 else ",x\n") for i, line in enumerate(lines)]
    Path(path).write_text("" if what == "empty" else "".join(lines))
    settle(path)
    return path


def settle(*paths: str) -> None:
    """Let files look as if they were written a minute ago: a later change then shows in their time of change."""
    for path in paths or map(str, Path("in").iterdir()):
        status = os.stat(path)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns - 60 * 10**9))


def words(output: str, *more: str, since: bool = True) -> tuple[str, ...]:
    return ("score", "in/*.csv", *(("--since-last-run", "state") if since else ()), "-o", output, *more)


@pytest.mark.parametrize("what", ["cell", "ragged", "columns", "other"])
def test_the_good_files_are_scored_as_if_the_bad_one_were_not_there(run, place: Path, what: str):
    """The same bytes as without the file, exit code 4, the file with its reason, in the message and as JSON."""
    assert run(*words("good.csv", "-q", since=False)).code == 0
    path, reason = make_bad(what), BAD[what][1]
    done = run(*words("o.csv", "-q"))
    assert (done.code, done.out) == (4, "")
    assert_is_a_message(done.err)
    assert done.err.startswith("error: 1 of 5 files is left out:\n")
    assert path in done.err
    assert reason in done.err
    assert Path("o.csv").read_bytes() == Path("good.csv").read_bytes()
    done = run(*words("o2.csv", "--bad-files", "skip", "--json", since=False))
    answer = json.loads(done.out)
    assert done.code == 4
    assert Path("o2.csv").read_bytes() == Path("good.csv").read_bytes()
    assert (answer["rows"], answer["n_files"], [one["path"] for one in answer["bad_files"]]) == (120, 5, [path])
    assert reason in answer["bad_files"][0]["error"]
    assert "-o -" not in done.err
    # standard output cannot be taken back: there, too, no row of the bad file
    assert run(*words("-", "--bad-files", "skip", "-q", since=False)).out == Path("good.csv").read_text()


def test_a_file_with_a_column_more_is_named_with_it(run, place: Path):
    """By its own name and difference, beside what is usual, although each file alone would fit."""
    sensor_table(10, seed=9).assign(note="x").to_csv("in/9.csv", index=False)
    done = run(*words("o.csv", "-q"))
    assert done.code == 4
    assert "\n  in/9.csv: has also 'note', unlike most other files\n" in done.err


def test_a_file_with_many_bad_cells_is_one_line(run, place: Path):
    """It begins with the file, and counts the cells that it does not list."""
    sensor_table(40, seed=9).assign(pressure="n/a (hand)").to_csv("in/9.csv", index=False)
    done = run(*words("o.csv", "-q"))
    [line] = [one for one in done.err.splitlines() if "9.csv" in one]
    assert line.startswith("  in/9.csv: 40 cells are not numbers: line 2, column pressure: ")
    assert line.endswith("(and 39 more)")


def test_the_place_of_a_problem_is_in_the_json(run, place: Path):
    """Line and column as numbers and names, for programs."""
    path = make_bad("cell")
    [bad] = json.loads(run(*words("o.csv", "--json")).out)["bad_files"]
    assert (bad["path"], bad["line"], bad["column"], bad["is_known"]) == (path, 3, "pressure", False)


def test_a_bad_file_is_named_at_every_run_and_scored_once_it_is_repaired(run, place: Path, monkeypatch):
    """Unchanged it is not read again; repaired it is scored, alone, and every row of all files is scored once."""
    path = make_bad("cell")
    assert run(*words("0.csv", "-q")).code == 4
    sensor_table(10, seed=9).to_csv("in/9.csv", index=False)
    read: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("vaecli.workflows.bad_files._read_file", lambda location, *_: read.append(location.name))
        done = run(*words("1.csv", "--json"))
    answer = json.loads(done.out)
    assert (done.code, answer["rows"], read) == (4, 10, [])
    assert done.err.startswith("error: 1 of 6 files is left out, as before:\n")
    assert answer["bad_files"][0]["is_known"]
    Path(path).write_text(Path("in/2.csv").read_text())
    done = run(*words("2.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (0, 30)
    done = run(*words("3.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"], json.loads(done.out)["bad_files"]) == (0, 0, [])


@pytest.mark.parametrize("what", ["columns", "other"])
def test_columns_that_differ_cost_no_reading(run, place: Path, monkeypatch, what: str):
    """Where columns are the reason, rows are read by scoring only; a file with other columns is so at every run."""
    make_bad(what)
    read: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr("vaecli.workflows.bad_files._read_file", lambda location, *_: read.append(location.name))
        assert run(*words("0.csv", "-q")).code == 4
        assert read == []
    sensor_table(10, seed=9).to_csv("in/9.csv", index=False)
    done = run(*words("1.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (4, 10)
    assert [one["is_known"] for one in json.loads(done.out)["bad_files"]] == [what == "columns"]


def test_another_model_looks_at_a_bad_file_again(run, place: Path, fresh_table: pd.DataFrame):
    """A file that did not fit a model may fit the one that takes its place."""
    make_bad("columns")
    assert run(*words("0.csv", "-q")).code == 4
    table = pd.read_csv("in/1_columns.csv")
    pd.concat([table] * 10).to_csv("renamed.csv", index=False)
    quick = ("--preset", "fast", "--max-epochs", "1", "-q")
    assert run("fit", "renamed.csv", "-o", "model.vae", *quick).code == 0
    done = run(*words("1.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (0, 30)


def test_a_log_that_grows_goes_on_where_it_was_once_its_new_line_is_repaired(run, place: Path):
    """A known file whose new rows are bad keeps its place: no row of it is scored twice."""
    run(*words("0.csv", "-q"))
    good = Path("in/0.csv").read_text()
    more = "".join(Path("in/1.csv").read_text().splitlines(keepends=True)[1:6])
    Path("in/0.csv").write_text(good + more + "high,1,1,yes,eco\n")
    Path("in/2.csv").write_text(Path("in/2.csv").read_text() + more)
    done = run(*words("1.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (4, 5)
    assert "in/0.csv, line 37" in done.err
    Path("in/0.csv").write_text(good + more)
    done = run(*words("2.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (0, 5)


def test_an_empty_file_is_named_once_it_has_not_changed_for_a_whole_run(run, place: Path):
    """A writer may have just begun it; what is still empty at the next run is one that was cut off."""
    make_bad("empty")
    assert run(*words("0.csv", "-q")).code == 0
    sensor_table(10, seed=9).to_csv("in/9.csv", index=False)
    done = run(*words("1.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (4, 10)
    assert "in/1_empty.csv: the file is empty" in done.err
    shutil.copy("in/2.csv", "in/1_empty.csv")
    assert json.loads(run(*words("2.csv", "--json")).out)["rows"] == 30


def test_where_no_file_is_good(run, place: Path):
    """A job over new files has no rows but figures; of files given together, one table, nothing is written."""
    for path in Path("in").iterdir():
        path.write_text(path.read_text().replace("flow", "flw"))
    settle()
    before = contents(place)
    done = run(*words("o.csv", "-q", "--bad-files", "skip", since=False))
    assert done.code == 4
    assert_is_a_message(done.err)
    assert "none of 4 files can be read and fits the model:" in done.err
    assert contents(place) == before
    for known in ("", ", as before"):
        done = run(*words("o.csv", "--json", "--metrics", "m.prom"))
        assert (done.code, json.loads(done.out)["rows"]) == (4, 0)
        assert done.err.startswith(f"error: 4 of 4 files are left out{known}:\n")
        assert 'vaecli_bad_files{job_name="m",verb="score"} 4' in Path("m.prom").read_text()
        assert Path("o.csv").read_text().startswith("pressure,flow,")


def test_a_bad_file_stays_in_the_metrics_while_nothing_is_new(run, place: Path):
    """An alert does not come and go with the deliveries of other files."""
    make_bad("cell")
    for _ in range(2):
        assert run(*words("o.csv", "-q", "--metrics", "m.prom")).code == 4
        assert 'vaecli_bad_files{job_name="m",verb="score"} 1' in Path("m.prom").read_text()
    assert 'vaecli_rows{job_name="m",verb="score"} 0' in Path("m.prom").read_text()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_folder_below_a_wildcard_that_may_not_be_listed(run, place: Path):
    """A pattern finds nothing in it: it is named, and the files of the others are scored."""
    for i in range(2):
        Path(f"in/{i}").mkdir()
        shutil.move(f"in/{i}.csv", f"in/{i}/a.csv")
    os.chmod("in/1", 0)
    try:
        done = run("score", "in/*/*.csv", "--since-last-run", "state", "-o", "o.csv", "--json")
    finally:
        os.chmod("in/1", 0o700)
    assert (done.code, json.loads(done.out)["rows"]) == (4, 30)
    assert "1 of 2 files is left out:\n  in/1: permission denied" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_known_files_that_may_no_longer_be_read(run, place: Path):
    """Nothing is new in them, so that the run goes on, but the columns are those of another one."""
    run(*words("0.csv", "-q"))
    os.chmod("in/0.csv", 0)
    done = run(*words("1.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (4, 0)


def test_flagged_rows_and_a_bad_file_in_one_run(run, place: Path):
    """--fail-on comes first, as flagged rows are reported once; the message, the JSON and the metrics have both."""
    make_bad("cell")
    table = pd.read_csv("in/0.csv")
    table["pressure"] += 40
    table.to_csv("in/0.csv", index=False)
    done = run(*words("0.csv", "--json", "--fail-on", "any", "--metrics", "m.prom", "--manifest"))
    answer = json.loads(done.out)
    assert done.code == 3
    assert answer["anomalies"] >= 30
    assert len(answer["bad_files"]) == 1
    assert "--fail-on any is met; 1 of 5 files is left out" in done.err
    assert_is_a_message(done.err)
    metrics = Path("m.prom").read_text()
    assert 'vaecli_bad_files{job_name="m",verb="score"} 1' in metrics
    assert 'vaecli_exit_code{job_name="m",verb="score"} 3' in metrics
    manifest = json.loads(Path("0.csv.manifest.json").read_text())
    assert [one["file"] for one in manifest["inputs"]] == [f"in/{i}.csv" for i in range(4)]


def test_metrics_and_manifest_of_a_run_with_a_bad_file_only(run, place: Path):
    """The run has an output, so that it has a manifest and figures; its exit code is 4."""
    make_bad("cell")
    assert run(*words("0.csv", "-q", "--metrics", "m.prom", "--manifest")).code == 4
    assert json.loads(Path("0.csv.manifest.json").read_text())["exit_code"] == 4
    metrics = Path("m.prom").read_text()
    assert 'vaecli_rows{job_name="m",verb="score"} 120' in metrics
    assert 'vaecli_bad_files{job_name="m",verb="score"} 1' in metrics


def test_without_a_state_a_bad_file_stops_the_run(run, place: Path):
    """Files given together are one table; so it is with --bad-files stop. Nothing is written."""
    make_bad("cell")
    before = contents(place)
    for more in ((), ("--since-last-run", "state", "--bad-files", "stop")):
        done = run("score", "in/*.csv", "-o", "o.csv", "-q", *more)
        assert done.code == 4
        assert done.err.startswith("error: in/1_cell.csv, line 3")
        assert contents(place) == before


@pytest.mark.parametrize("verb", ["score", "check"])
def test_a_renamed_column_is_named_with_its_file(run, place: Path, verb: str):
    """Both verbs name the file that does not fit the model, also where it is the first one."""
    text = Path("in/0.csv").read_text()
    Path("in/0.csv").write_text(text.replace("pressure", "presure"))
    done = run(verb, "in/*.csv", "-q", "-o", "o.csv")
    assert done.code == 4
    assert_is_a_message(done.err)
    assert done.err.startswith("error: 1 of 4 files is not like the table of the fit:\n")
    assert "in/0.csv: a column is missing: 'pressure' (did you mean 'presure'?)" in done.err


def test_check_leaves_bad_files_out_as_score_does(run, place: Path):
    """The same option, the same message, the same exit code; drift comes first."""
    make_bad("cell")
    done = run("check", "in/*.csv", "--bad-files", "skip", "--json")
    answer = json.loads(done.out)
    assert (done.code, answer["rows"], len(answer["bad_files"])) == (4, 120, 1)
    assert done.err.startswith("error: 1 of 5 files is left out:\n")
    done = run("check", "in/*.csv", "--bad-files", "skip", "--expect-rows", "1000..", "-q")
    assert done.code == 6
    assert "; 1 of 5 files is left out" in done.err


def test_check_compares_what_score_will_read(run, place: Path):
    """check --since-last-run reads the new rows only and leaves the state as it is."""
    run(*words("0.csv", "-q"))
    sensor_table(10, seed=9).to_csv("in/9.csv", index=False)
    state = Path("state").read_bytes()
    for _ in range(2):
        answer = json.loads(run("check", "in/*.csv", "--since-last-run", "state", "--json").out)
        assert (answer["rows"], answer["since_last_run"]["new"], answer["since_last_run"]["unchanged"]) == (10, 1, 4)
    assert Path("state").read_bytes() == state


def test_a_dry_run_names_files_that_do_not_fit(run, place: Path):
    """--dry-run looks at columns, not at rows, and notes nothing."""
    make_bad("columns")
    before = contents(place)
    done = run(*words("o.csv", "--dry-run"))
    assert done.code == 4
    assert "left out     1 of 5 files" in done.out
    assert "in/1_columns.csv: a column is missing" in done.err
    assert contents(place) == before


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_nothing_delivered_yet_is_no_error(run, place: Path, extension: str):
    """A pattern or a folder without files, in a job that scores what is new: no rows, exit code 0, and an output."""
    Path("empty").mkdir()
    given = "empty/*.csv" if extension == "csv" else "empty"
    for verb in ("check", "score"):
        done = run(verb, given, "--since-last-run", "state", "-o", f"o.{extension}", "--json")
        assert (done.code, json.loads(done.out)["rows"]) == (0, 0)
        assert verb == "score" or json.loads(done.out)["level"] == "ok"
    page = run("check", given, "--since-last-run", "state").out
    assert page.startswith("Checked: no new rows, and nothing was compared\n")
    table = pd.read_csv("o.csv") if extension == "csv" else pd.read_parquet("o.parquet")
    assert list(table.columns)[:5] == list(pd.read_csv("in/0.csv").columns)
    assert list(table.columns)[5:] == ["anomaly_score", "p_value", "is_anomaly"]
    assert len(table) == 0
    done = run("score", "in/*.csv", "--since-last-run", "state", "-o", "o.csv", "--json")
    assert json.loads(done.out)["rows"] == 120


def test_a_file_delivered_twice_is_named(run, place: Path):
    """Under two names, in one run or in a later one, with a state or without: a warning, and the rows are scored."""
    shutil.copy("in/1.csv", "in/4.csv")
    same = "has the same bytes as"
    for more in (("-o", "o.csv"), ("--since-last-run", "state", "-o", "o.csv")):
        answer = json.loads(run("score", "in/*.csv", "--json", *more).out)
        assert answer["rows"] == 150
        assert [one for one in answer["warnings"] if same in one] == [f"in/4.csv {same} in/1.csv: its rows count twice"]
    shutil.copy("in/2.csv", "in/5.csv")
    for verb in ("check", "score"):
        answer = json.loads(run(verb, "in/*.csv", "--since-last-run", "state", "-o", "o.csv", "--json").out)
        assert answer["rows"] == 30
        assert f"in/5.csv {same} in/2.csv: its rows count twice" in answer["warnings"]


def test_a_file_with_few_rows_gets_a_word(run, place: Path):
    """3 rows where 30 are usual: a warning of check and of score, but not before ten files are known."""
    few = [sensor_table(n, seed=20 + n) for n in (3, 4)]
    few[0].to_csv("in/few0.csv", index=False)
    answer = json.loads(run(*words("0.csv", "--json")).out)
    assert not [one for one in answer["warnings"] if "usual" in one]
    for i in range(4, 20):
        sensor_table(28 + i % 4, seed=i).to_csv(f"in/{i}.csv", index=False)
    run(*words("1.csv", "-q"))
    few[1].to_csv("in/few1.csv", index=False)
    sensor_table(45, seed=50).to_csv("in/fine.csv", index=False)
    for verb in ("check", "score"):
        answer = json.loads(run(verb, "in/*.csv", "--since-last-run", "state", "-o", "2.csv", "--json").out)
        assert [one for one in answer["warnings"] if "usual" in one] == [
            "in/few1.csv has 4 rows where 28 to 31 are usual (of the 21 files before)"
        ]


def test_many_bad_files_among_many(run, place: Path):
    """200 files with 10 bad ones: as many runs as it takes are two, and the list of the message is bounded."""
    lines = Path("in/2.csv").read_text().splitlines(keepends=True)
    for i in range(196):
        rows = lines[1:4] if i % 20 else ["bad,1,1,yes,eco\n", *lines[1:3]]
        Path(f"in/x{i:03}.csv").write_text(lines[0] + "".join(rows))
    done = run(*words("o.csv", "--json"))
    answer = json.loads(done.out)
    assert (done.code, answer["rows"], len(answer["bad_files"]), answer["n_files"]) == (4, 120 + 186 * 3, 10, 200)
    assert len(done.err.splitlines()) == 12


def test_a_file_that_changes_after_it_was_scored_is_scored_again(run, place: Path, monkeypatch):
    """Replaced between its last row and the note: named, not noted, and read again; the others are noted."""
    from vaecli.tables.read.since import Progress

    save = Progress.save

    def replaced_before(progress, rows):
        Path("in/1.csv").write_text(Path("in/3.csv").read_text())
        save(progress, rows)

    with monkeypatch.context() as patch:
        patch.setattr("vaecli.tables.read.since.Progress.save", replaced_before)
        done = run(*words("0.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (4, 120)
    assert "in/1.csv: changed while it was read" in done.err
    done = run(*words("1.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (0, 30)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_what_may_not_be_read_is_left_out(run, place: Path):
    """A file without the right to read is left out and tried at every run; such a folder is an error."""
    os.chmod("in/1.csv", 0)
    done = run(*words("0.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (4, 90)
    assert "in/1.csv: permission denied" in done.err
    os.chmod("in/1.csv", 0o600)
    assert json.loads(run(*words("1.csv", "--json")).out)["rows"] == 30
    os.chmod("in", 0)
    try:
        assert run(*words("2.csv", "-q")).code == 4
    finally:
        os.chmod("in", 0o700)


@pytest.mark.parametrize("what", ["cell", "columns"])
def test_a_bad_file_is_not_replaced_by_an_output(run, place: Path, what: str):
    """It is an input, though no row of it is read; so is a known file, and the state, of a check."""
    path = make_bad(what)
    before = contents(place)
    for more in (("--bad-files", "skip"), ("--since-last-run", "state")):
        for verb in ("score", "check"):
            done = run(verb, "in/*.csv", "-o", path, "-q", *more)
            assert (done.code, done.err.split(": ")[1]) == (2, path)
            assert contents(place) == before
    run(*words("o.csv", "-q"))
    before = contents(place)
    for target in ("in/0.csv", "state"):
        assert run("check", "in/*.csv", "-o", target, "-q", "--since-last-run", "state").code == 2
        assert contents(place) == before


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("score in/*.csv -o o.csv --bad-files leave", "--bad-files 'leave' is not one of skip, stop"),
        ("score - --bad-files skip", "--bad-files skip reads files, not streams or URLs: standard input"),
        ("score in/*.csv -o out/ --bad-files skip", "--bad-files: not where a folder of parts is written"),
        ("score - --follow --bad-files skip", "--bad-files and --follow contradict each other"),
    ],
)
def test_what_cannot_be_meant(run, place: Path, given: str, names: str):
    """Two lines and exit code 2."""
    done = run(*given.split())
    assert done.code == 2
    assert names in done.err


def test_a_file_in_a_folder_that_may_not_be_entered_is_not_forgotten(run, place: Path, monkeypatch):
    """It may still be there: once it can be read again, no row is scored twice."""
    for i in range(2):
        Path(f"in/{i}").mkdir()
        shutil.move(f"in/{i}.csv", f"in/{i}/a.csv")
    since = ("--since-last-run", "state", "-q")
    assert run("score", "in/*/*.csv", "-o", "0.csv", *since).code == 0
    sensor_table(10, seed=9).to_csv("in/0/b.csv", index=False)
    stat = os.stat

    def refused(path, *more, **options):
        if str(path).endswith("in/1/a.csv"):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refused)
        assert run("score", "in/0/*.csv", "-o", "1.csv", *since).code == 0
    assert run("score", "in/*/*.csv", "-o", "2.csv", *since).code == 0
    assert [len(pd.read_csv(f"{i}.csv")) for i in range(3)] == [60, 10, 0]


def test_files_of_an_earlier_model_are_not_bad(run, place: Path, quick: Path):
    """A model with another column is fitted and nothing is new: no file is read, and the next one is scored."""
    assert run(*words("0.csv", "-q")).code == 0
    table = sensor_table(200, seed=7).assign(level=np.random.default_rng(7).normal(size=200))
    table.to_csv("fit.csv", index=False)
    assert run("fit", "fit.csv", "-o", "model.vae", "--config", str(quick), "-q").code == 0
    for verb, more in (("check", ("--json",)), ("score", ("-o", "1.csv", "--json"))):
        done = run(verb, "in/*.csv", "--since-last-run", "state", *more)
        answer = json.loads(done.out)
        assert (done.code, answer["rows"], answer["bad_files"], answer["since_last_run"]["unchanged"]) == (0, 0, [], 4)
    assert "level" in pd.read_csv("1.csv")
    table[:20].to_csv("in/9.csv", index=False)
    done = run(*words("2.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (0, 20)


@pytest.mark.parametrize("what", ["bad cell", "changed"])
def test_no_row_goes_to_a_pipe_twice(run, place: Path, monkeypatch, what: str):
    """A pipe takes nothing back: files are read by themselves first, and one that changes then ends the run."""
    for i in range(2):
        sensor_table(20_000, seed=i).to_csv(f"in/{i}.csv", index=False)
    if what == "bad cell":
        bad = Path("in/1.csv").read_text().splitlines(keepends=True)
        Path("in/1.csv").write_text("".join([*bad[:-1], "high" + bad[-1][bad[-1].index(",") :]]))
    else:
        good = LeftOut.good

        def changed(self, *given):
            found = good(self, *given)
            content = Path("in/1.csv").read_text()
            Path("in/1.csv").write_text(content[: content.rindex("\n", 0, -1)] + "\n1,2\n")
            found[1] = LocalFile.found("in/1.csv")
            return found

        monkeypatch.setattr(LeftOut, "good", changed)
    reader, writer = os.pipe()
    with os.fdopen(reader) as pipe, ThreadPoolExecutor(1) as pool:
        rows = pool.submit(pipe.read)
        done = run("score", "in/0.csv", "in/1.csv", "--bad-files", "skip", "-o", f"/dev/fd/{writer}", "-q")
        os.close(writer)
    lines = rows.result().splitlines()
    assert done.code == 4, done.err
    assert sum("anomaly_score" in line for line in lines) == 1
    assert len(lines) == 20_001 if what == "bad cell" else 1 < len(lines) <= 40_001


# -- other tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut off", "a page", "columns", "text", "csv"])
def test_bad_parquet_files(run, place: Path, damage: str):
    """Cut off, damaged within, without a column, with text for numbers, of another format: the others are scored."""
    Path("tables").mkdir()
    for i in range(3):
        pd.read_csv(f"in/{i}.csv").to_parquet(f"tables/{i}.parquet", index=False)
    assert run("score", "tables", "-o", "good.parquet", "-q").code == 0
    table, bad = pd.read_csv("in/3.csv"), Path("tables/1_bad.parquet")
    if damage == "columns":
        table = table.drop(columns="flow")
    elif damage == "text":
        table["flow"] = "much"
    table.to_parquet(bad, index=False)
    content = bytearray(bad.read_bytes())
    if damage == "cut off":
        content = content[: len(content) // 2]
    elif damage == "a page":
        content[4:200] = bytes(196)
    elif damage == "csv":
        content = bytearray(Path("in/3.csv").read_bytes())
    bad.write_bytes(content)
    for name, more in (("a", ("--since-last-run", "state")), ("b", ("--bad-files", "skip"))):
        done = run("score", "tables", "-o", f"{name}.parquet", "--json", *more)
        assert done.code == 4, done.err
        assert [one["path"] for one in json.loads(done.out)["bad_files"]] == [str(bad)]
        pd.testing.assert_frame_equal(pd.read_parquet(f"{name}.parquet"), pd.read_parquet("good.parquet"))


def test_of_files_that_differ_most_decide(run, place: Path):
    """The first file alone has another column: it is left out, and scored by the next run, which has it alone."""
    first = Path("in/0.csv")
    lines = first.read_text().splitlines()
    first.write_text("\n".join(line + (",note" if i == 0 else ",x") for i, line in enumerate(lines)) + "\n")
    done = run(*words("0.csv", "--json"))
    answer = json.loads(done.out)
    assert (done.code, answer["rows"], [one["path"] for one in answer["bad_files"]]) == (4, 90, ["in/0.csv"])
    done = run(*words("1.csv", "--json"))
    assert (done.code, json.loads(done.out)["rows"]) == (0, 30)
    assert "note" in pd.read_csv("1.csv")


def test_a_model_of_lines(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Log files without columns: one that is no text is left out."""
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        Path(f"{i}.log").write_text("".join(f"job {n % 7} done in {n % 13} s\n" for n in range(200)))
    quick = ("--preset", "fast", "--max-epochs", "1", "-q")
    assert run("fit", "0.log", "--lines", "-o", "model.vae", *quick).code == 0
    Path("1.log").write_bytes(b"x" * (2**24 + 10))
    done = run("score", "*.log", "-o", "o.csv", "--bad-files", "skip", "--json")
    answer = json.loads(done.out)
    assert (done.code, answer["rows"], [one["path"] for one in answer["bad_files"]]) == (4, 400, ["1.log"])


def test_series_and_their_state(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A model of series: the histories are those of the good files; a repaired one comes as after a clock set back."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    values = np.cumsum(rng.normal(size=(1_000, 2)), axis=0) * 0.1 + rng.normal(size=(1_000, 2))
    table = pd.DataFrame(values, columns=["a", "b"])
    table.insert(0, "t", pd.date_range("2026-01-01", periods=1_000, freq="min"))
    table[:700].to_csv("fit.csv", index=False)
    quick = ("--preset", "fast", "--max-epochs", "1", "-q")
    assert run("fit", "fit.csv", "--time", "t", "--window", "8", "-o", "model.vae", *quick).code == 0
    Path("in").mkdir()
    for i in range(3):
        table[700 + 100 * i : 800 + 100 * i].to_csv(f"in/{i}.csv", index=False)
    good = Path("in/1.csv").read_text()
    Path("in/1.csv").write_text(good[:-10] + "high\n")
    settle()
    done = run(*words("0.csv", "--state", "series", "--json"))
    answer = json.loads(done.out)
    assert (done.code, answer["rows"], [one["path"] for one in answer["bad_files"]]) == (4, 200, ["in/1.csv"])
    Path("in/1.csv").write_text(good)
    answer = json.loads(run(*words("1.csv", "--state", "series", "--json")).out)
    assert (answer["rows"], answer["unscored"], answer["clocks_set_back"]) == (100, 7, 1)
    done = run("score", "none*.csv", "--since-last-run", "state", "--state", "series", "-o", "2.csv", "--json")
    assert (done.code, json.loads(done.out)["rows"]) == (0, 0)
