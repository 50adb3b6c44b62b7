"""Makes new rows: stretches of them, from the prior or around given rows, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vaecli.data.cells import Cells
from vaecli.detector import Detector
from vaecli.latent.sampling import Sampler
from vaecli.tables import Batch, ReadRequest, Source, new_table, numbers_of, to_cells
from vaecli.tasks.written_rows import WrittenRows


@dataclass(frozen=True, slots=True)
class GivenRows:
    """Rows to draw around: q(z|x) of each, and how many rows are drawn around it."""

    posterior: tuple[np.ndarray, np.ndarray]
    first_row: int
    n_each: int


@dataclass(frozen=True, slots=True)
class RowRange:
    """New rows number `start` to `stop`, yet to be made; from the prior where no rows are given."""

    start: int
    stop: int
    around: GivenRows | None = None

    def draw(self, sampler: Sampler) -> Cells:
        """Make the rows of this range."""
        if self.around is None:
            return sampler.rows(self.start, self.stop)
        given = self.around
        return sampler.rows_around(given.posterior, given.first_row, given.n_each, self.start, self.stop)


@dataclass(frozen=True, slots=True)
class SampleTotals:
    """How many rows were made."""

    rows: int = 0

    def __add__(self, later: SampleTotals) -> SampleTotals:
        """The totals of these rows and the `later` ones."""
        return SampleTotals(self.rows + later.rows)


@dataclass(frozen=True, slots=True)
class SampleTask:
    """Makes ranges of new rows with the types of `schema`."""

    sampler: Sampler
    schema: pa.Schema

    def process(self, rows: RowRange) -> WrittenRows[SampleTotals]:
        """The rows of one range. They depend on their numbers alone."""
        cells = rows.draw(self.sampler)
        table = new_table(cells, self.sampler.columns, self.schema)
        return WrittenRows(Batch(table, 0, str, whole=table), {}, SampleTotals(len(cells)))


def prior_ranges(n_rows: int, batch_rows: int) -> Iterator[RowRange]:
    """Ranges of `n_rows` rows of the prior, at most `batch_rows` each."""
    return (RowRange(start, min(start + batch_rows, n_rows)) for start in range(0, n_rows, batch_rows))


def ranges_around(
    detector: Detector, sampler: Sampler, source: Source, n_each: int, batch_rows: int
) -> Iterator[RowRange]:
    """Ranges of `n_each` rows around each row of `source`, in its order, at most `batch_rows` each."""
    names = [column.name for column in detector.schema.features]
    for batch in source.batches(ReadRequest(names, numbers=numbers_of(detector.schema), batch_rows=batch_rows)):
        posterior = sampler.posterior(detector.preprocessor.transform(to_cells(batch, detector.schema)))
        given = GivenRows(posterior, batch.first_row, n_each)
        end = (batch.first_row + batch.n_rows) * n_each
        for start in range(batch.first_row * n_each, end, batch_rows):
            yield RowRange(start, min(start + batch_rows, end), given)
