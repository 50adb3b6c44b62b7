"""Writes the rows that a task computes: rendered by the threads that computed them, appended in order by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import numpy as np

from vaecli.engines.base import Engine, Item, NeededColumns, TableTask, Task
from vaecli.results import Event, OnEvent
from vaecli.tables import Batch, Rendered, Source


class Totals(Protocol):
    """What is counted of rows."""

    @property
    def rows(self) -> int:
        """How many rows."""

    def __add__(self, later: Self, /) -> Self:
        """The totals of these rows and the `later` ones."""


T = TypeVar("T", bound=Totals)


class Output(Protocol):
    """Where rows go."""

    def render(self, batch: Batch, added: Mapping[str, np.ndarray], keep: np.ndarray | None = None) -> Rendered:
        """The rows of `batch` that `keep` names, with the added columns, as `append` wants them; in any thread."""

    def append(self, rendered: Rendered) -> None:
        """Write them after those before."""


@dataclass(frozen=True, slots=True)
class WrittenRows(Generic[T]):
    """Rows to be written: those of `batch` where `keep` (n,), with the columns `added`, (n,) each."""

    batch: Batch
    added: Mapping[str, np.ndarray]
    totals: T
    keep: np.ndarray | None = None

    def render(self, output: Output) -> tuple[Rendered, T]:
        """The rows as `output` appends them."""
        return output.render(self.batch, self.added, self.keep), self.totals


@dataclass(frozen=True, slots=True)
class _RenderedBatches(Generic[T]):
    """A task on batches whose rows are rendered at once; it holds the output, so it stays in this process."""

    task: TableTask[WrittenRows[T]]
    output: Output

    @property
    def needs(self) -> NeededColumns:
        return self.task.needs

    def process(self, batch: Batch) -> tuple[Rendered, T]:
        return self.task.process(batch).render(self.output)


@dataclass(frozen=True, slots=True)
class _RenderedItems(Generic[Item, T]):
    """The same of a task on other items."""

    task: Task[Item, WrittenRows[T]]
    output: Output

    def process(self, item: Item) -> tuple[Rendered, T]:
        return self.task.process(item).render(self.output)


def write_batches(
    engine: Engine,
    task: TableTask[WrittenRows[T]],
    source: Source,
    output: Output,
    totals: T,
    stage: str,
    on_event: OnEvent,
) -> T:
    """Write what `task` makes of every batch of `source`; `totals` and those of all rows."""
    rendered = engine.map_batches(_RenderedBatches(task, output), source)
    return _append(rendered, output, totals, stage, source.n_rows, on_event)


def write_items(
    engine: Engine,
    task: Task[Item, WrittenRows[T]],
    items: Iterable[Item],
    output: Output,
    totals: T,
    stage: str,
    n_rows: int | None,
    on_event: OnEvent,
) -> T:
    """Write what `task` makes of every item, `n_rows` rows if that is known; `totals` and those of all rows."""
    rendered = engine.map_items(_RenderedItems(task, output), items)
    return _append(rendered, output, totals, stage, n_rows, on_event)


def _append(
    parts: Iterable[tuple[Rendered, T]], output: Output, totals: T, stage: str, n_rows: int | None, on_event: OnEvent
) -> T:
    for rendered, part in parts:
        output.append(rendered)
        totals = totals + part
        on_event(Event(stage, totals.rows, n_rows))
    return totals
