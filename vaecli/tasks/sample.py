"""Makes tables on this machine: stretches of new rows → batches, side by side, in order, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pyarrow as pa
from threadpoolctl import threadpool_limits

from vaecli.data.cells import Cells
from vaecli.detector import Detector
from vaecli.latent.sampling import Sampler
from vaecli.results import Event, OnEvent
from vaecli.runtime.parallel import map_in_order
from vaecli.tables import Batch, ReadRequest, Rendered, Source, new_table, numbers_of, to_cells
from vaecli.tasks.score import Output

Stretch = Callable[[], Cells]  # rows that are yet to be made, by any thread


def sample_table(
    sampler: Sampler,
    output: Output,
    schema: pa.Schema,
    n_rows: int,
    *,
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
) -> int:
    """Write rows of the prior; returns how many. Neither `batch_rows` nor `workers` changes a byte."""
    stretches = (
        partial(sampler.rows, start, min(start + batch_rows, n_rows)) for start in range(0, n_rows, batch_rows)
    )
    return _written(stretches, sampler, output, schema, workers, n_rows, on_event)


def sample_around(
    detector: Detector,
    sampler: Sampler,
    source: Source,
    output: Output,
    schema: pa.Schema,
    n_each: int,
    *,
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
) -> int:
    """Write `n_each` rows around each row of `source`, in its order; returns how many."""
    total = None if source.n_rows is None else source.n_rows * n_each
    stretches = stretches_around(detector, sampler, source, n_each, batch_rows)
    return _written(stretches, sampler, output, schema, workers, total, on_event)


def stretches_around(
    detector: Detector, sampler: Sampler, source: Source, n_each: int, batch_rows: int
) -> Iterator[Stretch]:
    """`n_each` rows around each row of `source`, in its order, at most `batch_rows` at a time."""
    names = [column.name for column in detector.schema.features]
    for batch in source.batches(ReadRequest(names, numbers=numbers_of(detector.schema), batch_rows=batch_rows)):
        posterior = sampler.posterior(detector.preprocessor.transform(to_cells(batch, detector.schema)))
        end = (batch.first_row + batch.n_rows) * n_each
        for start in range(batch.first_row * n_each, end, batch_rows):
            stop = min(start + batch_rows, end)
            yield partial(sampler.rows_around, posterior, batch.first_row, n_each, start, stop)


def _written(
    stretches: Iterable[Stretch],
    sampler: Sampler,
    output: Output,
    schema: pa.Schema,
    workers: int,
    total: int | None,
    on_event: OnEvent,
) -> int:
    def one(stretch: Stretch) -> tuple[Rendered, int]:
        cells = stretch()
        table = new_table(cells, sampler.columns, schema)
        return output.render(Batch(table, 0, str, whole=table), {}), len(cells)

    n_rows = 0
    with threadpool_limits(1, "blas"):  # set here, for all workers: only one thread of a process can
        for rendered, n in map_in_order(one, stretches, workers):
            output.append(rendered)
            n_rows += n
            on_event(Event("sampling", n_rows, total))
    return n_rows
