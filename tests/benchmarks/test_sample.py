"""The benchmark of new rows: what it compares, how it counts, and that it keeps its figures."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import vaecli
from tests.benchmarks.conftest import FACTS, QUICK, refusal, refusal_without_data

pd = pytest.importorskip("pandas")


def table(n_rows, seed):
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            "x": load.round(1),
            "y": np.where(rng.random(n_rows) < 0.3, 0.0, load + rng.normal(size=n_rows)),
            "site": np.where(load > 0, "a", "b"),
        }
    )
    frame.loc[rng.random(n_rows) < 0.2, "y"] = np.nan
    return frame


def test_the_copula_has_the_marginals_and_correlations_of_training(bench):
    """Only values of training, gaps and categories as often, ranks correlated as they were."""
    train = table(3000, 0)
    made = bench.copula(train, None, 4000, 0)
    assert set(made["x"]) <= set(train["x"])
    assert made["y"].isna().mean() == pytest.approx(train["y"].isna().mean(), abs=0.02)
    assert (made["site"] == "a").mean() == pytest.approx((train["site"] == "a").mean(), abs=0.03)
    assert bench.correlation_difference(train[["x", "y"]], made[["x", "y"]]) < 0.08
    assert bench.copula(train, None, 50, 0).equals(bench.copula(train, None, 50, 0))


def test_distances_of_columns(bench):
    """The same column has none, a shifted one its overlap's rest; words are compared by shares, gaps count."""
    numbers = pd.Series([1.0, 2.0, 3.0, 4.0])
    assert bench.marginal_distance(numbers, numbers) == 0
    assert bench.marginal_distance(numbers, numbers + 1) == pytest.approx(0.25)
    assert bench.marginal_distance(numbers, pd.Series([1.0, 2.0, 3.0, np.nan])) == pytest.approx(0.25)
    assert bench.marginal_distance(pd.Series(["a", "b"]), pd.Series(["a", None])) == pytest.approx(0.5)


def test_the_closest_row_is_in_standard_deviations_and_words(bench):
    """A training row is at 0; a number one standard deviation away at 1; another word is 1 away."""
    train = pd.DataFrame({"x": [0.0, 2.0, 4.0], "site": ["a", "a", "b"]})
    rows = pd.DataFrame({"x": [2.0, 6.0, 2.0], "site": ["a", "b", "b"]})
    np.testing.assert_allclose(bench.nearest(train, rows, ["x"]), [0, 1, 1])


def measured(name, method, accuracy, seed=0):
    row = {"method": method, "table": name, "seed": seed, "cap": 10_000, "n_rows": 100, "n_columns": 3}
    figures = ("boosting", "forest", "marginal_distance", "correlation_difference", "nearest_made", "nearest_real")
    return row | dict.fromkeys(figures, accuracy)


def test_the_target_counts_tables(bench):
    """Below the copula on four of five is met, on three not, for each seed; a table without both does not count."""
    rows = [measured(name, "vaecli", 0.6) for name in "abcde"] + [measured(name, "copula", 0.7) for name in "abcd"]
    rows += [measured("e", "copula", 0.5), measured("f", "vaecli", 0.6)]
    assert bench.target(rows, "boosting").endswith(": seed 0 met, on 4 of 5.")
    rows += [measured("d", "copula", 0.6)]
    assert bench.target(rows, "boosting").endswith(": seed 0 not met, on 3 of 5.")


def test_the_report_keeps_seeds_and_caps_apart(bench):
    """One line per table and seed; runs with another cap are left out; memory stands at the end."""
    rows = [
        measured("a", "vaecli", 0.6),
        measured("a", "copula", 0.75, seed=1),
        measured("b", "vaecli", 0.9) | {"cap": 5},
    ]
    kept = dict.fromkeys(("parquet_peak_mb", "parquet_seconds", "csv_peak_mb", "csv_seconds"), 123.4)
    rows.append({"method": "memory", "table": "shuttle", "seed": 0, "cap": 1_000_000} | kept)
    shown = bench.report(rows, 10_000, FACTS)
    assert "| a, seed 0 | 0.600 | – |" in shown
    assert "| a, seed 1 | – | 0.750 |" in shown
    assert "0.900" not in shown
    assert "| 1,000,000 | 123 MB, 123.4 s |" in shown


@pytest.fixture
def data(tmp_path):
    """A data folder with one tiny table of three columns that hang together."""
    rng = np.random.default_rng(0)
    load = rng.normal(size=(300, 1))
    (tmp_path / "data/adbench").mkdir(parents=True)
    rows = load**2 * [1.0, -2.0, 3.0] + 0.1 * rng.normal(size=(300, 3))
    np.savez(tmp_path / "data/adbench/1_tiny.npz", X=rows, y=np.arange(300) % 20 == 0)
    return tmp_path / "data"


@pytest.mark.slow
def test_a_run_keeps_what_it_measures(bench, data, tmp_path, monkeypatch, capsys):
    """One fit per table for all methods, measured once; training rows are not distinguished, a copula's rows are."""
    fits, fit = [], vaecli.fit
    monkeypatch.setattr(vaecli, "fit", lambda rows, **given: fits.append(1) or fit(rows, **given, **QUICK))
    monkeypatch.setattr(bench, "FOLDS", 2)
    out = tmp_path / "out.json"
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", ["sample.py", "--data", str(data), "--tables", "1_tiny", "--out", str(out)])
        bench.main()
    assert fits == [1]
    kept = {row["method"]: row for row in json.loads(out.read_text(encoding="utf-8"))["rows"]}
    assert set(kept) == {"vaecli", "copula", "training rows"}
    assert kept["training rows"]["boosting"] == pytest.approx(0.5, abs=0.1)
    assert kept["training rows"]["nearest_made"] == pytest.approx(0, abs=1e-6)
    assert str(tmp_path) not in out.read_text(encoding="utf-8") + out.with_suffix(".md").read_text(encoding="utf-8")
    assert "Target, below the copula on at least four of five tables" in capsys.readouterr().out


def test_memory_is_that_of_the_command(bench, bundle, tmp_path):
    """`vaecli sample` runs as a process of its own."""
    found = bench.memory_of([str(bundle), "-n", "100", "-o", str(tmp_path / "out.csv"), "--quiet"], 100)
    assert found.keys() == {"peak_mb", "seconds"}
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 101


@pytest.mark.parametrize("words", [["--data", "nowhere"], []], ids=["wrong", "missing"])
def test_missing_data_is_one_sentence(bench, words, capsys):
    """Without its data folder the benchmark ends with exit code 2 and one sentence."""
    refusal_without_data(bench.main, words, capsys)


@pytest.mark.parametrize("wrong", [["--tables", "9_none"], ["--methods", "magic"], ["--out", "x.md"]], ids=str)
def test_a_mistaken_option_is_refused(bench, data, wrong, capsys):
    """An unknown table or method, or another format, ends the benchmark before it measures."""
    assert wrong[1] in refusal(bench.main, ["--data", str(data), *wrong], capsys)
