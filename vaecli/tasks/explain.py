"""Explains the rows of each batch that stand out: cells → scores → reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from vaecli.aggregates.incident_sketch import DeviatingItems
from vaecli.config import ExplainConfig
from vaecli.config.explain import MOST_ROWS
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.base import features_of
from vaecli.results import FlaggedRow
from vaecli.tables import Batch, ReadRequest, to_cells
from vaecli.tasks.deviations import KeptRow, PlaceColumns, deviating_rows
from vaecli.tasks.reasons import RowsToExplain, explained

N_KEPT = 1000  # of the explained rows, those with the highest scores, for the summary


@dataclass(frozen=True, slots=True)
class Explanations:
    """What was explained in some rows."""

    rows: int = 0
    anomalies: int = 0
    n_explained: int = 0
    explained: tuple[FlaggedRow, ...] = ()  # in the order of rows, as long as there are few
    first: Mapping[str, int] = field(default_factory=Counter)  # rows of which a column is the strongest reason
    later: Mapping[str, int] = field(default_factory=Counter)  # and those of which it is another one
    deviating: DeviatingItems[KeptRow] | None = None  # the flagged rows of one batch; sums have none

    @classmethod
    def of(cls, n_rows: int, n_anomalies: int, explained: tuple[FlaggedRow, ...]) -> Explanations:
        """What was explained in one batch."""
        first = Counter(row.reasons[0].column for row in explained if row.reasons)
        later = Counter(reason.column for row in explained for reason in row.reasons[1:])
        return cls(n_rows, n_anomalies, len(explained), explained, first, later)

    def __add__(self, later: Explanations) -> Explanations:
        """The explanations of these rows and the `later` ones; of too many those with the highest scores are kept."""
        explained = (*self.explained, *later.explained)
        if len(explained) > 2 * N_KEPT:
            explained = tuple(sorted(sorted(explained, key=_highest_first)[:N_KEPT], key=lambda row: row.row))
        return Explanations(
            self.rows + later.rows,
            self.anomalies + later.anomalies,
            self.n_explained + later.n_explained,
            explained,
            Counter(self.first) + Counter(later.first),
            Counter(self.later) + Counter(later.later),
        )

    def after(self, n_rows: int) -> Explanations:
        """The same explanations where `n_rows` rows come before."""
        return replace(self, explained=tuple(replace(row, row=row.row + n_rows) for row in self.explained))

    def highest(self, most: int) -> tuple[FlaggedRow, ...]:
        """At most `most` explained rows, the highest score first, of equal ones the earlier row."""
        return tuple(sorted(self.explained, key=_highest_first)[:most])


def _highest_first(row: FlaggedRow) -> tuple[float, int]:
    return -row.score, row.row


@dataclass(frozen=True, slots=True)
class ExplainTask:
    """Finds the `config.top` strongest reasons of flagged rows, or of those numbered `config.rows`, from 1."""

    detector: Detector
    decision: Decision
    config: ExplainConfig
    incidents: PlaceColumns | None = None  # of incidents: the explanations hold where flagged rows deviate

    @property
    def needs(self) -> ReadRequest:
        """The features of the schema."""
        places = () if self.incidents is None else self.incidents.names
        return features_of(self.detector.schema, (*self.detector.group_columns, *places))

    def process(self, batch: Batch) -> Explanations:
        """The explanations of one batch. Raises UnreadableCell."""
        cells = to_cells(batch, self.detector.schema, self.detector.by_column)
        decided = self.detector.score(cells, self.decision.score_kind)
        flagged = self.decision.flags(decided)
        numbers = np.array([min(row, MOST_ROWS) for row in self.config.rows], np.int64) - 1
        which = np.flatnonzero(np.isin(cells.row, numbers) if numbers.size else flagged)
        rows = RowsToExplain.of(self.detector, batch, cells, decided, flagged, which)
        reasons = explained(self.detector, rows, self.decision.score_kind, self.config.top)
        found = Explanations.of(len(cells), int(flagged.sum()), tuple(reasons))
        if self.incidents is None or not flagged.any():
            return found
        which = np.flatnonzero(flagged)
        rows = RowsToExplain.of(self.detector, batch, cells, decided, flagged, which)
        where = self.incidents.read(batch, which)
        return replace(found, deviating=deviating_rows(self.detector, rows, where))
