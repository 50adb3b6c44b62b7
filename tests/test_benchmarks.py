"""The benchmark scripts: they say what is missing, keep what they measured, and split as their protocol says."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    """Imports a script of the benchmarks folder by its name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.mark.parametrize(("script", "folder"), [("adbench", "adbench/"), ("mixed", "mixed/")])
@pytest.mark.parametrize("data", [None, "nowhere"])
def test_missing_data_is_said_plainly(script, folder, data, tmp_path):
    """Without its data folder a benchmark ends with exit code 2 and one sentence, and measures nothing."""
    arguments = [] if data is None else ["--data", str(tmp_path / data)]
    command = [sys.executable, BENCHMARKS / f"{script}.py", *arguments, "--out", tmp_path / "out.jsonl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("--data")
    assert folder in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_results_survive_a_stop(bench, tmp_path, suffix):
    """A measurement is on disk as soon as it is made; the newest of a key counts."""
    results = bench("record").Results
    path = tmp_path / f"some.{suffix}"
    kept = results(path, ("method", "seed"))
    kept.add({"method": "knn5", "seed": 0, "auroc": 0.5})
    kept.add({"method": "knn5", "seed": 1, "auroc": 0.6})
    kept.add({"method": "knn5", "seed": 0, "auroc": 0.7})

    again = results(path, ("method", "seed"))
    assert again.has(method="knn5", seed=1)
    assert not again.has(method="lof", seed=1)
    assert {(row["seed"], row["auroc"]) for row in again.rows} == {(0, 0.7), (1, 0.6)}


def test_adbench_trains_on_normal_rows_only(bench, tmp_path):
    """Half of the normal rows train; the other half and every anomaly are the test; no row is in both."""
    label = np.arange(50) % 5 == 0
    np.savez(tmp_path / "1_small.npz", X=np.arange(50.0)[:, None], y=label.astype(int))
    train, test, test_label = bench("adbench").split_set(tmp_path / "1_small.npz", seed=0, cap=100)
    assert (len(train), len(test), test_label.sum()) == (20, 30, 10)
    assert not label[train.ravel().astype(int)].any()
    assert (label[test.ravel().astype(int)] == test_label).all()
    assert sorted([*train.ravel(), *test.ravel()]) == list(range(50))


def test_adbench_caps_large_sets_before_the_split(bench, tmp_path):
    """The cap is drawn with the seed: the same seed gives the same rows, another one others."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "1_large.npz", X=rng.normal(size=(300, 2)), y=rng.random(300) < 0.1)
    split = bench("adbench").split_set
    first, again, other = (split(tmp_path / "1_large.npz", seed, cap=100) for seed in (0, 0, 1))
    assert len(first[0]) + len(first[1]) == 100
    assert (first[0] == again[0]).all()
    assert first[0].shape != other[0].shape or (first[0] != other[0]).any()


def test_peers_see_categories_and_gaps_as_numbers(bench):
    """Categories become zeros and ones, a new one all zeros; a gap becomes the median and is marked."""
    pd = pytest.importorskip("pandas")
    train = pd.DataFrame({"speed": [1.0, 2.0, 3.0, None], "state": ["on", "off", "on", None]})
    test = pd.DataFrame({"speed": [None, 2.0], "state": ["broken", "off"]})
    rows, scored = bench("peers").encode(train, test)
    assert rows[:, 1].tolist() == [0, 0, 0, 1]
    assert rows[3, 0] == pytest.approx(rows[1, 0])
    assert rows[:, 2:].tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert scored[:, 1:].tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    assert scored[0, 0] == pytest.approx(rows[1, 0])


@pytest.mark.parametrize("name", ["knn5", "knn5_far", "knn1", "lof", "iforest", "ocsvm"])
def test_a_peer_scores_an_outlier_higher(bench, name):
    """Higher is more anomalous, for every peer."""
    rng = np.random.default_rng(0)
    answer = bench("peers").available()[name](rng.normal(size=(200, 3)), np.array([[0.0] * 3, [8.0] * 3]), 0)
    assert answer.scores[1] > answer.scores[0]


def test_an_overflow_counts_as_the_oddest_row(bench):
    """Infinite or undefined scores of a peer rank with its oddest finite row."""
    tidy = bench("peers")._finite(np.array([0.1, np.inf, 3.0, np.nan]))
    assert tidy.tolist() == [0.1, 3.0, 3.0, 3.0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_that_of_the_whole_process_tree(bench):
    """The children of a command are found, so that a pool of workers cannot hide its memory."""
    parent = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        memory = bench("memory")
        for _ in range(100):
            tree = memory.process_tree(parent.pid)
            if len(tree) == 2:
                break
            memory.time.sleep(0.05)
        assert len(tree) == 2
        assert all(memory.resident_bytes(pid) > 0 for pid in tree)
    finally:
        parent.communicate(b"\n")
    assert memory.resident_bytes(parent.pid) == 0
