"""The comparison of engines: all compute the same scores of all rows, and the report takes the fastest of each."""

from __future__ import annotations

import numpy as np
import pytest

import vaecli


@pytest.fixture
def engines(script):
    """benchmarks/engines.py as a module."""
    return script("engines")


@pytest.fixture(scope="module")
def detector():
    """Both families on three numbers."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(300, 1)) + rng.normal(size=(300, 3))
    return vaecli.fit(rows, **{"train.max_steps": 20, "model.n_exemplars": 40}).detector


def computed(compute, values):
    """Scores (w, n) and column parts (e, n, c) of all rows as one batch."""
    tiles = list(compute(values, np.arange(len(values))))
    return np.concatenate([scores for scores, _ in tiles], 1), np.concatenate([columns for _, columns in tiles], 1)


def measured(setting, rows, repeat, seconds):
    """A row of the results."""
    return {"rows": rows, "repeat": repeat, "seconds": seconds, **setting._asdict()}


@pytest.mark.parametrize("grouped", [False, True])
def test_the_graph_computes_what_numpy_computes(engines, detector, tmp_path, grouped):
    """Member scores and column parts of the graph are NumPy's to 1e-5, however it looks for the nearest code."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    path = tmp_path / "combined.onnx"
    path.write_bytes(engines.graph(detector.ensemble.families, grouped=grouped))
    values = np.random.default_rng(1).normal(scale=2.0, size=(700, 3)).astype(np.float32)
    truth = computed(engines.vaecli_compute(detector.ensemble), values)
    for given, wanted in zip(computed(engines.onnx_compute(path, 1), values), truth, strict=True):
        np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-5)


def test_torch_computes_what_numpy_computes(engines, detector):
    """vaecli's own lines on tensors give the member scores and column parts of NumPy to 1e-5."""
    values = np.random.default_rng(1).normal(scale=2.0, size=(700, 3)).astype(np.float32)
    truth = computed(engines.vaecli_compute(detector.ensemble), values)
    tensors = detector.ensemble.on("cpu")
    for given, wanted in zip(computed(engines.vaecli_compute(tensors), values), truth, strict=True):
        np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-5)


def test_the_scores_compared_are_those_of_vaecli(engines, detector):
    """What parity compares is the score that `score_batch` gives."""
    from vaecli.data.preprocessor import FeatureBatch
    from vaecli.scoring.scores import Scorer, score_batch

    values = np.random.default_rng(1).normal(size=(700, 3)).astype(np.float32)
    batch = FeatureBatch(values, np.zeros(values.shape, np.uint8), np.arange(len(values)))
    compute = engines.vaecli_compute(detector.ensemble)
    scorer = Scorer(detector.ensemble, "combined", detector.surprisal_scales["combined"])
    given = engines.final_scores(detector, compute, values, batch_rows=700)
    np.testing.assert_allclose(given, score_batch(scorer, batch).score, rtol=1e-12)


def test_every_row_is_in_one_batch(engines):
    """More rows than are stored are the stored ones again, numbered on; no batch is larger than asked for."""
    stored = np.arange(10.0)[:, None]
    cut = list(engines.batches(stored, 25, 4))
    assert max(len(values) for values, _ in cut) == 4
    assert np.concatenate([row for _, row in cut]).tolist() == list(range(25))
    assert np.concatenate([values for values, _ in cut])[:, 0].tolist() == [i % 10 for i in range(25)]


def test_an_engine_without_its_package_is_left_out(engines, monkeypatch, capsys):
    """Where onnxruntime is absent, NumPy and torch are measured, and one line per engine names what is missing."""
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == "onnxruntime" else object())
    assert engines.available() == ["numpy", "torch"]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all("onnxruntime not installed" in line for line in said)


def test_the_fastest_setting_represents_its_engine(engines):
    """Of an engine's settings that with the smallest median counts, and beyond 100,000 rows only it is measured."""
    few, many = (engines.Setting("torch", 2, batch_rows, "inside") for batch_rows in engines.BATCH_ROWS)
    rows = [measured(few, 10_000, i, seconds) for i, seconds in enumerate((1.0, 9.0, 9.0))]
    rows += [measured(many, 10_000, i, 2.0) for i in range(3)]
    assert engines.fastest(rows, 10_000) == {("torch", 2): many}
    assert engines.settled([few, many], rows, 100_000) == [few, many]
    assert engines.settled([few, many], rows, 1_000_000) == [many]


def test_speeds_are_compared_round_by_round(engines):
    """A slow round slows both engines: the ratio is the median over rounds, not that of medians that never met."""
    numpy, torch = (engines.Setting(name, 1, 1_024, "inside") for name in ("numpy", "torch"))
    rows = [measured(numpy, 1_000, i, seconds) for i, seconds in enumerate((1.0, 10.0, 2.0))]
    rows += [measured(torch, 1_000, i, seconds) for i, seconds in enumerate((2.0, 5.0, 1.0))]
    assert engines.ratio(rows, 1_000, "torch", 1) == 2.0
    assert engines.ratio(rows, 1_000, "onnxruntime", 1) is None


def test_groups_divide_their_block(engines):
    """The search in groups looks at every code: groups are equal parts, and a prime number of codes is one group."""
    assert all(width % engines.groups_of(width) == 0 for width in range(1, 2_000))
    assert engines.groups_of(1_499) == 1
    assert all(engines.groups_of(width) <= 30 for width in range(1, 2_000))
