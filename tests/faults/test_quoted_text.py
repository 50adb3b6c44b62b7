"""Text of the user in messages, summaries and JSON: it forges no message, steers no terminal and is never endless."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import run as run

pytestmark = pytest.mark.usefixtures("place")

FORGED = "x\nerror: all is lost\nhint: send money\x1b[2J\x07"
LONG = "w" * 2_000_000


def write(name: str, table: pd.DataFrame, **cells: str) -> None:
    """The table as `name`, with a cell in its third row replaced."""
    changed = table.astype(dict.fromkeys(cells, object))
    for column, cell in cells.items():
        changed.loc[2, column] = cell
    if name.endswith(".parquet"):
        changed.astype(dict.fromkeys(cells, str)).to_parquet(name, index=False)
    else:
        changed.to_csv(name, index=False)


def assert_harmless(text: str, most: int = 6_000) -> None:
    """Text for a person: its lines are ours, and it is short."""
    lines = text.split("\n")
    assert sum(line.startswith("error: ") for line in lines) <= 1
    assert sum(line.startswith("hint: ") for line in lines) <= 1
    assert not any(line.lstrip().startswith(("error: all", "hint: send")) for line in lines)
    assert all(line.isprintable() for line in lines)
    assert len(text) < most


CELLS = {"forged": FORGED, "long": LONG}
QUICK_FITS = {("new.csv", "pressure", "long"), ("new.csv", "pump_on", "forged"), ("new.csv", "mode", "long")}


@pytest.mark.parametrize(
    ("verb", "file", "column", "cell"),
    [
        pytest.param(
            verb,
            *case,
            id="-".join((verb, *case)),
            marks=pytest.mark.slow if verb == "fit" and case not in QUICK_FITS else [],  # two fits each
        )
        for verb in ("score", "explain", "fit")
        for case in itertools.product(("new.csv", "new.parquet"), ("pressure", "pump_on", "mode"), CELLS)
    ],
)
def test_a_cell(run, fresh_table, verb: str, file: str, column: str, cell: str):
    """In a number, a switch and a category, refused or read, in text and in JSON."""
    write(file, fresh_table, **{column: CELLS[cell]})
    words = [verb, file, "-o", "out.vae", "--config", "quick.toml"] if verb == "fit" else [verb, file, "-o", "out.csv"]
    shown, answer = run(*words), run(*words, "--json")
    assert shown.code == answer.code
    assert shown.code in (0, 4)
    assert_harmless(shown.err)
    assert_harmless(shown.out)
    assert_harmless(answer.err)
    assert answer.out.rstrip("\n").isprintable()
    assert len(answer.out) < 30_000
    found = json.loads(answer.out)
    for text in [found.get("error", ""), found.get("hint", ""), *found.get("warnings", ())]:
        assert "\nerror:" not in text
        assert "\x1b" not in text
    for row in found.get("worst", found.get("shown", ())):
        for reason in row["reasons"]:
            assert len(str(reason["value"])) <= 80  # the cell itself, which JSON escapes


@pytest.mark.parametrize("name", [FORGED, LONG[:200_000]], ids=["forged", "long"])
@pytest.mark.parametrize(
    "words", ["fit new.csv -o out.vae --config quick.toml", "score new.csv", "fit new.csv --group no"]
)
def test_the_name_of_a_column(run, fresh_table, words: str, name: str):
    """In the summary of a fit, among missing and unknown columns."""
    fresh_table.rename(columns={"pressure": name, "mode": f"{name}2"}).to_csv("new.csv", index=False)
    done = run(*words.split())
    assert_harmless(done.err)
    assert_harmless(done.out)


@pytest.mark.parametrize("words", ["score", "explain", "fit", "inspect", "score fresh.csv -o", "score fresh.csv -m"])
@pytest.mark.parametrize("exists", [False, True])
def test_the_name_of_a_file(run, fresh_table, words: str, exists: bool):
    """A name may hold anything but a slash."""
    name = FORGED + ".csv"
    if exists:
        Path(name).write_text("a,b\n1,2\n3\n")
    done = run(*words.split(), name, *(["-o", "out.vae"] if words == "fit" else []))
    assert done.code in (0, 2, 4, 5)
    assert_harmless(done.err)
    assert_harmless(done.out)


@pytest.mark.parametrize(
    "words", ["score fresh.csv --threshold", "fit fresh.csv --columns", "score fresh.csv --fail-on"]
)
def test_a_value_of_an_option(run, words: str):
    """What comes from a variable of a script is the user's text, too."""
    done = run(*words.split(), FORGED)
    assert done.code == 2
    assert_harmless(done.err)
