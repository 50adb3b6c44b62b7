"""Scores a table on this machine: batch → cells → scores → decision → batch, in bounded memory."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vaecli.detector import Decided, Detector
from vaecli.results import Event, FlaggedRow, OnEvent
from vaecli.scoring import TILE_ROWS
from vaecli.tables import Batch, Source, numbers_of, to_cells

N_WORST = 10
N_TOP_COLUMNS = 3


class Output(Protocol):
    """Where scored rows go."""

    def write(self, batch: Batch, added: dict[str, np.ndarray], keep: np.ndarray | None = None) -> None:
        """Append the rows of `batch` that `keep` names, with the added columns."""


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


@dataclass(slots=True)
class Tally:
    """What a run has seen so far."""

    rows: int = 0
    anomalies: int = 0
    unscored: int = 0
    novel_cells: int = 0
    _worst: list[tuple[float, int, float, str]] = field(default_factory=list)

    @property
    def worst(self) -> tuple[FlaggedRow, ...]:
        """The highest-scoring flagged rows, worst first."""
        ranked = sorted(self._worst, key=lambda entry: (-entry[0], -entry[1]))
        return tuple(FlaggedRow(-row + 1, score, p_value, blame) for score, row, p_value, blame in ranked)

    def add(self, decided: Decided, flagged: np.ndarray, names: list[str]) -> None:
        """Count one batch."""
        score = decided.scored.score
        self.rows += score.size
        self.anomalies += int(flagged.sum())
        self.unscored += int(np.isnan(score).sum())
        self.novel_cells += decided.n_novel
        where = np.flatnonzero(flagged)
        for i in where[np.argsort(-score[where], kind="stable")[:N_WORST]]:
            # of equal scores the earlier row is kept: its negated number is larger
            entry = (float(score[i]), -int(decided.scored.row[i]), float(decided.p_value[i]))
            if len(self._worst) == N_WORST and entry < self._worst[0][:3]:
                break
            blamed = (*entry, top_columns(decided.scored.column_score[i], names))
            (heapq.heappushpop if len(self._worst) == N_WORST else heapq.heappush)(self._worst, blamed)


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
    on_event: OnEvent,
) -> Tally:
    """Score every row of `source` into `output`.

    `batch_rows` is rounded up to whole tiles, so that the same file gives the same bytes whatever it is.
    """
    tally = Tally()
    batch_rows = -(-batch_rows // TILE_ROWS) * TILE_ROWS
    names = [column.name for column in detector.schema.features]
    batches = source.batches(names, numbers=numbers_of(detector.schema), keep=True, batch_rows=batch_rows)
    for batch in batches:
        decided = detector.score(to_cells(batch, detector.schema), kind)
        flagged = decide.flags(decided)
        added = {"anomaly_score": decided.scored.score, "p_value": decided.p_value, "is_anomaly": flagged}
        output.write(batch, added, flagged if anomalies_only else None)
        tally.add(decided, flagged, names)
        on_event(Event("scoring", tally.rows, source.n_rows))
    return tally
