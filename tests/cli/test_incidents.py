"""`score --incidents` and `explain --incidents`: flagged rows grouped by the columns responsible."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import vaecli
from tests.cli.conftest import Done
from tests.conftest import QUICK, sensor_table

Run = Callable[..., Done]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Path) -> Path:
    """A folder with a table of two faults and the bundle; it is the current one."""
    monkeypatch.chdir(tmp_path)
    two_faults(sensor_table(300, seed=7)).to_csv("t.csv", index=False)
    Path("model.vae").symlink_to(bundle)
    return tmp_path


def two_faults(table: pd.DataFrame) -> pd.DataFrame:
    """Rows 11 to 40 have a pressure that is too high, rows 101 to 120 a flow that is too low."""
    table.loc[10:39, "pressure"] += 25
    table.loc[100:119, "flow"] -= 400
    return table


def found(run: Run, *words: str) -> list[dict[str, Any]]:
    """The incidents of a command line."""
    done = run(*words, "--json")
    assert done.code == 0, done.err
    return list(json.loads(done.out)["incidents"])


def test_two_faults_are_two_incidents(run: Run, place: Path) -> None:
    """Each fault is one incident with its rows, its column and direction, three examples and a typical reason."""
    first, second = found(run, "score", "t.csv", "--incidents", "i.csv")[:2]
    assert first["columns"][0] | {"share": 0} == {"column": "pressure", "direction": "up", "share": 0}
    assert second["columns"][0] | {"share": 0} == {"column": "flow", "direction": "down", "share": 0}
    assert first["rows"] >= 28
    assert second["rows"] >= 18
    assert (first["first_row"], second["last_row"]) == (11, 120)
    assert first["reason"].startswith("pressure = ")
    assert len(first["examples"]) == 3
    assert first["peak_row"] == first["examples"][0]["row"]
    assert first["sentence"].startswith(f"{first['rows']} rows from row 11 to ")


def test_a_deviation_is_that_of_its_column_in_any_order_of_columns(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, normal_table: pd.DataFrame
) -> None:
    """A column that is responsible counts in full under its own name, also after columns of words and booleans.

    Weights and names once followed the columns of the table, and features those of the model, in which numbers come
    first: a wrong price was an incident of a category, and another fault went on with it.
    """
    monkeypatch.chdir(tmp_path)
    order = ["mode", "pressure", "pump_on", "flow", "temperature"]
    vaecli.fit(normal_table[order], **QUICK).save("mixed.vae")
    two_faults(sensor_table(300, seed=7))[order].to_csv("t.csv", index=False)
    assert run("score", "t.csv", "-m", "mixed.vae", "--incident-state", "s").code == 0
    incidents = sorted(json.loads(Path("s").read_text())["incidents"], key=lambda one: -one["rows"])
    assert [one["title"] for one in incidents[:2]] == ["pressure up", "flow down"]
    high, low = (one["deviation"] for one in incidents[:2])
    assert high["pressure"] > 2.9
    assert low["flow"] < -2.9
    for deviation in (high, low):
        assert all(abs(value) < 2 for name, value in deviation.items() if name.startswith(("mode", "pump_on")))


@pytest.mark.parametrize("extension", ["csv", "parquet", "json"])
def test_each_format_holds_the_same(run: Run, place: Path, extension: str) -> None:
    """One row per incident; `explain` writes what `score` writes."""
    expected = found(run, "score", "t.csv", "--incidents", f"i.{extension}")
    written = Path(f"i.{extension}").read_bytes()
    if extension == "json":
        assert found(run, "explain", "t.csv", "--incidents", "i.json") == expected
        assert Path("i.json").read_bytes() == written
        assert json.loads(written)["incidents"] == expected
        return
    table = pd.read_csv("i.csv") if extension == "csv" else pq.read_table("i.parquet").to_pandas()
    assert table["id"].tolist() == [one["id"] for one in expected]
    assert table["columns"][0].startswith("pressure:up:")
    assert json.loads(table["examples"][0]) == expected[0]["examples"]


def test_batches_and_workers_change_no_byte(run: Run, place: Path) -> None:
    """The file of incidents is the same whatever the batch size and the number of threads."""
    contents = []
    for words in (["--workers", "1"], ["--workers", "2", "--batch-rows", "64"]):
        assert run("score", "t.csv", "--incidents", "i.json", *words).code == 0
        contents.append(Path("i.json").read_bytes())
    assert contents[0] == contents[1]


def test_the_page_shows_incidents(run: Run, place: Path) -> None:
    """The terminal names the number of incidents, and the columns responsible for each."""
    out = run("score", "t.csv", "--incidents", "i.csv").out
    assert " in i.csv" in out
    assert "pressure up" in out
    assert "flow down" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("score", "t.csv", "--incidents", "i.txt"), "not a .csv, .parquet or .json file"),
        (("score", "t.csv", "--incidents", "t.csv"), "is the input, the bundle or another output itself"),
        (("explain", "t.csv", "--incidents", "no/i.csv"), "no such directory"),
    ],
)
def test_a_wrong_file_is_refused(run: Run, place: Path, words: tuple[str, ...], message: str) -> None:
    """Two lines and code 2, and no scored table."""
    done = run(*words)
    assert done.code == 2
    assert message in done.err
    assert not Path("t.scored.csv").exists()


# -- from run to run --------------------------------------------------------------------------------


def test_runs_know_each_other_and_notify_once(run: Run, place: Path) -> None:
    """The second day's fault goes on, the other one has ended; each was told once, with settings from TOML."""
    table = sensor_table(300, seed=8)
    table.loc[50:89, "pressure"] += 25
    table.to_csv("next.csv", index=False)
    Path("listen.py").write_text("import json, sys\nprint(json.load(sys.stdin)['title'], file=open('heard', 'a'))\n")
    Path("line.toml").write_text(
        f'[incidents]\nincident_state = "s"\nafter = 15\nnotify_command = "{sys.executable} listen.py"\n'
    )
    first = json.loads(run("score", "t.csv", "--config", "line.toml", "--json").out)
    assert (first["notified"], first["not_notified"], first["incident_state"]) == (2, 0, "s")
    assert {one["status"] for one in first["incidents"]} == {"new"}
    second = json.loads(run("score", "next.csv", "--config", "line.toml", "--json").out)
    assert second["notified"] == 0
    by_id = {one["id"]: one for one in second["incidents"]}
    pressure, flow = (by_id[one["id"]] for one in first["incidents"][:2])
    assert (pressure["status"], pressure["announced"]) == ("ongoing", True)
    assert pressure["total_rows"] == first["incidents"][0]["rows"] + pressure["rows"]
    assert (flow["status"], flow["rows"]) == ("ended", 0)
    assert [line.split(" ")[0] for line in Path("heard").read_text().splitlines()] == ["pressure", "flow"]
    assert "ongoing" in run("score", "next.csv", "--config", "line.toml").out


def test_a_failing_command_leaves_the_scored_table(run: Run, place: Path) -> None:
    """The table and the file of incidents are complete, the code is 0, and a warning names the command."""
    command = ["--incident-state", "s", "--notify-command", "no-such-program --urgent"]
    done = run("score", "t.csv", "--incidents", "i.csv", *command)
    assert done.code == 0
    assert "was not announced: no-such-program: it cannot be run" in done.out
    assert len(pd.read_csv("t.scored.csv")) == 300
    assert len(pd.read_csv("i.csv")) >= 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--after", "3"), "--after: without a state"),
        (("--notify-command", "x", "--cooldown", "1h"), "--cooldown, --notify-command: without a state"),
        (("--incident-state", "s", "--after", "0"), "--after 0 is not between 1 and"),
        (("--incident-state", "s", "--cooldown", "soon"), "--cooldown 'soon' is not a duration"),
        (("--incident-state", "s", "--notify-timeout", "0"), "--notify-timeout 0 is not strictly between"),
        (("--incident-state", "s", "--notify-command", "say 'no"), "No closing quotation"),
        (("--incident-state", "s", "--notify-command", " "), "--notify-command is empty"),
        (("--incident-state", "s", "--config", "zero.toml"), "--notify-command holds a zero character"),
        (("--incident-state", ""), "--incident-state names no file: its value is empty"),
        (("--incident-state", "t.csv"), "is the input, the bundle or another output itself"),
        (("--incident-state", "s.csv", "--incidents", "s.csv"), "is both --incidents and --incident-state"),
        (("--config", "bad.toml"), "bad.toml: incidents.afterwards: unknown setting"),
        (("--config", "none.toml"), "none.toml: No such file"),
        (("--incidents", "i.csv", "--follow"), "--incidents and --follow contradict each other"),
    ],
)
def test_settings_that_make_no_sense_are_refused(run: Run, place: Path, words: tuple[str, ...], message: str) -> None:
    """Code 2 and a message, and no scored table."""
    Path("bad.toml").write_text("[incidents]\nafterwards = 3\n")
    Path("zero.toml").write_text('[incidents]\nnotify_command = "page \\u0000"\n')
    done = run("score", "t.csv", *words)
    assert done.code == 2, done.err
    assert message in done.err
    assert not Path("t.scored.csv").exists()


def test_a_damaged_state_is_refused_before_the_run(run: Run, place: Path) -> None:
    """Code 5, and no scored table."""
    Path("s").write_text("{}")
    done = run("score", "t.csv", "--incident-state", "s")
    assert done.code == 5
    assert "not a state of incidents" in done.err
    assert not Path("t.scored.csv").exists()


def test_the_report_has_a_section(run: Run, place: Path) -> None:
    """The page names the incidents, their columns and rows."""
    assert run("report", "t.csv", "-o", "r.html").code == 0
    page = Path("r.html").read_text()
    section = page[page.index("<h2>Incidents") : page.index("<h2>Responsible columns")]
    assert "pressure up" in section
    assert "flow down" in section


def test_python_gives_the_same(run: Run, place: Path, model: vaecli.Model) -> None:
    """`Model.incidents` returns what the command line writes."""
    written = found(run, "score", "t.csv", "--incidents", "i.csv")
    assert json.loads(json.dumps([one.to_json() for one in model.incidents("t.csv")])) == written
