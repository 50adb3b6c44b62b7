"""The benchmarks of fitting and of the GPU: what they compare, what they keep, what they do without their device."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.conftest import BENCHMARKS, refusal
from vaecli.config import SCORE_KINDS, ScoreConfig
from vaecli.detector import Detector
from vaecli.workflows.score import score


@pytest.fixture
def fit(script):
    """benchmarks/fit.py as a module."""
    return script("fit")


@pytest.fixture
def gpu(script):
    """benchmarks/gpu.py as a module."""
    return script("gpu")


def fit_round(**seconds):
    """A round of 5,000 rows in which each method took that long."""
    measured = {
        name.replace("__", ":"): {"seconds": value, "cpu_seconds": 2 * value} for name, value in seconds.items()
    }
    return {"rows": 5_000, "run": 0, "epochs": None, "measured": measured}


# -- how long a fit takes ------------------------------------------------------------------------


def test_a_ratio_is_taken_within_a_round(fit):
    """A ratio is the median of the ratios of each round, not the ratio of medians over rounds."""
    rounds = [fit_round(vaecli=1.0, pyod_vae=8.0), fit_round(vaecli=10.0, pyod_vae=20.0), fit_round(pyod_vae=3.0)]
    rounds += [fit_round(vaecli=4.0, pyod_vae=12.0)]
    assert fit.times_faster(rounds, "vaecli", than="pyod_vae") == 3.0
    assert fit.times_faster(rounds, "vaecli", than="pyod_ae") is None
    assert fit.median(rounds, "vaecli", "cpu_seconds") == 8.0


@pytest.mark.slow
def test_rounds_are_kept_and_not_repeated(fit, monkeypatch, tmp_path, capsys):
    """Each round runs the commands in turn and is on disk before the next; a second start runs only what is missing."""
    ran = []
    monkeypatch.setattr(fit, "commands", lambda table, work, epochs: {"vaecli": ["a"], "pyod_vae": ["b"]})
    monkeypatch.setattr(fit, "timed", lambda command, environment: ran.append(command[0]) or fit.Cost(1.0, 2.0))
    out = tmp_path / "fit.json"

    def start(runs):
        arguments = ["--work", tmp_path, "--sizes", "40", "--runs", runs, "--epochs", "1", "--out", out]
        monkeypatch.setattr(sys, "argv", ["fit.py", *map(str, arguments)])
        fit.main()

    start(runs=2)
    assert ran == ["a", "b", "a", "b"]
    start(runs=3)
    assert ran == ["a", "b"] * 3
    assert [row["run"] for row in json.loads(out.read_text())["rows"]] == [0, 1, 2]
    assert "`vaecli fit`" in out.with_suffix(".md").read_text()


def test_a_failing_command_ends_the_benchmark(fit):
    """A command that fails is no measurement: the benchmark stops and shows what the command printed."""
    with pytest.raises(SystemExit, match=r"(?s)exit code 3.*no room"):
        fit.timed([sys.executable, "-c", "print('no room'); raise SystemExit(3)"])


def test_commands_compute_on_the_cpu(fit, monkeypatch):
    """No command of a round sees a GPU, so PyOD and vaecli stand on the same processor."""
    seen = []
    monkeypatch.setattr(fit, "timed", lambda command, environment: seen.append(environment) or fit.Cost(1.0, 1.0))
    fit.one_round({"vaecli": ["a"], "pyod_vae": ["b"]})
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in seen] == ["", ""]


@pytest.mark.parametrize("installed", [True, False])
def test_without_pyod_only_vaecli_is_measured(fit, monkeypatch, installed):
    """PyOD's commands are there when PyOD is; all commands read the same table."""
    monkeypatch.setattr(fit.importlib.util, "find_spec", lambda name: object() if installed else None)
    commands = fit.commands(Path("rows.parquet"), Path("work"), epochs=None)
    assert list(commands) == list(fit.NAMES) if installed else list(commands) == ["vaecli", "vaecli:fast"]
    assert all("rows.parquet" in command for command in commands.values())
    assert not any("--epochs" in command for command in commands.values())


def test_quality_is_that_of_all_sets_and_seeds(fit):
    """AUROC is a mean over the same sets and seeds for all: another cap or seed, or a gap, does not enter it."""
    rows = [
        {"method": method, "set": name, "seed": seed, "cap": 10_000, "auroc": value}
        for method, value in (("vaecli", 0.9), ("pyod_vae", 0.7), ("knn5", 0.1))
        for name in ("1_a", "2_b")
        for seed in (0, 1, 2)
    ]
    rows[0]["auroc"] = 0.6
    strange = [{**rows[0], "cap": 2_000, "auroc": 0.0}, {**rows[0], "seed": 3, "auroc": 0.0}]
    part = [{**rows[0], "method": "pyod_ae"}]
    found = fit.auroc([*rows, *strange, *part])
    assert found == {"vaecli": pytest.approx(0.85), "pyod_vae": pytest.approx(0.7)}


def test_the_newest_quality_counts(fit, monkeypatch, tmp_path):
    """Where a set was measured twice, the later line is quoted."""
    lines = [{"method": "vaecli", "set": "1_a", "seed": 0, "cap": 10_000, "auroc": value} for value in (0.5, 0.8)]
    (tmp_path / "adbench.jsonl").write_text("\n".join(map(json.dumps, lines)))
    monkeypatch.setattr(fit, "ADBENCH", (tmp_path / "adbench.jsonl", tmp_path / "missing.jsonl"))
    assert [row["auroc"] for row in fit.adbench_rows()] == [0.8]


def test_targets_stand_beside_the_figures(fit):
    """The report has a line a command with its quality, its target where there is one, and its ratio to each peer."""
    row = fit_round(vaecli=2.0, vaecli__fast=0.5, pyod_vae=10.0, pyod_ae=1.0)
    text = fit.report([row, {**row, "rows": 20_000}], {"vaecli": 0.88, "pyod_vae": 0.82})
    small, large = text.split("## 5,000 × 30")[1].split("## 20,000 × 30")
    assert "| `vaecli fit` | 0.880 | 2.0 | ≤ 30 | 4.0 | 5.00 × | – | 0.50 × |" in small
    assert "| `vaecli fit --preset fast` | – | 0.5 | ≤ 6 | 1.0 | 20.00 × | – | 2.00 × |" in small
    assert "| `vaecli fit` | 0.880 | 2.0 | – | 4.0 | 5.00 × | ≥ 4 × | 0.50 × |" in large
    assert "| PyOD VAE | 0.820 | 10.0 | – | 20.0 | – | – | 0.10 × |" in large


def test_a_shortened_peer_is_marked(fit):
    """If PyOD's epochs were cut, the report warns that its seconds mean nothing."""
    row = fit_round(vaecli=2.0, pyod_vae=10.0)
    assert "mean nothing" in fit.report([{**row, "epochs": 2}], {})
    assert "mean nothing" not in fit.report([row], {})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["VAE", "AutoEncoder"])
def test_the_peer_script_saves_what_scores_rows(name, tmp_path):
    """The PyOD script leaves a model with which new rows can be scored, an anomalous row higher."""
    pytest.importorskip("pyod")
    rows = np.random.default_rng(0).normal(size=(80, 4))
    pq.write_table(pa.table({f"x{j}": rows[:, j] for j in range(4)}), tmp_path / "train.parquet")
    script = [sys.executable, BENCHMARKS / "scripts" / "pyod_fit.py", name]
    subprocess.run([*script, tmp_path / "train.parquet", tmp_path / "m.joblib", "--epochs", "1"], check=True)
    load = (
        "import joblib, numpy as np; m = joblib.load('m.joblib'); "
        "print(*m['detector'].decision_function(m['scaler'].transform(np.array([[0.] * 4, [9.] * 4]))))"
    )
    done = subprocess.run([sys.executable, "-c", load], cwd=tmp_path, capture_output=True, text=True, check=True)
    ordinary, odd = map(float, done.stdout.split())
    assert odd > ordinary


# -- on a GPU ------------------------------------------------------------------------------------


def test_without_a_gpu_the_benchmark_reports_it(gpu, tmp_path, monkeypatch, capsys):
    """Without a CUDA device it ends with exit code 2 and one sentence, and measures nothing."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    printed = refusal(gpu.main, ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "gpu.json")], capsys)
    assert printed.startswith("No CUDA device is available")
    assert len(printed.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def write_scores(path, scores, flags):
    pq.write_table(pa.table({"anomaly_score": pa.array(scores), "is_anomaly": pa.array(flags)}), path)
    return path


def test_differences_are_found(gpu, tmp_path):
    """The largest difference relative to the score counts, and every flag that only one side has."""
    ours = write_scores(tmp_path / "a", [1.0, 0.0, 4.0, np.nan], [True, False, True, False])
    theirs = write_scores(tmp_path / "b", [1.0, 0.0, 5.0, np.nan], [True, True, False, False])
    found = gpu.compared(ours, theirs)
    assert found == {"largest_relative": 0.2, "largest_absolute": 1.0, "flagged": 2, "flags_differ": 2}


def test_a_score_on_one_side_only_is_no_agreement(gpu, tmp_path):
    """A row that only one device scores differs without bound; outputs of different lengths are not compared."""
    ours = write_scores(tmp_path / "a", [1.0, np.nan], [False, False])
    theirs = write_scores(tmp_path / "b", [1.0, 2.0], [False, False])
    assert gpu.compared(ours, theirs)["largest_relative"] == np.inf
    with pytest.raises(SystemExit, match="2 rows"):
        gpu.compared(ours, write_scores(tmp_path / "c", [1.0], [False]))


@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_the_stand_in_scores_with_torch(gpu, bundle, normal_csv, tmp_path, monkeypatch, kind):
    """Without a GPU the whole road of `--device cuda` is walked on torch's CPU device, and flags the same rows."""
    moved = []
    on = Detector.on
    monkeypatch.setattr(Detector, "on", lambda self, device: moved.append(device) or on(self, device))
    gpu.score_with_torch(normal_csv, bundle, tmp_path / "torch.parquet", kind)
    assert moved == ["cpu"]
    config = ScoreConfig(score_kind=kind, threshold=gpu.LEVEL, device="cpu")
    score([str(normal_csv)], bundle, str(tmp_path / "numpy.parquet"), config)
    assert moved == ["cpu"]
    found = gpu.compared(tmp_path / "numpy.parquet", tmp_path / "torch.parquet")
    assert found["largest_absolute"] < 1e-3
    assert found["flags_differ"] == 0


@pytest.mark.gpu
@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", SCORE_KINDS)
def test_a_gpu_scores_as_the_cpu(gpu, bundle, normal_csv, tmp_path, kind):
    """On a CUDA device every score kind flags the rows that the CPU flags, at scores equal to rounding."""
    for device in ("cpu", "cuda"):
        config = ScoreConfig(score_kind=kind, threshold=gpu.LEVEL, device=device)
        score([str(normal_csv)], bundle, str(tmp_path / f"{device}.parquet"), config)
    found = gpu.compared(tmp_path / "cpu.parquet", tmp_path / "cuda.parquet")
    assert found["largest_absolute"] < 1e-3
    assert found["flags_differ"] == 0


def test_new_rows_of_the_mixed_table_hold_what_fit_never_saw(gpu, tmp_path):
    """Agreement covers gaps that training had, gaps that it had not, and a category that is new."""
    for seed in (1, 2):
        gpu.write_mixed(tmp_path / f"{seed}.parquet", 1_000, seed)
    seen, new = (pq.read_table(tmp_path / f"{seed}.parquet") for seed in (1, 2))
    assert seen["temperature"].null_count > 0
    assert seen["flow"].null_count == 0 < new["flow"].null_count
    assert "service" not in seen["mode"].to_pylist()
    assert "service" in new["mode"].to_pylist()


@pytest.fixture
def pretended(gpu, monkeypatch, tmp_path):
    """gpu.py on a machine that claims a GPU, with commands that are only noted down; (start, the commands)."""
    ran = []

    def timed(command, environment=None):
        ran.append(command)
        if command[3] == "score":
            write_scores(command[command.index("-o") + 1], [1.0, 2.0], [False, True])
        seconds = 2.0 if "cuda" in command else 8.0
        return importlib.import_module("fit").Cost(seconds, seconds)

    def start(*more):
        arguments = ["--work", tmp_path, "--quick", "--out", tmp_path / "gpu.json", *more]
        monkeypatch.setattr(sys, "argv", ["gpu.py", *map(str, arguments)])
        gpu.main()

    monkeypatch.setattr(gpu, "cuda_device", lambda: "A pretended GPU")
    monkeypatch.setattr(gpu, "timed", timed)
    monkeypatch.setattr(gpu, "table_of", lambda name, n_rows, work, seed: work / f"{name}_{seed}.parquet")
    return Namespace(start=start, ran=ran, folder=tmp_path)


def test_devices_differ_in_nothing_else(gpu, pretended, capsys):
    """Both devices get the same file, bundle and settings, one after the other."""
    pretended.start()

    def without(command):
        target = command.index("-o") + 1
        return [word for i, word in enumerate(command) if i != target and word not in ("cpu", "cuda")]

    scored = [command for command in pretended.ran if command[3] == "score"]
    assert len(scored) == 2 * (2 + 16)  # two presets in one round; two tables, two presets, four kinds
    for cpu, cuda in zip(scored[::2], scored[1::2], strict=True):
        assert "cpu" in cpu
        assert "cuda" in cuda
        assert without(cpu) == without(cuda)


def test_results_of_the_gpu_are_kept_and_reported(pretended, capsys):
    """Every measurement is kept with the name of the device, made once, and stands in the report."""
    pretended.start()
    rows = json.loads((pretended.folder / "gpu.json").read_text())["rows"]
    assert {row["what"] for row in rows} == {"score", "fit", "agreement"}
    assert {row["gpu"] for row in rows} == {"A pretended GPU"}
    text = (pretended.folder / "gpu.md").read_text()
    assert "| default | 2,000 | 8.0 | 2.0 | 250 | 1,000 | 4.00 × |" in text
    assert "| mixed, fast, `latent` | 2,000 | 0.0e+00 | 0.0e+00 | 1 | 0 |" in text

    n_before = len(pretended.ran)
    pretended.start()
    assert len(pretended.ran) == n_before


def test_the_stand_in_keeps_no_results(gpu, pretended, monkeypatch, capsys):
    """What torch's CPU device measures is printed and never mistaken for a GPU's."""
    monkeypatch.setattr(
        gpu, "score_with_torch", lambda table, bundle, out, kind: write_scores(out, [1.0, 2.5], [False, True])
    )
    pretended.start("--device", gpu.STAND_IN)
    assert "| mixed, fast, `latent` | 2,000 | 2.0e-01 | 5.0e-01 | 1 | 0 |" in capsys.readouterr().out
    assert not list(pretended.folder.glob("gpu*"))
    assert not any("cuda" in command for command in pretended.ran)
