"""The benchmark of digits: what it holds out, how it averages, and that it keeps its figures."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import vaecli
from tests.benchmarks.conftest import FACTS, QUICK, refusal

pytest.importorskip("pandas")


def measured(method, digit, auroc, seed=0):
    return {"method": method, "digit": digit, "seed": seed, "auroc": auroc, "fit_seconds": 1.0}


def test_a_digit_is_held_out_of_training(bench):
    """Half of the others fit; the other half and every row of the digit are scored, by seed."""
    pictures, digits = bench.load()
    fit, test, label = bench.split(pictures, digits, 3, 0)
    assert len(fit) == (digits != 3).sum() // 2
    assert label.sum() == (digits == 3).sum()
    rows = {tuple(row) for row in np.concatenate([fit, test])}
    assert len(rows) == len(fit) + len(test) == len(pictures)
    np.testing.assert_array_equal(fit, bench.split(pictures, digits, 3, 0)[0])
    assert (fit != bench.split(pictures, digits, 3, 1)[0]).any()


def test_the_target_is_the_mean_of_ten_digits(bench):
    """Met from 0.985 on; nine digits are no measurement."""
    rows = [measured("vaecli", digit, 0.985) for digit in range(10)]
    assert "met, 0.9850" in bench.report(rows, FACTS)
    assert "not measured yet" in bench.report(rows[1:], FACTS)
    rows[0]["auroc"] = 0.98
    assert "not met, 0.9845" in bench.report(rows, FACTS)


@pytest.mark.slow
def test_a_run_keeps_what_it_measures(bench, tmp_path, monkeypatch, capsys):
    """Every method is measured once per digit and seed, ours with the unit given; a table per seed."""
    told, fit = [], vaecli.fit
    monkeypatch.setattr(vaecli, "fit", lambda rows, **given: told.append(given) or fit(rows, **given, **QUICK))
    monkeypatch.setattr(bench, "DIGITS", range(1))
    out = tmp_path / "out.json"
    for _ in range(2):
        words = ["digits.py", "--out", str(out), "--methods", "vaecli,vaecli_plain,knn5", "--seeds", "1"]
        monkeypatch.setattr(sys, "argv", words)
        bench.main()
    assert told == [{"seed": 1, "same_unit": "all"}, {"seed": 1}]
    kept = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert [row["method"] for row in kept] == ["vaecli", "vaecli_plain", "knn5"]
    assert all(0.5 < row["auroc"] <= 1 for row in kept)
    assert "## Seed 1" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--methods", "magic"], ["--out", "x.md"]], ids=str)
def test_a_mistaken_option_is_refused(bench, wrong, capsys):
    """An unknown method, or another format, ends the benchmark before it measures."""
    assert wrong[1] in refusal(bench.main, [*wrong], capsys)
