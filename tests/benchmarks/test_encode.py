"""The benchmark of codes and maps: how it splits, what it measures, and that it keeps its figures."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import vaecli
from tests.benchmarks.conftest import refusal

pytest.importorskip("pandas")

QUICK = {"train.max_steps": 30, "preset": "fast", "heteroscedastic.n_hidden": 8, "homoscedastic.n_hidden": 8}


@pytest.mark.parametrize(("table", "shape"), [("digits", (899, 64)), ("shuttle", (2000, 9))])
def test_no_row_is_fitted_and_shown(bench, table, shape):
    """The same halves for a seed, others for another, and of digits none in both."""
    train, test, label = bench.split(table, 0)
    assert test.shape == shape
    assert label.shape == shape[:1]
    np.testing.assert_array_equal(train, bench.split(table, 0)[0])
    assert not np.array_equal(train, bench.split(table, 1)[0])
    if table == "digits":
        assert not {row.tobytes() for row in train} & {row.tobytes() for row in test}


def test_rare_labels_count_as_much_as_common_ones(bench):
    """Neighbours that always agree give 1; of a label that is never voted for only the others count."""
    near = np.repeat([0.0, 10.0], 20)[:, None] + np.random.default_rng(0).random((40, 1))
    assert bench.agreement(near, np.repeat([0, 1], 20)) == 1.0
    lonely = np.zeros(40, int)
    lonely[7] = 1
    assert bench.agreement(near, lonely) == 0.5


def test_the_table_itself_is_trusted_and_noise_is_not(bench):
    """Coordinates that are the rows have trustworthiness 1, unrelated ones about a half."""
    rows = np.random.default_rng(0).normal(size=(200, 4))
    label = (rows[:, 0] > 0).astype(int)
    assert bench.quality(rows, rows, label)["trust_5"] == 1.0
    noise = np.random.default_rng(1).normal(size=(200, 2))
    assert bench.quality(rows, noise, label)["trust_5"] < 0.6


def test_methods_are_compared_where_both_were_measured(bench):
    """The mean difference over tables and seeds that have both."""
    rows = [
        {"method": method, "table": "digits", "seed": seed, "trust_5": value, "trust_10": value, "labels": value}
        for method, seed, value in [("PCA", 0, 0.5), ("PCA", 1, 0.5), ("vaecli, map", 0, 0.75)]
    ]
    assert "mean over 1 runs: trustworthiness, 5 +0.250" in bench.behind(rows, "vaecli, map", "PCA")
    assert bench.behind(rows, "UMAP", "PCA").endswith("not measured.")


@pytest.mark.slow
def test_a_run_keeps_what_it_measures(bench, tmp_path, monkeypatch, capsys):
    """Every method but UMAP, which takes its time, is measured once; codes are better than chance."""
    fits, fit = [], vaecli.fit
    monkeypatch.setattr(vaecli, "fit", lambda rows, **given: fits.append(1) or fit(rows, **given, **QUICK))
    monkeypatch.setattr(bench, "_has_umap", lambda: False)
    out = tmp_path / "out.json"
    for _ in range(2):
        words = ["encode.py", "--tables", "digits", "--seeds", "0", "--out", str(out), "--methods"]
        for methods in ("vaecli, all", "vaecli, map", "PCA"):
            monkeypatch.setattr(sys, "argv", [*words, methods])
            bench.main()
    assert len(fits) == 3
    kept = {row["method"]: row for row in json.loads(out.read_text(encoding="utf-8"))["rows"]}
    assert set(kept) == set(bench.METHODS) - {"vaecli, UMAP map", "UMAP"}
    assert kept["vaecli, all coordinates"]["dims"] == kept["PCA, as many"]["dims"]
    assert all(row["trust_5"] > 0.6 for row in kept.values())
    assert str(tmp_path) not in out.read_text(encoding="utf-8")
    assert "## digits, seed 0" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--tables", "cats"], ["--methods", "magic"], ["--out", "x.md"]], ids=str)
def test_a_mistaken_option_is_refused(bench, wrong, capsys):
    """An unknown table or method, or another format, ends the benchmark before it measures."""
    assert wrong[1] in refusal(bench.main, [*wrong], capsys)
