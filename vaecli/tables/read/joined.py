"""Joins the rows of small files, so that what is computed in tiles leaves no tile half empty at the end of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from vaecli.tables.row_bytes import BATCH_BYTES
from vaecli.tables.source import Batch, ReadRequest


class Stretch(Protocol):
    """Consecutive rows of one file."""

    @property
    def n_rows(self) -> int:
        """How many they are, 1 at least."""

    @property
    def n_bytes(self) -> int:
        """The memory that they take."""

    def cut(self, n: int) -> tuple[Self, Self]:
        """The first `n` rows, fewer than all, and the others."""


Rows = TypeVar("Rows", bound=Stretch)


def in_groups(
    stretches: Iterable[Rows], multiple_of: int, *, most_rows: int | None = None, enough_bytes: int, most_bytes: int
) -> Iterator[list[Rows]]:
    """Groups of consecutive stretches that end where the number of rows before is a multiple of `multiple_of`.

    Rows are counted from the first of all. A group is closed at such a place as soon as it has `most_rows` or
    `enough_bytes`, and wherever it stands at `most_bytes`: rows may be long. Raises what reading a stretch raises,
    after the rows before it.
    """
    held: list[Rows] = []
    begin = end = size = 0
    try:
        for stretch in stretches:
            if held and size + stretch.n_bytes > most_bytes:
                yield held
                held, begin, size = [], end, 0
            held.append(stretch)
            end += stretch.n_rows
            size += stretch.n_bytes
            while held and (size >= enough_bytes or (most_rows is not None and end - begin >= most_rows)):
                last = end if most_rows is None else min(end, begin + most_rows)
                stop = last // multiple_of * multiple_of
                if stop <= begin:
                    if size < most_bytes:
                        break
                    stop = end
                group, held = _cut(held, stop - begin)
                yield group
                begin, size = stop, sum(one.n_bytes for one in held)
    except Exception:
        if held:
            yield held
        raise
    if held:
        yield held


def _cut(stretches: list[Rows], n: int) -> tuple[list[Rows], list[Rows]]:
    """The first `n` rows and the others."""
    for i, stretch in enumerate(stretches):
        if n == stretch.n_rows:
            return stretches[: i + 1], stretches[i + 1 :]
        if n < stretch.n_rows:
            first, others = stretch.cut(n)
            return [*stretches[:i], first], [others, *stretches[i + 1 :]]
        n -= stretch.n_rows
    raise AssertionError("there are fewer rows")


@dataclass(frozen=True, slots=True)
class _BatchRows:
    batch: Batch
    n_rows: int
    n_bytes: int

    @classmethod
    def of(cls, batch: Batch) -> _BatchRows:
        return cls(batch, batch.n_rows, (batch.table if batch.whole is None else batch.whole).nbytes)

    def cut(self, n: int) -> tuple[_BatchRows, _BatchRows]:
        return _BatchRows.of(self.batch.part(0, n)), _BatchRows.of(self.batch.part(n, self.n_rows - n))


def joined_batches(batches: Iterable[Batch], request: ReadRequest) -> Iterator[Batch]:
    """The same rows of a typed format, in batches of `request.aligned_rows` whatever files they are in.

    The batches are those of `in_groups`, with at most BATCH_BYTES where rows are long.
    """
    rows = (_BatchRows.of(batch) for batch in batches if batch.n_rows)
    limits = {"enough_bytes": BATCH_BYTES, "most_bytes": BATCH_BYTES}
    for group in in_groups(rows, request.multiple_of, most_rows=request.aligned_rows, **limits):
        yield group[0].batch if len(group) == 1 else Batch.concatenate([one.batch for one in group])
