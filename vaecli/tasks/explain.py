"""Explains the rows of a table that stand out: batch → cells → scores → reasons, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.local import map_batches
from vaecli.errors import UsageError
from vaecli.results import Event, FlaggedRow, OnEvent
from vaecli.tables import Batch, Source, to_cells
from vaecli.tasks.reasons import RowsToExplain, explained

N_KEPT = 1000  # of the explained rows, the oddest, for the summary
_MOST_ROWS = 2**62  # that a table can have: a row number that was typed may be beyond any integer of NumPy's


@dataclass(frozen=True, slots=True)
class Explanations:
    """What was explained in some rows."""

    rows: int = 0
    anomalies: int = 0
    explained: int = 0
    found: tuple[FlaggedRow, ...] = ()  # in the order of rows, as long as there are few
    first: Mapping[str, int] = field(default_factory=Counter)  # rows of which a column is the strongest reason
    later: Mapping[str, int] = field(default_factory=Counter)  # and those of which it is another one

    @classmethod
    def of(cls, n_rows: int, n_anomalies: int, found: tuple[FlaggedRow, ...]) -> Explanations:
        """What was explained in one batch."""
        first = Counter(row.reasons[0].column for row in found if row.reasons)
        later = Counter(reason.column for row in found for reason in row.reasons[1:])
        return cls(n_rows, n_anomalies, len(found), found, first, later)

    def __add__(self, later: Explanations) -> Explanations:
        """Of both, `later` being about later rows; of too many the oddest are kept."""
        found = (*self.found, *later.found)
        if len(found) > 2 * N_KEPT:
            found = tuple(sorted(sorted(found, key=_oddness)[:N_KEPT], key=lambda row: row.row))
        return Explanations(
            self.rows + later.rows,
            self.anomalies + later.anomalies,
            self.explained + later.explained,
            found,
            Counter(self.first) + Counter(later.first),
            Counter(self.later) + Counter(later.later),
        )

    def oddest(self, most: int) -> tuple[FlaggedRow, ...]:
        """The highest scores first, of equal ones the earlier row."""
        return tuple(sorted(self.found, key=_oddness)[:most])


def _oddness(row: FlaggedRow) -> tuple[float, int]:
    return -row.score, row.row


def explain_table(
    detector: Detector,
    source: Source,
    decide: Decision,
    *,
    kind: str,
    top: int,
    rows: tuple[int, ...],
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
) -> Iterator[Explanations]:
    """The flagged rows of `source`, or those numbered `rows` (from 1), with their `top` reasons, piece by piece.

    Raises UsageError at the end when `rows` names one that the table does not have.
    """
    wanted = np.array(sorted({min(row, _MOST_ROWS) for row in rows}), np.int64) - 1

    def one(batch: Batch) -> Explanations:
        cells = to_cells(batch, detector.schema)
        decided = detector.score(cells, kind)
        flagged = decide.flags(decided)
        which = np.flatnonzero(np.isin(cells.row, wanted) if wanted.size else flagged)
        rows_to_explain = RowsToExplain.of(detector, batch, cells, decided, flagged, which)
        found = tuple(explained(detector, rows_to_explain, kind, top))
        return Explanations.of(len(cells), int(flagged.sum()), found)

    n_rows = 0
    for parts in map_batches(one, source, detector.schema, batch_rows=batch_rows, workers=workers):
        for part in parts:
            n_rows += part.rows
            yield part
        on_event(Event("explaining", n_rows, source.n_rows))
    if beyond := [row for row in rows if row > n_rows]:
        raise UsageError(
            f"--row {', '.join(map(str, beyond))}: {source.name} has {n_rows:,} rows", "the first row is number 1"
        )
