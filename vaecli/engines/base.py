"""The seam between what is computed and where: a task is the work on one batch, an engine is what runs it.

    partial = task.process(batch)                 for every batch, on any thread or machine
    totals  = partial₁ + partial₂ + …             in the order of rows, by whoever asked

A task is a frozen dataclass of plain values. It can be pickled, holds no open file, and needs nothing but what is in
it: the detector of a bundle and settings. What it computes for a row depends on the row and its number alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from vaecli.schema import Schema
from vaecli.tables import Batch, ReadRequest, Source, numbers_of

Item = TypeVar("Item")
ItemIn = TypeVar("ItemIn", contravariant=True)
Result = TypeVar("Result")
ResultOut = TypeVar("ResultOut", covariant=True)


def features_of(schema: Schema, others: Sequence[str] = (), *, keep: bool = False) -> ReadRequest:
    """A request for the features of `schema`, and `others` after them; with `keep` rows pass through (see `Batch`)."""
    names = dict.fromkeys([*(column.name for column in schema.features), *others])
    return ReadRequest(tuple(names), numbers=numbers_of(schema), keep=keep)


class Task(Protocol[ItemIn, ResultOut]):
    """Work on one item: a batch of a table, a range of rows, a fault."""

    def process(self, item: ItemIn, /) -> ResultOut:
        """The result for one item. May be called by any thread, many at a time."""


class Engine(Protocol):
    """Where tasks run. Results come in the order of the rows or items, whatever ran side by side."""

    def map_batches(self, task: Task[Batch, Result], source: Source, needs: ReadRequest) -> Iterator[Result]:
        """`task.process(batch)` for every batch of `source`, which holds the columns that the task `needs`."""

    def map_items(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[Result]:
        """`task.process(item)` for every item."""
