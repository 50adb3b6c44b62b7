"""Scores a table on this machine: batch → cells → scores → decision → batch, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vaecli.aggregates.score_bars import Bars
from vaecli.decisions.threshold import Decision, ScoredRows
from vaecli.detector import Detector
from vaecli.engines.local import map_batches
from vaecli.results import Event, FlaggedRow, OnEvent, ignore
from vaecli.tables import Batch, Rendered, Source, to_cells
from vaecli.tasks.reasons import RowsToExplain, explained, top_columns

N_WORST = 10
WORKERS_ON_DEVICE = 2  # one computes while the other reads; each holds a tile in the device's memory
N_TOP_COLUMNS = 3


class Output(Protocol):
    """Where scored rows go."""

    def render(self, batch: Batch, added: dict[str, np.ndarray], keep: np.ndarray | None = None) -> Rendered:
        """The rows of `batch` that `keep` names, with the added columns, as `append` wants them; in any thread."""

    def append(self, rendered: Rendered) -> None:
        """Write them behind those before."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may be one of the worst."""

    score: float
    among: RowsToExplain
    place: int


def worst_of(rows_to_explain: RowsToExplain) -> tuple[Candidate, ...]:
    """Each of them, in their order."""
    return tuple(
        Candidate(float(score), rows_to_explain, i) for i, score in enumerate(rows_to_explain.decided.scored.score)
    )


@dataclass(frozen=True, slots=True)
class Tally:
    """What was seen in some rows."""

    rows: int = 0
    anomalies: int = 0
    unscored: int = 0
    novel_cells: int = 0
    worst: tuple[Candidate, ...] = ()  # the highest-scoring flagged rows, worst first, of equal ones the earlier
    counts: np.ndarray | None = None  # how many rows stand in each bar of a picture

    @classmethod
    def of(
        cls,
        decided: ScoredRows,
        flagged: np.ndarray,
        worst: tuple[Candidate, ...] = (),
        bars: Bars | None = None,
    ) -> Tally:
        """Of one batch; with `bars` also how many scores stand in each."""
        score = decided.scored.score
        counts = None if bars is None else bars.counts(score)
        return cls(score.size, int(flagged.sum()), int(np.isnan(score).sum()), decided.n_novel, worst, counts)

    def __add__(self, later: Tally) -> Tally:
        """Of both, `later` being about later rows."""
        both = sorted((*self.worst, *later.worst), key=lambda candidate: -candidate.score)
        return Tally(
            self.rows + later.rows,
            self.anomalies + later.anomalies,
            self.unscored + later.unscored,
            self.novel_cells + later.novel_cells,
            tuple(both[:N_WORST]),
            later.counts
            if self.counts is None
            else self.counts
            if later.counts is None
            else self.counts + later.counts,
        )

    def worst_rows(self, detector: Detector, kind: str) -> tuple[FlaggedRow, ...]:
        """The highest-scoring flagged rows, with reasons."""
        rows = (
            explained(detector, candidate.among.only(candidate.place), kind, N_TOP_COLUMNS) for candidate in self.worst
        )
        return tuple(row for [row] in rows)


def score_table(
    detector: Detector,
    source: Source,
    output: Output,
    decide: Decision,
    *,
    kind: str,
    anomalies_only: bool,
    batch_rows: int,
    workers: int,
    explain: int = 0,
    with_worst: bool = True,
    bars: Bars | None = None,
    device: str | None = None,
    on_event: OnEvent = ignore,
) -> Tally:
    """Score every row of `source` into `output`: one thread reads and writes, `workers` do all that lies between.

    Without `device` the same table gives the same bytes whatever `batch_rows` and `workers` are. With `explain`,
    flagged rows get the column `top_columns`, that many of them. Without `with_worst` nobody asks for the
    oddest rows. With `bars` the tally counts the scores in each. `device` is a torch device that computes
    the scores.
    """
    scorer = detector if device is None else detector.on(device)
    workers = workers if device is None else min(workers, WORKERS_ON_DEVICE)

    def one(batch: Batch) -> tuple[Rendered, Tally]:
        cells = to_cells(batch, detector.schema)
        decided = scorer.score(cells, kind)
        flagged = decide.flags(decided)
        added: dict[str, Any] = {
            "anomaly_score": decided.scored.score,
            "p_value": decided.p_value,
            "is_anomaly": flagged,
        }
        if explain:
            rows_to_explain = RowsToExplain.of(detector, batch, cells, decided, flagged, np.flatnonzero(flagged))
            added["top_columns"] = _top_columns(batch, explained(detector, rows_to_explain, kind, explain))
        rendered = output.render(batch, added, flagged if anomalies_only else None)
        where = np.flatnonzero(flagged) if with_worst else np.empty(0, np.int64)
        oddest = where[np.argsort(-decided.scored.score[where], kind="stable")[:N_WORST]]
        worst = worst_of(RowsToExplain.of(detector, batch, cells, decided, flagged, oddest)) if oddest.size else ()
        return rendered, Tally.of(decided, flagged, worst, bars)

    tally = Tally()
    for part in map_batches(one, source, detector.schema, keep=True, batch_rows=batch_rows, workers=workers):
        for rendered, seen in part:
            output.append(rendered)
            tally += seen
        on_event(Event("scoring", tally.rows, source.n_rows))
    return tally


def _top_columns(batch: Batch, rows: Sequence[FlaggedRow]) -> np.ndarray:
    """(n,) text of the explained rows, None for the others."""
    texts = np.full(batch.n_rows, None, object)
    for row in rows:
        texts[row.row - 1 - batch.first_row] = top_columns(row)
    return texts
