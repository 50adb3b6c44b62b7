"""The explanation benchmark: it makes one known cell wrong, counts ties against a method, and keeps its figures."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import vaecli
from tests.benchmarks.conftest import FACTS, QUICK, refusal_without_data
from vaecli.data.cells import Cells

pd = pytest.importorskip("pandas")


def some_rows(n_rows, seed=0):
    """Two numbers that move together, one of its own, a boolean and a category."""
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n_rows)
    return pd.DataFrame(
        {
            "load": load,
            "heat": 3 * load + 0.1 * rng.normal(size=n_rows),
            "noise": rng.normal(size=n_rows),
            "on": np.where(rng.random(n_rows) < 0.5, "yes", "no"),
            "state": np.array(["idle", "run", "stop"])[rng.integers(0, 3, n_rows)],
        }
    )


@pytest.fixture(scope="module")
def detector():
    return vaecli.fit(some_rows(300), **QUICK).detector


def numbers(detector):
    """Which columns of the detector are numbers."""
    return [j for j, column in enumerate(detector.schema.features) if column.kind == "numeric"]


@pytest.mark.parametrize("question", ["shift", "swap"])
def test_one_number_of_a_row_is_made_wrong(bench, detector, question):
    """A corrupted row is a usual one but for a single numeric cell; each numeric column has its turn."""
    cells = bench.cells_of(detector, some_rows(200, seed=1))
    usual = np.arange(50, 150)
    wrong, column = bench.corrupted(detector, cells, usual, question, seed=0, n_rows=20)
    assert np.unique(column).tolist() == numbers(detector)
    assert np.unique(column, return_counts=True)[1].tolist() == [20] * 3
    for row, j in enumerate(column):
        kept = np.arange(cells.values.shape[1]) != j
        origin = (cells.values[usual][:, kept] == wrong.values[row, kept]).all(1)
        assert origin.sum() == 1
        assert wrong.values[row, j] != cells.values[usual][origin, j]


def test_a_shift_is_4_to_8_standard_deviations(bench):
    """A shifted value is that far away, up about as often as down, and every row counts."""
    rng, values = np.random.default_rng(0), np.random.default_rng(1).normal(size=500)
    rows, wrong = bench.shifted(values, np.arange(100, 500), 2.5, rng)
    step = (wrong - values[rows]) / 2.5
    assert rows.size == 400
    assert (np.abs(step) >= 4).all()
    assert (np.abs(step) <= 8).all()
    assert 0.4 < (step > 0).mean() < 0.6


def test_a_swapped_value_comes_from_the_column_and_is_far_enough(bench):
    """A swap takes a value that another row holds; a row whose value hardly moves does not count."""
    values = np.array([0.0] * 60 + [0.4] * 60 + [5.0] * 60 + [np.nan] * 20)
    rows, wrong = bench.swapped(values, np.arange(180), 1.0, np.random.default_rng(0))
    assert 0 < rows.size < 180
    assert set(wrong) <= {0.0, 0.4, 5.0}
    assert (np.abs(wrong - values[rows]) > 0.5).all()


def test_the_same_seed_makes_the_same_faults(bench, detector):
    """The faults are a function of the seed and the column."""
    cells = bench.cells_of(detector, some_rows(100, seed=1))
    first, again, other = (
        bench.corrupted(detector, cells, np.arange(100), "shift", seed, n_rows=10)[0] for seed in (0, 0, 1)
    )
    assert (first.values == again.values)[~np.isnan(first.values)].all()
    assert (first.values != other.values).any()


def test_a_tie_counts_against_the_method(bench):
    """A column that shares its value with others stands after all of them."""
    values = np.array([[3.0, 2.0, 1.0], [2.0, 2.0, 1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    column = np.zeros(4, int)
    assert bench.places(values, column).tolist() == [1, 2, 3, 3]
    assert bench.foremost(values, column).tolist() == [0, 1, -1, 2]


def test_every_method_rates_every_column(bench, detector):
    """An absurd number comes first by the explanation and by its z-score, which ranks categories last."""
    cells = bench.cells_of(detector, some_rows(20, seed=2))
    j = numbers(detector)[2]
    cells.values[:, j] = 50.0
    decided, flags = bench.scored(detector, cells)
    assert flags.all()
    for rate in bench.METHODS.values():
        assert rate(detector, cells, decided).shape == cells.values.shape
    for rate in (bench.parts, bench.z_scores):
        assert (bench.places(rate(detector, cells, decided), np.full(20, j)) == 1).all()
    others = [k for k in range(cells.values.shape[1]) if k not in numbers(detector)]
    assert (bench.z_scores(detector, cells, decided)[:, others] == -np.inf).all()


def test_the_squared_error_is_that_of_the_features(bench, detector):
    """Of one member the error is (feature − mean)², added up over the features of a category."""
    from dataclasses import replace

    from vaecli.model.network import decode, encode

    cells = bench.cells_of(detector, some_rows(5, seed=3))
    family = detector.ensemble.reference_family
    one = replace(detector, ensemble=replace(detector.ensemble, families=(family,)))
    batch = detector.preprocessor.transform(cells)
    code, _ = encode(family.parameters, family.likelihood, batch.values, batch.state)
    error = (batch.values - family.likelihood.mean(decode(family.parameters, code))) ** 2
    by_hand = [error[..., slot.start : slot.stop].sum(-1).mean(0) for slot in detector.preprocessor.layout.slots]
    np.testing.assert_allclose(bench.squared_errors(one, cells, None), np.transpose(by_hand), rtol=1e-4)


def test_incomplete_and_flagged_rows_are_not_corrupted(bench, monkeypatch):
    """Only complete normal rows that were not flagged are made wrong, even where gaps are nothing unusual."""
    train = some_rows(300)
    train.loc[::3, "heat"] = np.nan
    detector = vaecli.fit(train, **QUICK).detector
    test = some_rows(60, seed=4)
    test.loc[:9, "heat"] = np.nan
    test.loc[10:19, "noise"] = 60.0
    normal = np.arange(60) < 50
    seen = {}

    def watched(detector, cells, usual, *_):
        seen["usual"] = usual
        return Cells(cells.values[usual], cells.state[usual], np.arange(usual.size)), np.zeros(usual.size, int)

    monkeypatch.setattr(bench, "corrupted", watched)
    bench.named(detector, bench.Table(None, test, normal), "shift", seed=0, n_rows=5)
    assert not bench.scored(detector, bench.cells_of(detector, test))[1][:10].all()
    assert set(seen["usual"]) <= set(range(20, 50))
    assert len(seen["usual"]) > 20


def measured(table, question="swap", seed=0, flagged=100, **first):
    """A row of the results: how often each method was first; among the first three ten times more."""
    first = {"vaecli": 60, "own_nats": 50, "squared_error": 45, "z_score": 40} | first
    return {
        "question": question,
        "table": table,
        "seed": seed,
        "rows": 300,
        "corrupted": 2 * flagged,
        "flagged": flagged,
        "first": first,
        "first_three": {method: found + 10 for method, found in first.items()},
        "stood_first": {"Torque [Nm]": {"Torque [Nm]": first["vaecli"], "Rotational speed [rpm]": 20, "no column": 1}},
        "commit": "abc",
    }


def test_rows_are_pooled_within_a_table_and_tables_weigh_the_same(bench):
    """A share is over all flagged rows of a table; the mean over tables is that of the shares."""
    rows = [measured("shuttle", flagged=100, vaecli=90), measured("shuttle", seed=1, flagged=300, vaecli=190)]
    rows.append(measured("nslkdd", flagged=1000, vaecli=300))
    assert bench.share(rows[:2], "first", "vaecli") == pytest.approx(0.7)
    assert bench.mean_share(rows, "first", "vaecli") == pytest.approx(0.5)
    assert bench.share([measured("shuttle", flagged=0)], "first", "vaecli") is None


def test_targets_stand_beside_the_figures(bench):
    """Each target shows what was measured, whether it is met, and the table furthest from it."""
    rows = [measured("shuttle", vaecli=80), measured("ai4i2020", vaecli=50), measured("nslkdd", vaecli=53)]
    lines = bench.report(rows, 300, FACTS).splitlines()
    assert "| swap: first | 61.0 % | ≥ 60 % | yes | ai4i2020 50.0 |" in lines
    assert "| swap: among the first three | 71.0 % | ≥ 85 % | no | ai4i2020 60.0 |" in lines
    assert "| swap: first, ahead of z-score | 21.0 points | ≥ 15 points | yes | ai4i2020 10.0 |" in lines
    assert not any(line.startswith("| shift: first") for line in lines)


def test_a_mean_over_fewer_tables_meets_no_target(bench):
    """Targets are means over all three tables, so none stands there before all are measured."""
    assert "≥" not in bench.report([measured("shuttle"), measured("nslkdd")], 300, FACTS)


def test_figures_of_another_number_of_rows_are_left_out(bench):
    """A run with `--rows` never mixes with one of another size."""
    rows = [measured("shuttle", vaecli=77), measured("shuttle", seed=1, vaecli=11) | {"rows": 10}]
    shown = bench.report(rows, 300, FACTS)
    assert "77.0 / 87.0 %" in shown
    assert "11.0" not in shown


def test_the_report_names_what_a_coin_would_reach(bench):
    """Columns that move together are shown with what stood first instead, and with the bound that this sets."""
    shown = bench.report([measured("ai4i2020"), measured("ai4i2020", seed=1)], 300, FACTS)
    assert "| Torque [Nm] (162) | 120 | 40 | 2 |" in shown
    assert "Of 162 flagged rows with a wrong paired column" in shown
    assert "first in 74.1 %, its partner in 24.7 %" in shown
    assert "wrong column first in 50.0 % of this table's 162 flagged rows" in shown


@pytest.fixture
def data(tmp_path):
    """A data folder with tiny tables in the place of the real ones."""
    rng = np.random.default_rng(0)
    for name in ("32_shuttle", "24_mnist"):
        (tmp_path / "data/adbench").mkdir(parents=True, exist_ok=True)
        rows = rng.normal(size=(400, 1)) + 0.3 * rng.normal(size=(400, 3))
        label = np.arange(400) % 20 == 0
        np.savez(tmp_path / f"data/adbench/{name}.npz", X=rows + 20 * label[:, None] * [1, -1, 1], y=label)
    for name in ("ai4i2020", "nslkdd"):
        (tmp_path / f"data/mixed/{name}").mkdir(parents=True)
        some_rows(200).to_csv(tmp_path / f"data/mixed/{name}/train.csv", index=False)
        new = some_rows(120, seed=1)
        new["label"] = np.arange(120) % 10 == 0
        new.loc[new["label"], "noise"] = 60.0
        new.astype({"label": int}).to_csv(tmp_path / f"data/mixed/{name}/test.csv", index=False)
    return tmp_path / "data"


@pytest.fixture
def run(bench, monkeypatch, tmp_path, data, capsys):
    """Runs the benchmark on the tiny tables with short fits; (rows kept, report, what was printed, tables fitted)."""
    fits, fit = [], vaecli.fit
    monkeypatch.setattr(vaecli, "fit", lambda table, seed: fits.append(seed) or fit(table, seed=seed, **QUICK))

    def run(*arguments, folder=data):
        given = ["--data", folder, "--work", tmp_path / "work", "--out", tmp_path / "out.json", *arguments]
        monkeypatch.setattr(sys, "argv", ["explain.py", *map(str, given)])
        fits.clear()
        bench.main()
        kept = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["rows"]
        report = (tmp_path / "out.md").read_text(encoding="utf-8")
        return kept, report, capsys.readouterr().err, list(fits)

    return run


@pytest.mark.slow
def test_a_run_can_stop_and_go_on(run, tmp_path):
    """Every question of every table is measured once; bundles and figures are kept, and no path is."""
    first = run("--seeds", "1", "--rows", "12", "--tables", "shuttle,ai4i2020", "--only", "swap")
    assert [(row["question"], row["table"], row["seed"]) for row in first[0]] == [
        ("swap", "shuttle", 1),
        ("swap", "ai4i2020", 1),
    ]
    assert first[3] == [1, 1]
    kept, report, _, fits = run("--seeds", "1", "--rows", "12", "--tables", "shuttle,ai4i2020,mnist")
    assert fits == [1]
    assert {(row["question"], row["table"]) for row in kept} == {
        *((question, table) for question in ("shift", "swap", "seconds") for table in ("shuttle", "ai4i2020")),
        ("seconds", "mnist"),
    }
    for row in kept:
        if row["question"] == "seconds":
            assert len(row["seconds_per_row"]) == 5
            continue
        assert row["corrupted"] <= 12 * 3
        assert 0 < row["flagged"] <= row["corrupted"]
        for method, first in row["first"].items():
            assert first <= row["first_three"][method] <= row["flagged"]
        stood = row["stood_first"]
        assert sum(sum(found.values()) for found in stood.values()) == row["flagged"]
        assert sum(stood[name].get(name, 0) for name in stood) == row["first"]["vaecli"]
    assert "## Shift" in report
    assert "## Milliseconds" in report
    assert str(tmp_path) not in report + (tmp_path / "out.json").read_text(encoding="utf-8")

    arguments = ("--seeds", "1", "--rows", "12", "--tables", "shuttle", "--only", "shift")
    assert run(*arguments)[2] == ""
    assert run(*arguments, "--redo")[2].startswith("shift    shuttle      seed 1")


@pytest.mark.parametrize("folder", ["adbench/", "mixed/"])
def test_missing_data_is_one_sentence(bench, folder, tmp_path, capsys):
    """Without its data folder the benchmark ends with exit code 2 and one sentence, and measures nothing."""
    if folder == "mixed/":
        (tmp_path / "adbench").mkdir()
    given = ["--data", str(tmp_path), "--out", str(tmp_path / "out.json")]
    assert folder in refusal_without_data(bench.main, given, capsys)
    assert not (tmp_path / "out.json").exists()


def test_a_missing_table_is_named(run, data, capsys):
    """A table that the folder lacks ends the benchmark with one sentence that names it."""
    (data / "adbench/32_shuttle.npz").unlink()
    with pytest.raises(SystemExit) as stopped:
        run("--tables", "shuttle")
    assert stopped.value.code == 2
    assert "adbench/*_shuttle.npz" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [("--tables", "shuttel"), ("--only", "swop"), ("--rows", "0"), ("--out", "x.md")])
def test_a_mistaken_option_is_refused(run, capsys, wrong):
    """An unknown name, no rows, or another format end the benchmark before it measures."""
    with pytest.raises(SystemExit) as stopped:
        run(*wrong)
    assert stopped.value.code == 2
    assert wrong[1] in capsys.readouterr().err or wrong[0] == "--rows"
