"""Figures of merit: scikit-learn's to twelve digits, intervals that cover, baselines that are what they are called."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score, roc_curve

from tests.conftest import of_a_hundred
from vaecli.evaluation import baselines, metrics as evaluation
from vaecli.evaluation.metrics import METRICS, RANKED, Draws, Labelled, Ranks, curve, drawn, evaluate

# few values, so that ties are the rule
rows = st.lists(st.tuples(st.booleans(), st.integers(-3, 3), st.booleans()), min_size=1, max_size=40)


def labelled(rows: list[tuple[bool, int, bool]]) -> Labelled:
    is_anomaly, score, flagged = (np.array(column) for column in zip(*rows, strict=True))
    return Labelled(is_anomaly, flagged, {"one": score.astype(float)})


def shifted(n: int, seed: int, share: float = 0.2) -> Labelled:
    """Normal rows score N(0, 1), anomalies N(1.5, 1); method two is one with more noise."""
    rng = np.random.default_rng(seed)
    is_anomaly = rng.random(n) < share
    one = rng.normal(size=n) + 1.5 * is_anomaly
    return Labelled(is_anomaly, one > 1.5, {"one": one, "two": one + rng.normal(size=n)})


# -- the figures ----------------------------------------------------------------------------------


@of_a_hundred(50)
@given(rows)
def test_figures_are_those_of_scikit_learn(rows: list[tuple[bool, int, bool]]):
    """All six figures agree with scikit-learn to 1e-12, ties included, and are undefined where it says so."""
    one = labelled(rows)
    found = {metric: figure.value for metric, figure in evaluate(one, 0, 0).figures["one"].items()}
    assert tuple(found) == METRICS
    truth = one.is_anomaly.astype(int)
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, one.flagged, average="binary", pos_label=1, zero_division=np.nan
    )
    both = 0 < truth.sum() < truth.size
    expected = {
        "auroc": roc_auc_score(truth, one.scores["one"]) if both else np.nan,
        "average_precision": average_precision_score(truth, one.scores["one"]) if both else np.nan,
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "false_alarm_rate": one.flagged[truth == 0].mean() if (truth == 0).any() else np.nan,
    }
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


@of_a_hundred(40)
@given(rows, st.integers(0, 2**32))
def test_a_draw_is_judged_as_its_rows_would_be(rows: list[tuple[bool, int, bool]], seed: int):
    """The areas of a bootstrap draw are scikit-learn's on the drawn rows."""
    one = labelled(rows)
    score = one.scores["one"]
    anomalies, normals = score[one.is_anomaly], score[~one.is_anomaly]
    assume(anomalies.size and normals.size)
    (draws,) = drawn(anomalies.size, normals.size, 3, seed)
    auroc, precision = Ranks.of(anomalies, normals).areas(draws)
    for i in range(3):
        chosen = np.concatenate([anomalies[draws.anomalies[i]], normals[draws.normals[i]]])
        truth = np.arange(chosen.size) < anomalies.size
        assert auroc[i] == pytest.approx(roc_auc_score(truth, chosen), abs=1e-12)
        assert precision[i] == pytest.approx(average_precision_score(truth, chosen), abs=1e-12)


def test_a_weighted_row_counts_as_many():
    """A normal row of weight 3 costs precision as three rows do, and leaves AUROC as it is."""
    ranks = Ranks.of(np.array([3.0, 1.0]), np.array([2.0, 0.0]))
    once = Draws.everything(2, 2)
    heavy = Draws(once.anomalies, once.normals, normal_weight=3.0)
    thrice = Ranks.of(np.array([3.0, 1.0]), np.repeat([2.0, 0.0], 3)).areas(Draws.everything(2, 6))
    assert np.array(ranks.areas(heavy)) == pytest.approx(np.array(thrice))
    assert ranks.areas(heavy)[0] == ranks.areas(once)[0]


def test_the_curve_encloses_the_area():
    """The ROC curve passes through scikit-learn's points, thinned or not, and precision is that of each point."""
    one = shifted(20_000, 0)
    alarms, recall, precision = curve(one.scores["one"], one.is_anomaly)
    assert alarms.size <= evaluation.CURVE_POINTS
    height, width = np.append(0, recall), np.diff(np.append(0, alarms))
    area = (0.5 * (height[1:] + height[:-1]) * width).sum()
    assert area == pytest.approx(evaluate(one, 0, 0).figures["one"]["auroc"].value, abs=1e-3)
    few = labelled([(True, 2, True), (False, 2, True), (True, 1, False), (False, 0, False)])
    alarms, recall, precision = curve(few.scores["one"], few.is_anomaly)
    x, y, _ = roc_curve(few.is_anomaly, few.scores["one"], drop_intermediate=False)
    assert (alarms.tolist(), recall.tolist()) == (x[1:].tolist(), y[1:].tolist())
    assert precision.tolist() == pytest.approx([1 / 2, 2 / 3, 1 / 2])


# -- the intervals --------------------------------------------------------------------------------


def test_intervals_cover_the_truth():
    """About 95 of 100 intervals of AUROC, recall and false alarms hold the true value."""
    from scipy.stats import norm

    truth = {"auroc": norm.cdf(1.5 / np.sqrt(2)), "recall": 0.5, "false_alarm_rate": norm.sf(1.5)}
    n_tables = 100
    held = dict.fromkeys(truth, 0)
    for seed in range(n_tables):
        figures = evaluate(shifted(400, seed), 300, seed).figures["one"]
        for metric, value in truth.items():
            held[metric] += figures[metric].low <= value <= figures[metric].high
    assert all(87 <= n <= 100 for n in held.values()), held


def test_a_seed_decides_the_intervals():
    """The same seed gives the same ends, another one others; without draws there are none."""
    one = shifted(300, 0)
    first, again, other = (evaluate(one, 100, seed).figures["one"]["auroc"] for seed in (1, 1, 2))
    assert first == again != other
    none = evaluate(one, 0, 1)
    assert np.isnan(none.figures["one"]["auroc"].low)
    assert np.isnan(none.difference("auroc", "one", "two").low)


@pytest.mark.parametrize("at_once", [1, 1000, 2**20])
def test_memory_does_not_change_an_interval(monkeypatch: pytest.MonkeyPatch, at_once: int):
    """However many draws are held at once, every draw is counted and the ends stay within the noise of the draws."""
    monkeypatch.setattr(evaluation, "DRAWN_AT_ONCE", at_once)
    counts: list[int] = []
    figures = evaluate(shifted(500, 0), 400, 0, counts.append).figures["one"]
    assert counts[-1] == 400
    assert figures["auroc"].low == pytest.approx(0.82, abs=0.03)


def test_many_rows_are_drawn_in_part(monkeypatch: pytest.MonkeyPatch):
    """Beyond the limit of rows in a draw the figures stay, and intervals become wider, never narrower."""
    one = shifted(4000, 0)
    whole = evaluate(one, 400, 0).figures["one"]
    monkeypatch.setattr(evaluation, "MOST_DRAWN", 500)
    part = evaluate(one, 400, 0).figures["one"]
    for metric in METRICS:
        assert part[metric].value == whole[metric].value
        assert part[metric].high - part[metric].low > 0.9 * (whole[metric].high - whole[metric].low)
        assert part[metric].low < whole[metric].value < part[metric].high


def test_differences_are_paired():
    """A method does not differ from itself; one with more noise differs by less than its own interval is wide."""
    one = shifted(2000, 0)
    twin = Labelled(one.is_anomaly, one.flagged, {**one.scores, "twin": one.scores["one"]})
    found = evaluate(twin, 300, 0)
    same, gap = found.difference("auroc", "one", "twin"), found.difference("auroc", "one", "two")
    assert (same.value, same.low, same.high, same.is_noise) == (0, 0, 0, True)
    assert 0 < gap.low < gap.value < gap.high
    assert not gap.is_noise
    figures = found.figures
    unpaired = np.hypot(*(figures[name]["auroc"].high - figures[name]["auroc"].low for name in ("one", "two")))
    assert gap.high - gap.low < unpaired


@pytest.mark.parametrize("is_anomaly", [False, True])
def test_one_class_has_no_ranking(is_anomaly: bool):
    """Where all rows are normal, or all anomalous, the areas are undefined and the rest is told with intervals."""
    n = 50
    one = Labelled(np.full(n, is_anomaly), np.arange(n) < 10, {"one": np.arange(n, dtype=float)})
    figures = evaluate(one, 50, 0).figures["one"]
    assert all(np.isnan(figures[metric].value) and np.isnan(figures[metric].low) for metric in RANKED)
    told = figures["recall" if is_anomaly else "false_alarm_rate"]
    assert told.value == 0.2
    assert told.low < 0.2 < told.high
    assert np.isnan(figures["false_alarm_rate" if is_anomaly else "recall"].value)


# -- baselines ------------------------------------------------------------------------------------


def test_ecod_is_that_of_pyod():
    """ECOD gives a new row the score of PyOD's, ties included."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ecod = pytest.importorskip("pyod.models.ecod").ECOD
    rng = np.random.default_rng(0)
    normal = rng.gamma(1.0, size=(200, 4)).round(1).astype(np.float32)
    new = rng.gamma(1.5, size=(30, 4)).round(1).astype(np.float32)
    theirs = ecod().fit(normal)
    # PyOD counts all new rows at once among the old ones; one by one it is a function of the row
    expected = [theirs.decision_function(row[None])[0] for row in new]
    assert baselines.ecod(normal)(new) == pytest.approx(expected, abs=1e-9)


def test_nearest_is_the_mean_distance_to_five():
    """kNN is the mean of the five smallest distances; with fewer rows, of all."""
    rng = np.random.default_rng(0)
    normal, new = rng.normal(size=(50, 3)), rng.normal(size=(10, 3))
    distances = np.sort(np.linalg.norm(new[:, None] - normal, axis=-1), axis=1)
    assert baselines.nearest(normal)(new) == pytest.approx(distances[:, :5].mean(1))
    assert baselines.nearest(normal[:3])(new) == pytest.approx(
        np.linalg.norm(new[:, None] - normal[:3], axis=-1).mean(1)
    )


def test_every_baseline_finds_what_lies_far_out():
    """Rows far from all others score above them, and a seed gives the same scores again."""
    rng = np.random.default_rng(0)
    normal, new = rng.normal(size=(300, 3)), np.concatenate([rng.normal(size=(50, 3)), np.full((5, 3), 9.0)])
    for name, scored in baselines.fitted(normal, 7).items():
        scores = scored(new)
        assert scores[50:].min() > scores[:50].max(), name
        assert (baselines.fitted(normal, 7)[name](new) == scores).all(), name
