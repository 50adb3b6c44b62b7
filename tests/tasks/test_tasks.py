"""Tasks travel: each can be pickled, and computes on another machine what it computes here."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import vaecli
from vaecli.aggregates.score_bars import ScoreBars
from vaecli.config import EncodeConfig, ExplainConfig, ScoreConfig
from vaecli.decisions.resolve import resolve
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine
from vaecli.evaluation import baselines
from vaecli.evaluation.column_limits import ColumnLimits
from vaecli.evaluation.faults import ReferenceRows
from vaecli.schema import Column, Kind, Role
from vaecli.tables import ReadRequest, Source, frame_source, new_schema, open_source, to_cells
from vaecli.tables.write.replace_cells import Spelling
from vaecli.tasks.encode import EncodeTask
from vaecli.tasks.evaluate import EvaluateTask
from vaecli.tasks.explain import ExplainTask
from vaecli.tasks.reasons import Candidate
from vaecli.tasks.reconstruct import ReconstructTask
from vaecli.tasks.report import ReportTask
from vaecli.tasks.sample import RowRange, SampleTask
from vaecli.tasks.score import N_WORST, ScoreTask
from vaecli.tasks.selftest import FaultTask, NormalRowsTask

LABEL = Column("is_odd", Kind.TEXT, Role.LABEL)


@pytest.fixture(scope="module")
def source(fresh_table: pd.DataFrame) -> Source:
    """New rows, some of them empty in places, with a label and a group."""
    table = fresh_table.head(200).assign(is_odd=np.arange(200) % 7 == 0, site=np.arange(200) % 3)
    table.iloc[::9, 0] = None
    return frame_source(table)


def decide(detector: Detector) -> Decision:
    """Flags half of the rows."""
    config = ScoreConfig(threshold=0.5)
    return resolve(config, detector.calibrations, detector.score_kind, detector.threshold)


def score(detector: Detector, source: Source) -> ScoreTask:
    decision = decide(detector)
    bars = ScoreBars.of(detector.calibrations[decision.score_kind], decision.min_score)
    return ScoreTask(detector, detector, decision, ScoreConfig(explain=2, anomalies_only=True), N_WORST, bars)


def explain(detector: Detector, source: Source) -> ExplainTask:
    return ExplainTask(detector, decide(detector), ExplainConfig(rows=(3, 17)))


def evaluate(detector: Detector, source: Source) -> EvaluateTask:
    features = np.random.default_rng(0).normal(size=(50, detector.preprocessor.layout.n_features))
    return EvaluateTask(detector, decide(detector), "is_odd", "site", baselines.fitted(features, 0))


def encode(detector: Detector, source: Source) -> EncodeTask:
    return EncodeTask(detector, ("map1", "map2"), EncodeConfig(dims=2, colour_by="site"), None, with_points=True)


def reconstruct(detector: Detector, source: Source) -> ReconstructTask:
    return ReconstructTask(detector, Spelling.of(source), impute=True)


def report(detector: Detector, source: Source) -> ReportTask:
    return ReportTask.of(detector, source, decide(detector))


def normal_rows(detector: Detector, source: Source) -> NormalRowsTask:
    return NormalRowsTask(detector.schema, LABEL)


TABLE_TASKS = [score, explain, evaluate, encode, reconstruct, report, normal_rows]


@pytest.mark.parametrize("of", TABLE_TASKS)
def test_a_task_on_batches_travels(model: vaecli.Model, source: Source, of: Callable[..., Any]):
    """Pickled and unpickled, it needs the same columns and gives the same for a batch in the middle of a table."""
    task = of(model.detector, source)
    copy = pickle.loads(pickle.dumps(task))
    assert copy.needs == task.needs
    *_, batch = batches(task.needs, source)
    assert_same(copy.process(batch), task.process(batch))


@pytest.mark.parametrize("of", TABLE_TASKS)
def test_a_task_on_a_file_travels(model: vaecli.Model, source: Source, of: Callable[..., Any], tmp_path):
    """Also where the table is a file of text that is open for reading: the task does not hold it."""
    path = tmp_path / "new.csv"
    source.table.to_pandas().to_csv(path, index=False)
    file = open_source([str(path)], once=True)
    task = of(model.detector, file)
    *_, batch = batches(task.needs, file)
    assert_same(pickle.loads(pickle.dumps(task)).process(batch), task.process(batch))


def test_a_fault_travels(model: vaecli.Model, source: Source):
    """The task of one fault in normal rows."""
    detector = model.detector
    (whole,) = source.batches(ReadRequest(keep=True))
    cells = to_cells(whole, detector.schema)
    rows = ReferenceRows.of(cells, detector.schema.features, detector.preprocessor)
    task = FaultTask(detector, decide(detector), cells, rows, ColumnLimits.of(rows, 3), 0)
    copy = pickle.loads(pickle.dumps(task))
    for planned in (("spike", 8.0), ("borrowed", None)):
        assert_same(copy.process(planned), task.process(planned))


def test_new_rows_travel(model: vaecli.Model):
    """The task of drawing a range of rows."""
    schema = new_schema(model.schema.features, as_text=False)
    task = SampleTask(model.detector.sampler(3), schema)
    assert_same(pickle.loads(pickle.dumps(task)).process(RowRange(5, 50)), task.process(RowRange(5, 50)))


@pytest.mark.parametrize("of", [score, explain, encode, reconstruct, report])
def test_totals_do_not_depend_on_where_batches_end(model: vaecli.Model, source: Source, of: Callable[..., Any]):
    """The totals of parts add up, in the order of rows, to those of the whole table."""
    task = of(model.detector, source)
    totals = []
    for engine in (LocalEngine(1000, 1), LocalEngine(32, 3)):
        parts = [getattr(part, "totals", part) for part in engine.map_batches(task, source, task.needs)]
        if of is report:  # what a batch alone holds, and sums leave out
            parts = [replace(part, deviating=None) for part in parts]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        totals.append(total)
    assert_same(*totals)


def batches(needs: ReadRequest, source: Source) -> list[Any]:
    return list(source.batches(replace(needs, batch_rows=150)))


def assert_same(one: Any, other: Any) -> None:
    """All the way down, to the last bit."""
    assert type(one) is type(other)
    if isinstance(one, Candidate):
        assert_same((one.score, one.alone()), (other.score, other.alone()))
    elif is_dataclass(one):
        for field in fields(one):
            if not callable(getattr(one, field.name)):
                assert_same(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, dict):
        assert_same(list(one.items()), list(other.items()))
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert_same(left, right)
    elif isinstance(one, pa.Table | pa.Array):
        assert one.equals(other)
    elif one == one:  # NaN is as good as NaN
        assert one == other
