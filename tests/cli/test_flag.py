"""`vaecli flag`: a scored table is decided again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vaecli
from tests.cli.conftest import Vae, loaded_by
from tests.conftest import sensor_table

N_ROWS = 400
KNOWN = """
[[rule]]
name = "boost runs hot"
column = "temperature"
direction = "high"
min_deviation = 30

[[rule]]
name = "service window"
group = { mode = ["eco"] }
time_of_day = "23:00-01:00"
"""


@pytest.fixture(scope="module")
def scored(model: vaecli.Model) -> pd.DataFrame:
    """Scored rows of four days, three an hour; every fortieth has a fault, some in the temperature."""
    table = sensor_table(N_ROWS, seed=5)
    table.insert(0, "when", pd.date_range("2026-05-01", periods=N_ROWS, freq="20min"))
    table.loc[::40, "pressure"] += 30
    table.loc[10::80, "temperature"] = 80.0
    return model.score(table)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scored: pd.DataFrame, bundle: Path) -> Path:
    """A folder with the scored table as CSV and Parquet, the bundle and rules; it is the current one."""
    monkeypatch.chdir(tmp_path)
    scored.to_csv("s.csv", index=False)
    pq.write_table(pa.Table.from_pandas(scored, preserve_index=False), "s.parquet")
    Path("model.vae").write_bytes(bundle.read_bytes())
    Path("known.toml").write_text(KNOWN)
    return tmp_path


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_another_level_is_what_score_would_have_flagged(
    vae: Vae, place: Path, scored: pd.DataFrame, model: vaecli.Model, extension: str
) -> None:
    """The new flags are those of `score --threshold`, and nothing else of the table changes."""
    vae("flag", f"s.{extension}", "--threshold", "0.9", "-o", f"f.{extension}")
    found = pd.read_csv("f.csv") if extension == "csv" else pd.read_parquet("f.parquet")
    assert found["is_anomaly"].tolist() == (scored["p_value"] <= 0.1).tolist()
    assert list(found) == list(scored)
    if extension == "csv":
        before, after = Path("s.csv").read_text().splitlines(), Path("f.csv").read_text().splitlines()
        assert [line.rpartition(",")[0] for line in after] == [line.rpartition(",")[0] for line in before]
    else:
        pd.testing.assert_frame_equal(found.drop(columns="is_anomaly"), scored.drop(columns="is_anomaly"))


def test_a_rate_floors_the_p_values(vae: Vae, place: Path, scored: pd.DataFrame) -> None:
    """With the 600 rows of the bundle the rows flagged are those of the procedure on max(p, 1/601)."""
    summary = json.loads(vae("flag", "s.csv", "--fdr", "0.1", "-o", "f.csv", "--json").out)
    floored = np.maximum(scored["p_value"].to_numpy(), 1 / 601)
    k = np.arange(1, N_ROWS + 1)
    n_flagged = int(k[np.sort(floored) <= 0.1 * k / N_ROWS].max(initial=0))
    assert summary["calibration_rows"] == 600
    assert summary["anomalies"] == n_flagged == pd.read_csv("f.csv")["is_anomaly"].sum() > 5
    assert summary["fewest_discoveries"] == 7
    assert "on average at most 10 % of the flagged rows are normal, over these 400 rows" in summary["claim"]
    by_hand = json.loads(
        vae("flag", "s.csv", "--fdr", "0.1", "--calibration-rows", "600", "-m", "no.vae", "-o", "g.csv", "--json").out
    )
    assert by_hand["anomalies"] == n_flagged


def test_too_few_calibration_rows_are_refused_or_explained(vae: Vae, place: Path) -> None:
    """Ten rows cannot give a rate of 5 % at all; 99 can, but only where many rows stand out."""
    refused = vae("flag", "s.csv", "--fdr", "0.05", "--calibration-rows", "10", code=2)
    assert "with 10 calibration rows no p-value is below 0.0909" in refused.err
    assert "19 normal rows or more" in refused.err
    summary = json.loads(vae("flag", "s.csv", "--fdr", "0.05", "--calibration-rows", "99", "-o", "f.csv", "--json").out)
    assert (summary["anomalies"], summary["fewest_discoveries"]) == (0, 80)
    assert "unless 80 rows or more stand out" in summary["warnings"][0]


def test_p_values_of_another_bundle_are_refused(vae: Vae, place: Path, scored: pd.DataFrame) -> None:
    """The number of calibration rows is never taken from a bundle that did not score the table."""
    scored.assign(p_value=scored["p_value"] * 0.9).to_csv("other.csv", index=False)
    refused = vae("flag", "other.csv", "--fdr", "0.05", code=4)
    assert "are not those that the bundle gives these scores" in refused.err


def test_the_top_rows(vae: Vae, place: Path, scored: pd.DataFrame) -> None:
    """Exactly N rows, those with the highest scores; with a level no more than those at it."""
    vae("flag", "s.csv", "--top", "7", "-o", "f.csv", "--anomalies-only")
    assert sorted(pd.read_csv("f.csv")["anomaly_score"]) == sorted(scored["anomaly_score"].nlargest(7))
    vae("flag", "s.csv", "--top", "300", "--threshold", "0.99", "-o", "f.csv", "--anomalies-only")
    assert len(pd.read_csv("f.csv")) == (scored["p_value"] <= 0.01).sum()


@pytest.mark.parametrize("order", [1, -1])
def test_a_budget_per_day_whatever_the_order(vae: Vae, place: Path, scored: pd.DataFrame, order: int) -> None:
    """At most two a day, the most unusual ones, from an unsorted table too; rows without a time are never flagged."""
    table = scored[::order].astype({"when": str})
    table.iloc[[3, 100], 0] = None
    table.to_csv("t.csv", index=False)
    summary = json.loads(vae("flag", "t.csv", "--per-day", "2", "--time", "when", "-o", "f.csv", "--json").out)
    found = pd.read_csv("f.csv", parse_dates=["when"])
    flagged = found[found["is_anomaly"]]
    assert summary["untimed"] == 2
    assert "2 rows without a time" in " ".join(summary["warnings"])
    assert summary["events"] == len(flagged)
    assert flagged["when"].dt.date.value_counts().max() == 2
    for _, day in found[found["p_value"] <= 0.01].dropna(subset="when").groupby(found["when"].dt.date):
        assert day["anomaly_score"].nlargest(2).sum() == day.loc[day["is_anomaly"], "anomaly_score"].sum()
    whole = vae("flag", "t.csv", "--per-day", "1", "--time", "when", "--merge-gap", "24h", "-o", "f.csv", "--json")
    assert json.loads(whole.out)["anomalies"] == ((found["p_value"] <= 0.01) & found["when"].notna()).sum() > 11


def test_rules_suppress_and_name(vae: Vae, place: Path, scored: pd.DataFrame) -> None:
    """Rows that a rule knows lose their flag, stay in the table, are named and counted; larger deviations stay."""
    table = scored.copy()
    table.loc[14, "temperature"] = 200.0
    model = vaecli.load("model.vae")
    table = model.score(table.drop(columns=["anomaly_score", "p_value", "is_anomaly"]))
    table.to_csv("t.csv", index=False)
    words = ["--threshold", "0.99", "--rules", "known.toml", "--time", "when", "-o", "f.csv", "--json"]
    summary = json.loads(vae("flag", "t.csv", *words).out)
    found = pd.read_csv("f.csv")
    before = table["p_value"] <= 0.01
    hot = found["suppressed_by"] == "boost runs hot"
    window = found["suppressed_by"] == "service window"
    assert summary["suppressed"] == {"boost runs hot": hot.sum(), "service window": window.sum()}
    assert set(found.loc[hot, "temperature"]) == {80.0}
    assert found.loc[14, "is_anomaly"]
    assert pd.isna(found.loc[14, "suppressed_by"])
    hours = pd.to_datetime(found["when"]).dt.hour
    assert ((found["mode"] == "eco") & hours.isin([23, 0]))[window].all()
    assert (before & (found["mode"] == "eco") & hours.isin([23, 0]) & ~hot).sum() == window.sum()
    assert (found["is_anomaly"] == (before & ~hot & ~window)).all()
    assert len(found) == N_ROWS


def test_a_suppressed_row_costs_no_budget(vae: Vae, place: Path) -> None:
    """--top 5 flags five rows beside those that a rule suppresses."""
    Path("eco.toml").write_text('[[rule]]\nname = "eco"\ngroup = { mode = "eco" }\n')
    summary = json.loads(vae("flag", "s.csv", "--top", "5", "--rules", "eco.toml", "-o", "f.csv", "--json").out)
    found = pd.read_csv("f.csv")
    assert summary["anomalies"] == 5
    assert not (found.loc[found["is_anomaly"], "mode"] == "eco").any()
    least = found.loc[found["is_anomaly"], "anomaly_score"].min()
    assert summary["suppressed"]["eco"] == ((found["mode"] == "eco") & (found["anomaly_score"] > least)).sum() > 0


def test_a_rule_ends(vae: Vae, place: Path, scored: pd.DataFrame) -> None:
    """`until` counts its day in; by the clock of the row where there is one. A rule that is over is named."""
    Path("ended.toml").write_text('[[rule]]\nname = "old"\nuntil = 2026-05-02\n')
    done = vae("flag", "s.csv", "--rules", "ended.toml", "--time", "when", "-o", "f.csv")
    found = pd.read_csv("f.csv", parse_dates=["when"])
    early = found["when"] < "2026-05-03"
    assert ((found["suppressed_by"] == "old") == (early & scored["is_anomaly"])).all()
    assert "rules whose last day has passed: 'old'" in done.out
    vae("flag", "s.csv", "--rules", "ended.toml", "-o", "f.csv")
    assert pd.read_csv("f.csv")["suppressed_by"].isna().all()


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ('[[rule]]\ncolumn = "flow"\n', "rule 1: it has no name"),
        ('[[rule]]\nname = "a"\n', "rule 1: it has no condition"),
        ('[[rule]]\nname = "a"\ndirection = "high"\n', "are of a column, and it names none"),
        ('[[rule]]\nname = "a"\ncolumn = "flow"\ndirection = "up"\n', "'up' is neither high nor low"),
        ('[[rule]]\nname = "a"\ntime_of_day = "2-4"\n', "is not like 02:00-04:30"),
        ('[[rule]]\nname = "a"\nuntil = "2026"\n', "is not a date like 2027-03-31"),
        ('[[rule]]\nname = "a"\ngruop = 1\n', "unknown 'gruop' (did you mean 'group'?)"),
        ('[[rule]]\nname = "a"\ngroup = { modes = "eco" }\n', "'modes' (did you mean 'mode'?)"),
        ('[[rule]]\nname = "a"\ntime_of_day = "02:00-04:00"\n', "time_of_day needs a clock"),
        ('[[rule]]\nname = "a"\ncolumn = "flou"\n', "the model has no column 'flou' (did you mean 'flow'?)"),
        ("rules = 1\n", "unknown 'rules'"),
        ("[[rule]\n", "not TOML"),
    ],
)
def test_rules_that_make_no_sense(vae: Vae, place: Path, rules: str, problem: str) -> None:
    """Each is exit code 2 and names what is wrong; nothing is written."""
    Path("bad.toml").write_text(rules)
    refused = vae("flag", "s.csv", "--rules", "bad.toml", "-o", "f.csv", code=2)
    assert problem in refused.err
    assert not Path("f.csv").exists()


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        ("", 2, "nothing is asked"),
        ("--fdr 0.1 --top 3", 2, "--fdr and --top both decide"),
        ("--fdr 0.1 --threshold 0.9", 2, "--fdr and --threshold both decide"),
        ("--fdr 5", 2, "--fdr 5 is not strictly between 0 and 1"),
        ("--per-day 3", 2, "--per-day needs a clock"),
        ("--per-day 3 --time mode", 4, "--time 'mode'"),
        ("--per-day 3 --time then", 2, "--time 'then' (did you mean 'when'?)"),
        ("--per-day 3 --time flow", 2, "only counts"),
        ("--top 3 --merge-gap 2", 2, "--merge-gap is of --per-day"),
        ("--top 3 --prefix x_", 4, "has no column 'x_p_value'"),
        ("--fdr 0.1 -m none.vae", 5, "there is no such bundle"),
    ],
)
def test_mistakes(vae: Vae, place: Path, words: str, code: int, problem: str) -> None:
    """Each is named, and nothing is written."""
    refused = vae("flag", "s.csv", *words.split(), "-o", "f.csv", code=code)
    assert problem in refused.err
    assert not Path("f.csv").exists()


def test_rows_without_a_p_value_and_tables_without_rows(vae: Vae, place: Path, scored: pd.DataFrame) -> None:
    """Missing p-values are counted and never flagged; an empty table stays empty, and does not pass a gate."""
    table = scored.copy()
    table.loc[:9, ["p_value", "anomaly_score"]] = np.nan
    table.to_csv("t.csv", index=False)
    for words in (["--fdr", "0.1"], ["--top", "399"], ["--threshold", "0.5"]):
        summary = json.loads(vae("flag", "t.csv", *words, "-o", "f.csv", "--json").out)
        assert summary["unscored"] == 10
        assert not pd.read_csv("f.csv").loc[:9, "is_anomaly"].any()
    table[:0].to_csv("empty.csv", index=False)
    for words in (["--fdr", "0.1"], ["--top", "3"], ["--per-day", "1", "--time", "when"], ["--threshold", "0.5"]):
        done = vae("flag", "empty.csv", *words, "-o", "f.csv")
        assert "there are no rows" in done.out
        assert Path("f.csv").read_text() == Path("empty.csv").read_text()
    refused = vae("flag", "empty.csv", "--top", "3", "-o", "f.csv", "--fail-on", "any", code=4)
    assert "there are no rows" in refused.err


def test_a_gate_and_an_impossible_p_value(vae: Vae, place: Path, scored: pd.DataFrame) -> None:
    """--fail-on counts the new flags, exit 3; a p-value of 7 is exit 4 and names its line."""
    assert "4 of 400 rows are flagged" in vae("flag", "s.csv", "--top", "4", "--fail-on", "3", code=3).err
    scored.assign(p_value=7.0).to_csv("t.csv", index=False)
    assert "t.csv, line 2: column 'p_value' holds 7" in vae("flag", "t.csv", "--top", "4", code=4).err


def test_a_table_without_flags_gets_some(vae: Vae, place: Path, scored: pd.DataFrame) -> None:
    """Without is_anomaly the column is added; with 0 and 1 it stays 0 and 1."""
    scored.drop(columns="is_anomaly").to_csv("t.csv", index=False)
    vae("flag", "t.csv", "--top", "4", "-o", "f.csv")
    assert pd.read_csv("f.csv")["is_anomaly"].sum() == 4
    scored.astype({"is_anomaly": int}).to_csv("t.csv", index=False)
    vae("flag", "t.csv", "--top", "4", "-o", "f.csv")
    assert pd.read_csv("f.csv")["is_anomaly"].value_counts().to_dict() == {0: 396, 1: 4}


@pytest.mark.parametrize("words", ["--fdr 0.1", "--top 9", "--per-day 2 --time when --rules known.toml"])
def test_the_output_depends_on_neither_batches_nor_workers(vae: Vae, place: Path, words: str) -> None:
    """The same bytes by one thread in one batch as by three in batches of 64 rows; from a pipe too."""
    vae("flag", "s.csv", *words.split(), "-o", "one.csv", "--workers", "1")
    vae("flag", "s.parquet", *words.split(), "-o", "a.parquet", "--workers", "1")
    vae("flag", "s.parquet", *words.split(), "-o", "b.parquet", "--workers", "3", "--batch-rows", "64")
    vae("flag", "s.csv", *words.split(), "-o", "two.csv", "--workers", "3", "--batch-rows", "64")
    assert Path("one.csv").read_bytes() == Path("two.csv").read_bytes()
    assert Path("a.parquet").read_bytes() == Path("b.parquet").read_bytes()


SERIES = Path(__file__).parents[1] / "golden" / "sensors_v5"


def test_rows_of_series(vae: Vae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate counts what the rows are worth and promises nothing; budgets and rules without a column work."""
    monkeypatch.chdir(tmp_path)
    model = ["-m", str(SERIES / "model.vae")]
    vae("score", str(SERIES / "rows.csv"), *model, "-o", "s.csv")
    summary = json.loads(vae("flag", "s.csv", *model, "--fdr", "0.2", "-o", "f.csv", "--json").out)
    worth = vaecli.load(SERIES / "model.vae").detector.clock.effective.n
    assert summary["calibration_rows"] == worth
    assert summary["claim"].startswith("nothing; if rows were independent")
    summary = json.loads(vae("flag", "s.csv", "--per-day", "2", "--time", "when", "-o", "f.csv", "--json").out)
    assert (summary["events"], summary["untimed"]) == (2, 1)
    Path("r.toml").write_text('[[rule]]\nname = "a"\ncolumn = "flow"\n')
    refused = vae("flag", "s.csv", *model, "--rules", "r.toml", "-o", "f.csv", code=2)
    assert "the model is one of series" in refused.err


def test_it_loads_nothing_that_only_fitting_needs(place: Path) -> None:
    """A process of its own runs without torch, scikit-learn, SciPy, pandas and matplotlib."""
    words = ["flag", "s.csv", "--per-day", "2", "--time", "when", "--rules", "known.toml", "-o", "f.csv", "--quiet"]
    assert not loaded_by(words)[0] & {"torch", "sklearn", "scipy", "pandas", "matplotlib"}
