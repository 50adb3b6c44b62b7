"""What a Spark cluster computes for one partition, without a cluster."""

from __future__ import annotations

import datetime
import itertools
import json
import pickle
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

import vaecli
from tests.conftest import of_a_hundred
from tests.spark.conftest import tolerance
from vaecli import errors
from vaecli.config import EncodeConfig, ReconstructConfig, ScoreConfig
from vaecli.engines.spark import PARTITION, sent_errors, spark_errors
from vaecli.workflows import spark_rows
from vaecli.workflows.spark_rows import function_of, process_rows

ADDED = ("anomaly_score", "p_value", "is_anomaly")


def numbered(table: pa.Table, partition: int = 0) -> pa.Table:
    return table.append_column(PARTITION, pa.array([partition] * len(table), pa.int32()))


def rows_scored(bundle: Path, partitions: list[list[pa.RecordBatch]], **settings) -> pa.Table:
    """The rows of all partitions, computed by a function that went through pickle, as it does on the way."""
    function = pickle.loads(pickle.dumps(function_of(bundle.read_bytes(), "score", ScoreConfig(**settings))))
    return pa.Table.from_batches([batch for partition in partitions for batch in function(partition)])


@pytest.fixture(scope="module")
def table(fresh_table: pd.DataFrame) -> pa.Table:
    """Rows with a gap, a new word, an infinity, and columns that only pass through."""
    frame = fresh_table.copy()
    frame.loc[3, "mode"], frame.loc[5, "flow"] = "unseen", np.inf
    found = pa.Table.from_pandas(frame, preserve_index=False)
    at = [datetime.datetime(2026, 11, 29, tzinfo=datetime.UTC)] * len(found)
    found = found.append_column("at", pa.array(at, pa.timestamp("us", "Europe/Berlin")))
    return found.append_column("price", pa.array([None, *range(1, len(found))], pa.decimal128(10, 2)))


@pytest.fixture(scope="module")
def alone(bundle: Path, table: pa.Table) -> pa.Table:
    return vaecli.load(bundle).score(table, explain=3)


def assert_alike(found: pa.Table, alone: pa.Table) -> None:
    """Scores and p-values are those of the local run, to the bit with AVX-512; all other columns are the same."""
    assert found.column_names == alone.column_names
    for name in alone.column_names:
        assert found[name].type == alone[name].type, name
        if name in ("anomaly_score", "p_value"):
            np.testing.assert_allclose(found[name].to_numpy(), alone[name].to_numpy(), rtol=tolerance())
        else:
            assert found[name].to_pylist() == alone[name].to_pylist(), name


@given(
    cuts=st.lists(st.integers(0, 500), max_size=63).map(sorted),
    batch_rows=st.sampled_from([1, 7, 100, 500]),
    held_rows=st.sampled_from([1, 1024, 16_384]),
)
@of_a_hundred(6)
def test_a_row_scores_alike_in_any_partition(
    bundle: Path, table: pa.Table, alone: pa.Table, cuts: list[int], batch_rows: int, held_rows: int
):
    """However rows are spread over partitions (without rows, too) and come in batches."""
    ends = [0, *cuts, len(table)]
    partitions = [
        numbered(table.slice(start, end - start), i).to_batches(max_chunksize=batch_rows)
        for i, (start, end) in enumerate(itertools.pairwise(ends))
    ]
    assert_alike(rows_scored(bundle, partitions, explain=3, batch_rows=held_rows), alone)


@given(cuts=st.lists(st.integers(0, 500), max_size=9).map(sorted))
@of_a_hundred(3)
@pytest.mark.parametrize("verb", ["encode", "reconstruct"])
def test_codes_and_cells_are_alike_in_any_partition(bundle: Path, table: pa.Table, verb: str, cuts: list[int]):
    """Rows that pass on with coordinates or other cells: those of the local run, whatever the partitions."""
    model = vaecli.load(bundle)
    if verb == "encode":
        config, alone = EncodeConfig(keep=True, spreads=True), model.encode(table, keep=True, spreads=True)
    else:
        config, alone = ReconstructConfig(), model.reconstruct(table)
    function = pickle.loads(pickle.dumps(function_of(bundle.read_bytes(), verb, config)))
    parts = [
        numbered(table.slice(start, end - start), i).to_batches(max_chunksize=99)
        for i, (start, end) in enumerate(itertools.pairwise([0, *cuts, len(table)]))
    ]
    found = pa.Table.from_batches([batch for part in parts for batch in function(part)])
    assert found.schema.equals(alone.schema)
    for name in alone.column_names:
        if pa.types.is_floating(alone[name].type):
            np.testing.assert_allclose(found[name].to_numpy(), alone[name].to_numpy(), rtol=1e-5, atol=1e-5)
        else:
            assert found[name].to_pylist() == alone[name].to_pylist(), name


def test_a_task_that_is_tried_twice_gives_the_same_bytes(bundle: Path, table: pa.Table):
    """What a second attempt yields is what the first one did."""
    once, again = (rows_scored(bundle, [numbered(table).to_batches(max_chunksize=99)]) for _ in range(2))
    assert once.equals(again)


def test_flagged_rows_alone(bundle: Path, table: pa.Table, alone: pa.Table):
    """With `anomalies_only` and a prefix: the flagged rows, under the names that were asked for."""
    found = rows_scored(bundle, [numbered(table).to_batches()], anomalies_only=True, prefix="v_")
    assert found["flow"].to_pylist() == alone.filter(alone["is_anomaly"])["flow"].to_pylist()
    assert found.column_names[-3:] == [f"v_{name}" for name in ADDED]


def test_a_bundle_is_read_once_for_each_process(bundle: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch):
    """Tasks of one process share the detector, also those that begin at the same moment."""
    reads, load = [], spark_rows.load_any_detector
    monkeypatch.setattr(spark_rows, "_detectors", {})
    monkeypatch.setattr(spark_rows, "load_any_detector", lambda path: (reads.append(path), load(path))[1])
    tasks = [threading.Thread(target=rows_scored, args=(bundle, [numbered(table[:5]).to_batches()])) for _ in range(4)]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert len(reads) == 1


def raised_by(function, batches: list[pa.RecordBatch]) -> errors.VaecliError:
    """The problem as the driver has it: what was raised on the cluster, out of the text of an exception of Spark."""

    with pytest.raises(RuntimeError) as sent:
        list(function(batches))
    return as_reported(f"An exception was thrown\nTraceback (most recent call last):\n  …\n{sent.value}\n")


def as_reported(text: str) -> errors.VaecliError:
    """What becomes of an exception of Spark with this text."""
    kind = type("PythonException", (Exception,), {"__module__": "pyspark.errors"})
    with pytest.raises(errors.VaecliError) as found, spark_errors():
        raise kind(text)
    return found.value


def test_a_broken_cell_names_partition_row_column_and_value(bundle: Path, table: pa.Table):
    """Row 43 of partition 731 holds a word: the message on the driver is that of the cluster, exit code 4."""
    texts = table["flow"].cast(pa.string()).to_pylist()
    texts[42] = "broken"
    table = table.set_column(1, "flow", pa.array(texts))
    batches = numbered(table, 731).to_batches(max_chunksize=10)
    problem = raised_by(function_of(bundle.read_bytes(), "score", ScoreConfig(batch_rows=16)), batches)
    assert type(problem) is errors.UnreadableCell
    assert problem.exit_code == 4
    assert "partition 731, row 43: column 'flow' wants a number, not 'broken'" in problem.message
    assert (problem.row, problem.column) == (43, "flow")
    assert problem.hint


def test_a_column_of_another_type_is_named(bundle: Path, table: pa.Table):
    """A column of moments where the model had numbers: exit code 4, before a row is computed."""
    table = table.set_column(1, "flow", table["at"])
    problem = raised_by(function_of(bundle.read_bytes(), "score", ScoreConfig()), numbered(table).to_batches())
    assert type(problem) is errors.SchemaMismatch
    assert "'flow'" in problem.message


def test_other_versions_of_vaecli_are_refused(bundle: Path, table: pa.Table, monkeypatch: pytest.MonkeyPatch):
    """The cluster names both versions and the command, exit code 7, whatever else was sent."""
    function = function_of(bundle.read_bytes(), "score", ScoreConfig())
    function.args[0]["config"]["unknown"] = 1
    monkeypatch.setattr(vaecli, "__version__", "9.9")
    problem = raised_by(function, numbered(table).to_batches())
    assert problem.exit_code == 7
    assert "the cluster has vaecli 9.9, the driver" in problem.message


def test_a_bundle_of_a_newer_format_is_refused(table: pa.Table):
    """A bundle that the cluster's vaecli does not read is exit code 5 on the driver."""
    problem = raised_by(function_of(b"PK not a bundle", "score", ScoreConfig()), numbered(table).to_batches())
    assert problem.exit_code == 5


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("ModuleNotFoundError: No module named 'vaecli'", 7, "have no vaecli"),
        ("[PATH_NOT_FOUND] Path does not exist: s3://x", 4, "s3://x"),
        ("Job aborted due to stage failure: ExecutorLostFailure", 7, "ExecutorLostFailure"),
        ("thrown\nTraceback (most recent call last):\n  line 1\nOSError: disk\n\n", 7, "OSError: disk"),
    ],
)
def test_what_spark_reports_has_an_exit_code(text: str, code: int, says: str):
    """Problems of the cluster are exit code 7, those of the input 4."""
    problem = as_reported(text)
    assert problem.exit_code == code
    assert says in problem.message


def test_problems_travel_as_one_line_of_json():
    """A message of several lines, with quotes and braces, comes back whole."""
    problem = errors.SchemaMismatch("two {lines}:\n  'a' \"b\"", "do", path="p", row=3)
    with pytest.raises(RuntimeError) as sent, sent_errors():
        raise problem
    assert len(str(sent.value).splitlines()) == 1
    assert json.loads(str(sent.value).partition(": ")[2])["at"]["row"] == 3
    found = as_reported(str(sent.value))
    assert (str(found), found.path, found.row) == (str(problem), "p", 3)


def test_the_partition_column_is_dropped(bundle: Path, table: pa.Table):
    """No column of ours but those that are added comes out."""
    found = pa.Table.from_batches(
        list(
            process_rows(
                function_of(bundle.read_bytes(), "score", ScoreConfig()).args[0], numbered(table[:3]).to_batches()
            )
        )
    )
    assert tuple(found.column_names) == (*table.column_names, *ADDED)
