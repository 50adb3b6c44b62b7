"""`vaecli mark` and --marks: decisions of people about rows, kept by name, used by fit, calibrate and evaluate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import vaecli
from tests.cli.conftest import Done, Vae
from tests.conftest import sensor_table
from vaecli.errors import InputError, UsageError


@pytest.fixture
def table() -> pd.DataFrame:
    """Rows with a machine, a moment, and a label that calls rows 0 to 9 anomalous."""
    table = sensor_table(200, seed=31)
    return table.assign(machine=np.arange(200) % 5, step=np.arange(200) // 5, fault=(np.arange(200) < 10).astype(int))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: pd.DataFrame, bundle: Path) -> Path:
    """A folder with the bundle, a table and parts of it; it is the current one."""
    monkeypatch.chdir(tmp_path)
    Path("model.vae").write_bytes(bundle.read_bytes())
    table.to_csv("table.csv", index=False)
    table[2:5].to_csv("normal.csv", index=False)
    table[20:27].to_csv("faults.csv", index=False)
    return tmp_path


def told(done: Done) -> dict[str, object]:
    """The summary of --json."""
    answer: dict[str, object] = json.loads(done.out)
    return answer


KEY = ("--key", "machine,step")


@pytest.mark.parametrize("key", [(), KEY], ids=["digest", "key"])
def test_marks_override_the_label(vae: Vae, place: Path, key: tuple[str, ...], quick: Path) -> None:
    """fit and calibrate leave faults out and take normal rows in; evaluate counts both; so does the bundle."""
    vae("mark", "--normal", "normal.csv", "--fault", "faults.csv", *key)
    fitting = ("--config", str(quick), "--label", "fault", "--exclude", "machine,step", "--marks", "model.vae.marks")
    fitted = told(vae("fit", "table.csv", "-o", "new.vae", *fitting, "--json"))
    assert (fitted["n_rows"], fitted["n_excluded_by_label"]) == (200 - 10 - 7 + 3, 10 + 7 - 3)
    calibrating = ("calibrate", "new.vae", "table.csv", "-o", "new.vae", "--marks", "model.vae.marks")
    fresh = told(vae(*calibrating, "--json"))
    assert (fresh["rows"], fresh["excluded_by_label"]) == (186, 14)
    used = {"file": "model.vae.marks", "normal": 3, "faults": 7, "unmet": 0}
    assert fitted["marks"] == fresh["marks"] == used
    inspected = told(vae("inspect", "new.vae", "--json"))["fit"]
    assert inspected["marks"] == inspected["recalibrated"]["marks"] == {"normal": 3, "faults": 7, "unmet": 0}
    assert "model.vae.marks" not in json.dumps(inspected)

    measured = told(vae("evaluate", "table.csv", "-m", "new.vae", "--marks", "model.vae.marks", "--json"))
    assert measured["anomalies"] == 14
    flagged = vaecli.load("new.vae").score("table.csv")["is_anomaly"].to_numpy()
    assert measured["marks"] == used | {
        "normal_flagged": int(flagged[2:5].sum()),
        "faults_flagged": int(flagged[20:27].sum()),
    }


def test_marks_stand_for_a_label(vae: Vae, place: Path) -> None:
    """Without a label column evaluate takes the marked faults for the anomalies, and warns what the others count as."""
    vae("mark", "--fault", "faults.csv")
    measured = told(vae("evaluate", "table.csv", "--marks", "model.vae.marks", "--json"))
    assert (measured["label"], measured["anomalies"]) == (None, 7)
    assert "every row that is not marked as a fault counts as normal" in str(measured["warnings"])


def test_a_scored_row_is_the_row_that_was_scored(vae: Vae, place: Path, table: pd.DataFrame) -> None:
    """Rows cut from the scored table, and the same rows in other types and order, have the names of the rows."""
    vae("score", "table.csv", "-q")
    pd.read_csv("table.scored.csv", dtype=str)[20:27].to_csv("cut.csv", index=False)
    changed = table[["flow", "pressure", "pump_on", "temperature", "mode"]][20:27]
    changed.assign(note="x").to_parquet("cut.parquet", index=False)
    first = told(vae("mark", "--fault", "cut.csv", "--json"))
    again = told(vae("mark", "--fault", "cut.parquet", "--json"))
    assert (first["added"], again["added"], again["repeated"], again["faults"]) == (7, 0, 7, 7)


def test_a_key_of_any_characters_is_read_again(vae: Vae, place: Path) -> None:
    """Characters at which text editors break lines are part of a name, not the end of its line."""
    names = ["a\u2028b", "a\x85b", "a\u2029b", 'a"b', "a\\nb"]
    pd.DataFrame({"name": names, "n": range(5)}).to_parquet("named.parquet", index=False)
    vae("mark", "--fault", "named.parquet", "--key", "name,n")
    again = told(vae("mark", "--fault", "named.parquet", "--key", "name,n", "--json"))
    assert (again["added"], again["repeated"], again["faults"]) == (0, 5, 5)


def test_later_decisions_replace_earlier_ones(vae: Vae, place: Path) -> None:
    """Marks can be changed, repeated and taken back; each is counted; the order does not show in the file."""
    vae("mark", "--normal", "faults.csv", *KEY)
    changed = told(vae("mark", "--fault", "faults.csv", *KEY, "--json"))
    assert [changed[name] for name in ("added", "changed", "repeated", "normal", "faults")] == [0, 7, 0, 0, 7]
    vae("mark", "--normal", "normal.csv", *KEY)
    both = Path("model.vae.marks").read_bytes()
    removed = told(vae("mark", "--remove", "normal.csv", "--remove", "normal.csv", *KEY, "--json"))
    assert [removed[name] for name in ("rows", "removed", "repeated", "normal")] == [6, 3, 3, 0]
    assert told(vae("mark", "--remove", "normal.csv", *KEY, "--json"))["unmarked"] == 3
    vae("mark", "--normal", "normal.csv", *KEY)
    assert Path("model.vae.marks").read_bytes() == both


def test_files_can_be_merged(vae: Vae, place: Path) -> None:
    """--merge adds another file, and so does writing one after the other; a contradiction is refused."""
    vae("mark", "--fault", "faults.csv", "--marks", "a.marks")
    vae("mark", "--normal", "normal.csv", "--marks", "b.marks", *KEY)
    Path("joined.marks").write_bytes(Path("b.marks").read_bytes() + Path("a.marks").read_bytes())
    listed = told(vae("mark", "--list", "--marks", "joined.marks", "--json"))["listed"]
    vae("mark", "--merge", "b.marks", "--marks", "a.marks")
    assert told(vae("mark", "--list", "--marks", "a.marks", "--json"))["listed"] == listed
    assert (len(listed), listed[-1]["key"]) == (10, ["4", "0"])
    page = vae("mark", "--list", "--marks", "a.marks").out
    assert "machine = '4', step = '0'" in page
    assert "of 5 columns" in page

    vae("mark", "--fault", "normal.csv", "--marks", "c.marks", *KEY)
    before = Path("a.marks").read_bytes()
    assert (
        "machine=2, step=0 is marked fault there" in vae("mark", "--merge", "c.marks", "--marks", "a.marks", code=4).err
    )
    assert Path("a.marks").read_bytes() == before
    Path("joined.marks").write_bytes(before + Path("c.marks").read_bytes())
    assert "marked normal and a fault" in vae("mark", "--list", "--marks", "joined.marks", code=4).err


def test_nothing_is_guessed(vae: Vae, place: Path, table: pd.DataFrame) -> None:
    """A row with two decisions, a key that names no row, a missing column: refused, and the file stays as it was."""
    vae("mark", "--normal", "normal.csv")
    before = Path("model.vae.marks").read_bytes()
    table[24:29].to_csv("more.csv", index=False)
    err = vae("mark", "--normal", "more.csv", "--fault", "faults.csv", code=4).err
    assert "faults.csv, line 6" in err
    assert "nothing is marked" in err
    table[:3].assign(machine=[1, np.nan, 2], big=2.0**53).to_csv("holes.csv", index=False)
    assert "holes.csv, line 3" in vae("mark", "--fault", "holes.csv", "--key", "machine", code=4).err
    assert "did you mean 'machine'" in vae("mark", "--fault", "holes.csv", "--key", "machin", code=2).err
    table[:3].drop(columns="flow").to_csv("narrow.csv", index=False)
    assert "'flow'" in vae("mark", "--fault", "narrow.csv", code=4).err
    assert Path("model.vae.marks").read_bytes() == before
    table[:3].assign(big=2.0**53).to_parquet("big.parquet")
    assert "for certain" in vae("mark", "--fault", "big.parquet", "--key", "big", code=4).err


def test_marks_that_contradict_each_other_are_refused(vae: Vae, place: Path) -> None:
    """A row that is normal by its cells and a fault by its key is named, and no bundle is written."""
    vae("mark", "--normal", "normal.csv")
    vae("mark", "--fault", "normal.csv", *KEY)
    words = ("calibrate", "model.vae", "table.csv", "-o", "new.vae", "--marks", "model.vae.marks")
    assert "table.csv, line 4" in vae(*words, code=4).err
    assert not Path("new.vae").exists()


def test_a_table_must_have_the_columns_that_name_rows(vae: Vae, place: Path, table: pd.DataFrame) -> None:
    """Marks by a key that a table does not have cannot be matched, which is refused; unmet marks are counted."""
    vae("mark", "--fault", "faults.csv", *KEY)
    table.drop(columns=["machine", "fault"]).to_csv("later.csv", index=False)
    words = ("calibrate", "model.vae", "later.csv", "-o", "new.vae", "--marks", "model.vae.marks")
    assert "rows are missing: 'machine'" in vae(*words, code=4).err
    table.assign(step=table["step"] + 1000).to_csv("later.csv", index=False)
    assert "7 marks without a row here" in vae(*words).out


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"fault": "00"}', "no columns stand before it"),
        ('{"vaecli_marks": 2, "by": "key", "columns": ["a"]}', "version 2"),
        ('{"vaecli_marks": 1, "by": "key", "columns": ["a"]}\n{"odd": ["1"]}', "'odd' is neither"),
        ('{"vaecli_marks": 1, "by": "key", "columns": ["a"]}\n{"fault": ["1", "2"]}', "a key has 1 texts"),
        ('{"vaecli_marks": 1, "by": "digest", "columns": ["a"]}\n{"fault": "xyz"}', "32 hexadecimal digits"),
        ('{"vaecli_marks": 1, "by": "digest", "columns": []}', "neither key nor digest"),
        ("fault", "is not a mark"),
    ],
)
def test_damaged_files_are_named_with_their_line(vae: Vae, place: Path, line: str, problem: str) -> None:
    """A file that `mark` has not written ends with exit code 4, its line and what is wrong."""
    Path("m.marks").write_text(line + "\n")
    err = vae("mark", "--list", "--marks", "m.marks", code=4).err
    assert problem in err
    assert f"m.marks, line {len(line.splitlines())}" in err


@pytest.mark.parametrize(
    "words",
    [
        "fit table.csv -o {marks} --marks {marks}",
        "fit table.csv -o new.vae --marks {marks} --contamination 5% --distrusted {marks}",
        "fit table.csv -o {marks} --marks {marks} --dry-run",
        "calibrate model.vae table.csv -o {marks} --marks {marks}",
        "evaluate table.csv -o {marks} --marks {marks}",
        "evaluate table.csv -o e.csv --plot {marks} --marks {marks}",
    ],
)
def test_no_output_takes_the_place_of_the_marks(vae: Vae, place: Path, words: str) -> None:
    """What people decided cannot be computed again: exit code 2, and the file stays."""
    file = Path("marks.png" if "--plot" in words else "marks.csv")
    vae("mark", "--fault", "faults.csv", "--marks", str(file))
    before = file.read_bytes()
    assert "is the file of --marks itself" in vae(*words.format(marks=file).split(), code=2).err
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--remove", "a.csv", "--fault", "b.csv"), "--remove takes marks back"),
        (("--key", "machine"), "--key names the rows of a table"),
        ((), "nothing is asked"),
        (("--fault", "-", "--normal", "-"), "standard input"),
        (("--fault", "table.csv", "--marks", "table.csv"), "table.csv: is the input itself"),
    ],
)
def test_contradictions_are_usage_errors(vae: Vae, place: Path, words: tuple[str, ...], problem: str) -> None:
    """Options that make no sense together end with exit code 2."""
    assert problem in vae("mark", *words, code=2).err


def test_python_marks_frames(table: pd.DataFrame, model: vaecli.Model, tmp_path: Path) -> None:
    """vaecli.mark takes tables in memory, and calibrate the file; rows are those of the frame."""
    file = tmp_path / "a.marks"
    summary = vaecli.mark(file, fault=table[:4], normal=table[4:6], model=model)
    assert (summary.faults, summary.normal) == (4, 2)
    assert vaecli.mark(file, fault=table[:1], key=["machine", "step"]).faults == 5
    fresh = model.calibrate(table, marks=file)
    assert fresh.summary is not None
    assert (fresh.summary.marks.faults, fresh.summary.rows) == (4, 196)
    with pytest.raises(UsageError, match="neither key nor a model"):
        vaecli.mark(file, fault=table)
    with pytest.raises(InputError, match="decide in two ways"):
        vaecli.mark(file, fault=table[:3], normal=table[2:4], key="machine")
