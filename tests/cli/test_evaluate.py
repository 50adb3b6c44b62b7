"""`vaecli evaluate` as a user meets it: figures that add up, groups, simple methods, curves, and bad input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score

from vaecli.results import METRIC_NAMES

SIMPLE = ["isolation forest", "ECOD", "kNN"]


@pytest.fixture
def labelled(
    fresh_table: pd.DataFrame, bundle: Path, normal_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pd.DataFrame:
    """labelled.csv: 500 rows of two sites, 60 of them faults, some hard to see, beside a bundle and normal.csv."""
    table = fresh_table.copy()
    rng = np.random.default_rng(0)
    faulty = rng.choice(500, 60, replace=False)
    table.loc[faulty, "flow"] += rng.uniform(5, 60, 60)
    table["fault"] = np.isin(np.arange(500), faulty).astype(int)
    table["site"] = np.where(np.arange(500) % 3 == 0, "north", "south")
    (tmp_path / "model.vae").write_bytes(bundle.read_bytes())
    (tmp_path / "normal.csv").write_bytes(normal_csv.read_bytes())
    monkeypatch.chdir(tmp_path)
    table.to_csv("labelled.csv", index=False)
    return table


@pytest.fixture
def evaluate(run):
    """The JSON of an evaluation that succeeds: `evaluate("labelled.csv", "--group", "site")`."""

    def evaluate_words(*words: str) -> dict:
        label = [] if "--label" in words else ["--label", "fault"]
        done = run("evaluate", *words, *label, "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)

    return evaluate_words


def value(evaluation: dict, metric: str) -> float | None:
    return evaluation["figures"][metric]["value"]


# -- figures --------------------------------------------------------------------------------------


def test_figures_are_those_of_the_scored_table(run, evaluate, labelled):
    """What evaluate reports is what scikit-learn computes from the rows that score writes, at the same threshold."""
    assert run("score", "labelled.csv", "-o", "scored.csv", "--threshold", "0.95", "-q").code == 0
    scored = pd.read_csv("scored.csv")
    truth, score, flagged = scored["fault"], scored["anomaly_score"], scored["is_anomaly"]
    summary = evaluate("labelled.csv", "--threshold", "0.95")
    assert summary["rows"] == 500
    assert summary["anomalies"] == 60
    assert (summary["flagged"], summary["true_positives"]) == (flagged.sum(), (flagged & (truth == 1)).sum())
    told = {metric: value(summary["overall"], metric) for metric in METRIC_NAMES}
    precision, recall = precision_score(truth, flagged), recall_score(truth, flagged)
    assert told == pytest.approx(
        {
            "auroc": roc_auc_score(truth, score),
            "average_precision": average_precision_score(truth, score),
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall),
            "false_alarm_rate": flagged[truth == 0].mean(),
        }
    )
    assert 0.8 < told["auroc"] < 1
    for figure in summary["overall"]["figures"].values():
        assert figure["low"] <= figure["value"] <= figure["high"]


def test_rows_may_be_cut_and_spread_as_one_likes(evaluate, labelled):
    """Batches, workers and the format of the table change no figure and no interval."""
    labelled.to_parquet("labelled.parquet", index=False)
    first = evaluate("labelled.csv", "--group", "site")
    for words in (["labelled.csv", "--batch-rows", "7", "--workers", "3"], ["labelled.parquet"]):
        other = evaluate(*words, "--group", "site")
        assert other["overall"] == first["overall"]
        assert other["groups"] == first["groups"]


def test_intervals_may_be_left_out(run, evaluate, labelled):
    """--bootstrap 0 leaves the intervals out, on the page too; another number changes nothing and earns a warning."""
    first, seeded = evaluate("labelled.csv"), evaluate("labelled.csv", "--seed", "9")
    assert first["overall"] == seeded["overall"]
    assert first["has_intervals"] is True
    drawn = evaluate("labelled.csv", "--bootstrap", "50")
    assert drawn["overall"] == first["overall"]
    assert [warning for warning in drawn["warnings"] if "--bootstrap" in warning] == [
        "--bootstrap 50 has no effect: intervals are computed, not drawn (0 leaves them out)"
    ]
    none = evaluate("labelled.csv", "--bootstrap", "0", "--baselines", "normal.csv", "--group", "site")
    assert none["has_intervals"] is False
    assert none["warnings"] == first["warnings"]
    for one in (none["overall"], *none["baselines"], *none["groups"]):
        assert all(figure["low"] is figure["high"] is None for figure in one["figures"].values())
    assert all(gap["low"] is gap["high"] is None for gap in none["comparisons"])
    for metric in METRIC_NAMES:
        assert value(first["overall"], metric) == value(none["overall"], metric)
    words = ["evaluate", "labelled.csv", "--label", "fault"]
    assert "interval" in run(*words).out
    assert "interval" not in run(*words, "--bootstrap", "0").out


def test_few_anomalies_have_wide_intervals(evaluate, labelled):
    """Recall 0 of 3 may be 0.7, 3 of 3 may be 0.3, of all rows and of a group; no interval is without width."""
    labelled.assign(fault=(labelled.index < 3).astype(int)).to_csv("few.csv", index=False)
    none = evaluate("few.csv", "--min-score", "1e9")["overall"]["figures"]
    assert none["recall"] == pytest.approx({"value": 0, "low": 0, "high": 0.7076}, abs=1e-4)
    assert none["false_alarm_rate"] == pytest.approx({"value": 0, "low": 0, "high": 0.0074}, abs=1e-4)
    assert none["precision"] == {"value": None, "low": None, "high": None}
    summary = evaluate("few.csv", "--min-score", "-100", "--group", "site", "--baselines", "normal.csv")
    assert summary["overall"]["figures"]["recall"] == pytest.approx({"value": 1, "low": 0.2924, "high": 1}, abs=1e-4)
    assert summary["overall"]["figures"]["precision"]["low"] == pytest.approx(0.0012, abs=1e-4)
    for one in (summary["overall"], *summary["baselines"], *summary["groups"]):
        assert one["anomalies"] > 0
        for metric, figure in one["figures"].items():
            assert figure["high"] - figure["low"] > 0.005, (one["method"], one["group"], metric)


def test_the_decision_is_that_of_score(evaluate, labelled):
    """--min-score flags in the place of a level, --score-kind ranks by another score."""
    by_score = evaluate("labelled.csv", "--min-score", "-100")
    assert by_score["threshold"] is None
    assert value(by_score["overall"], "recall") == value(by_score["overall"], "false_alarm_rate") == 1
    latent = evaluate("labelled.csv", "--score-kind", "latent")
    assert latent["score_kind"] == "latent"
    assert value(latent["overall"], "auroc") != value(by_score["overall"], "auroc")


def test_the_label_of_the_fit_is_the_default(run, labelled, quick):
    """A bundle that was fitted with --label is evaluated by that column when none is named."""
    assert run("fit", "labelled.csv", "--label", "fault", "-o", "own.vae", "--config", str(quick), "-q").code == 0
    done = run("evaluate", "labelled.csv", "-m", "own.vae", "--json")
    assert json.loads(done.out)["label"] == "fault"


def test_labels_are_words_too(evaluate, labelled):
    """A label is read as fit reads it: words, truth values, an empty cell is normal."""
    expected = evaluate("labelled.csv")["overall"]
    labelled.assign(fault=np.where(labelled["fault"] == 1, "Fault", "")).to_csv("words.csv", index=False)
    labelled.assign(fault=labelled["fault"] == 1).to_parquet("truth.parquet", index=False)
    assert evaluate("words.csv")["overall"] == expected
    assert evaluate("truth.parquet")["overall"] == expected


# -- groups ---------------------------------------------------------------------------------------


def test_groups_are_tables_of_their_own(evaluate, labelled):
    """The figures of a group are those of a table that holds its rows alone; the lowest AUROC comes first."""
    groups = evaluate("labelled.csv", "--group", "site")["groups"]
    assert {one["group"] for one in groups} == {"north", "south"}
    assert value(groups[0], "auroc") <= value(groups[1], "auroc")
    for one in groups:
        labelled[labelled["site"] == one["group"]].to_csv("alone.csv", index=False)
        alone = evaluate("alone.csv")["overall"]
        assert alone["figures"] == one["figures"]
        assert (alone["rows"], alone["anomalies"]) == (one["rows"], one["anomalies"])


def test_a_group_without_anomalies_comes_last(run, evaluate, labelled):
    """Where a group has one class only, its areas are undefined; an empty cell is a group of its own."""
    labelled.loc[labelled["fault"] == 0, "site"] = labelled["site"].where(labelled.index % 5 > 0)
    labelled.loc[(labelled["fault"] == 0) & (labelled.index % 7 == 0), "site"] = "calm"
    labelled.to_csv("labelled.csv", index=False)
    groups = evaluate("labelled.csv", "--group", "site")["groups"]
    assert {one["group"] for one in groups[-2:]} == {"calm", "(empty)"}
    assert [value(one, "auroc") for one in groups[-2:]] == [None, None]
    page = run("evaluate", "labelled.csv", "--label", "fault", "--group", "site").out
    assert "By group, the worst first" in page
    assert "calm" in page


def test_a_feature_may_group(evaluate, labelled):
    """--group takes a feature of the model as well, also one of numbers."""
    assert {one["group"] for one in evaluate("labelled.csv", "--group", "pump_on")["groups"]} == {"yes", "no"}
    labelled.assign(temperature=labelled.index % 2).to_csv("numbers.csv", index=False)
    assert {one["group"] for one in evaluate("numbers.csv", "--group", "temperature")["groups"]} == {"0", "1"}


# -- simple methods -------------------------------------------------------------------------------


def test_simple_methods_are_judged_on_the_same_rows(run, evaluate, labelled):
    """--baselines gives three methods beside vaecli and a sentence on which finds more, overall and by group."""
    summary = evaluate("labelled.csv", "--baselines", "normal.csv", "--group", "site")
    assert [one["method"] for one in summary["baselines"]] == SIMPLE
    assert all(set(one["figures"]) == {"auroc", "average_precision"} for one in summary["baselines"])
    assert len(summary["groups"]) == 2 * 4
    assert [one["method"] for one in summary["groups"][:4]] == ["vaecli", *SIMPLE]
    for comparison in summary["comparisons"]:
        best = max(value(one, comparison["metric"]) for one in summary["baselines"])
        assert comparison["theirs"] == best
        assert comparison["ours"] == value(summary["overall"], comparison["metric"])
        assert comparison["low"] <= comparison["ours"] - best <= comparison["high"]
        ahead = "vaecli finds more" if comparison["ours"] > best else f"{comparison['other']} finds more here"
        assert ahead in comparison["sentence"]
        noise = comparison["low"] <= 0 <= comparison["high"]
        assert ("within the noise" in comparison["sentence"]) is noise
    page = run("evaluate", "labelled.csv", "--label", "fault", "--baselines", "normal.csv").out
    assert summary["comparisons"][0]["sentence"] in page


def test_simple_methods_learn_from_normal_rows_only(evaluate, labelled):
    """Rows that the label marks in the table of --baselines are left out."""
    labelled[labelled["fault"] == 0].to_csv("clean.csv", index=False)
    marked = pd.concat([labelled[labelled["fault"] == 0], labelled[labelled["fault"] == 1]])
    marked.to_csv("marked.csv", index=False)
    assert (
        evaluate("labelled.csv", "--baselines", "clean.csv")["baselines"]
        == evaluate("labelled.csv", "--baselines", "marked.csv")["baselines"]
    )


def test_many_normal_rows_are_sampled(evaluate, labelled, monkeypatch: pytest.MonkeyPatch):
    """Beyond the limit a sample of the normal rows is learned from, and the seed chooses which."""
    monkeypatch.setattr("vaecli.evaluation.baselines.MOST_ROWS", 40)
    first, again, other = (
        evaluate("labelled.csv", "--baselines", "normal.csv", "--seed", seed)["baselines"] for seed in ("1", "1", "2")
    )
    assert first == again
    assert value(first[2], "auroc") != value(other[2], "auroc")


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["figures.csv", "figures.parquet"])
def test_every_figure_is_a_line(evaluate, labelled, name: str):
    """-o writes a line for each group, method and metric; all rows together have no group."""
    summary = evaluate("labelled.csv", "--baselines", "normal.csv", "--group", "site", "-o", name)
    table = pq.read_table(name).to_pandas() if name.endswith("parquet") else pd.read_csv(name)
    assert list(table.columns) == ["group", "method", "metric", "value", "low", "high"]
    assert len(table) == 3 * (6 + 3 * 2)
    whole = table[table["group"].isna() & (table["method"] == "vaecli")].set_index("metric")
    for metric, figure in summary["overall"]["figures"].items():
        assert whole.loc[metric, ["value", "low", "high"]].tolist() == pytest.approx(list(figure.values()))
    assert summary["output"] == name


def test_figures_may_go_to_standard_output(run, labelled):
    """-o - writes the figures as CSV to standard output and the page to standard error."""
    done = run("evaluate", "labelled.csv", "--label", "fault", "-o", "-")
    assert [line[2] for line in csv.reader(done.out.splitlines())] == ["metric", *METRIC_NAMES]
    assert "AUROC" in done.err


@pytest.mark.parametrize(("name", "starts"), [("c.png", b"\x89PNG"), ("c.SVG", b"<?xml")])
def test_curves_are_drawn(evaluate, labelled, name: str, starts: bytes):
    """--plot draws a picture of the kind its name has, the same bytes each time."""
    pytest.importorskip("matplotlib")
    assert evaluate("labelled.csv", "--plot", name, "--baselines", "normal.csv")["plot"] == name
    first = Path(name).read_bytes()
    assert first.startswith(starts)
    evaluate("labelled.csv", "--plot", name, "--baselines", "normal.csv")
    assert Path(name).read_bytes() == first


def test_without_matplotlib_there_are_no_curves(run, labelled, monkeypatch: pytest.MonkeyPatch):
    """--plot without matplotlib ends with code 7 and names what to install, before a row is scored."""
    monkeypatch.setattr("vaecli.tables.write.targets.find_spec", lambda _name: None)
    done = run("evaluate", "labelled.csv", "--label", "fault", "--plot", "c.png", "-o", "f.csv")
    assert done.code == 7
    assert "error: --plot needs matplotlib" in done.err
    assert "hint: pip install matplotlib" in done.err
    assert sorted(path.name for path in Path().iterdir()) == ["labelled.csv", "model.vae", "normal.csv"]


def test_without_scikit_learn_there_are_no_simple_methods(run, labelled, monkeypatch: pytest.MonkeyPatch):
    """--baselines on a host that only scores ends with code 7; the rest works there."""
    monkeypatch.setattr("vaecli.workflows.evaluate.find_spec", lambda _name: None)
    done = run("evaluate", "labelled.csv", "--label", "fault", "--baselines", "normal.csv")
    assert done.code == 7
    assert "error: --baselines needs scikit-learn" in done.err
    assert run("evaluate", "labelled.csv", "--label", "fault").code == 0


# -- tables that cannot be judged in full ---------------------------------------------------------


@pytest.mark.parametrize(("label", "says"), [(0, "no row is labelled"), (1, "every row is labelled")])
def test_one_class_is_warned_of(run, evaluate, labelled, label: int, says: str):
    """A table of normal rows only has a false-alarm rate, one of anomalies a recall, and curves are not drawn."""
    labelled.assign(fault=label).to_csv("one.csv", index=False)
    summary = evaluate("one.csv", "--baselines", "normal.csv", "--plot", "c.png")
    assert value(summary["overall"], "auroc") is value(summary["overall"], "average_precision") is None
    told, other = ("recall", "false_alarm_rate") if label else ("false_alarm_rate", "recall")
    assert 0 <= value(summary["overall"], told) <= 1
    assert value(summary["overall"], other) is None
    assert says in summary["warnings"][0]
    assert summary["comparisons"] == []
    assert summary["plot"] is None
    assert not Path("c.png").exists()
    page = run("evaluate", "one.csv", "--label", "fault").out
    assert "undefined" in page
    assert f"warning: {says}" in page


def test_few_anomalies_and_no_flags_are_named(evaluate, labelled):
    """Warnings name how few anomalies the intervals rest on, and report when nothing is flagged."""
    labelled.assign(fault=(labelled.index < 3).astype(int)).to_csv("few.csv", index=False)
    warnings = evaluate("few.csv", "--min-score", "1e9")["warnings"]
    assert "only 3 rows are labelled anomalies" in warnings[0]
    assert "no row is flagged" in warnings[1]


def test_rows_without_a_score_are_named(evaluate, labelled, monkeypatch: pytest.MonkeyPatch):
    """A row that has no score is not flagged, ranks last, and is counted in a warning."""
    from dataclasses import replace

    from vaecli.detector import Detector

    real = Detector.score

    def without_some(self, cells, kind=None):
        decided = real(self, cells, kind)
        gone = np.isin(cells.row, faulty[:10])
        score = np.where(gone, np.nan, decided.scored.score)
        p_value = np.where(gone, np.nan, decided.p_value)
        return replace(decided, scored=replace(decided.scored, score=score), p_value=p_value)

    faulty = np.flatnonzero(labelled["fault"])
    before = evaluate("labelled.csv", "--min-score", "-100")
    monkeypatch.setattr(Detector, "score", without_some)
    after = evaluate("labelled.csv", "--min-score", "-100")
    assert after["unscored"] == 10
    assert value(after["overall"], "recall") == pytest.approx(50 / 60)
    assert value(after["overall"], "auroc") < value(before["overall"], "auroc") - 0.1
    assert any("10 rows have no score" in warning for warning in after["warnings"])


# -- bad input ------------------------------------------------------------------------------------
