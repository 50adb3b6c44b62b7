"""Numbers as loggers, spreadsheets and historians spell them, read from CSV and scored as the numbers they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sensors.conftest import call


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder of its own."""
    monkeypatch.chdir(tmp_path)


FAULT = 10  # the row whose temperature is far off
N = 300


def grouped(value: float, mark: str, decimal: str = ".") -> str:
    return f"{value:,.2f}".replace(",", "\0").replace(".", decimal).replace("\0", mark)


READ: dict[str, Callable[[float], str]] = {
    "decimal comma": lambda x: f"{x:.2f}".replace(".", ","),
    "decimal comma and point": lambda x: grouped(x, ".", ","),
    "typographic minus": lambda x: f"{x:.2f}".replace("-", "−"),
    "en dash": lambda x: f"{x:.2f}".replace("-", "–"),
    "apostrophe": lambda x: f"'{x:.2f}" if x < 0 else f"{x:.2f}",
    "thin space": lambda x: grouped(x, "\u202f"),
    "no-break space": lambda x: grouped(x, "\u00a0"),
    "thin space and comma": lambda x: grouped(x, "\u2009", ","),
    "decimal comma and minus": lambda x: f"{x:.2f}".replace(".", ",").replace("-", "−"),
}
TIMES: dict[str, Callable[[float], str]] = {
    "hours and minutes": lambda x: f"{int(x) // 60:02}:{int(x) % 60:02}",
    "seconds too": lambda x: f"{int(x) // 60:02}:{int(x) % 60:02}:{int(x * 60) % 60:02}",
    "fractions": lambda x: f"{int(x) // 60}:{int(x) % 60:02}:00.5",
    "days": lambda x: f"{int(x) // 1440} days {int(x) // 60 % 24:02}:{int(x) % 60:02}:00",
    "more than a day": lambda x: f"{24 + int(x) // 60}:{int(x) % 60:02}:00",
}
REFUSED: dict[str, Callable[[float], str]] = {
    "thousands comma": lambda x: grouped(x, ","),
    "unit": lambda x: f"{x:.2f} kW",
    "percent": lambda x: f"{x:.2f} %",
    "hexadecimal": lambda x: hex(int(x) + 5000),
    "apostrophe between thousands": lambda x: grouped(x, "'"),
}


def numbers(seed: int) -> pd.DataFrame:
    """Two columns that hang together; the first is negative, small and above a thousand."""
    load = np.random.default_rng(seed).uniform(-1, 1, N)
    return pd.DataFrame({"temp": 1500 * load, "flow": np.round(50 + 20 * load, 2)})


def spelled(table: pd.DataFrame, spell: Callable[[float], str]) -> pd.DataFrame:
    return table.assign(temp=[spell(value) for value in table["temp"]])


def scores(run, quick: Path, normal: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    normal.to_csv("normal.csv", index=False, sep=";")
    new.to_csv("new.csv", index=False, sep=";")
    fitted = run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--json")
    assert fitted.code == 0, fitted.err
    kinds = {column["name"]: column["kind"] for column in json.loads(fitted.out)["columns"]}
    assert kinds["temp"] == "numeric"
    assert run("score", "new.csv", "-m", "m.vae", "-o", "out.csv", "--quiet").code == 0
    return pd.read_csv("out.csv", sep=";")


def in_parquet(run) -> list[float]:
    """The first column of `new.csv`, scored to Parquet, where it is one of numbers that have the same scores."""
    assert run("score", "new.csv", "-m", "m.vae", "-o", "out.parquet", "--quiet").code == 0
    assert run("score", "out.parquet", "-m", "m.vae", "-o", "again.parquet", "--prefix", "b_", "--quiet").code == 0
    table = pq.read_table("again.parquet")
    assert table["temp"].type == pa.float64()
    assert table["b_anomaly_score"] == table["anomaly_score"]
    return table["temp"].to_pylist()


def normal_and_new() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Normal rows, and forty new ones of which one is faulty."""
    normal, new = numbers(0).round(2), numbers(1).head(40).round(2)
    new.loc[FAULT, "temp"] = 9000.0
    return normal, new


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, quick: Path) -> pd.DataFrame:
    """The new rows, scored where all numbers are spelled as CSV has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("plain"))
        return scores(call, quick, *normal_and_new())


@pytest.mark.parametrize("name", READ)
def test_the_same_numbers_have_the_same_scores(run, quick: Path, plain: pd.DataFrame, name: str):
    """However they are spelled; the faulty row is flagged, and where CSV becomes Parquet they are numbers there."""
    normal, new = normal_and_new()
    found = scores(run, quick, spelled(normal, READ[name]), spelled(new, READ[name]))
    np.testing.assert_allclose(found["anomaly_score"], plain["anomaly_score"], rtol=1e-9)
    assert found["is_anomaly"][FAULT]
    assert list(found["temp"]) == list(spelled(new, READ[name])["temp"])  # the user's own cells pass through
    assert in_parquet(run) == list(new["temp"])


@pytest.mark.parametrize("name", TIMES)
def test_times_of_day_and_durations_are_seconds(run, quick: Path, name: str):
    """Text that is a time in every cell is a number, as in typed tables; a new time is not a word never seen."""
    minutes = np.random.default_rng(0).integers(480, 1020, N).astype(float)
    normal = pd.DataFrame({"temp": [TIMES[name](m) for m in minutes], "flow": minutes})
    new = normal.head(40).copy()
    new.loc[FAULT, "temp"] = TIMES[name](3.0)
    found = scores(run, quick, normal, new)
    assert found["is_anomaly"][FAULT]
    assert found["is_anomaly"].sum() <= 6
    seconds = 60 * minutes[:40] + {"fractions": 0.5, "more than a day": 86_400}.get(name, 0)
    seconds[FAULT] += 60 * (3 - minutes[FAULT])
    assert in_parquet(run) == list(seconds)


@pytest.mark.parametrize("name", READ)
def test_the_summary_reports_how_numbers_were_read(run, quick: Path, name: str):
    """One line of the summary names the columns."""
    spelled(numbers(0), READ[name]).to_csv("normal.csv", index=False, sep=";")
    done = run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--json")
    (note,) = [warning for warning in json.loads(done.out)["warnings"] if "were read as numbers" in warning]
    assert "temp" in note
    assert ("decimal comma" in note) == ("comma" in name)


def test_a_point_beside_decimal_commas_is_doubtful(run, quick: Path):
    """Where every cell may hold thousands, a warning names the cell and the option, which reads them."""
    rng = np.random.default_rng(0)
    table = numbers(0).round(2).map(READ["decimal comma"])
    table["count"] = [f"{value // 1000}.{value % 1000:03}" for value in rng.integers(1001, 1099, N)]
    table.to_csv("normal.csv", index=False, sep=";")
    done = run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--json")
    (note,) = [warning for warning in json.loads(done.out)["warnings"] if "--thousands ." in warning]
    assert note.startswith("'count': 1.")
    done = run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--json", "--thousands", ".")
    columns = {column["name"]: column for column in json.loads(done.out)["columns"]}
    assert 1001 <= columns["count"]["minimum"] < columns["count"]["maximum"] < 1099
    assert "doubtful" not in done.out
    table.assign(count=rng.normal(size=N).round(2)).to_csv("normal.csv", index=False, sep=";")
    assert "--thousands" not in run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--json").out


@pytest.mark.parametrize("name", REFUSED)
def test_numbers_that_cannot_be_read_are_refused(run, quick: Path, name: str):
    """Never silently categories: exit 4, the column, a cell and what to do."""
    table = spelled(numbers(0), REFUSED[name])
    table.to_csv("normal.csv", index=False, sep=";")
    done = run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick))
    assert done.code == 4
    assert "column 'temp'" in done.err
    assert "--exclude temp" in done.err
    assert not Path("m.vae").exists()


@pytest.mark.parametrize("share", [0.03, 0.09, 0.11, 0.3, 0.7])
@pytest.mark.parametrize("words", [("unavailable",), ("Bad", "No Data", "[-11059] Calc Failed"), ("-", "---")])
def test_words_among_measurements_are_refused_whatever_their_share(run, quick: Path, share: float, words):
    """There is no cliff at one cell in ten, from which numbers became categories."""
    rng = np.random.default_rng(0)
    temp = numbers(0)["temp"].round(2).astype(str)
    temp = temp.where(rng.random(N) >= share, rng.choice(words, N))
    numbers(0).assign(temp=temp).to_csv("normal.csv", index=False)
    done = run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick))
    assert done.code == 4
    assert "column 'temp' holds numbers, not" in done.err


@pytest.mark.parametrize(
    "texts",
    [
        ["A1", "B2", "12", "7"],  # few values: codes
        [f"{i}" for i in range(8)] + ["other"],  # few numbers beside a word
        ["5 mm", "10 mm", "20 mm"],  # sizes that repeat
        ["1/2", "3/4"],
        ["16:9", "4:3"],
    ],
)
def test_categories_stay_categories(run, quick: Path, texts: list[str]):
    """A few texts that repeat are words, also where they hold digits."""
    rng = np.random.default_rng(0)
    numbers(0).assign(temp=rng.choice(texts, N)).to_csv("normal.csv", index=False)
    done = run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick), "--json")
    assert done.code == 0, done.err
    assert {column["name"]: column["kind"] for column in json.loads(done.out)["columns"]}["temp"] == "categorical"


def test_a_comma_that_may_stand_between_thousands_is_refused(run, quick: Path):
    """`1,234` is one and a bit, or more than a thousand: it is ambiguous, so nothing is guessed."""
    rng = np.random.default_rng(0)
    table = numbers(0).assign(
        temp=[f"{i},{j:03}" for i, j in zip(rng.integers(1, 9, N), rng.integers(0, 999, N), strict=True)]
    )
    table.to_csv("normal.csv", index=False, sep=";")
    assert run("fit", "normal.csv", "-o", "m.vae", "--config", str(quick)).code == 4
