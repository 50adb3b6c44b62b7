"""`vaecli evaluate` on series of sensors: figures that are those of the scored table, and what is refused."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta
from sklearn.metrics import average_precision_score, roc_auc_score

from vaecli.cli.app import main
from vaecli.evaluation.vus import volumes

START = pd.Timestamp("2026-01-05 00:00")
STEP = 600  # seconds
RANKED = ["auroc", "average_precision", "vus_roc", "vus_pr"]


def plant(n_rows: int, seed: int) -> pd.DataFrame:
    """Two pumps in turn, a row each ten minutes: readings that follow each other, `c` being `a` minus `b`."""
    rng = np.random.default_rng(seed)
    frames = []
    for pump in ("north", "south"):
        noise = rng.normal(size=(n_rows, 3))
        for t in range(1, n_rows):
            noise[t, :2] += 0.8 * noise[t - 1, :2]
        readings = {"a": noise[:, 0], "b": noise[:, 1], "c": noise[:, 0] - noise[:, 1] + 0.1 * noise[:, 2]}
        time = START + pd.to_timedelta(np.arange(n_rows) * STEP, unit="s")
        frames.append(pd.DataFrame({"time": time, "pump": pump} | {k: v.round(4) for k, v in readings.items()}))
    return pd.concat(frames).sort_values(["time", "pump"], ignore_index=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the two pumps."""
    folder = tmp_path_factory.mktemp("pumps")
    plant(1000, 1).to_csv(folder / "normal.csv", index=False)
    with pytest.raises(SystemExit) as done:
        main(["fit", str(folder / "normal.csv"), "-o", str(folder / "pumps.vae"), "--group", "pump", "-q"])
    assert done.value.code == 0
    return folder / "pumps.vae"


@pytest.fixture
def evaluate(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The code, output and errors of `evaluate labelled.csv WORDS`, beside labelled.csv of `labelled`."""
    monkeypatch.chdir(tmp_path)

    def evaluated(*words: str, verb: str = "evaluate") -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as done:
            main([verb, "labelled.csv", "-m", str(bundle), *words])
        said = capsys.readouterr()
        return int(done.value.code or 0), said.out, said.err

    return evaluated


@pytest.fixture
def labelled(tmp_path: Path) -> pd.DataFrame:
    """labelled.csv: six events of 20 rows, of which one cannot be seen, a gap of a day, and flags by chance."""
    table = plant(700, 2)
    table["fault"] = 0
    for i, (pump, first) in enumerate([("north", 100), ("north", 300), ("north", 310), ("south", 0), ("south", 500)]):
        rows = table.index[table.pump == pump][first : first + 20]
        table.loc[rows, "fault"] = 1
        table.loc[rows[3 * i :], "c"] += 6.0 if i != 4 else 0.0
    table.loc[table.index[-5:], "fault"] = 1
    table.loc[table.time >= START + pd.Timedelta(days=2), "time"] += pd.Timedelta(days=1)
    table.to_csv(tmp_path / "labelled.csv", index=False)
    return table


def runs(marked: np.ndarray) -> list[tuple[int, int]]:
    """(first, last) of each run."""
    found: list[tuple[int, int]] = []
    for row in np.flatnonzero(marked):
        if found and row - found[-1][1] == 1:
            found[-1] = (found[-1][0], row)
        else:
            found.append((row, row))
    return found


@pytest.mark.parametrize("words", [(), ("--offline",), ("--threshold", "0.9"), ("--score-kind", "latent")])
def test_figures_are_those_of_the_scored_table(evaluate, labelled: pd.DataFrame, words: tuple[str, ...]):
    """Counted one by one in the rows and in the events that `score` writes with the same options."""
    assert evaluate("-o", "scored.csv", "-q", "--events", "events.csv", *words, verb="score")[0] == 0
    written = pd.read_csv("events.csv", parse_dates=["start", "end"])
    scored = pd.read_csv("scored.csv", parse_dates=["time"])
    code, out, err = evaluate("--label", "fault", "--json", *words)
    assert (code, err) == (0, "")
    summary = json.loads(out)
    told = {metric: figure["value"] for metric, figure in summary["overall"]["figures"].items()}

    truth, flagged = scored["fault"] == 1, scored["is_anomaly"]
    n_events, n_alarms, n_false, delays, seconds, normal = 0, 0, 0, [], [], 0.0
    for pump, series in scored.groupby("pump"):
        marks, flags = series["fault"].to_numpy() == 1, series["is_anomaly"].to_numpy()
        time = series["time"].to_numpy().astype("datetime64[s]").astype(float)
        events, alarms = runs(marks), written[written.group == pump]
        n_events, n_alarms = n_events + len(events), n_alarms + len(alarms)
        within = [series["time"].between(alarm.start, alarm.end).to_numpy() for alarm in alarms.itertuples()]
        n_false += sum(not (flags & marks & rows).any() for rows in within)
        flags = flags & np.any(within, axis=0)
        for first, last in events:
            if flags[first : last + 1].any():
                delays.append(int(np.argmax(flags[first : last + 1])))
                seconds.append(time[first + delays[-1]] - time[first])
        steps = [STEP, *(b - a if b - a < 86_400 else STEP for a, b in pairwise(time))]
        normal += np.array(steps)[~marks].sum()
    by_pump = scored.sort_values(["pump", "time"])
    codes = (by_pump["pump"] == "south").to_numpy().astype(int)
    volume = volumes(by_pump["fault"].to_numpy() == 1, by_pump["anomaly_score"].to_numpy(), codes)
    assert (summary["events"], summary["detected_events"]) == (n_events, len(delays))
    assert (summary["alarms"], summary["false_alarms"]) == (n_alarms, n_false)
    assert (summary["rows"], summary["anomalies"], summary["n_groups"]) == (1400, truth.sum(), 2)
    assert told == pytest.approx(
        {
            "auroc": roc_auc_score(truth, scored["anomaly_score"]),
            "average_precision": average_precision_score(truth, scored["anomaly_score"]),
            "vus_roc": volume.roc,
            "vus_pr": volume.pr,
            "precision": truth[flagged].mean(),
            "recall": flagged[truth].mean(),
            "f1": 2 * (truth & flagged).sum() / (truth.sum() + flagged.sum()),
            "false_alarm_rate": flagged[~truth].mean(),
            "event_recall": len(delays) / n_events,
            "event_precision": 1 - n_false / n_alarms,
            "delay_rows": np.median(delays),
            "delay_time": np.median(seconds),
            "false_alarms_per_day": n_false * 86_400 / normal,
            "false_alarms_per_1000_rows": 1000 * n_false / (~truth).sum(),
        }
    )
    assert summary["normal_time"] == pytest.approx(normal)
    assert n_events == 6
    random = {metric: figure["value"] for metric, figure in summary["random"]["figures"].items()}
    assert list(random) == RANKED
    assert (random["auroc"], random["average_precision"]) == (0.5, pytest.approx(truth.mean()))
    if "latent" not in words:
        assert random["vus_roc"] < told["vus_roc"]
        assert random["vus_pr"] < told["vus_pr"]


def test_only_event_recall_has_an_interval(evaluate, labelled: pd.DataFrame):
    """Rows of a series depend on each other, events hardly do: the limits of Clopper and Pearson."""
    summary = json.loads(evaluate("--label", "fault", "--json")[1])
    figures = summary["overall"]["figures"]
    recall, n, k = figures.pop("event_recall"), summary["events"], summary["detected_events"]
    assert 0 < k < n
    limits = beta.ppf(0.025, k, n - k + 1), beta.ppf(0.975, k + 1, n - k)
    assert (recall["low"], recall["high"]) == pytest.approx(limits, abs=1e-9)
    assert {end for figure in figures.values() for end in (figure["low"], figure["high"])} == {None}
    without = json.loads(evaluate("--label", "fault", "--json", "--bootstrap", "0")[1])
    assert without["overall"]["figures"]["event_recall"]["low"] is None


def test_the_order_of_rows_in_the_table_does_not_matter_for_events(evaluate, labelled: pd.DataFrame):
    """One series after the other is the same as rows in turn; rows without a time are named and left out."""
    first = json.loads(evaluate("--label", "fault", "--json")[1])
    table = labelled.sort_values(["pump", "time"])
    table.to_csv("labelled.csv", index=False)
    sorted_ = json.loads(evaluate("--label", "fault", "--json")[1])
    assert sorted_["overall"] == first["overall"]
    timeless = table.tail(3).assign(time=None, fault=1)
    pd.concat([table, timeless]).to_csv("labelled.csv", index=False)
    summary = json.loads(evaluate("--label", "fault", "--json")[1])
    for metric in ("vus_pr", "event_recall", "event_precision", "delay_rows", "false_alarms_per_day"):
        assert summary["overall"]["figures"][metric] == first["overall"]["figures"][metric]
    assert summary["unscored"] == 3
    assert "3 rows have no time: they have no part in events, alarms and volumes" in summary["warnings"]


def test_the_page_and_the_file_hold_the_same_figures(evaluate, labelled: pd.DataFrame):
    code, page, _ = evaluate("--label", "fault", "-o", "figures.csv")
    assert code == 0
    lines = pd.read_csv("figures.csv")
    assert list(lines.columns) == ["group", "method", "metric", "value", "low", "high"]
    of = {(line.method, line.metric): line.value for line in lines.itertuples()}
    assert len(of) == 18
    for metric, name in (("vus_pr", "VUS-PR"), ("vus_roc", "VUS-ROC"), ("auroc", "AUROC")):
        line = next(line for line in page.splitlines() if line.startswith(name))
        assert line.split()[-2:] == [f"{of[method, metric]:.4f}" for method in ("vaecli", "random scores")]
    assert f"event recall{of['vaecli', 'event_recall']:22.4f}" in page
    assert "false alarms a day" in page
    assert "in 1,000 rows" not in page
    assert "Rows of a series depend on each other" in page


def test_a_table_without_anomalies_has_false_alarms_only(evaluate, labelled: pd.DataFrame):
    labelled.assign(fault=0).to_csv("labelled.csv", index=False)
    code, out, _ = evaluate("--label", "fault", "--json")
    figures = json.loads(out)["overall"]["figures"]
    assert code == 0
    defined = {metric for metric, figure in figures.items() if figure["value"] is not None}
    assert {"false_alarm_rate", "false_alarms_per_day"} <= defined
    assert defined.isdisjoint({*RANKED, "recall", "event_recall", "delay_rows", "delay_time"})
    assert json.loads(out)["warnings"][0].startswith("no row is labelled an anomaly")
    assert evaluate("--label", "fault")[0] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--label", "fault", "--group", "pump"), "--group: "),
        (("--label", "fault", "--baselines", "normal.csv", "--plot", "a.png"), "--baselines, --plot: "),
        (("--label", "c"), "--label 'c' is a feature of the model"),
        ((), "no column is named that marks the anomalies"),
    ],
)
def test_what_is_refused(evaluate, labelled: pd.DataFrame, words: tuple[str, ...], said: str):
    code, _, err = evaluate(*words)
    assert (code, said in err) == (2, True), err


def test_offline_is_refused_for_a_model_of_rows(evaluate, labelled: pd.DataFrame, tmp_path: Path):
    with pytest.raises(SystemExit):
        main(["fit", "labelled.csv", "-o", "rows.vae", "--window", "0", "--label", "fault", "--preset", "fast",
              "--max-epochs", "1", "-q"])  # fmt: skip
    code, _, err = evaluate("-m", "rows.vae", "--offline")
    assert (code, "--offline: the model is one of rows" in err) == (2, True)


def test_a_clock_that_counts_has_no_days(evaluate, tmp_path: Path):
    """Delays are in its units, false alarms in 1,000 rows; the label of the fit is the default."""
    table = plant(400, 3).query("pump == 'north'").assign(fault=0).drop(columns=["pump", "time"])
    table.insert(0, "cycle", np.arange(400) * 2.5)
    table.to_csv("normal.csv", index=False)
    with pytest.raises(SystemExit) as fitted:
        main(["fit", "normal.csv", "-o", "counts.vae", "--time", "cycle", "--label", "fault", "--window", "8", "-q"])
    assert fitted.value.code == 0
    table.iloc[200:240, table.columns.get_loc("fault")] = 1
    table.iloc[203:240, table.columns.get_loc("c")] += 20.0
    table.to_csv("labelled.csv", index=False)
    code, out, _ = evaluate("-m", "counts.vae", "--json", "--min-score", "6")
    summary = json.loads(out)
    figures = {metric: figure["value"] for metric, figure in summary["overall"]["figures"].items()}
    assert (code, summary["label"], summary["is_date"]) == (0, "fault", False)
    assert (summary["events"], summary["detected_events"]) == (1, 1)
    assert (figures["delay_rows"], figures["delay_time"]) == (3, 7.5)
    assert figures["false_alarms_per_day"] is None
    assert figures["false_alarms_per_1000_rows"] == pytest.approx(1000 * summary["false_alarms"] / 360)
    assert summary["normal_time"] == 360 * 2.5
    assert "the labels make 1 event: too few for firm figures of events" in summary["warnings"]
    page = evaluate("-m", "counts.vae")[1]
    assert "in 1,000 rows" in page
    assert "false alarms a day" not in page
