"""Writes the rows that a task computes: rendered by the threads that computed them, appended in order by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import pyarrow as pa

from vaecli.engines.base import Item, Task
from vaecli.results import Event, OnEvent
from vaecli.tables import Batch, ReadRequest


class Totals(Protocol):
    """What is counted of rows."""

    @property
    def rows(self) -> int:
        """How many rows were counted."""

    def __add__(self, later: Self, /) -> Self:
        """The totals of these rows and the `later` ones."""


T = TypeVar("T", bound=Totals)


class Output(Protocol):
    """Where rows go."""

    def render(self, batch: Batch, added: Mapping[str, np.ndarray], keep: np.ndarray | None = None) -> Any:
        """The rows of `batch` that `keep` (n,) bool marks, with the added columns (n,), for `append`; in any thread."""

    def append(self, rendered: Any) -> None:
        """Write rendered rows after those before."""


class NoRows:
    """An output that keeps no rows."""

    def render(self, batch: Batch, added: Mapping[str, np.ndarray], keep: np.ndarray | None = None) -> None:
        """Leave the rows of `batch` out, their added columns (n,) too."""

    def append(self, rendered: None) -> None:
        """Leave them out."""


@dataclass(frozen=True, slots=True)
class WrittenRows(Generic[T]):
    """Rows to be written: those of `batch` where `keep` (n,), with the columns `added`, (n,) each."""

    batch: Batch
    added: Mapping[str, np.ndarray]
    totals: T
    keep: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Rendered(Generic[Item, T]):
    """A task whose rows are rendered where they were computed. It holds the output, so it stays in this process."""

    task: Task[Item, WrittenRows[T]]
    output: Output

    def process(self, item: Item) -> tuple[Any, T]:
        """The rows as `output` appends them, and their totals."""
        rows = self.task.process(item)
        return self.output.render(rows.batch, rows.added, rows.keep), rows.totals


def append_rows(
    parts: Iterable[tuple[Any, T]], output: Output, totals: T, stage: str, n_rows: int | None, on_event: OnEvent
) -> T:
    """Write rendered rows, `n_rows` if that is known, to `output`; returns `totals` and those of all rows."""
    for rendered, part in parts:
        output.append(rendered)
        totals = totals + part
        on_event(Event(stage, totals.rows, n_rows))
    return totals


def append_table(table: pa.Table, output: Output) -> None:
    """Write all rows of a table to `output`."""
    from vaecli.tables.read.frames import frame_source

    for batch in frame_source(table).batches(ReadRequest(keep=True)):
        output.append(output.render(batch, {}))
