"""Runs a task on rows as they come: in the calling thread, each batch before the next is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vaecli.engines.base import Result, Task
from vaecli.errors import InputError
from vaecli.runtime.blas import one_blas_thread
from vaecli.tables import Batch, ReadRequest, Source


@dataclass(frozen=True, slots=True)
class LiveEngine:
    """Results come as soon as their rows are there; rows above one that cannot be read come before its InputError."""

    batch_rows: int

    def map_batches(self, task: Task[Batch, Result], source: Source, needs: ReadRequest) -> Iterator[Result]:
        """Map batches as `Engine.map_batches`."""
        with one_blas_thread():
            for piece in source.pieces(needs):
                for batch in piece().slices(self.batch_rows):
                    try:
                        result = task.process(batch)
                    except InputError:
                        yield from (task.process(row) for row in batch.slices(1))
                        raise
                    yield result
