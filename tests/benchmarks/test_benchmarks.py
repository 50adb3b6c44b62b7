"""The benchmark scripts: they name what is missing, keep what they measured, and split as in their protocol."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.benchmarks.conftest import BENCHMARKS, refusal_without_data


@pytest.mark.parametrize(("name", "folder"), [("adbench", "adbench/"), ("mixed", "mixed/")])
@pytest.mark.parametrize("data", [None, "nowhere"])
def test_missing_data_is_one_sentence(script, name, folder, data, tmp_path, capsys):
    """Without its data folder a benchmark ends with exit code 2 and one sentence, and measures nothing."""
    words = [] if data is None else ["--data", str(tmp_path / data)]
    words += ["--out", str(tmp_path / "out.jsonl")]
    assert folder in refusal_without_data(script(name).main, words, capsys)
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_results_survive_a_stop(script, tmp_path, suffix):
    """A measurement is on disk as soon as it is made; the newest of a key counts."""
    results = script("record").Results
    path = tmp_path / f"some.{suffix}"
    kept = results(path, ("method", "seed"))
    kept.add({"method": "knn5", "seed": 0, "auroc": 0.5})
    kept.add({"method": "knn5", "seed": 1, "auroc": 0.6})
    kept.add({"method": "knn5", "seed": 0, "auroc": 0.7})

    again = results(path, ("method", "seed"))
    assert again.has(method="knn5", seed=1)
    assert not again.has(method="lof", seed=1)
    assert {(row["seed"], row["auroc"]) for row in again.rows} == {(0, 0.7), (1, 0.6)}


def test_adbench_trains_on_normal_rows_only(script, tmp_path):
    """Half of the normal rows train; the other half and every anomaly are the test; no row is in both."""
    label = np.arange(50) % 5 == 0
    np.savez(tmp_path / "1_small.npz", X=np.arange(50.0)[:, None], y=label.astype(int))
    train, test, test_label = script("adbench").split_set(tmp_path / "1_small.npz", seed=0, cap=100)
    assert (len(train), len(test), test_label.sum()) == (20, 30, 10)
    assert not label[train.ravel().astype(int)].any()
    assert (label[test.ravel().astype(int)] == test_label).all()
    assert sorted([*train.ravel(), *test.ravel()]) == list(range(50))


def test_adbench_caps_large_sets_before_the_split(script, tmp_path):
    """The cap is drawn with the seed: the same seed gives the same rows, another one others."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "1_large.npz", X=rng.normal(size=(300, 2)), y=rng.random(300) < 0.1)
    split = script("adbench").split_set
    first, again, other = (split(tmp_path / "1_large.npz", seed, cap=100) for seed in (0, 0, 1))
    assert len(first[0]) + len(first[1]) == 100
    assert (first[0] == again[0]).all()
    assert first[0].shape != other[0].shape or (first[0] != other[0]).any()


def test_peers_see_categories_and_gaps_as_numbers(script):
    """Categories become zeros and ones, a new one all zeros; a gap becomes the median and is marked."""
    pd = pytest.importorskip("pandas")
    train = pd.DataFrame({"speed": [1.0, 2.0, 3.0, None], "state": ["on", "off", "on", None]})
    test = pd.DataFrame({"speed": [None, 2.0], "state": ["broken", "off"]})
    rows, scored = script("peers").encode(train, test)
    assert rows[:, 1].tolist() == [0, 0, 0, 1]
    assert rows[3, 0] == pytest.approx(rows[1, 0])
    assert rows[:, 2:].tolist() == [[0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert scored[:, 1:].tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    assert scored[0, 0] == pytest.approx(rows[1, 0])


@pytest.mark.parametrize("name", ["knn5", "knn5_far", "knn1", "lof", "iforest", "ocsvm"])
def test_a_peer_scores_an_outlier_higher(script, name):
    """Higher is more anomalous, for every peer."""
    rng = np.random.default_rng(0)
    answer = script("peers").available()[name](rng.normal(size=(200, 3)), np.array([[0.0] * 3, [8.0] * 3]), 0)
    assert answer.scores[1] > answer.scores[0]


def test_an_overflow_counts_as_the_most_anomalous_row(script):
    """Infinite or undefined scores of a peer rank with its most anomalous finite row."""
    tidy = script("peers")._finite(np.array([0.1, np.inf, 3.0, np.nan]))
    assert tidy.tolist() == [0.1, 3.0, 3.0, 3.0]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_that_of_the_whole_process_tree(script):
    """The children of a command are found, so that a pool of workers cannot hide its memory."""
    parent = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        memory = script("memory")
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


@pytest.fixture
def throughput(script):
    return script("throughput")


def test_a_table_is_the_same_in_both_formats(script, tmp_path):
    """CSV and Parquet of one seed hold the same rows to the last digit, Parquet in the groups asked for."""
    tables, csv, parquet = script("tables"), pytest.importorskip("pyarrow.csv"), pytest.importorskip("pyarrow.parquet")
    tables.write_csv(tmp_path / "t.csv", 700, seed=2)
    tables.write_parquet(tmp_path / "t.parquet", 700, group_rows=300, seed=2)
    tables.write_parquet(tmp_path / "other.parquet", 700, group_rows=300, seed=1)
    file = parquet.ParquetFile(tmp_path / "t.parquet")
    assert csv.read_csv(tmp_path / "t.csv").equals(file.read())
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [300, 300, 100]
    assert not parquet.read_table(tmp_path / "other.parquet").equals(file.read())


def test_row_groups_may_be_larger_than_a_step(script, monkeypatch, tmp_path):
    """A row group is as large as asked, however few rows are made at a time."""
    tables, parquet = script("tables"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(tables, "STEP_ROWS", 100)
    tables.write_parquet(tmp_path / "t.parquet", 500, group_rows=200)
    found = parquet.ParquetFile(tmp_path / "t.parquet").metadata
    assert [found.row_group(i).num_rows for i in range(found.num_row_groups)] == [200, 200, 100]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_floor_copies_every_row(script, tmp_path, suffix):
    """The floor writes all rows and columns as they were and three columns more."""
    tables, arrow = script("tables"), pytest.importorskip(f"pyarrow.{suffix}")
    table, copied = tmp_path / f"t.{suffix}", tmp_path / f"copied.{suffix}"
    if suffix == "csv":
        tables.write_csv(table, 500)
        read = arrow.read_csv
    else:
        tables.write_parquet(table, 500, 300)
        read = arrow.read_table
    subprocess.run([sys.executable, BENCHMARKS / "scripts/copy_floor.py", table, copied], check=True)
    found = read(copied)
    assert found.select(tables.NAMES).equals(read(table))
    assert [str(kind) for kind in found.schema.types[tables.N_COLUMNS :]] == ["double", "double", "bool"]


@pytest.mark.slow
def test_a_kept_pyod_detector_scores_as_when_it_was_fitted(script, tmp_path):
    """Loading a detector skips the fit and nothing else: the scored table is the same to the byte."""
    pytest.importorskip("pyod")
    tables = script("tables")
    tables.write_parquet(tmp_path / "train.parquet", 200, 200)
    tables.write_csv(tmp_path / "new.csv", 100, seed=2)
    kept, outputs = tmp_path / "iforest.joblib", [tmp_path / "fitted.csv", tmp_path / "loaded.csv"]
    command = [sys.executable, BENCHMARKS / "scripts/pyod_score.py", "IForest"]
    subprocess.run([*command, tmp_path / "train.parquet", tmp_path / "new.csv", outputs[0], "--keep", kept], check=True)
    subprocess.run([*command, kept, tmp_path / "new.csv", outputs[1]], check=True)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    header, *rows = outputs[0].read_text(encoding="utf-8").splitlines()
    assert header.split(",") == [*tables.NAMES, "score", "label"]
    assert len(rows) == 100


def test_a_ratio_is_taken_round_by_round(throughput):
    """A slow round slows both sides: the ratio is the median of the rounds, not of medians that never met."""
    found = throughput.summarised({"a": 100, "b": 0}, {"a": [1.0, 9.0, 2.0], "b": [1.0, 3.0, 4.0]}, [("a", "b")])
    assert found["ratios"] == {"a / b": [1.0, 3.0, 0.5]}
    assert found["median_ratio"] == {"a / b": 1.0}
    assert found["median_seconds"] == {"a": 2.0, "b": 3.0}
    assert found["rows_per_second"] == {"a": 50}


def test_commands_run_in_turn(throughput, tmp_path):
    """The rounds are A B A B, and each output is removed before the next command."""
    log, output = tmp_path / "log", tmp_path / "out.csv"
    code = "import os, sys; name, log, out = sys.argv[1:]; there = os.path.exists(out)\nopen(log, 'a').write(name + str(there) + ' '); open(out, 'w').write('x\\n1\\n')"  # noqa: E501
    runs = {name: throughput.Run(("-c", code, name, log, output), 1, output) for name in "AB"}
    found = throughput.timed(runs, 2, [("A", "B")])
    assert log.read_text(encoding="utf-8").split() == ["AFalse", "BFalse", "AFalse", "BFalse"]
    assert [len(found["seconds"][name]) for name in "AB"] == [2, 2]
    assert not output.exists()


def test_an_output_with_missing_rows_is_no_measurement(throughput, tmp_path):
    """A command that writes fewer rows than it read ends the benchmark."""
    output = tmp_path / "out.csv"
    run = throughput.Run(("-c", "import sys; open(sys.argv[1], 'w').write('x\\n1\\n')", output), 2, output)
    with pytest.raises(SystemExit, match="1 rows of 2"):
        throughput.timed({"short": run}, 1, ())


@pytest.mark.parametrize(
    ("only", "questions"),
    [
        ("large", ["large_csv", "large_parquet"]),
        ("memory_csv,start", ["start", "memory_csv"]),
        ("workers,small", ["small", "workers_default", "workers_best"]),
    ],
)
def test_some_questions_can_be_chosen(throughput, only, questions):
    """A question is chosen by its name or its first words; the order stays the usual one."""
    assert throughput.chosen(only) == questions


def test_all_questions_are_asked_without_a_choice(throughput):
    """Nothing chosen is all of them, and a name that begins none is refused."""
    assert throughput.chosen("") == list(throughput.QUESTIONS)
    with pytest.raises(ValueError, match="unknown questions lar"):
        throughput.chosen("lar")


@pytest.mark.parametrize(("bound", "met"), [("≤", [True, True, False]), ("≥", [False, True, True])])
def test_a_target_is_met_at_its_limit(throughput, bound, met):
    """At most and at least include the limit."""
    target = throughput.Target("figure", "start", "median_seconds", "help", bound, 2.0, "s")
    assert [target.is_met(value) for value in (1.0, 2.0, 3.0)] == met


def test_every_target_belongs_to_a_question(throughput):
    """No target waits for a question that is never asked."""
    assert {target.question for target in throughput.TARGETS} <= set(throughput.QUESTIONS)


def test_the_report_shows_what_was_measured_so_far(script, throughput):
    """Measured figures stand beside their targets; of the others only the target is shown."""
    n_rows, seconds = {"python": 0, "help": 0, "vaecli": 1_000}, {"python": [0.1], "help": [0.3], "vaecli": [2.0]}
    row = {"question": "start", "commit": "abc"} | throughput.summarised(n_rows, seconds, ())
    lines = throughput.report([row], script("record").machine()).splitlines()
    assert "| `vaecli --help` | 0.30 s | ≤ 0.4 s | yes |" in lines
    assert "| 1,000 rows of CSV | 2.00 s | ≤ 1.2 s | no |" in lines
    assert "| one worker / two, default | – | ≥ 1.7 × | – |" in lines
    assert "| start-up | vaecli | 1,000 | 1 | 2.00 | 2.00 | 2.00 | 500 |" in lines


def test_a_quick_run_is_compared_with_no_target(script, throughput):
    """Figures of tiny tables never stand beside the targets for large ones."""
    row = {"question": "start", "commit": "abc"} | throughput.summarised({"help": 0}, {"help": [0.3]}, ())
    assert "≤" not in throughput.report([row], script("record").machine(), quick=True)


@pytest.mark.slow
def test_the_truth_of_intervals_is_that_of_many_rows(script):
    """Figures that intervals.py takes for true are those of a table of a million rows, in every world."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    intervals = script("intervals")
    rng = np.random.default_rng(0)
    for name in intervals.WORLDS:
        world = intervals.World.of(name, 0.9)
        anomalies, normals = world.scores(100_000, rng), world.normal_scores(900_000, rng)
        truth = world.truth(0.9, 100, 900)
        label = np.arange(1_000_000) < 100_000
        score = np.concatenate([anomalies, normals])
        hits, alarms = (anomalies > intervals.CUT).mean(), (normals > intervals.CUT).mean()
        expected = {
            "auroc": roc_auc_score(label, score),
            "average_precision": average_precision_score(label, score),
            "precision": hits / (hits + 9 * alarms),
            "recall": hits,
            "f1": 2 * hits / (1 + hits + 9 * alarms),
            "false_alarm_rate": alarms,
        }
        assert truth == pytest.approx(expected, abs=5e-3), name


def test_the_report_on_intervals_takes_the_worst_cell(script, monkeypatch):
    """A figure, an interval and a number of anomalies stand in one cell with their worst coverage and mean width."""
    intervals = script("intervals")
    monkeypatch.setattr(intervals, "POSITIVES", (3,))
    cells = []
    for n_normals in (200, 2_000):
        cell = {"anomalies": 3, "normal": n_normals, "auroc": 0.9}
        cells.append({"world": "shifted"} | cell | {"figures": intervals.single("shifted", **cell, n_tables=8)})
    figures = [
        row for cell in cells for row in cell["figures"] if (row["metric"], row["method"]) == ("auroc", "vaecli")
    ]
    worst, width = min(row["covered"] for row in figures), np.mean([row["width"] for row in figures])
    page = intervals.report(cells)
    assert f"| auroc | vaecli | {100 * worst:.1f} % ({width:.3f}) | 0 % |" in page
    assert "| shifted | 3 | 2000 | 0.900 |" in page
