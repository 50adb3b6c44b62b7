"""Runs tasks on threads of this process, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vaecli.engines.base import Item, Result, Task
from vaecli.model import tiles
from vaecli.runtime.blas import one_blas_thread
from vaecli.runtime.memory import keep_freed_memory
from vaecli.runtime.parallel import map_in_order, n_cores, short_turns
from vaecli.tables import Batch, Piece, ReadRequest, Source, round_up

if TYPE_CHECKING:
    from vaecli.config import SampleConfig, ScoreConfig

MOST_AT_ONCE = tiles.MOST_TILES * tiles.TILE_ROWS  # rows of a batch on the CPU: more take memory and save no time
_KEPT_BYTES = 8 * 2**20  # of an array of some tiles of rows


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """The calling thread reads; `workers` threads do everything else. Results depend on neither number.

    Tiles are aligned to row numbers of the whole input, so it does not matter where batches end.
    """

    batch_rows: int
    workers: int

    @classmethod
    def of(cls, settings: ScoreConfig | SampleConfig, *, most_workers: int | None = None) -> LocalEngine:
        """The engine that the settings describe, with at most `most_workers` threads, which share a GPU, if given."""
        workers = settings.workers or n_cores()
        if most_workers is None:
            return cls(min(settings.batch_rows, MOST_AT_ONCE), workers)
        return cls(settings.batch_rows, min(workers, most_workers))

    def map_batches(self, task: Task[Batch, Result], source: Source, needs: ReadRequest) -> Iterator[Result]:
        """Map batches as `Engine.map_batches`: each thread parses a piece of the source and processes its batches."""
        batch_rows = self.batch_rows
        if source.n_rows:  # every worker gets a share of a small table
            batch_rows = min(batch_rows, round_up(-(-source.n_rows // self.workers), tiles.TILE_ROWS))

        @_quiet
        def several(piece: Piece) -> list[Result]:
            return [task.process(batch) for batch in piece().slices(batch_rows)]

        pieces = source.pieces(replace(needs, batch_rows=batch_rows, multiple_of=tiles.TILE_ROWS))
        keep_freed_memory(_KEPT_BYTES)
        # set here, for all workers: only one thread of a process can
        with one_blas_thread(), short_turns():
            for results in map_in_order(several, pieces, self.workers):
                yield from results

    def map_items(self, task: Task[Item, Result], items: Iterable[Item]) -> Iterator[Result]:
        """Map items as `Engine.map_items`."""
        with one_blas_thread(), short_turns():  # as in `map_batches`
            yield from map_in_order(_quiet(task.process), items, self.workers)


@dataclass(frozen=True, slots=True)
class ThreadEngine:
    """Runs a task in the calling thread, one batch after the other, while other threads run theirs.

    Whoever starts these threads limits BLAS to one thread for all of them. Results are those of LocalEngine.
    """

    batch_rows: int

    def map_batches(self, task: Task[Batch, Result], source: Source, needs: ReadRequest) -> Iterator[Result]:
        """Map batches as `Engine.map_batches`."""
        process = _quiet(task.process)
        for piece in source.pieces(replace(needs, batch_rows=self.batch_rows, multiple_of=tiles.TILE_ROWS)):
            for batch in _quiet(piece)().slices(self.batch_rows):
                yield process(batch)


# a sum beyond the floats shows in the result, as inf or NaN: no line of NumPy's on standard error
_quiet = np.errstate(over="ignore", invalid="ignore", divide="ignore")
