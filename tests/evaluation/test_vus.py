"""Volumes under the surface: closed forms, a plain reading of the definition, and laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score

from vaecli.evaluation.vus import LONGEST_BUFFER, N_THRESHOLDS, random_volumes, volumes


def one_series(n: int) -> np.ndarray:
    return np.zeros(n, np.int64)


def with_events(n: int, *events: tuple[int, int]) -> np.ndarray:
    """n labels; events are (first row, number of rows)."""
    label = np.zeros(n, bool)
    for first, rows in events:
        label[first : first + rows] = True
    return label


def plain_volumes(label: np.ndarray, score: np.ndarray, series: np.ndarray) -> tuple[float, float]:
    """The definition, row by row and threshold by threshold."""
    n = label.size
    starts = [i for i in range(n) if label[i] and (i == 0 or not label[i - 1] or series[i] != series[i - 1])]
    ends = [i for i in range(n) if label[i] and (i == n - 1 or not label[i + 1] or series[i] != series[i + 1])]
    ranked = sorted(score, reverse=True)
    cuts = [ranked[int(k * (n - 1) / (N_THRESHOLDS - 1))] for k in range(N_THRESHOLDS)]
    areas = []
    for length in range(LONGEST_BUFFER + 1):
        half = length // 2
        soft, ranges = label.astype(float), []
        for first, last in zip(starts, ends, strict=True):
            mine = [i for i in range(max(first - half, 0), min(last + half + 1, n)) if series[i] == series[first]]
            for i in mine:
                if not label[i]:
                    soft[i] = min(1, soft[i] + np.sqrt(1 - max(first - i, i - last) / length))
            if ranges and ranges[-1] & set(mine):
                ranges[-1] |= set(mine)
            else:
                ranges.append(set(mine))
        recall, false, precision = [0.0], [0.0], []
        for cut in cuts:
            predicted = score >= cut
            true = soft[predicted].sum()
            positive = (label.sum() + label.sum() + soft[predicted & ~label].sum()) / 2
            there = np.mean([any(predicted[i] for i in rows) for rows in ranges])
            recall.append(min(true / positive, 1) * there)
            false.append((predicted.sum() - true) / (n - positive))
            precision.append(true / predicted.sum())
        pr = sum((recall[k + 1] - recall[k]) * precision[k] for k in range(N_THRESHOLDS))
        areas.append((np.trapezoid([*recall, 1], [*false, 1]), pr))
    roc, pr = np.mean(areas, axis=0)
    return roc, pr


def test_scores_that_are_the_labels_are_perfect():
    label = with_events(3000, (200, 1), (400, 60), (430, 90), (2990, 10))
    found = volumes(label, label.astype(float), one_series(3000))
    assert (found.roc, found.pr) == (1.0, 1.0)


def test_reversed_labels_are_as_bad_as_can_be():
    """No event is found before all rows are predicted: then precision is the share of (buffered) labels."""
    label = with_events(4000, (2000, 400))
    found = volumes(label, -label.astype(float), one_series(4000))
    assert found.roc < 0.1
    assert found.pr < 0.15


def test_a_constant_score_is_a_coin():
    """All rows come with the first threshold: ROC is its diagonal, precision the share of labels and buffers."""
    n, first, rows = 1000, 300, 100
    found = volumes(with_events(n, (first, rows)), np.ones(n), one_series(n))
    shares = []
    for length in range(LONGEST_BUFFER + 1):
        buffer = 2 * sum(np.sqrt(1 - d / length) for d in range(1, length // 2 + 1))
        recall = min((rows + buffer) / (rows + buffer / 2), 1)
        shares.append(recall * (rows + buffer) / n)
    assert found.pr == pytest.approx(np.mean(shares), rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_definition_is_met(seed: int):
    """Ties, infinities, events at both ends of a series, buffers that meet, and series side by side."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(60, 260))
    series = np.sort(rng.integers(0, 1 + seed % 3, n))
    label = with_events(n, (0, 3), (40, 1), (43, 2), (n - 2, 2))
    score = rng.normal(size=n) + 2 * label
    score = np.round(score) if seed % 2 else score
    score[rng.random(n) < 0.05] = -np.inf
    found = volumes(label, score, series)
    assert (found.roc, found.pr) == pytest.approx(plain_volumes(label, score, series), rel=1e-12)


@given(
    ranks=arrays(np.int64, 120, elements=st.integers(0, 500)),
    label=arrays(bool, 120),
)
def test_only_the_order_of_scores_counts(ranks: np.ndarray, label: np.ndarray):
    """A monotone function of the scores changes nothing, nor does time that runs backwards."""
    series = one_series(120)
    found, bent = volumes(label, ranks, series), volumes(label, np.exp(ranks / 100.0), series)
    turned = volumes(label[::-1], ranks[::-1], series)
    for other in (bent, turned):
        np.testing.assert_allclose([other.roc, other.pr], [found.roc, found.pr], rtol=1e-12)
    if label.any() and not label.all():
        assert 0 <= found.roc <= 1 + 1e-12
        assert 0 <= found.pr <= 1 + 1e-12


def test_the_order_of_series_does_not_matter_and_buffers_end_with_them():
    """High scores at the start of one series are not near an event at the end of another."""
    rng = np.random.default_rng(0)
    label, score = with_events(600, (280, 20)), rng.normal(size=600)
    score[280:310] += 5
    apart = np.repeat([0, 1], 300)
    swapped = np.r_[300:600, 0:300]
    found = volumes(label, score, apart)
    again = volumes(label[swapped], score[swapped], np.repeat([1, 0], 300))
    assert (found.roc, found.pr) == pytest.approx((again.roc, again.pr), rel=1e-12)
    assert found.pr < volumes(label, score, one_series(600)).pr - 0.02


def test_without_a_class_there_is_no_volume():
    for label in (np.zeros(50, bool), np.ones(50, bool)):
        found = volumes(label, np.arange(50.0), one_series(50))
        assert np.isnan(found.roc)
        assert np.isnan(found.pr)


def test_random_scores_have_a_high_volume_where_events_are_short():
    """0.5 is not the value of noise: buffers reward whatever lies near an event, which AUROC does not."""
    label = with_events(20_000, *((first, 10) for first in range(500, 20_000, 500)))
    noise = random_volumes(label, one_series(20_000), seed=0)
    assert 0.75 < noise.roc < 0.9
    assert 2 * label.mean() < noise.pr < 0.15
    assert roc_auc_score(label, np.random.default_rng(0).random(20_000)) == pytest.approx(0.5, abs=0.06)
    assert noise == random_volumes(label, one_series(20_000), seed=0)
