"""Scores each batch: cells → scores → flags → the columns that are added to the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vaecli.aggregates.score_bars import ScoreBars
from vaecli.config import ScoreConfig
from vaecli.data.cells import Cells
from vaecli.decisions.threshold import Decision, ScoredRows
from vaecli.detector import Detector
from vaecli.engines.base import features_of
from vaecli.results import FlaggedRow
from vaecli.tables import Batch, BlankRows, ReadRequest, blank_rows, to_cells
from vaecli.tasks.constants import NO_CONSTANTS, Constants
from vaecli.tasks.reasons import Candidate, RowsToExplain, candidates, explained, top_columns, worst_of
from vaecli.tasks.written_rows import WrittenRows

if TYPE_CHECKING:
    from vaecli.aggregates.incident_sketch import DeviatingItems
    from vaecli.tasks.deviations import KeptRow, PlaceColumns

N_WORST = 10
NO_ROWS = BlankRows()


@dataclass(frozen=True, slots=True)
class ScoreTotals:
    """What was counted of some rows."""

    rows: int = 0
    anomalies: int = 0
    unscored: int = 0
    novel_cells: int = 0
    worst: tuple[Candidate, ...] = ()  # the highest-scoring flagged rows, highest first, of equal ones the earlier
    counts: np.ndarray | None = None  # how many rows stand in each bar of a picture
    blank: BlankRows = NO_ROWS
    moved: np.ndarray | None = None  # in how many rows each column that was constant at fit is another
    deviating: DeviatingItems[KeptRow] | None = None  # the flagged rows of one batch; sums of totals have none

    def __add__(self, later: ScoreTotals) -> ScoreTotals:
        """The totals of these rows and the `later` ones."""
        return ScoreTotals(
            self.rows + later.rows,
            self.anomalies + later.anomalies,
            self.unscored + later.unscored,
            self.novel_cells + later.novel_cells,
            worst_of(self.worst, later.worst, N_WORST),
            _sum(self.counts, later.counts),
            self.blank + later.blank,
            _sum(self.moved, later.moved),
        )


@dataclass(frozen=True, slots=True)
class ScoreTask:
    """Adds score, p-value and flag to rows, and with `config.explain` the columns that explain a flag.

    `scorer` is `detector`, possibly on another device; rows are always explained on the CPU.
    """

    detector: Detector
    scorer: Detector
    decision: Decision
    config: ScoreConfig
    n_worst: int = 0  # highest-scoring flagged rows to count among the totals
    bars: ScoreBars | None = None  # of a histogram to count among the totals
    constants: Constants = NO_CONSTANTS  # to watch
    incidents: PlaceColumns | None = None  # of incidents: the totals hold where flagged rows deviate
    small_tiles: bool = False  # as in `score_batch`

    @property
    def needs(self) -> ReadRequest:
        """The features, and the constants to watch; all columns pass through."""
        places = () if self.incidents is None else self.incidents.names
        others = (*self.constants.names, *self.detector.group_columns, *places)
        return features_of(self.detector.schema, others, keep=True)

    def process(self, batch: Batch) -> WrittenRows[ScoreTotals]:
        """The rows with the added columns; with `config.anomalies_only` only flagged ones. Raises UnreadableCell."""
        cells = to_cells(batch, self.detector.schema, self.detector.by_column)
        decided = self.scorer.score(cells, self.decision.score_kind, small_tiles=self.small_tiles)
        score, flagged = decided.scored.score, self.decision.flags(decided)
        added: dict[str, Any] = {"anomaly_score": score, "p_value": decided.p_value, "is_anomaly": flagged}
        which = np.flatnonzero(flagged)
        if self.config.explain:
            rows = RowsToExplain.of(self.detector, batch, cells, decided, flagged, which)
            reasons = explained(self.detector, rows, self.decision.score_kind, self.config.explain)
            added["top_columns"] = _top_columns(batch, reasons)
        highest = which[np.argsort(-score[which], kind="stable")[: self.n_worst]]
        worst = RowsToExplain.of(self.detector, batch, cells, decided, flagged, highest) if highest.size else None
        totals = ScoreTotals(
            score.size,
            which.size,
            int(np.isnan(score).sum()),
            decided.n_novel,
            () if worst is None else candidates(worst),
            None if self.bars is None else self.bars.counts(score),
            blank_rows(batch, cells),
            self.constants.moved(batch),
            self._deviating(batch, cells, decided, flagged, which),
        )
        return WrittenRows(batch, added, totals, flagged if self.config.anomalies_only else None)

    def _deviating(
        self, batch: Batch, cells: Cells, decided: ScoredRows, flagged: np.ndarray, which: np.ndarray
    ) -> DeviatingItems[KeptRow] | None:
        if self.incidents is None or not which.size:
            return None
        from vaecli.tasks.deviations import deviating_rows

        rows = RowsToExplain.of(self.detector, batch, cells, decided, flagged, which)
        return deviating_rows(self.detector, rows, self.incidents.read(batch, which))


def _sum(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
    return other if one is None else one if other is None else one + other


def _top_columns(batch: Batch, rows: Sequence[FlaggedRow]) -> np.ndarray:
    """(n,) text of the explained rows, None for the others."""
    texts = np.full(batch.n_rows, None, object)
    for row in rows:
        texts[row.row - 1 - batch.first_row] = top_columns(row)
    return texts
