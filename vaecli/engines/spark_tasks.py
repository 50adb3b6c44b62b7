"""Runs a task on the rows of a Spark DataFrame, and hands its results to the driver: what verbs add up, not rows.

A task travels pickled with the version of this package, which the cluster compares before it unpickles anything. Rows
are numbered in the order of partitions, which of one file is that of its rows; many files Spark orders as it likes.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

import vaecli
from vaecli.engines.base import Item, Result, Task
from vaecli.engines.plain_results import pickled, plain_result
from vaecli.engines.spark import PARTITION, absolute, answers, connect, read_parquet, rows_of, sent_errors, source_like
from vaecli.errors import EnvironmentProblem
from vaecli.model import tiles
from vaecli.runtime.urls import shown
from vaecli.tables import Batch, Piece, ReadRequest, Source
from vaecli.tables.source import ALL_COLUMNS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ANSWER = pa.schema(
    [("partition", pa.int64()), ("first_row", pa.int64()), ("rows", pa.int64()), ("result", pa.binary())]
)
_tasks: dict[str, Any] = {}  # by digest; one at a time, as a job has one
_loading = threading.Lock()


@runtime_checkable
class Numbered(Protocol):
    """A result that names rows by their number."""

    def after(self, n_rows: int) -> Any:
        """The same result where `n_rows` rows come before."""


@dataclass(frozen=True, slots=True)
class SparkSource:
    """A table that the cluster reads. Names and types are known here, rows are not."""

    frame: DataFrame
    like: Source  # without rows
    name: str
    format: str = "parquet"
    n_rows: int | None = None
    files: tuple[str, ...] = ()  # they are those of the cluster

    @classmethod
    def of(cls, inputs: Sequence[str], remote: str) -> SparkSource:
        """The Parquet files that `inputs` name to the cluster at `remote`. Raises what `connect` and reading raise."""
        frame = read_parquet(connect(remote), [absolute(text) for text in inputs])
        name = shown(inputs[0]) + (f" and {len(inputs) - 1} more" if len(inputs) > 1 else "")
        return cls(frame, source_like(frame), name)

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in their order."""
        return self.like.names

    def pieces(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Piece]:
        """No pieces: rows stay on the cluster."""
        return self.like.pieces(request)

    def batches(self, request: ReadRequest = ALL_COLUMNS) -> Iterator[Batch]:
        """No rows: they stay on the cluster."""
        return self.like.batches(request)


@dataclass(frozen=True, slots=True)
class SparkEngine:
    """Runs tasks on the cluster. With `adds_up` results are added up within each partition before they travel.

    With `numbers_rows` the task sees the numbers that rows have in the whole table, in the order of partitions; a job
    of its own counts the rows of each partition first.
    """

    batch_rows: int
    adds_up: bool
    numbers_rows: bool = False

    def map_batches(self, task: Task[Batch, Result], source: Source, needs: ReadRequest) -> Iterator[Result]:
        """Map batches as `Engine.map_batches`; only the columns that are needed are read.

        Raises what the task raises, and EnvironmentProblem where the cluster fails.
        """
        assert isinstance(source, SparkSource)
        needs = replace(needs, batch_rows=self.batch_rows, multiple_of=tiles.TILE_ROWS)
        sent: dict[str, Any] = {"version": vaecli.__version__, "task": pickle.dumps((task, needs, self.adds_up))}
        columns = source.names if needs.columns is None or needs.keep else needs.columns
        first_rows: dict[int, int] | None = None
        if self.numbers_rows:
            counting = {"version": vaecli.__version__, "task": pickle.dumps((_Count(), needs, True))}
            counted = _in_order(answers(source.frame, columns, partial(process_partition, counting), ANSWER))
            first_rows = _first_rows([(one["partition"], one["rows"]) for one in counted])
            sent["first_rows"] = first_rows
        found = _in_order(answers(source.frame, columns, partial(process_partition, sent), ANSWER))
        if first_rows is not None:
            if _first_rows([(one["partition"], one["rows"]) for one in found]) != first_rows:
                raise EnvironmentProblem(
                    f"{source.name}: Spark gave the rows in other partitions the second time",
                    "is somebody writing to the table? Else run the command again",
                )
            yield from (plain_result(answer["result"]) for answer in found)
            return
        before, partition, n_rows = 0, None, 0
        for answer in found:
            if answer["partition"] != partition:
                before, partition, n_rows = before + n_rows, answer["partition"], 0
            n_rows += answer["rows"]
            result = plain_result(answer["result"])
            yield result.after(before) if isinstance(result, Numbered) else result

    def map_items(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[Result]:
        """Map items here: they are no rows of the cluster."""
        return map(task.process, items)


@dataclass(frozen=True, slots=True)
class _Count:
    """Counts nothing: how many rows there are is in every answer."""

    def process(self, batch: Batch) -> int:
        """The number of rows of the batch."""
        return batch.n_rows


def _in_order(found: pa.Table) -> list[dict[str, Any]]:
    """The answers in the order of partitions and rows."""
    return found.sort_by([("partition", "ascending"), ("first_row", "ascending")]).to_pylist()


def _first_rows(counted: Iterable[tuple[int, int]]) -> dict[int, int]:
    """The number of the first row of each partition, from the numbers of rows of all in their order."""
    found, before = dict[int, int](), 0
    for partition, n_rows in counted:
        found.setdefault(partition, before)
        before += n_rows
    return found


def process_partition(sent: Mapping[str, Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The results of a task for the rows of one partition, one or, if they add up, one in all, as rows of ANSWER.

    Raises RuntimeError with the text of `sent_errors` for what the user can repair.
    """
    with sent_errors():
        if sent["version"] != vaecli.__version__:
            raise EnvironmentProblem(
                f"the cluster has vaecli {vaecli.__version__}, the driver {sent['version']}",
                f"install one version on both: pip install vaecli=={sent['version']}",
            )
        task, needs, adds_up = _task(sent["task"])
        partition, total, n_rows = -1, None, 0
        for batch, number in _numbered(batches, needs):
            if "first_rows" in sent:
                batch = replace(batch, first_row=sent["first_rows"][number] + batch.first_row)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                result = task.process(batch)
            partition, n_rows = number, n_rows + batch.n_rows
            if adds_up:
                total = result if total is None else total + result
                continue
            yield _answer(number, batch.first_row, batch.n_rows, result)
        if total is not None:
            yield _answer(partition, 0, n_rows, total)


def _numbered(batches: Iterable[pa.RecordBatch], needs: ReadRequest) -> Iterator[tuple[Batch, int]]:
    """The batches of a partition with its number."""
    number = -1

    def noting() -> Iterator[pa.RecordBatch]:
        nonlocal number
        for batch in batches:
            if number < 0 and batch.num_rows:
                number = batch.column(PARTITION)[0].as_py()
            yield batch

    for batch, _ in rows_of(noting(), needs):
        yield batch, number


def _answer(partition: int, first_row: int, n_rows: int, result: Any) -> pa.RecordBatch:
    values = [partition, first_row, n_rows, pickled(result)]
    arrays = [pa.array([value], field.type) for value, field in zip(values, ANSWER, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=ANSWER)


def _task(sent: bytes) -> Any:
    """What was sent, unpickled once for each process; BLAS has one thread from then on, as cores have a task each."""
    digest = hashlib.sha256(sent).hexdigest()
    with _loading:
        if digest not in _tasks:
            threadpool_limits(1, "blas")
            found = pickle.loads(sent)
            _tasks.clear()
            _tasks[digest] = found
        return _tasks[digest]
