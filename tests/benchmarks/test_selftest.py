"""The self-test benchmark: that it keeps its figures, and shows what it keeps."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import vaecli
from tests.benchmarks.conftest import QUICK, refusal, refusal_without_data

pd = pytest.importorskip("pandas")


@pytest.fixture
def data(tmp_path):
    """A data folder with a tiny machine in which two numbers predict each other."""
    rng = np.random.default_rng(0)
    load = rng.normal(size=400)
    frame = pd.DataFrame({"a": load, "b": 3 * load + 0.1 * rng.normal(size=400), "kind": rng.choice(["x", "y"], 400)})
    (tmp_path / "data/mixed/ai4i2020").mkdir(parents=True)
    frame.to_csv(tmp_path / "data/mixed/ai4i2020/train.csv", index=False)
    return tmp_path / "data"


def test_a_run_keeps_what_it_measures(bench, data, tmp_path, monkeypatch, capsys):
    """One fit a table and preset, never twice; rows of the fit are known again, and no path of the machine is kept."""
    fits, fit = [], vaecli.fit
    monkeypatch.setattr(vaecli, "fit", lambda rows, **given: fits.append(1) or fit(rows, **given, **QUICK))
    out = tmp_path / "out.json"
    words = ["selftest.py", "--data", str(data), "--tables", "ai4i2020", "--presets", "fast", "--out", str(out)]
    for _ in range(2):
        monkeypatch.setattr(sys, "argv", words)
        bench.main()
    assert fits == [1]
    (row,) = json.loads(out.read_text(encoding="utf-8"))["rows"]
    assert (row["n_fit"], row["drawn"], row["n_columns"]) == (200, 200, 3)
    assert row["known_rows_of_fit"] > 10 > row["known_rows"]
    shares = {(one["fault"], one["size"]): one["share"] for one in row["faults"]}
    assert shares["spike", 8.0] > 0.9
    assert shares["wrong", None] < 0.2  # the word is independent of the numbers
    shown = capsys.readouterr().out
    assert "## ai4i2020, seed 0" in shown
    assert "| spike 8 sd |" in shown
    assert "Blind, `fast`" in shown
    assert str(tmp_path) not in out.read_text(encoding="utf-8") + out.with_suffix(".md").read_text(encoding="utf-8")


def test_the_sample_table_is_always_there(bench):
    """Without a data folder, and with rows enough for a fit and a test."""
    table = bench.normal_table("shuttle", None)
    assert table.columns[0] == "sensor_1"
    assert len(table) > 2 * bench.FIT_ROWS


@pytest.mark.parametrize("words", [["--data", "nowhere"], []], ids=["wrong", "missing"])
def test_missing_data_is_one_sentence(bench, words, capsys):
    """Without its data folder the benchmark ends with exit code 2 and one sentence."""
    refusal_without_data(bench.main, words, capsys)


@pytest.mark.parametrize("wrong", [["--tables", "none"], ["--out", "x.md"]], ids=str)
def test_a_mistaken_option_is_refused(bench, data, wrong, capsys):
    """An unknown table, or another format, ends the benchmark before it measures."""
    assert wrong[1] in refusal(bench.main, ["--data", str(data), *wrong], capsys)
