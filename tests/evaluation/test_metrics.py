"""Figures of merit: scikit-learn's to twelve digits, intervals beside them, baselines that are what they are called."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score, roc_curve

from tests.conftest import of_a_hundred
from vaecli.evaluation import baselines, metrics as evaluation
from vaecli.evaluation.metrics import METRICS, RANKED, Labelled, curve, evaluate

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
    """All six figures agree with scikit-learn to 1e-12, ties included, and are undefined where it has none."""
    one = labelled(rows)
    found = {metric: figure.value for metric, figure in evaluate(one).figures["one"].items()}
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


def test_the_curve_encloses_the_area():
    """The ROC curve passes through scikit-learn's points, thinned or not, and precision is that of each point."""
    one = shifted(20_000, 0)
    alarms, recall, precision = curve(one.scores["one"], one.is_anomaly)
    assert alarms.size <= evaluation.CURVE_POINTS
    height, width = np.append(0, recall), np.diff(np.append(0, alarms))
    area = (0.5 * (height[1:] + height[:-1]) * width).sum()
    assert area == pytest.approx(evaluate(one).figures["one"]["auroc"].value, abs=1e-3)
    few = labelled([(True, 2, True), (False, 2, True), (True, 1, False), (False, 0, False)])
    alarms, recall, precision = curve(few.scores["one"], few.is_anomaly)
    x, y, _ = roc_curve(few.is_anomaly, few.scores["one"], drop_intermediate=False)
    assert (alarms.tolist(), recall.tolist()) == (x[1:].tolist(), y[1:].tolist())
    assert precision.tolist() == pytest.approx([1 / 2, 2 / 3, 1 / 2])


# -- the intervals --------------------------------------------------------------------------------


@of_a_hundred(60)
@given(rows)
def test_every_figure_has_an_interval(rows: list[tuple[bool, int, bool]]):
    """Where a figure exists, so does an interval around it, inside [0, 1] and never without width."""
    for figure in evaluate(labelled(rows)).figures["one"].values():
        if np.isnan(figure.value):
            assert np.isnan(figure.low)
            assert np.isnan(figure.high)
        else:
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
            assert figure.high - figure.low > 1e-3


def test_shares_have_the_limits_of_clopper_and_pearson():
    """Recall is a share of the anomalies, precision of the flagged, F1 follows the share of hits in either."""
    from scipy.stats import binomtest

    is_anomaly, flagged = np.arange(50) < 8, (np.arange(50) >= 3) & (np.arange(50) < 10)  # 5 hits, 2 false alarms
    figures = evaluate(Labelled(is_anomaly, flagged, {"one": -np.arange(50.0)})).figures["one"]
    for metric, k, n in (("recall", 5, 8), ("precision", 5, 7), ("false_alarm_rate", 2, 42)):
        exact = binomtest(k, n).proportion_ci()
        assert (figures[metric].low, figures[metric].high) == pytest.approx((exact.low, exact.high), abs=1e-9)
    jaccard = binomtest(5, 10).proportion_ci()
    expected = [2 * end / (1 + end) for end in (jaccard.low, jaccard.high)]
    assert [figures["f1"].low, figures["f1"].high] == pytest.approx(expected, abs=1e-9)


def test_the_variance_of_auroc_is_that_of_delong():
    """Placement values row by row give the same variance and covariance, ties included."""
    rng = np.random.default_rng(0)
    is_anomaly = np.arange(60) < 9
    scores = {name: (rng.normal(size=60) + is_anomaly).round(1) for name in ("one", "two")}
    areas = evaluate(Labelled(is_anomaly, is_anomaly, scores)).areas
    wins = {}
    for name, score in scores.items():
        pairs = score[:9, None] - score[None, 9:]
        wins[name] = (pairs > 0) + 0.5 * (pairs == 0)
    placed = [np.stack([wins[name].mean(axis) for name in scores]) for axis in (1, 0)]
    expected = np.cov(placed[0]) / 9 + np.cov(placed[1]) / 51
    one, two = (areas[name]["auroc"] for name in scores)
    found = [[one.variance, one.covariance(two)], [two.covariance(one), two.variance]]
    assert np.array(found) == pytest.approx(expected)


def test_the_contributions_to_average_precision_are_its_slopes():
    """What a row contributes is by how much average precision moves as that row gets a little more weight."""
    rng = np.random.default_rng(1)
    is_anomaly = np.arange(40) < 7
    score = (rng.normal(size=40) + 1.5 * is_anomaly).round(1)
    area = evaluate(Labelled(is_anomaly, is_anomaly, {"one": score})).areas["one"]["average_precision"]
    slopes = []
    for i in range(40):
        weight = np.ones(40)
        weight[i] += 1e-6
        weight[is_anomaly] *= 7 / weight[is_anomaly].sum()
        weight[~is_anomaly] *= 33 / weight[~is_anomaly].sum()
        moved = average_precision_score(is_anomaly, score, sample_weight=weight)
        slopes.append((moved - area.value) / 1e-6)
    told = np.concatenate(
        [
            (area.of_anomaly - area.of_anomaly[area.ranks.anomaly].mean())[area.ranks.anomaly] / 7,
            (area.of_normal - area.of_normal[area.ranks.normal].mean())[area.ranks.normal] / 33,
        ]
    )
    assert told == pytest.approx(np.array(slopes), abs=1e-5)


def test_differences_are_paired():
    """A method does not differ from its twin; the more two methods agree, the narrower their difference."""
    one = shifted(2000, 0)
    noise = np.random.default_rng(1).normal(size=2000)
    like = one.scores["one"] + 0.3 * noise
    found = evaluate(Labelled(one.is_anomaly, one.flagged, {**one.scores, "twin": one.scores["one"], "like": like}))
    same = found.difference("auroc", "one", "twin")
    assert same.low <= same.value == 0 <= same.high
    for metric in RANKED:
        width = {}
        for other in ("twin", "like", "two"):
            gap = found.difference(metric, "one", other)
            assert gap.low <= gap.value <= gap.high
            width[other] = gap.high - gap.low
        assert width["twin"] < width["like"] < width["two"]
    gap = found.difference("auroc", "one", "two")
    assert gap.low > 0
    figures = found.figures
    unpaired = np.hypot(*(figures[name]["auroc"].high - figures[name]["auroc"].low for name in ("one", "two")))
    assert gap.high - gap.low < unpaired


@pytest.mark.parametrize("is_anomaly", [False, True])
def test_one_class_has_no_ranking(is_anomaly: bool):
    """Where all rows are normal, or all anomalous, the areas are undefined and the rest is reported with intervals."""
    n = 50
    one = Labelled(np.full(n, is_anomaly), np.arange(n) < 10, {"one": np.arange(n, dtype=float)})
    figures = evaluate(one).figures["one"]
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
