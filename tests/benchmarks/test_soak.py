"""The slope that says whether runs in a row grow."""

from __future__ import annotations

import numpy as np
import pytest


def test_a_line_has_its_slope(bench):
    """Values that grow by 0.002 a run grow by 2 per 1,000 runs, with a narrow interval; the ends are medians."""
    values = 5 + 0.002 * np.arange(10_000) + np.random.default_rng(0).normal(size=10_000)
    found = bench.slope_of(values)
    assert abs(found["slope"] - 2) < 0.01
    assert found["high"] - found["low"] < 0.1
    assert abs(found["first"] - 5.5) < 0.3
    assert abs(found["last"] - 24.5) < 0.3


def test_noise_does_not_grow(bench):
    """Where nothing grows the interval holds zero in 95 % of cases, also with single values far off."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        found = bench.slope_of(np.where(rng.random(1_000) < 0.02, 50, rng.normal(size=1_000)))
        held += found["low"] <= 0 <= found["high"]
    assert 0.91 <= held / 300 <= 0.99


def test_the_runs_that_warm_up_are_not_measured(bench, tmp_path, monkeypatch):
    """A quarter of the runs comes before those that are counted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    seen: list[int] = []
    assert bench._points(40, float("inf"), seen.append, 7)["n"] == 40
    assert seen == list(range(7, 57))


@pytest.mark.slow
def test_the_measurement_does_not_grow(bench, tmp_path, monkeypatch):
    """Runs that keep nothing leave no more blocks of Python's allocator, however many are measured."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    found = bench._points(800, float("inf"), lambda _: None)["figures"]["blocks"]
    assert abs(found["last"] - found["first"]) < 400  # with a list per figure they were 4 per run


@pytest.mark.slow
def test_an_old_process_is_compared_with_a_new_one(bench, tmp_path, monkeypatch):
    """Both make the runs that they are asked for, and say what these took."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "N_PAIRS", 3)
    monkeypatch.setattr(bench, "N_WARM", 3)
    bench._prepare()
    found = bench.beside_a_new_process(40, float("inf"))
    assert found["n"] == 40
    assert found["figures"]["of_new"]["first"] > 0
    assert (tmp_path / "old/out.csv").read_bytes() == (tmp_path / "new/out.csv").read_bytes()
    assert found["figures"]["memory"]["first"] > 10_000
