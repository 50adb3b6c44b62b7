"""The road that all verbs on tables share: pieces of a source → batches → work by several threads → in order again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from threadpoolctl import threadpool_limits

from vaecli.model import tiles
from vaecli.runtime.parallel import map_in_order
from vaecli.schema import Schema
from vaecli.tables import Batch, Piece, ReadRequest, Source, numbers_of, round_up

Result = TypeVar("Result")


def map_batches(
    one: Callable[[Batch], Result],
    source: Source,
    schema: Schema,
    *,
    others: Sequence[str] = (),
    keep: bool = False,
    batch_rows: int,
    workers: int,
) -> Iterator[list[Result]]:
    """`one(batch)` for every batch of `source`, in order, the results of a piece together.

    Batches hold the feature columns of `schema` and `others`. This thread reads, `workers` threads do all the rest;
    where batches end never shows, as what is computed in tiles stands where a row's number says.
    """
    names = [column.name for column in schema.features]
    names += [name for name in dict.fromkeys(others) if name not in names]
    if source.n_rows:  # every worker gets a share of a small table
        batch_rows = min(batch_rows, round_up(-(-source.n_rows // workers), tiles.TILE_ROWS))

    def several(piece: Piece) -> list[Result]:
        return [one(batch) for batch in piece().slices(batch_rows)]

    request = ReadRequest(
        names, numbers=numbers_of(schema), keep=keep, batch_rows=batch_rows, multiple_of=tiles.TILE_ROWS
    )
    with threadpool_limits(1, "blas"):  # set here, for all workers: only one thread of a process can
        yield from map_in_order(several, source.pieces(request), workers)
