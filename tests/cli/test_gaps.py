"""What no score tells: columns that were constant at fit, words that are nearly known, one cell among very many."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

N = 120


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder of its own."""
    monkeypatch.chdir(tmp_path)


def write(table: pd.DataFrame, name: str) -> str:
    table.to_csv(name, index=False) if name.endswith("csv") else table.to_parquet(name, index=False)
    return name


# -- columns that were constant -----------------------------------------------------------------

CONSTANT = {
    "speed": 5,
    "gain": 0.1,
    "zero": 0.0,
    "site": "north",
    "on": True,
    "day": pd.Timestamp("2024-01-02"),
    "empty": None,
}
MOVED = {"speed": 6, "gain": 0.2, "zero": 1e-9, "site": "North", "on": False, "day": pd.Timestamp("2024-01-03")}
MOVED["empty"] = 4.0
ROWS = {name: n for n, name in enumerate(MOVED, start=1)}  # in how many rows each of them moves


def normal() -> pd.DataFrame:
    load = np.random.default_rng(0).normal(size=N)
    return pd.DataFrame({"a": load.round(3), "b": (2 * load + 1).round(3), **CONSTANT}).astype({"empty": "float64"})


def moved() -> pd.DataFrame:
    table = normal()
    for name, n in ROWS.items():
        table.loc[table.index[10 : 10 + n], name] = MOVED[name]
    return table


@pytest.mark.parametrize("fitted", ["normal.csv", "normal.parquet"])
def test_a_column_that_was_constant_at_fit_is_named_when_it_moves(run, quick: Path, fitted: str):
    """By name, with its value at fit and the rows, in every format; without a change, nothing is said."""
    write(normal(), fitted)
    assert run("fit", fitted, "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    for name in ("new.csv", "new.parquet"):
        write(moved(), name)
        done = run("score", name, "-m", "m.vae", "-o", "out.csv", "--json")
        found = json.loads(done.out)
        assert {one["column"]: one["rows"] for one in found["changed"]} == ROWS
        assert found["changed"][0]["rows"] == max(ROWS.values())
        assert {one["column"]: one["value"] for one in found["changed"]}["site"] == "north"
        (warning,) = [one for one in found["warnings"] if "changed since the fit" in one]
        assert "speed in 1 row (always 5 at fit)" in warning
        assert "site in 4 rows (always 'north' at fit)" in warning
        assert "empty in 7 rows (empty at fit)" in warning
        assert "speed in 1 row" in run("score", name, "-m", "m.vae", "-o", "out.csv").out
        write(normal(), name)
        same = json.loads(run("score", name, "-m", "m.vae", "-o", "out.csv", "--json").out)
        assert (same["changed"], same["anomalies"]) == ([], found["anomalies"])
    write(normal().drop(columns=list(CONSTANT)), "new.csv")  # they may be absent
    assert json.loads(run("score", "new.csv", "-m", "m.vae", "-o", "out.csv", "--json").out)["changed"] == []


def test_a_value_that_is_only_rounded_has_not_moved(run, quick: Path):
    """float32 in one file and text in the other; a constant that goes missing has no other value either."""
    write(normal().astype({"gain": "float32"}), "normal.parquet")
    assert run("fit", "normal.parquet", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    table = normal()
    table.loc[5, "speed"] = np.nan
    write(table, "new.csv")
    assert json.loads(run("score", "new.csv", "-m", "m.vae", "-o", "out.csv", "--json").out)["changed"] == []


def test_many_columns_that_moved_are_counted(run, quick: Path):
    """The warning stays one line."""
    write(normal().assign(**{f"k{i}": 1 for i in range(30)}), "normal.csv")
    assert run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    write(normal().assign(**{f"k{i}": 2 for i in range(30)}), "new.csv")
    found = json.loads(run("score", "new.csv", "-m", "m.vae", "-o", "out.csv", "--json").out)
    assert len(found["changed"]) == 30
    (warning,) = [one for one in found["warnings"] if "changed since the fit" in one]
    assert "and 20 more columns" in warning


# -- rows of delimiters only --------------------------------------------------------------------


@pytest.mark.parametrize("blank", [",,", '"",,""', " , , "])
def test_rows_of_delimiters_are_counted_and_the_first_is_named(run, quick: Path, blank: str):
    """At fit and when scored, by line; they pass through like all others."""
    rng = np.random.default_rng(0)
    lines = [f"{a:.3f},{2 * a + 0.1 * b:.3f},{'run' if a > 0 else 'idle'}" for a, b in rng.normal(size=(100, 2))]
    Path("clean.csv").write_text("\n".join(["a,b,s", *lines]) + "\n")
    lines[40:40], lines[70:70] = [blank, blank], [blank]
    lines[50] = ",,run"  # not empty
    Path("normal.csv").write_text("\n".join(["a,b,s", *lines]) + "\n")
    words = "3 rows are empty (the first: normal.csv, line 42)"
    fitted = json.loads(run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--json").out)
    assert [words in one for one in fitted["warnings"]].count(True) == 1
    found = json.loads(run("score", "normal.csv", "-m", "m.vae", "-o", "out.csv", "--json").out)
    assert (found["rows"], found["blank_rows"]) == (103, 3)
    assert [words in one for one in found["warnings"]].count(True) == 1
    assert Path("out.csv").read_text().splitlines()[41].startswith(f"{blank},")
    pd.read_csv("normal.csv", skipinitialspace=True).to_parquet("normal.parquet", index=False)
    found = json.loads(run("score", "normal.parquet", "-m", "m.vae", "-o", "out.csv", "--json").out)
    assert any("3 rows are empty (the first: normal.parquet, row 41)" in one for one in found["warnings"])
    found = json.loads(run("score", "clean.csv", "-m", "m.vae", "-o", "out.csv", "--json").out)
    assert (found["blank_rows"], [one for one in found["warnings"] if "empty" in one]) == (0, [])


# -- words that are nearly known ----------------------------------------------------------------

NEAR = {"run ": "run", "Run": "run", "rum": "run", "R U N": "run", "idel": "idle", "alarm high": "Alarm high"}


def test_a_word_that_is_nearly_known_is_quoted_beside_the_known_one(run, quick: Path):
    """`run ` where `run` is expected looks the same on a page without marks."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"a": rng.normal(size=300).round(3), "state": rng.choice(["run", "idle", "Alarm high"], 300)})
    table["pump"] = rng.choice(["P1", "P2"], 300)
    write(table, "normal.csv")
    assert run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--quiet").code == 0
    new = table.head(len(NEAR) + 2).copy()
    new["state"] = [*NEAR, "zzz", "run"]
    new.loc[len(NEAR) + 1, "pump"] = "P3"
    write(new, "new.csv")
    rows = ",".join(map(str, range(1, len(new) + 1)))
    done = run("explain", "new.csv", "-m", "m.vae", "--row", rows, "--top", "3", "--json")
    by_row = {row["row"]: {one["column"]: one for one in row["reasons"]} for row in json.loads(done.out)["shown"]}
    page = run("explain", "new.csv", "-m", "m.vae", "--row", rows).out
    for row, (word, known) in enumerate(NEAR.items(), start=1):
        assert by_row[row]["state"]["similar"] == known
        found = re.search(
            rf"state = '{word}', never seen, nearly '{known}'(?:; (?:expected|most probable) '(.*?)')?", page
        )
        assert found is not None
        assert found[1] != known  # what it is nearly the same as is not written twice
    assert by_row[len(NEAR) + 1]["state"]["similar"] is None
    assert by_row[len(NEAR) + 2]["pump"]["similar"] is None  # another code is no slip
    assert re.search("pump = P3, never seen, (expected|most probable) P[12] ", page)


# -- one cell among many ------------------------------------------------------------------------


SLOW = {(1500, "fast"), (100, "default"), (500, "default"), (1500, "default")}


@pytest.mark.parametrize(
    ("n_columns", "preset"),
    [
        pytest.param(n, preset, marks=pytest.mark.slow if (n, preset) in SLOW else ())
        for preset in ("fast", "default")
        for n in (10, 100, 500, 1500)
    ],
)
def test_a_cell_sixty_standard_deviations_off_is_flagged(run, n_columns: int, preset: str):
    """However many columns vary beside it, and however few rows there are to learn from."""
    rng = np.random.default_rng(n_columns)
    table = pd.DataFrame(rng.normal(size=(N, 2)) @ rng.normal(size=(2, n_columns)) + rng.normal(size=(N, n_columns)))
    table.columns = [f"c{j}" for j in range(n_columns)]
    write(table.head(110), "normal.parquet")
    new, faults = table.tail(10).reset_index(drop=True), [2, 5, 8]
    for row in faults:
        column = f"c{rng.integers(n_columns)}"
        new.loc[row, column] += 60 * table[column].std() * (-1) ** row
    write(new, "new.parquet")
    words = ("--preset", preset, "--max-epochs", "1", "--seed", "1", "--quiet")
    assert run("fit", "normal.parquet", "-o", "m.vae", *words).code == 0
    assert run("score", "new.parquet", "-m", "m.vae", "-o", "out.parquet", "--quiet").code == 0
    assert pd.read_parquet("out.parquet")["is_anomaly"][faults].all()
