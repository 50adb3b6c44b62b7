"""Words and numbers that mean missing, and the marks of numbers, named by hand at fit and kept by the bundle."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

FAULT = 10
N = 200


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a folder of its own."""
    monkeypatch.chdir(tmp_path)


def numbers(seed: int, rows: int = N) -> pd.DataFrame:
    """Two columns that hang together, both of many values."""
    rng = np.random.default_rng(seed)
    load = rng.normal(0, 1, rows)
    temp, flow = 30 + 5 * load + rng.normal(0, 0.3, rows), 1150 + 90 * load + rng.normal(0, 5, rows)
    return pd.DataFrame({"temp": temp.round(2), "flow": flow.round(1)})


def replaced(table: pd.DataFrame, values: list, share: float = 0.1) -> pd.DataFrame:
    """The table with `values` in turn in every tenth cell of `temp`."""
    temp = table["temp"].astype(object)
    rows = range(3, len(table), round(1 / share))
    for nth, row in enumerate(rows):
        temp[row] = values[nth % len(values)]
    return table.assign(temp=temp)


def fit(run, quick: Path, table: pd.DataFrame, *options: str, name: str = "normal.csv"):
    table.to_csv(name, index=False) if name.endswith("csv") else table.to_parquet(name)
    return run("fit", name, "-o", "m.vae", "--config", str(quick), "--json", *options)


def scored(run, table: pd.DataFrame, name: str = "new.csv") -> pd.DataFrame:
    table.to_csv(name, index=False) if name.endswith("csv") else table.to_parquet(name)
    done = run("score", name, "-m", "m.vae", "-o", f"out-{name}", "--quiet")
    assert done.code == 0, done.err
    return pd.read_csv("out-new.csv") if name.endswith("csv") else pd.read_parquet(f"out-{name}")


def test_declared_words_are_missing_cells_at_fit_and_at_scoring(run, quick: Path):
    """The same scores as with empty cells, in every spelling of the number; words never met at fit count too."""
    options = ("--missing", "-9999,Bad Input", "--missing", "No Data")
    words = ["Bad Input", "No Data", "-9999", "-9999.0", "1.#QNAN", "-1.#IND"]
    new = numbers(1, 60)
    assert fit(run, quick, replaced(numbers(0), [None])).code == 0
    expected = scored(run, replaced(new, [None]))["anomaly_score"]
    assert fit(run, quick, replaced(numbers(0), words), *options).code == 0
    assert list(scored(run, replaced(new, words))["anomaly_score"]) == list(expected)
    assert fit(run, quick, replaced(numbers(0), [None]), *options).code == 0
    assert list(scored(run, replaced(new, words))["anomaly_score"]) == list(expected)


def test_parquet_and_csv_have_the_same_scores(run, quick: Path):
    """Numbers in a column of floats, words in one of text."""
    normal, new = numbers(0), numbers(1, 60)
    for table in (normal, new):
        table["flow"] = np.where(np.arange(len(table)) % 9 == 0, -9999.0, table["flow"])
        table["site"] = np.resize(["north", "south", "south", "unknown"], len(table))
    options = ("--missing", "flow=-9999", "--missing", "site=unknown")
    assert fit(run, quick, normal, *options).code == 0
    from_csv = scored(run, new)["anomaly_score"]
    done = fit(run, quick, normal, *options, name="normal.parquet")
    columns = {column["name"]: column for column in json.loads(done.out)["columns"]}
    assert columns["site"]["categories"] == ["south", "north"]
    assert columns["flow"]["minimum"] > 0
    np.testing.assert_allclose(scored(run, new, "new.parquet")["anomaly_score"], from_csv, rtol=1e-9)


@pytest.mark.parametrize("words", ["n/a", "Bad", "Bad,temp=off line"])
def test_numbers_among_words_stay_numbers_in_parquet(run, quick: Path, words: str):
    """From CSV: declared words and empty cells become null, every other cell the number that it is."""
    met = ["n/a"] if words == "n/a" else ["Bad", ""] if words == "Bad" else [" Bad ", "off line"]
    normal, new = (replaced(numbers(seed), met).assign(count=2**60 + np.arange(N)) for seed in (0, 1))
    new["count"] = new["count"].astype(object)
    new.loc[5, "count"] = "n/a" if words == "n/a" else "Bad"
    options = [option for word in words.split(",") for option in ("--missing", word)]
    assert fit(run, quick, normal, *options, "--columns", "temp,flow,count").code == 0
    new.to_csv("new.csv", index=False)
    assert run("score", "new.csv", "-m", "m.vae", "-o", "out.parquet", "--quiet").code == 0
    written = pq.read_table("out.parquet")
    assert written.schema.field("temp").type == written.schema.field("flow").type == pa.float64()
    assert written.schema.field("count").type == pa.int64()
    expected = [None if cell in met else cell for cell in new["temp"]]
    assert written["temp"].to_pylist() == expected
    assert written["count"].to_pylist() == [None if row == 5 else 2**60 + row for row in range(N)]


def test_a_word_of_one_column_is_a_value_in_others(run, quick: Path):
    """`NAME=WORD` concerns NAME only; a NAME that is no column is refused with the near match."""
    table = numbers(0).assign(site=np.resize(["north", "none found"], N), other=np.resize(["none found", "a"], N))
    done = fit(run, quick, table, "--missing", "site=none found")
    columns = {column["name"]: column for column in json.loads(done.out)["columns"]}
    assert columns["site"]["role"] == "ignored"
    assert set(columns["other"]["categories"]) == {"none found", "a"}
    done = fit(run, quick, table, "--missing", "tmep=-9999")
    assert done.code == 2
    assert "no column 'tmep'" in done.err
    assert "temp" in done.err


def test_the_error_about_words_proposes_the_option_that_reads_them(run, quick: Path):
    """Copied from the message it works."""
    table = replaced(numbers(0), ["Bad", "No Data", "a, b"], 0.2)
    done = fit(run, quick, table)
    assert done.code == 4
    proposed = re.search(r"--missing .*", done.err)
    assert proposed is not None
    done = fit(run, quick, table, *shlex.split(proposed[0]))
    assert done.code == 0, done.err
    assert scored(run, table.head(40)).shape[0] == 40


OFTEN_MET = (-9999, 65535, 9.969209968386869e36, 999.9)


@pytest.mark.parametrize(
    "value", [*OFTEN_MET, *(pytest.param(value, marks=pytest.mark.slow) for value in (32767, 1e30, 1e20, -123456.75))]
)
def test_a_placeholder_is_named_and_does_not_blind_its_column(run, quick: Path, value: float):
    """Its column, value and count are a warning; a gross fault is still flagged; the option that is proposed works."""
    normal, new = replaced(numbers(0), [value], 0.05), numbers(1, 60)
    new.loc[FAULT, "temp"] = 95.0
    done = fit(run, quick, normal)
    summary = json.loads(done.out)
    (note,) = [warning for warning in summary["warnings"] if "placeholder" in warning]
    assert note.startswith("'temp': 10 cells hold ")
    assert {column["name"]: column for column in summary["columns"]}["temp"]["maximum"] < 60
    assert scored(run, new)["is_anomaly"][FAULT]
    new.loc[FAULT, "temp"] = value  # nobody said that it means missing
    assert scored(run, new)["is_anomaly"][FAULT]
    proposed = re.search(r"--missing \S+", note)
    assert proposed is not None
    done = fit(run, quick, normal, *shlex.split(proposed[0]))
    assert not [warning for warning in json.loads(done.out)["warnings"] if "placeholder" in warning]
    assert not scored(run, new)["is_anomaly"][FAULT]


@pytest.mark.parametrize(
    ("value", "share", "is_proposed"),
    [(85.0, 0.03, True), (-5.0, 0.03, True), (85.0, 0.005, False), (40.0, 0.03, False)],
)
def test_a_number_apart_is_proposed_and_learned(run, quick: Path, value: float, share: float, is_proposed: bool):
    """Near the range of the others, repeated where they hardly are; not where it is rare, or within the range."""
    done = fit(run, quick, replaced(numbers(0), [value], share))
    summary = json.loads(done.out)
    notes = [warning for warning in summary["warnings"] if "placeholder" in warning]
    assert [f"--missing temp={value:.0f} takes" in note for note in notes] == [True] * is_proposed
    temp = {column["name"]: column for column in summary["columns"]}["temp"]
    assert (value in (temp["minimum"], temp["maximum"])) == (value != 40.0)
    inspected = run("inspect", "m.vae", "--json")
    assert "spikes" not in inspected.out


@pytest.mark.parametrize("kind", ["one huge cell", "heavy tail", "top of a count"])
def test_what_is_no_placeholder(run, quick: Path, kind: str):
    """One cell beyond 1e18 is one; large values of a heavy tail, and round counts that are cut at 99999, are not."""
    normal = numbers(0)
    if kind == "one huge cell":
        normal.loc[7, "temp"] = 9.96921e36
    elif kind == "heavy tail":
        normal["temp"] = np.random.default_rng(0).pareto(1, N).round(3)
    else:
        normal["temp"] = np.where(np.arange(N) % 20 == 0, 99999, np.random.default_rng(0).integers(0, 42, N) * 1000)
    warnings = json.loads(fit(run, quick, normal).out)["warnings"]
    assert any("placeholder" in warning for warning in warnings) == (kind == "one huge cell")


@pytest.mark.parametrize(
    ("options", "spell"),
    [
        (("--thousands", ","), lambda x: f"{x:,.1f}"),
        (("--thousands", "'"), lambda x: f"{x:,.1f}".replace(",", "'")),
        (("--decimal", ",", "--thousands", " "), lambda x: f"{x:,.1f}".replace(",", " ").replace(".", ",")),
        (("--decimal", ","), lambda x: f"{x:.3f}".replace(".", ",")),
        (("--thousands", "."), lambda x: f"{x:,.1f}".translate(str.maketrans(",.", ".,"))),
    ],
)
def test_marks_named_by_hand(run, quick: Path, options, spell):
    """The scores are those of plain numbers; the bundle keeps the marks."""
    normal, new = numbers(0), numbers(1, 60)
    for table in (normal, new):
        table["temp"] = (table["temp"] * 100).round(1)
    assert fit(run, quick, normal).code == 0
    expected = scored(run, new)["anomaly_score"]
    text = [table.assign(temp=table["temp"].map(spell), flow=table["flow"].map(spell)) for table in (normal, new)]
    done = fit(run, quick, text[0], *options)
    assert done.code == 0, done.err
    np.testing.assert_allclose(scored(run, text[1])["anomaly_score"], expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (("--decimal", ";"), 2, "neither a comma nor a point"),
        (("--thousands", "12"), 2, "--thousands '12'"),
        (("--decimal", ",", "--thousands", ","), 2, "are both"),
        (("--decimal", ","), 4, "column 'temp' holds numbers, not"),  # the cells have points
    ],
)
def test_marks_that_cannot_be(run, quick: Path, options, code: int, named: str):
    """They contradict each other, or the cells."""
    done = fit(run, quick, numbers(0), *options)
    assert done.code == code
    assert named in done.err


def test_thousands_commas_name_the_option(run, quick: Path):
    """Without it they are refused."""
    table = numbers(0)
    done = fit(run, quick, table.assign(flow=(table["flow"] * 10).map("{:,.1f}".format)))
    assert done.code == 4
    assert "--thousands ," in done.err
    assert "--missing" not in done.err


def test_settings_file(run, quick: Path):
    """`missing` in TOML is a list of words and numbers."""
    own = Path("own.toml")  # `quick` is shared by all tests
    own.write_text(quick.read_text() + '[columns]\nmissing = [-9999, "Bad"]\n')
    assert fit(run, own, replaced(numbers(0), ["Bad", "-9999"])).code == 0
    assert scored(run, replaced(numbers(1, 60), ["Bad", "-9999"])).shape[0] == 60


def test_a_column_of_missing_words_is_empty_until_another_value_comes(run, quick: Path):
    """Scoring does not report the declared word as a change, and reports any other value as one."""
    assert fit(run, quick, numbers(0).assign(valve="Bad"), "--missing", "Bad").code == 0
    new = numbers(1, 60).assign(valve="Bad")
    for n_open in (0, 2):
        new.loc[: n_open - 1, "valve"] = "open"
        new.to_csv("new.csv", index=False)
        done = run("score", "new.csv", "-m", "m.vae", "--json")
        assert ("valve in 2 rows (empty at fit)" in done.out) == (n_open == 2)
        assert ("changed since the fit" in done.out) == (n_open == 2)


def test_an_ordered_category_keeps_its_order_without_the_missing_word(run, quick: Path):
    """A declared word is taken out of the categories, and those that are left stay ordered as declared."""
    levels = pd.CategoricalDtype(["low", "unknown", "mid", "high"], ordered=True)
    level = pd.Series(np.resize(["low", "mid", "high", "mid", "unknown"], N)).astype(levels)
    done = fit(run, quick, numbers(0).assign(level=level), "--missing", "level=unknown", name="normal.parquet")
    assert done.code == 0, done.err
    done = run("sample", "-m", "m.vae", "-n", "20", "-o", "drawn.parquet")
    assert done.code == 0, done.err
    dtype = pd.read_parquet("drawn.parquet")["level"].dtype
    assert dtype.ordered
    assert list(dtype.categories) == ["low", "mid", "high"]


@pytest.mark.parametrize("options", [(), ("--missing", f"count={2**63 - 1}")])
def test_a_placeholder_of_64_bits_has_all_its_digits_in_parquet(run, quick: Path, options: tuple[str, ...]):
    """Of delimited text that is scored into Parquet, whether it is declared as missing or only set aside."""
    normal, new = numbers(0), numbers(1, 60)
    for seed, table in enumerate((normal, new)):
        count = np.random.default_rng(seed).integers(0, 500, len(table))
        table["count"] = np.where(np.arange(len(table)) % 20 == 5, 2**63 - 1, count)
    assert fit(run, quick, normal, *options).code == 0
    new.to_csv("new.csv", index=False)
    done = run("score", "new.csv", "-m", "m.vae", "-o", "out.parquet", "--quiet")
    assert done.code == 0, done.err
    assert list(pd.read_parquet("out.parquet")["count"]) == list(new["count"])


CODES_OF_COUNTRIES = ["DE", "AT", "CH", "NA"]


@pytest.mark.parametrize(
    ("words", "word", "name"),
    [
        (CODES_OF_COUNTRIES, "NA", "normal.csv"),
        (CODES_OF_COUNTRIES, "NA", "normal.parquet"),
        (["de", "at", "na"], "na", "normal.csv"),
        (["none", "light", "strong"], "none", "normal.csv"),
        (["None", "Mild", "Severe"], "None", "normal.parquet"),
    ],
)
def test_words_read_as_missing_that_may_be_values(run, quick: Path, words: list[str], word: str, name: str):
    """`fit` names column, word and count: NA among codes of two letters, and none among grades."""
    table = numbers(0).assign(place=[words[row % len(words)] for row in range(N)])
    n = sum(one == word for one in table["place"])
    done = fit(run, quick, table, name=name)
    assert done.code == 0, done.err
    warnings = [one for one in json.loads(done.out)["warnings"] if "read as missing" in one]
    assert warnings == [
        f"'place': {n} cells hold {word}, which was read as missing; if it is a value, write it in another way; "
        f"if it means missing: --missing place={word}"
    ]


@pytest.mark.parametrize(
    "words",
    [
        ["DE", "AT", "CH", ""],
        ["DE", "AT", "CH", "N/A"],
        ["Berlin", "Wien", "Bern", "NA"],
        ["DE", "AT", "Bern", "NA"],
        ["de", "at", "ch", "NA"],
        ["low", "high", "null"],
        ["1", "2", "none"],
    ],
    ids=lambda words: words[-1] or "empty",
)
def test_words_read_as_missing_that_are_no_values(run, quick: Path, words: list[str]):
    """Nothing is named where the word does not look like the others, or can hardly mean anything else."""
    table = numbers(0).assign(place=[words[row % len(words)] for row in range(N)])
    done = fit(run, quick, table)
    assert done.code == 0, done.err
    assert [one for one in json.loads(done.out)["warnings"] if "read as missing" in one] == []


def test_declared_words_are_not_doubted(run, quick: Path):
    """Who names NA with --missing means it; no other table is warned of."""
    table = numbers(0).assign(place=[CODES_OF_COUNTRIES[row % 4] for row in range(N)])
    done = fit(run, quick, table, "--missing", "place=NA")
    assert done.code == 0, done.err
    assert "read as missing" not in done.out
