"""The sensor benchmark: areas are those of their definition, baselines find what moved, and flags are counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.conftest import refusal_without_data


@pytest.fixture
def metrics(script):
    return script("sensor_metrics")


@pytest.fixture
def peers(script):
    return script("sensor_peers")


@pytest.mark.parametrize("data", [None, "nowhere"])
def test_missing_data_is_one_sentence(bench, data, tmp_path, capsys):
    """Without its data folder the benchmark ends with exit code 2 and one sentence."""
    words = [] if data is None else ["--data", str(tmp_path / data)]
    assert "sensors/" in refusal_without_data(bench.main, [*words, "--out", str(tmp_path / "o.jsonl")], capsys)


def by_definition(label: np.ndarray, score: np.ndarray, buffer: int) -> tuple[float, float]:
    """(VUS-ROC, VUS-PR) row by row and threshold by threshold."""
    n = label.size
    padded = np.concatenate([[0], label, [0]])
    events = list(zip(np.flatnonzero(np.diff(padded) == 1), np.flatnonzero(np.diff(padded) == -1) - 1, strict=True))
    thresholds = [sorted(score, reverse=True)[int(rank)] for rank in np.linspace(0, n - 1, 250)]
    areas = []
    for width in range(buffer + 1):
        weight = label.astype(float)
        near = np.zeros(n, bool)
        for first, last in events:
            near[max(first - width // 2, 0) : last + width // 2 + 1] = True
            for row in range(n):
                distance = max(first - row, row - last)
                if width and 0 < distance <= width // 2:
                    weight[row] += np.sqrt(1 - distance / width)
        weight = np.minimum(weight, 1)
        zone = np.cumsum(np.diff(np.concatenate([[0], near.astype(int)])) == 1) * near
        curve = [(0.0, 0.0, 1.0)]
        for threshold in thresholds:
            flagged = score >= threshold
            seen = np.where(label == 1, 1.0, weight * flagged)
            true = (seen * flagged).sum()
            expected = (label.sum() + seen.sum()) / 2
            touched = len(set(zone[flagged]) - {0}) / zone.max()
            tpr, fpr = min(true / expected, 1) * touched, (flagged.sum() - true) / (n - expected)
            curve.append((tpr, fpr, true / flagged.sum()))
        tpr, fpr, precision = np.array(curve).T
        areas.append((np.trapezoid([*tpr, 1], [*fpr, 1]), (np.diff(tpr) * precision[1:]).sum()))
    return tuple(np.mean(areas, axis=0))


@pytest.mark.parametrize("seed", range(4))
def test_volumes_are_those_of_their_definition(metrics, seed):
    """The fast VUS equals the slow one, with ties, events at the ends and events whose buffers meet."""
    rng = np.random.default_rng(seed)
    label = np.zeros(300, int)
    for start in [*[0, 120, 128, 290][seed:], 60, 200]:
        label[start : start + 7] = 1
    score = np.round(rng.normal(size=300) + label, seed)
    assert metrics.volumes(label, score, 20) == pytest.approx(by_definition(label, score, 20), abs=1e-9)


def test_a_perfect_score_has_no_false_alarm(metrics):
    """A score that is the label has an AUROC and an average precision of 1; its flags find both events."""
    label = np.array([0, 0, 1, 1, 0, 0, 0, 1, 0])
    assert metrics.measures(label, label.astype(float))["auc_roc"] == 1
    found = metrics.decisions(label, label)
    assert (found["f1"], found["false_alarms"], found["event_recall"], found["event_precision"]) == (1, 0, 1, 1)


def test_flags_are_counted_by_rows_and_by_events(metrics):
    """One of two events is touched; of two flagged runs, far apart, one touches none."""
    label, flagged = np.zeros(40, int), np.zeros(40, int)
    label[[5, 6, 20, 21]] = 1
    flagged[[6, 7, 35]] = 1
    found = metrics.decisions(label, flagged)
    assert (found["tp"], found["fp"], found["fn"], found["tn"]) == (1, 2, 3, 34)
    assert (found["event_recall"], found["event_precision"]) == (0.5, 0.5)
    assert metrics.decisions(label, np.zeros(40, int))["event_precision"] is None


def test_a_causal_place_knows_no_later_window(peers):
    """A window's error stands at its last row, or offline at all rows that it covers."""
    errors = np.zeros(60)
    errors[40] = 1.0
    causal = peers.placed(errors, 63, "causal")
    assert causal.size == 63
    assert np.flatnonzero(causal).tolist() == [43]
    offline = peers.placed(errors, 63, "offline")
    assert offline.size == 63
    assert offline[:40].any()


def test_readings_are_filled_and_in_standard_deviations_of_training(peers):
    """Gaps take the reading before them; a sensor that never moved in training is at the limit when it moves."""
    train = pd.DataFrame({"moves": [0.0, 2.0] * 50, "still": [3.0] * 100})
    test = pd.DataFrame({"moves": [3.0, np.nan], "still": [3.0, 4.0]})
    _, scaled = peers.scaled(train, test)
    np.testing.assert_allclose(scaled, [[2, 0], [2, peers.LIMIT]], atol=1e-6)


@pytest.mark.parametrize("name", ["pca", "knn", "iforest", "t2", "moving", "statistics"])
@pytest.mark.parametrize("mode", ["causal", "offline"])
def test_a_baseline_scores_a_step_higher(bench, peers, name, mode):
    """Two sensors that move together part for 30 rows: the score is higher there, with more flags."""
    rng = np.random.default_rng(0)
    together = rng.normal(size=(900, 1))
    rows = (together + 0.1 * rng.normal(size=(900, 2))).astype(np.float32)
    rows[700:730, 0] += 4
    (scored,) = [found for found in bench.baseline(peers.BASELINES[name], rows[:600], rows[600:]) if found.mode == mode]
    there, elsewhere = scored.score[105:128], np.concatenate([scored.score[:60], scored.score[180:]])
    assert np.median(there) > 1.5 * np.median(elsewhere) or (name == "iforest" and there.min() > np.median(elsewhere))
    assert scored.flagged[100:128].mean() > scored.flagged[:60].mean()


def test_the_report_pools_what_was_measured_so_far(bench):
    """SKAB's rows are pooled, not averaged, and a set that was not measured is not in the tables."""
    row = {"method": "pca", "mode": "causal", "set": "SKAB", "part": "test", "core": True, "n_train": 400}
    row |= {"n_test": 10, "fit_seconds": 1.0, "score_seconds": 1.0, "vus_pr": 0.5, "vus_roc": 0.5, "auc_pr": 0.5}
    row |= {"f1": 0.1, "false_alarms": 0.5, "event_recall": 1.0, "event_precision": 1.0}
    rows = [
        row | {"series": "a", "tp": 3, "fp": 1, "fn": 0, "tn": 96},
        row | {"series": "b", "tp": 0, "fp": 0, "fn": 1, "tn": 3},
    ]
    rows.append(row | {"series": "a", "part": "normal", "flagged": 1, "false_alarms": 0.1})
    told = bench.report(rows)
    assert "| windowed PCA, 32 rows | causal | 2 | 0.750 | 1.00 % | 25.00 % |" in told
    assert "| windowed PCA, 32 rows | causal | short | 1 | 0.00 % | 10.00 % | 10.00 % | – |" in told
    assert "GECCO (" not in told


def test_devices_of_the_speed_table_take_turns(script, monkeypatch, tmp_path):
    """Every device has a row at every tick, its readings go on across row groups, and its clock is in order."""
    speed = script("sensor_speed")
    monkeypatch.setattr(speed, "STEP_ROWS", 40)
    speed.write_table(tmp_path / "table.parquet", 120, 4, seed=1)
    table = pq.read_table(tmp_path / "table.parquet").to_pandas()
    assert table["device"].tolist() == ["device_0", "device_1", "device_2", "device_3"] * 30
    assert (table["time"].diff().dt.total_seconds().dropna().isin([0, 1])).all()
    one = table[table["device"] == "device_2"].filter(like="sensor").to_numpy()
    steps, whole = np.abs(np.diff(one, axis=0)).mean(axis=1), np.abs(one[:, None] - one[None]).mean()
    assert steps[9] < whole  # from the last row of a row group to the first of the next
