"""Scores a table on this machine: batch → cells → scores → decision → batch, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.cores import in_order
from vaecli.detector import Decided, Detector
from vaecli.results import Event, FlaggedRow, OnEvent
from vaecli.tables import Batch, Piece, Rendered, Source, numbers_of, to_cells

N_WORST = 10
N_TOP_COLUMNS = 3


class Output(Protocol):
    """Where scored rows go."""

    def render(self, batch: Batch, added: dict[str, np.ndarray], keep: np.ndarray | None = None) -> Rendered:
        """The rows of `batch` that `keep` names, with the added columns, as `append` wants them; in any thread."""

    def append(self, rendered: Rendered) -> None:
        """Write them behind those before."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which rows are flagged: by p-value at a threshold level, or by a smallest score."""

    alpha: float | None
    min_score: float

    def flags(self, decided: Decided) -> np.ndarray:
        """(n,) bool; a row without a score is not flagged."""
        flagged: np.ndarray = (
            decided.p_value <= self.alpha if self.alpha is not None else decided.scored.score >= self.min_score
        )
        return flagged


@dataclass(frozen=True, slots=True)
class Tally:
    """What was seen in some rows."""

    rows: int = 0
    anomalies: int = 0
    unscored: int = 0
    novel_cells: int = 0
    worst: tuple[FlaggedRow, ...] = ()  # the highest-scoring flagged rows, worst first, of equal ones the earlier

    @classmethod
    def of(cls, decided: Decided, flagged: np.ndarray, names: list[str]) -> Tally:
        """Of one batch."""
        scored, where = decided.scored, np.flatnonzero(flagged)
        worst = where[np.argsort(-scored.score[where], kind="stable")[:N_WORST]]
        return cls(
            rows=scored.score.size,
            anomalies=where.size,
            unscored=int(np.isnan(scored.score).sum()),
            novel_cells=decided.n_novel,
            worst=tuple(
                FlaggedRow(
                    int(scored.row[i]) + 1,
                    float(scored.score[i]),
                    float(decided.p_value[i]),
                    top_columns(scored.column_score[i], names),
                )
                for i in worst
            ),
        )

    def __add__(self, later: Tally) -> Tally:
        """Of both, `later` being about later rows."""
        both = sorted((*self.worst, *later.worst), key=lambda row: -row.score)
        return Tally(
            self.rows + later.rows,
            self.anomalies + later.anomalies,
            self.unscored + later.unscored,
            self.novel_cells + later.novel_cells,
            tuple(both[:N_WORST]),
        )


def top_columns(column_score: np.ndarray, names: list[str], most: int = N_TOP_COLUMNS) -> str:
    """The columns that contribute most to a row's score, largest first: `name:nats` separated by `;`."""
    order = np.argsort(-column_score, kind="stable")[:most]
    return ";".join(f"{names[j]}:{column_score[j]:.1f}" for j in order if column_score[j] > 0)


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
    on_event: OnEvent,
) -> Tally:
    """Score every row of `source` into `output`: one thread reads and writes, `workers` do all that lies between.

    The same table gives the same bytes whatever `batch_rows` and `workers` are.
    """
    names = [column.name for column in detector.schema.features]
    numbers = numbers_of(detector.schema)

    def scored(piece: Piece) -> list[tuple[Rendered, Tally]]:
        return [one(batch) for batch in piece().slices(batch_rows)]

    def one(batch: Batch) -> tuple[Rendered, Tally]:
        decided = detector.score(to_cells(batch, detector.schema), kind)
        flagged = decide.flags(decided)
        added = {"anomaly_score": decided.scored.score, "p_value": decided.p_value, "is_anomaly": flagged}
        rendered = output.render(batch, added, flagged if anomalies_only else None)
        return rendered, Tally.of(decided, flagged, names)

    tally = Tally()
    pieces = source.pieces(names, numbers=numbers, keep=True, batch_rows=batch_rows)
    with threadpool_limits(1, "blas"):  # set here, for all workers: only one thread of a process can
        for part in in_order(scored, pieces, workers):
            for rendered, seen in part:
                output.append(rendered)
                tally += seen
            on_event(Event("scoring", tally.rows, source.n_rows))
    return tally
