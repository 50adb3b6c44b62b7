"""`vaecli explain` on real tables: what is found responsible, what was expected, and what each option promises."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vaecli
from vaecli.config import SCORE_KINDS, ExplainConfig, ScoreConfig
from vaecli.model import tiles
from vaecli.tables.read import delimited

PROGRAM = [sys.executable, "-m", "vaecli"]
TOGETHER = "the columns together: no single one explains this part"
TYPES = {
    "row": pa.int64(),
    "anomaly_score": pa.float64(),
    "p_value": pa.float64(),
    "is_anomaly": pa.bool_(),
    "rank": pa.int32(),
    "column": pa.string(),
    "nats": pa.float64(),
    "value": pa.string(),
    "expected": pa.string(),
    "low": pa.float64(),
    "high": pa.float64(),
    "probability": pa.float64(),
    "own_probability": pa.float64(),
    "role": pa.string(),
    "reason": pa.string(),
}
COMPANY, HOT, UNKNOWN, GAP, SWITCH = 17, 100, 40, 60, 200  # rows, from 1, in which something is wrong


@pytest.fixture
def new(fresh_table: pd.DataFrame, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Fresh rows as new.csv, five of them with a mistake, beside a bundle, in the current directory."""
    table = fresh_table.copy()
    table.loc[COMPANY - 1, ["pressure", "flow"]] = 6.5, 75.0
    table.loc[HOT - 1, "temperature"] = 900.0
    table.loc[UNKNOWN - 1, "mode"] = "turbo"
    table.loc[GAP - 1, "pressure"] = np.nan
    table.loc[SWITCH - 1, ["pressure", "flow", "pump_on"]] = 6.0, 120.0, "no"
    (tmp_path / "model.vae").write_bytes(bundle.read_bytes())
    table.to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return table


@pytest.fixture
def explain(run) -> Callable[..., dict[str, Any]]:
    """The summary as JSON: `explain("new.csv", "--row", "17")`."""

    def explain_words(*words: str) -> dict[str, Any]:
        done = run("explain", *words, "--json")
        assert (done.code, done.err) == (0, "")
        return strict_json(done.out)

    return explain_words


def strict_json(text: str) -> dict[str, Any]:
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def reasons(run, *words: str) -> pd.DataFrame:
    """What `explain -o FILE` writes."""
    done = run("explain", *words, "-o", "reasons.parquet", "--quiet")
    assert (done.code, done.out, done.err) == (0, "", "")
    return pq.read_table("reasons.parquet").to_pandas()


def sentences(summary: dict[str, Any]) -> dict[int, list[str]]:
    return {row["row"]: [reason["sentence"] for reason in row["reasons"]] for row in summary["shown"]}


# -- what is found responsible -------------------------------------------------------------------------------


def test_the_page_gives_reasons(run, new):
    """The flagged rows, most anomalous first, each with a line per reason in the words and units of the table."""
    done = run("explain", "new.csv")
    assert (done.code, done.err) == (0, "")
    facts, _, table = done.out.partition("\n\n")
    assert facts.startswith("Explained\n  rows       500 in ")
    head, first, *_ = table.splitlines()
    assert head.split() == ["row", "score", "p_value", "nats", "reason"]
    assert first.split()[0] == str(HOT)
    assert re.search(r"temperature = 900\.0, expected (59|60|61)\.\d ± [2-8](\.\d)?$", first)
    assert "mode = turbo, never seen, expected normal (" in table
    assert "pressure is missing, usually present (99.8 %)" in table


def test_each_mistake_is_named(explain, new):
    """A value out of range, wrong company, an unknown word, a gap, a wrong switch: each is its row's first reason."""
    summary = explain("new.csv", "--threshold", "0.95", "--most", "1000")
    found = sentences(summary)
    first = {row: found[row][0] for row in (COMPANY, HOT, UNKNOWN, GAP, SWITCH)}
    assert re.match(r"(pressure|flow) = ", first[COMPANY])
    assert re.match(r"temperature = 900\.0, expected (59|60|61)\.\d ± [2-8](\.\d)?$", first[HOT])
    assert re.match(r"mode = turbo, never seen, expected normal \(\d\d %\)$", first[UNKNOWN])
    assert first[GAP] == "pressure is missing, usually present (99.8 %)"
    assert re.match(r"pump_on = no, expected yes \((over )?9\d(\.\d)? %\)$", first[SWITCH])
    assert [row["score"] for row in summary["shown"]] == sorted(
        (row["score"] for row in summary["shown"]), reverse=True
    )


def test_several_absurd_cells_are_named_before_what_they_disturb(explain, new):
    """Three readings of a row far beyond training are its first three reasons, each with what is usual in its place."""
    new.loc[2, ["temperature", "pressure", "flow"]] = 2_000.0, 90.0, -400.0
    new.to_csv("new.csv", index=False)
    first = sentences(explain("new.csv", "--row", "3", "--top", "3"))[3]
    assert {sentence.split(" = ")[0] for sentence in first} == {"temperature", "pressure", "flow"}
    expected = {sentence.split()[0]: float(sentence.split("expected ")[1].split()[0]) for sentence in first}
    usual = new.drop(2)[list(expected)].quantile([0.0, 1.0])
    assert all(usual[name].iloc[0] <= number <= usual[name].iloc[1] for name, number in expected.items())


def test_the_flagged_rows_are_explained_and_no_other(run, explain, new):
    """Rows, scores, p-values and flags are those of `score`, at the bundle's level."""
    assert run("score", "new.csv", "-o", "scored.parquet").code == 0
    scored = pq.read_table("scored.parquet").to_pandas()
    summary, flagged = explain("new.csv", "--most", "1000"), np.flatnonzero(scored["is_anomaly"]) + 1
    assert (summary["rows"], summary["anomalies"], summary["explained"]) == (500, flagged.size, flagged.size)
    assert (summary["score_kind"], summary["threshold"], summary["bundle"]) == ("combined", 0.99, "model.vae")
    assert {row["row"] for row in summary["shown"]} == set(flagged)
    for row in summary["shown"]:
        of_score = scored.iloc[row["row"] - 1]
        assert (row["score"], row["p_value"], row["is_anomaly"]) == (
            of_score["anomaly_score"],
            of_score["p_value"],
            True,
        )


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_nats_add_up_to_the_score(explain, new, kind: str):
    """With as many reasons as there are columns, their nats and the rest are the score; --score-kind chooses which."""
    summary = explain("new.csv", "--top", "5", "--most", "1000", "--score-kind", kind)
    assert summary["score_kind"] == kind
    for row in summary["shown"]:
        nats = [reason["nats"] for reason in row["reasons"]]
        assert sum(nats) + row["rest"] == pytest.approx(row["score"], rel=1e-12)
        assert nats == sorted(nats, reverse=True)
        assert min(nats, default=1) > 0


def test_a_page_names_the_columns_that_a_row_needs(run, explain, new):
    """One wrong cell is the one responsible; a file and --json hold what goes along with it too, as minor."""
    rows = ("--row", f"{COMPANY},{HOT}", "--top", "5")
    company, hot = explain("new.csv", *rows)["shown"]
    roles = [(reason["column"], reason["role"]) for reason in hot["reasons"]]
    assert roles[0] == ("temperature", "responsible")
    assert {role for _, role in roles[1:]} <= {"minor"}
    pair = {reason["column"]: reason["role"] for reason in company["reasons"]}
    assert sorted([pair.pop("pressure"), pair.pop("flow")]) == ["alternative", "responsible"]
    assert set(pair.values()) <= {"minor"}
    page = run("explain", "new.csv", *rows, "-o", "reasons.csv").out
    assert len(re.findall(r" or (pressure|flow) = ", page)) == 1
    assert page.count(" = ") == 3
    found = pd.read_csv("reasons.csv").dropna(subset=["column"])
    assert found["role"].tolist() == [reason["role"] for row in (company, hot) for reason in row["reasons"]]


# -- which rows -----------------------------------------------------------------------------------


def test_row_explains_a_row_that_is_not_flagged(explain, new):
    """--row N: that row, flagged or not, and what the table holds in it."""
    flagged = {row["row"] for row in explain("new.csv", "--most", "1000")["shown"]}
    ordinary = min(set(range(1, 501)) - flagged)
    summary = explain("new.csv", "--row", str(ordinary), "--top", "5")
    (row,) = summary["shown"]
    assert (row["row"], row["is_anomaly"], summary["explained"]) == (ordinary, False, 1)
    assert summary["anomalies"] == len(flagged)
    for reason in row["reasons"]:
        value = new.iloc[ordinary - 1][reason["column"]]
        assert reason["value"] == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    "words", [["--row", "40,17"], ["--row", "17", "--row", "40"], ["--row", "40,17,40", "--row", "17"]]
)
def test_rows_are_separated_by_commas_or_repeated(explain, new, words: list[str]):
    """Several rows come in the order of the table, each once, and as they come alone."""
    both = explain("new.csv", *words)["shown"]
    assert [row["row"] for row in both] == [COMPANY, UNKNOWN]
    assert both == [explain("new.csv", "--row", str(row))["shown"][0] for row in (COMPANY, UNKNOWN)]


def test_asked_for_rows_are_all_shown(explain, new):
    """--most limits the flagged rows, not those that were asked for by number."""
    asked = ",".join(map(str, range(1, 31)))
    assert len(explain("new.csv", "--row", asked, "--most", "2")["shown"]) == 30


def test_rows_are_counted_over_all_files(run, explain, new):
    """Of several files the first row of the second comes after the last of the first."""
    for i in range(5):
        new[100 * i : 100 * i + 100].to_csv(f"part{i}.csv", index=False)
    parts = [f"part{i}.csv" for i in range(5)]
    assert explain(*parts)["shown"] == explain("new.csv")["shown"]
    assert explain(*parts, "--row", str(SWITCH + 1))["shown"] == explain("new.csv", "--row", str(SWITCH + 1))["shown"]
    done = run("explain", *parts, "--row", "501")
    assert (done.code, "500 rows" in done.err) == (2, True)


def test_top_is_the_number_of_reasons(explain, new):
    """--top K: the K strongest, the same ones whatever K is."""
    one, three, all_five = (explain("new.csv", "--top", k)["shown"] for k in ("1", "3", "99"))
    assert {len(row["reasons"]) for row in one} == {1}
    assert max(len(row["reasons"]) for row in three) == 3
    assert max(len(row["reasons"]) for row in all_five) <= 5
    for few, more, most in zip(one, three, all_five, strict=True):
        assert few["reasons"] == more["reasons"][:1]
        assert more["reasons"] == most["reasons"][:3]


def test_most_is_the_number_of_rows_shown(run, explain, new):
    """--most N: the N most anomalous on the page and in --json, and how many there are; a file has all of them."""
    everything = explain("new.csv", "--most", "1000")
    few = explain("new.csv", "--most", "2")
    assert few["shown"] == everything["shown"][:2]
    assert few["explained"] == everything["explained"] > 2
    page = run("explain", "new.csv", "--most", "2").out
    assert f"… and {few['explained'] - 2} rows more: --most N shows more" in page
    assert reasons(run, "new.csv", "--most", "2")["row"].nunique() == few["explained"]


def test_threshold_and_min_score_choose_the_rows(explain, new):
    """--threshold and --min-score flag as `score` does, and the summary states which of them decided."""
    everything = explain("new.csv", "--most", "1000")
    more = explain("new.csv", "--threshold", "0.9", "--most", "1000")
    assert (more["threshold"], more["anomalies"] > everything["anomalies"]) == (0.9, True)
    assert more["shown"][: len(everything["shown"])] == everything["shown"]
    limit = everything["shown"][2]["score"]
    few = explain("new.csv", "--min-score", repr(limit))
    assert (few["threshold"], few["shown"]) == (None, everything["shown"][:3])


def test_no_flagged_row_is_reported(run, explain, new):
    """A table without flagged rows: reported, exit 0, and a file with a header alone."""
    done = run("explain", "new.csv", "--min-score", "1e9", "-o", "reasons.csv")
    assert (done.code, done.err) == (0, "")
    assert re.findall(r"(flagged|explained) +(\d+)", done.out) == [("flagged", "0"), ("explained", "0")]
    assert "reason" not in done.out.replace("reasons.csv", "")
    assert Path("reasons.csv").read_text() == ",".join(TYPES) + "\n"
    Path("empty.csv").write_text(",".join(new.columns) + "\n")
    assert explain("empty.csv")["shown"] == []


# -- words and units ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that knows a count, a real boolean, a boolean of zeros and ones, a date and rare categories."""
    folder = tmp_path_factory.mktemp("plant")
    vaecli.fit(
        plant_table(500, seed=0),
        **{
            "columns.max_categories": 3,
            "train.max_steps": 100,
            "heteroscedastic.n_hidden": 16,
            "heteroscedastic.n_latent": 3,
            "homoscedastic.n_hidden": 16,
            "homoscedastic.n_latent": 3,
            "model.n_exemplars": 50,
        },
    ).save(folder / "plant.vae")
    return folder / "plant.vae"


def plant_table(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n)
    return pd.DataFrame(
        {
            "load": load,
            "rpm": np.round(1500 + 200 * load + 10 * rng.normal(size=n)).astype(int),
            "running": load > -1,
            "alarm": (load > 1.5).astype(int),
            "built": pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.permutation(n), unit="h"),
            "part": rng.choice(list("abcdefgh"), n, p=[0.4, 0.3, 0.2, 0.02, 0.02, 0.02, 0.02, 0.02]),
        }
    )


def test_every_kind_is_written_as_in_the_table(explain, plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Counts are integers, dates are dates, booleans are spelled as at fit, unknown values as they are written."""
    monkeypatch.chdir(tmp_path)
    table = plant_table(40, seed=1).query("load > -0.5 and load < 1").reset_index(drop=True)
    table["rpm"] = table["rpm"].astype(float)
    table["alarm"] = table["alarm"].astype(float)  # a gap makes pandas write 1.0
    table["running"] = table["running"].astype(object)
    table.loc[0, "rpm"] = 9000
    table.loc[1, "running"] = False
    table.loc[2, "built"] = pd.Timestamp("2030-05-06 07:08:09")
    table.loc[3, "part"] = "zz"
    table.loc[4, "load"] = np.inf
    table.loc[5, "running"] = None
    table.loc[6, "alarm"] = 1
    table.loc[7, "alarm"] = 2
    table.to_csv("new.csv", index=False)
    found = {
        row["row"] - 1: {reason["column"]: reason for reason in row["reasons"]}
        for row in explain("new.csv", "-m", str(plant), "--row", "1,2,3,4,5,6,7,8", "--top", "6")["shown"]
    }
    assert re.match(r"rpm = 9000, expected 1[3-7]\d\d (± \d+|\(\d+ to \d+\))$", found[0]["rpm"]["sentence"])
    assert found[0]["rpm"]["value"] == 9000
    assert re.match(r"running = false, expected true \((over )?\d\d", found[1]["running"]["sentence"])
    built = found[2]["built"]
    assert re.match(r"built = 2030-05-06T07:08:09Z, expected 2026-01-\d\dT\d\d:\d\d:\d\dZ$", built["sentence"])
    assert (built["value"], built["low"], built["high"]) == ("2030-05-06T07:08:09Z", None, None)
    assert found[4]["load"]["sentence"].startswith("load = inf, never seen, expected ")
    assert found[5]["running"]["sentence"] == "running is missing, usually present (99.8 %)"
    assert re.match(r"alarm = 1, expected 0 \(", found[6]["alarm"]["sentence"])
    assert re.match(r"alarm = 2(\.0)?, never seen, expected 0 \(", found[7]["alarm"]["sentence"])
    if "part" in found[3]:
        assert found[3]["part"]["value"] == "zz"


def test_an_ordinary_boolean_is_called_unusual_beside_the_others(
    explain, plant: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """However a table spells true and false, a value that is the expected one is not reported as another."""
    monkeypatch.chdir(tmp_path)
    table = plant_table(60, seed=2)
    table.to_parquet("new.parquet")
    table.assign(running=table["running"].map({True: "TRUE", False: "False"})).to_csv("new.csv", index=False)
    everything = ",".join(map(str, range(1, 61)))
    by_format = [
        sentences(explain(name, "-m", str(plant), "--row", everything, "--top", "6"))
        for name in ("new.csv", "new.parquet")
    ]
    assert by_format[0] == by_format[1]
    told = [said for row in by_format[0].values() for said in row if said.startswith(("running", "alarm"))]
    assert told
    for said in told:
        assert re.match(r"running = (true|false)|alarm = [01]", said)
        assert not re.match(r"(\w+) = (\w+), expected \2 ", said), said


def test_what_is_in_a_cell_cannot_steer_the_page(run, new):
    """An unknown category may hold anything: it is escaped on the page, and exact in the file and in --json."""
    wild = 'a,"b"\n\x1b[31m[red]'
    new.assign(mode=wild)[:3].to_csv("wild.csv", index=False)
    page = run("explain", "wild.csv", "--row", "1")
    assert 'mode = a,"b"\\n\\x1b[31m[red], never seen' in page.out
    assert "\x1b" not in page.out
    assert (
        strict_json(run("explain", "wild.csv", "--row", "1", "--json").out)["shown"][0]["reasons"][0]["value"] == wild
    )
    assert run("explain", "wild.csv", "--row", "1", "-o", "reasons.csv").code == 0
    assert pd.read_csv("reasons.csv")["value"][0] == wild


# -- the file of reasons --------------------------------------------------------------------------


def test_a_file_has_a_line_a_reason(run, explain, new):
    """-o: every reason of every flagged row in the order of the rows, as in --json, and what the columns share."""
    found = reasons(run, "new.csv", "--top", "2")
    shown = {row["row"]: row for row in explain("new.csv", "--top", "2", "--most", "1000")["shown"]}
    assert found["row"].is_monotonic_increasing
    assert set(found["row"]) == set(shown)
    for row, lines in found.groupby("row"):
        expected = shown[row]
        assert list(lines["rank"]) == list(range(1, len(lines) + 1))
        assert (lines["anomaly_score"] == expected["score"]).all()
        assert (lines["p_value"] == expected["p_value"]).all()
        assert lines["is_anomaly"].all()
        by_column = lines[lines["column"].notna()]
        assert list(by_column["column"]) == [reason["column"] for reason in expected["reasons"]]
        assert list(by_column["reason"]) == [reason["sentence"] for reason in expected["reasons"]]
        for told, reason in zip(by_column.to_dict("records"), expected["reasons"], strict=True):
            assert told["nats"] == reason["nats"]
            assert (told["value"] if isinstance(told["value"], str) else None) == as_text(reason["value"])
            for name in ("low", "high", "probability"):
                assert told[name] == reason[name] or (np.isnan(told[name]) and reason[name] is None)
        together = lines[lines["column"].isna()]
        assert list(together["nats"]) == ([expected["rest"]] if expected["rest"] > 0 or not expected["reasons"] else [])
        assert set(together["reason"]) <= {TOGETHER}


def as_text(value: Any) -> str | None:
    return None if value is None else str(value)


def test_a_file_has_no_line_that_is_rounding(run, new):
    """A part that is nothing but a rounding difference has no line."""
    found = reasons(run, "new.csv", "--threshold", "0.5", "--top", "5")
    assert (found["nats"] > 1e-9 * found["anomaly_score"]).all()
    np.testing.assert_allclose(found.groupby("row")["nats"].sum(), found.groupby("row")["anomaly_score"].first())


def test_parquet_has_the_documented_types(run, new):
    """Names, order and types of the columns are part of the interface."""
    assert run("explain", "new.csv", "-o", "reasons.parquet").code == 0
    assert dict(zip(*columns_of("reasons.parquet"), strict=True)) == TYPES
    assert run("explain", "new.csv", "--min-score", "1e9", "-o", "none.parquet").code == 0
    assert columns_of("none.parquet") == columns_of("reasons.parquet")


def columns_of(name: str) -> tuple[list[str], list[pa.DataType]]:
    schema = pq.read_schema(name)
    return schema.names, schema.types


@pytest.mark.parametrize("name", ["r.csv", "r.tsv", "r.csv.gz", "r.csv.zst"])
def test_formats_of_the_file_do_not_matter(run, new, name: str):
    """CSV, TSV and compressed files hold what Parquet holds."""
    expected = reasons(run, "new.csv")
    assert run("explain", "new.csv", "-o", name).code == 0
    with pa.input_stream(name) as stream:
        found = pd.read_csv(io.BytesIO(stream.read()), sep="\t" if ".tsv" in name else ",", dtype={"value": str})
    pd.testing.assert_frame_equal(
        found.fillna(np.nan), expected.fillna(np.nan), check_dtype=False, rtol=1e-12, check_exact=False
    )


def test_dates_beyond_the_calendar_of_python_are_named(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: Path
):
    """A moment before year 1 is anomalous, and no crash: the summaries of score, explain and report name it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    moments = rng.integers(1_600_000_000, 1_700_000_000, 80)

    def write(name: str, seconds: np.ndarray) -> None:
        table = {"when": pa.array(seconds).cast(pa.timestamp("s")), "x": pa.array(rng.normal(size=80))}
        pq.write_table(pa.table(table), name)

    write("normal.parquet", moments)
    write("far.parquet", np.where(np.arange(80) == 5, -(10**14), moments))
    assert run("fit", "normal.parquet", "--config", str(quick), "--quiet").code == 0
    for verb in ("score", "explain", "report"):
        formats = {"score": "parquet", "explain": "csv", "report": "html"}
        done = run(verb, "far.parquet", "-o", f"out.{formats[verb]}")
        assert done.code == 0, done.err
    refused = run("score", "far.parquet", "-o", "out.csv")  # no text holds such a date
    assert (refused.code, "column 'when' holds dates that cannot be written" in refused.err) == (4, True)
    write("old.parquet", np.where(np.arange(80) == 5, -31_000_000_000, moments))
    assert "when = 0987-08-25T16:53:20Z, expected 20" in run("explain", "old.parquet").out


def test_formats_of_the_table_do_not_matter(run, new):
    """CSV, Parquet and standard input give the same reasons."""
    new.to_parquet("new.parquet", row_group_size=200)
    new.astype({"mode": "category"}).to_parquet("categories.parquet")
    expected = reasons(run, "new.csv")
    for name in ("new.parquet", "categories.parquet"):
        found = reasons(run, name)
        assert list(found["reason"]) == list(expected["reason"])
        np.testing.assert_allclose(found["nats"], expected["nats"], rtol=1e-4)
    for name in ("new.csv", "new.parquet"):
        with open(name, "rb") as pipe:
            subprocess.run([*PROGRAM, "explain", "-", "-o", "piped.parquet", "--quiet"], stdin=pipe, check=True)
        piped = pq.read_table("piped.parquet").to_pandas()
        assert list(piped["reason"]) == list(expected["reason"])


def test_a_dash_is_standard_output(new):
    """-o - writes CSV to standard output and the page to standard error."""
    done = subprocess.run([*PROGRAM, "explain", "new.csv", "-o", "-"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("row,anomaly_score,p_value,")
    found = pd.read_csv(io.StringIO(done.stdout))
    assert list(found.columns) == list(TYPES)
    assert found["reason"].str.startswith("temperature = 900").any()
    assert done.stderr.startswith("Explained\n")
    quiet = subprocess.run(
        [*PROGRAM, "explain", "new.csv", "-o", "-", "-q"], capture_output=True, text=True, check=True
    )
    assert (quiet.stdout, quiet.stderr) == (done.stdout, "")


def test_an_earlier_file_is_replaced(run, new):
    """-o over an earlier file: replaced as a whole, nothing else in the folder, the same bytes each time."""
    Path("reasons.csv").write_bytes(b"earlier")
    contents = set()
    for _ in range(2):
        assert run("explain", "new.csv", "-o", "reasons.csv", "--quiet").code == 0
        contents.add(Path("reasons.csv").read_bytes())
    assert len(contents) == 1
    assert b"earlier" not in contents.pop()
    assert sorted(path.name for path in Path().iterdir()) == ["model.vae", "new.csv", "reasons.csv"]


# -- the same row, the same reasons ---------------------------------------------------------------


@pytest.mark.parametrize("extension", [".csv", ".parquet"])
def test_workers_and_batches_change_no_byte(run, explain, new, extension: str, monkeypatch: pytest.MonkeyPatch):
    """How many threads explain a table, and how many rows at a time, shows in no byte of the file and the summary."""
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 2_000)  # so that a small file has many blocks
    monkeypatch.setattr(tiles, "TILE_ROWS", 16)
    new = new.head(160)  # a row by itself costs a tile
    new.to_csv("new.csv", index=False)
    new.to_parquet("new.parquet", row_group_size=50)
    files, shown = set(), set()
    for workers, batch_rows in [(1, 16_384), (4, 25), (2, 1)]:
        flags = ["--workers", str(workers), "--batch-rows", str(batch_rows), "--threshold", "0.95"]
        summary = explain(f"new{extension}", "-o", f"reasons{extension}", *flags)
        files.add(Path(f"reasons{extension}").read_bytes())
        shown.add(json.dumps(summary["shown"]))
    assert (len(files), len(shown)) == (1, 1)


def test_neighbours_do_not_matter(explain, new):
    """A row has the same reasons in any order and company."""
    order = np.random.default_rng(0).permutation(500)
    new.iloc[order].to_csv("mixed.csv", index=False)
    new.iloc[[HOT - 1]].to_csv("one.csv", index=False)
    whole = sentences(explain("new.csv", "--row", f"{HOT},{UNKNOWN},{GAP}"))
    place = {row: int(np.flatnonzero(order == row - 1)[0]) + 1 for row in (HOT, UNKNOWN, GAP)}
    mixed = sentences(explain("mixed.csv", "--row", ",".join(map(str, place.values()))))
    assert {row: mixed[place[row]] for row in place} == whole
    assert sentences(explain("one.csv"))[1] == whole[HOT]


def test_more_columns_change_nothing(explain, new):
    """Columns that the model does not know pass by, and their place does not matter."""
    moved = new[["mode", "flow", "pump_on", "pressure", "temperature"]].assign(note="free text")
    moved.to_csv("moved.csv", index=False)
    assert explain("moved.csv")["shown"] == explain("new.csv")["shown"]


# -- what is printed ---------------------------------------------------------------------------------


def test_json_is_strict(run, new):
    """--json: one strict object on one line, with version, verb, and for every reason its sentence."""
    new.assign(flow=np.inf)[:20].to_csv("inf.csv", index=False)
    done = run("explain", "inf.csv", "--json")
    summary = strict_json(done.out)
    assert done.out.count("\n") == 1
    assert (summary["schema_version"], summary["verb"], summary["output"]) == (2, "explain", None)
    row = summary["shown"][0]
    assert set(row) == {"row", "score", "p_value", "is_anomaly", "reasons", "rest"}
    assert set(row["reasons"][0]) == {
        "column",
        "nats",
        "value",
        "expected",
        "low",
        "high",
        "probability",
        "own_probability",
        "is_novel",
        "is_beyond",
        "similar",
        "role",
        "sentence",
    }
    assert row["reasons"][0]["is_novel"] is True
    assert row["reasons"][0]["sentence"].startswith("flow = inf, never seen, expected ")


def test_every_option_of_explain_arrives(run, workflows):
    """Each flag sets its own setting, and without flags the defaults hold."""
    line = (
        "explain a.csv b.csv -m b.vae -o c.csv --row 3,1 --row 2 --top 4 --most 5 --threshold 0.95 "
        "--score-kind elbo --batch-rows 10 --workers 3"
    )
    assert run(*line.split()).code == 0
    score = ScoreConfig(threshold=0.95, score_kind="elbo", batch_rows=10, workers=3)
    given = (["a.csv", "b.csv"], Path("b.vae"), "c.csv", ExplainConfig(score, top=4, rows=(3, 1, 2), most=5))
    assert workflows.calls[0][0] == given
    run("explain", "a.csv")
    assert workflows.calls[1][0] == (["a.csv"], Path("model.vae"), None, ExplainConfig())
    run("explain", "a.csv", "--min-score", "-3.5")
    assert workflows.calls[2][0][3].score.min_score == -3.5


# -- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("output", [[], ["-o", "reasons.csv"], ["-o", "reasons.parquet"], ["-o", "-"]], ids=str)
@pytest.mark.parametrize("row", ["501", "99999999999999999999"])
def test_a_row_beyond_the_end_leaves_nothing(run, new, row: str, output: list[str]):
    """A row that the table does not have: exit 2, how many it has, no file, and an earlier file as it was."""
    for name in ("reasons.csv", "reasons.parquet"):
        Path(name).write_bytes(b"earlier")
    done = run("explain", "new.csv", "--row", f"3,{row}", *output)
    assert done.code == 2
    assert done.err == f"error: --row {row}: new.csv has 500 rows\nhint: the first row is number 1\n"
    assert {Path(name).read_bytes() for name in ("reasons.csv", "reasons.parquet")} == {b"earlier"}
    assert len(list(Path().iterdir())) == 4
    for name in ("reasons.csv", "reasons.parquet"):
        Path(name).unlink()
    run("explain", "new.csv", "--row", row, *output)
    assert sorted(path.name for path in Path().iterdir()) == ["model.vae", "new.csv"]


def test_several_mistakes_are_named_at_once(run, new):
    """--top, --most and --row are all wrong: one message names all three."""
    done = run("explain", "new.csv", "--top", "0", "--most", "x", "--row", "0")
    assert done.code == 2
    assert all(name in done.err for name in ("--top 0", "--most 'x'", "--row"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["no.csv"], 4, "no.csv: no such file"),
        (["narrow.csv"], 4, "flow"),
        (["broken.csv"], 4, "broken.csv, line 201"),
        (["new.csv", "-m", "no.vae"], 5, "no.vae"),
        ([], 2, "INPUT"),
    ],
    ids=str,
)
def test_tables_and_bundles_that_cannot_be_read(run, new, words: list[str], code: int, said: str):
    """The exit codes are those of `score`, the earlier file stays, and the cell is named."""
    new.drop(columns="flow").to_csv("narrow.csv", index=False)
    broken = new.astype({"pressure": object})
    broken.loc[199, "pressure"] = "broken"
    broken.to_csv("broken.csv", index=False)
    Path("reasons.csv").write_bytes(b"earlier")
    done = run("explain", *words, "-o", "reasons.csv")
    assert done.code == code
    assert said in done.err
    assert Path("reasons.csv").read_bytes() == b"earlier"
    assert not list(Path().glob(".vaecli-*"))
