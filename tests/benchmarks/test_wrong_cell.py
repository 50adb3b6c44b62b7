"""The benchmark of wrong cells: its tables, what its methods see, and what it keeps."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest

import vaecli
from tests.benchmarks.conftest import BENCHMARKS, QUICK, refusal, refusal_without_data
from vaecli.data.cells import Cells

pd = pytest.importorskip("pandas")


@pytest.mark.parametrize("curved", [False, True])
def test_columns_of_factor_tables_have_variance_one(bench, curved):
    """Of which the noise is 30 %; other seeds give other rows of the same process."""
    table, again, other = (bench.factor_table(20_000, 20, 3, seed, curved=curved) for seed in (0, 0, 1))
    assert table.shape == (20_000, 20)
    np.testing.assert_allclose(table.std(), 1, atol=0.05)
    pd.testing.assert_frame_equal(table, again)
    assert not table.equals(other)
    np.testing.assert_allclose(table.corr(), other.corr(), atol=0.1)
    values = np.linalg.eigvalsh(table.corr())
    assert values[:-3].mean() == pytest.approx(0.3, abs=0.02) if not curved else values[-4] > 0.4


def test_at_most_one_percent_is_above_the_limit(bench):
    """Where scores are equal, fewer."""
    scores = np.random.default_rng(0).permutation(1000.0 * np.ones(500).cumsum())
    assert (scores > bench.limit_of(scores)).sum() == 5
    assert (np.repeat([0.0, 1.0], [900, 100]) > bench.limit_of(np.repeat([0.0, 1.0], [900, 100]))).sum() == 0


def test_a_tie_counts_against_the_first_name(bench):
    """One of two wrong columns in front is enough; as high as another column is not."""
    blame = np.array([[3.0, 1, 2], [1.0, 3, 2], [2.0, 2, 0], [0.0, 0, 0]])
    wrong = np.array([[True, False, True], [True, False, False], [True, False, False], [True, False, False]])
    assert bench.first_is_wrong(blame, wrong).tolist() == [True, False, False, False]


@pytest.fixture(scope="module")
def mixed_rows():
    """Normal rows: two numbers that predict each other, and a word."""
    rng = np.random.default_rng(0)
    load = rng.normal(size=600)
    return pd.DataFrame({"a": load, "b": 3 * load + 0.1 * rng.normal(size=600), "kind": rng.choice(["x", "y"], 600)})


@pytest.fixture(scope="module")
def trial(mixed_rows):
    """A trial with a short fit. Tests must not change it."""
    fit = vaecli.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        bench = importlib.import_module("wrong_cell")
        patch.setattr(vaecli, "fit", lambda rows, **given: fit(rows, preset="fast", **given, **QUICK))
        patch.setattr(bench, "_normal_rows", lambda name, data: mixed_rows)
        return bench.trial_of("ai4i2020", 300, 0, None)


def test_cases_say_which_cells_are_wrong(trial):
    """One cell a row; of a swap, and where three cells are empty, as many as it takes."""
    assert len(trial.known) == len(trial.fresh) == 300
    n_wrong = {(case.fault, case.size): set(case.wrong.sum(1)) for case in trial.cases}
    assert n_wrong["spike", "4 sd"] == n_wrong["unseen", ""] == {1}
    assert n_wrong["swap", ""] == {2}
    assert n_wrong["missing", "3"] == {3}
    assert {case.fault for case in trial.cases} >= {"shift", "scale", "stuck", "wrong", "borrowed"}
    assert all(case.wrong.shape == case.broken.values.shape for case in trial.cases)


@pytest.mark.parametrize("method", ["limits", "rules", "z_score", "squared_error"])
def test_a_value_far_outside_is_seen_and_named_by_every_method(bench, trial, method):
    """Eight standard deviations, and a word that the fit never saw; who reconstructs cannot tell which of a pair."""
    cases = {(case["fault"], case["size"]): case for case in bench.measured(trial, method, 0)["cases"]}
    for case in (cases["spike", "8 sd"], cases["unseen", ""]):
        assert case["own"] > 0.9
        assert case["named"] / case["shown"] > (0.4 if method == "squared_error" else 0.7)
    assert (cases["spike", "8 sd"]["matched"] is None) == (method == "rules")


def test_only_what_looks_at_columns_together_sees_a_borrowed_cell(bench, trial):
    """A number of another row is usual by itself, so limits cannot see it; a reconstruction can."""
    shares = {}
    for method in ("limits", "squared_error"):
        (shares[method],) = (c["matched"] for c in bench.measured(trial, method, 0)["cases"] if c["fault"] == "swap")
    assert shares["squared_error"] > shares["limits"] + 0.3


def test_a_gap_and_a_new_word_are_features_of_their_own(bench, trial):
    """The z-score of a gap where the fit had none is as large as a spread of half a row makes it."""
    encoding = bench.Encoding.of(trial)
    values, state = trial.known.values[:3].copy(), trial.known.state[:3].copy()
    values[0, 0], state[0, 0] = np.nan, 1
    values[1, 2], state[1, 2] = np.nan, 2
    plain, changed = (
        encoding.by_column(np.abs(encoding.features(cells)), np.maximum)
        for cells in (trial.known[:3], Cells(values, state, np.arange(3)))
    )
    assert changed[0, 0] == changed[1, 2] == pytest.approx(np.sqrt(600))
    np.testing.assert_array_equal(changed[2], plain[2])


def test_a_run_keeps_what_it_measures(bench, trial, tmp_path, monkeypatch, capsys):
    """Every method once, in a report with a table for the README, without a path of the machine."""
    (tmp_path / "mixed/ai4i2020").mkdir(parents=True)
    monkeypatch.setattr(bench, "trial_of", lambda *_: trial)
    monkeypatch.setattr(bench, "EXPLAINED", 10)
    out = tmp_path / "out.json"
    words = ["wrong_cell.py", "--data", str(tmp_path), "--tables", "ai4i2020", "--rows", "300", "--out", str(out)]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", words)
        bench.main()
    rows = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert [row["method"] for row in rows] == list(bench.METHODS)
    assert all(len(row["cases"]) == len(trial.cases) for row in rows)
    assert all(case["shown"] <= 10 for row in rows for case in row["cases"])
    spikes = {row["method"]: next(c for c in row["cases"] if c["size"] == "8 sd") for row in rows}
    assert spikes["vaecli"]["own"] > 0.9
    assert spikes["iforest"]["shown"] > 0
    shown = capsys.readouterr().out
    assert "| ai4i2020, 300 rows |" in shown
    assert "## ai4i2020, 300 rows × 3" in shown
    assert str(tmp_path) not in out.read_text(encoding="utf-8") + out.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", ["cardio", "nslkdd"])
def test_missing_data_is_one_sentence(bench, table, capsys):
    """Without its data folder the benchmark ends with exit code 2 and one sentence."""
    refusal_without_data(bench.main, ["--tables", table], capsys)


def test_an_unknown_table_is_refused(bench, capsys):
    """Before anything is measured."""
    assert "unknown: none" in refusal(bench.main, ["--tables", "none"], capsys)


def test_false_alarms_show_each_seed(bench):
    """Of one seed there is nothing to add."""
    assert bench._each([0.004, 0.018]) == "1.10 % (0.40, 1.80)"
    assert bench._each([0.004]) == "0.40 %"
