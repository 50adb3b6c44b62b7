"""The imputation benchmark: what it removes, how it counts errors, and that it keeps its figures."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import vaecli
from tests.benchmarks.conftest import FACTS, refusal, refusal_without_data

pytest.importorskip("pandas")

TABLES = ["a, seed 0", "b, seed 0", "c, seed 0"]
QUICK = {
    "train.max_steps": 60,
    "model.n_exemplars": 40,
    "heteroscedastic.n_hidden": 16,
    "homoscedastic.n_hidden": 16,
}


def measured(name, method, error, seed=0):
    return {
        "method": method,
        "set": name,
        "seed": seed,
        "cap": 10_000,
        "n_test": 100,
        "n_columns": 3,
        "error": error,
        "fit_seconds": 1.0,
        "fill_seconds": 0.5,
    }


def test_a_tenth_of_the_cells_is_removed(bench):
    """The same cells for every method and run, others for another seed."""
    removed = bench.removed_cells((2000, 10), 0)
    assert removed.mean() == pytest.approx(0.1, abs=0.01)
    np.testing.assert_array_equal(removed, bench.removed_cells((2000, 10), 0))
    assert (removed != bench.removed_cells((2000, 10), 1)).any()


def test_errors_are_in_standard_deviations_of_removed_cells(bench):
    """What was not removed does not count, and a column of which nothing was removed has no error."""
    whole = np.array([[1.0, 10.0, 5.0], [2.0, 20.0, 5.0]])
    removed = np.array([[True, False, False], [True, True, False]])
    filled = np.array([[4.0, 99.0, 5.0], [6.0, 24.0, 5.0]])
    np.testing.assert_allclose(
        bench.column_errors(filled, whole, removed, np.array([1.0, 2.0, 1.0])), [np.sqrt(12.5), 2.0, np.nan]
    )


def test_the_target_counts_tables(bench):
    """At or below the rival on half of the tables is met, on fewer not; a table without both does not count."""
    rows = [measured("a", "vaecli", 0.5), measured("a", "iterative", 0.5), measured("b", "vaecli", 0.9)]
    rows += [measured("b", "iterative", 0.4), measured("c", "vaecli", 0.1)]
    assert bench.target(rows, TABLES).endswith(": met, on 1 of 2.")
    rows[0]["error"] = 0.51
    assert bench.target(rows, TABLES).endswith("not met, on 0 of 2.")


def test_seeds_stand_apart_and_caps_are_not_mixed(bench):
    """One line per table and seed, of runs with the requested cap; a method that diverged has no finite error."""
    rows = [measured("a", "vaecli", 0.2), measured("a", "vaecli", 0.4, seed=1), measured("a", "vaecli", 9.0, seed=2)]
    rows[2]["cap"] = 50
    rows.append(measured("a", "iterative", 1e9))
    shown = bench.report(rows, 10_000, FACTS)
    assert "| a, seed 0 | 0.200 | inf |" in shown
    assert "| a, seed 1 | 0.400 | – |" in shown
    assert "9.0" not in shown


@pytest.fixture
def data(tmp_path):
    """A data folder with a tiny table in which columns predict each other, one number of two values among them."""
    rng = np.random.default_rng(0)
    load = rng.normal(size=(600, 1))
    rows = load * [1.0, -2.0, 3.0] + 0.1 * rng.normal(size=(600, 3))
    rows = np.column_stack([rows, load > 0, np.full(600, 7.0)])
    (tmp_path / "data/adbench").mkdir(parents=True)
    np.savez(tmp_path / "data/adbench/1_tiny.npz", X=rows, y=np.arange(600) % 20 == 0)
    return tmp_path / "data"


def test_a_run_keeps_what_it_measures(bench, data, tmp_path, monkeypatch, capsys):
    """Every method is measured once; those that see the row beat the median; no path of the machine is kept."""
    fits, fit = [], vaecli.fit
    monkeypatch.setattr(vaecli, "fit", lambda rows, **given: fits.append(1) or fit(rows, **given, **QUICK))
    out = tmp_path / "out.json"
    words = ["impute.py", "--data", str(data), "--sets", "1_tiny", "--out", str(out)]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", words)
        bench.main()
    assert fits == [1]
    kept = {row["method"]: row for row in json.loads(out.read_text(encoding="utf-8"))["rows"]}
    assert set(kept) == {"vaecli", "median", "kNN", "iterative"}
    assert {row["n_columns"] for row in kept.values()} == {4}
    assert all(np.isfinite(row["error"]) for row in kept.values())
    assert all(kept[method]["error"] < 0.8 * kept["median"]["error"] for method in ("vaecli", "kNN", "iterative"))
    assert str(tmp_path) not in out.read_text(encoding="utf-8") + out.with_suffix(".md").read_text(encoding="utf-8")
    assert "Target, at or below IterativeImputer" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--data", "nowhere"], []], ids=["wrong", "missing"])
def test_missing_data_is_one_sentence(bench, words, capsys):
    """Without its data folder the benchmark ends with exit code 2 and one sentence."""
    refusal_without_data(bench.main, words, capsys)


@pytest.mark.parametrize("wrong", [["--sets", "9_none"], ["--methods", "magic"], ["--out", "x.md"]], ids=str)
def test_a_mistaken_option_is_refused(bench, data, wrong, capsys):
    """An unknown table or method, or another format, ends the benchmark before it measures."""
    assert wrong[1] in refusal(bench.main, ["--data", str(data), *wrong], capsys)
