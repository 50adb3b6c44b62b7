"""Where flagged rows deviate from normal, as vectors that similar rows have in common.

    deviation_j = f_j · (½ + ½ √(nats_j / max nats)),   f_j within ±3

f_j is the feature of the cell, which is in standard deviations of training for a number and one-hot for a category;
nats_j is its part of the row's score. A column that is responsible counts in full, the others for half.
A missing cell has no feature: a coordinate of its own marks what is missing or was never seen, and a string that
decides the score of its row. Measured beside other vectors in docs/adr/0029-incidents.md.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from vaecli.aggregates.incident_sketch import UNIT, DeviatingItems
from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.data.clock_units import clock_seconds
from vaecli.detector import Detector
from vaecli.results.incidents import ResponsibleColumn
from vaecli.schema import Column, Kind
from vaecli.tables import Batch, group_texts, readable_times
from vaecli.tasks.reasons import Candidate, RowsToExplain, own_values

FARTHEST = 3.0  # standard deviations: beyond, how far a cell lies is no longer a difference
THOUSANDTHS = 1000
N_RESPONSIBLE = 3  # columns named of an incident
LEAST_SHARE = 0.1  # of an incident's nats, from which a column is named
LEAST_SIDE = 0.5  # mean deviation from which an incident's values count as high or low


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A flagged row that may stand for an incident: what explains it, and its time, None without a clock."""

    candidate: Candidate
    time: str | None


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The clock of n flagged rows, as written and in seconds or units of it, and their groups; None without one."""

    times: Sequence[str | None] | None = None
    moments: np.ndarray | None = None
    groups: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class PlaceColumns:
    """The columns of a table by which a row has a place: its clock, and the group that it belongs to."""

    clock: Column | None = None
    group: str | None = None

    @classmethod
    def of(cls, detector: Detector, names: Collection[str]) -> PlaceColumns:
        """Find those of a table with these `names`; the group of `calibrate --by` comes before that of the fit."""
        time, fitted = detector.schema.time, detector.schema.group
        group = detector.by_column or (None if fitted is None else fitted.name)
        return cls(time if time is not None and time.name in names else None, group if group in names else None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        clock = () if self.clock is None else (self.clock.name,)
        return clock if self.group is None else (*clock, self.group)

    def read(self, batch: Batch, which: np.ndarray) -> Whereabouts:
        """Where the rows `which` (k,) of a batch stand."""
        groups = None if self.group is None else group_texts(batch, self.group)[which]
        if self.clock is None:
            return Whereabouts(groups=groups)
        values = own_values(batch.table.column(self.clock.name).take(pa.array(which)))
        moments = clock_seconds(readable_times(batch, self.clock), self.clock)[which]
        return Whereabouts([None if value is None else str(value) for value in values], moments, groups)


@dataclass(frozen=True, slots=True)
class KeptRows(Sequence[KeptRow]):
    """The flagged rows of a batch; one that is taken is copied out of it."""

    rows: RowsToExplain
    where: Whereabouts

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: Any) -> Any:
        """Row `i` of them."""
        score = float(self.rows.decided.scored.score[i])
        alone = Candidate(score, Candidate(score, self.rows, i).alone(), 0)
        return KeptRow(alone, None if self.where.times is None else self.where.times[i])


def deviating_rows(detector: Detector, rows: RowsToExplain, where: Whereabouts) -> DeviatingItems[KeptRow]:
    """Where the n flagged `rows` deviate, and `where` they stand."""
    features = np.clip(detector.preprocessor.transform(rows.cells).values.astype(np.float64), -FARTHEST, FARTHEST)
    nats = np.clip(np.nan_to_num(rows.decided.scored.column_score, posinf=1e9), 0.0, None)
    weight = np.sqrt(nats / np.maximum(nats.max(1, keepdims=True), 1e-9)) if nats.size else nats
    of_features = weight[:, list(detector.preprocessor.layout.column_of_feature)]
    state = rows.cells.state
    gaps = FARTHEST * weight * ((state == NOVEL).astype(float) - (state == MISSING))
    gaps[_is_string_alone(detector, nats) & (state == PRESENT)] = FARTHEST
    deviation = np.hstack([features * (0.5 + 0.5 * of_features), gaps])
    shares = nats / np.maximum(nats.sum(1, keepdims=True), 1e-9)
    return DeviatingItems(
        np.rint(UNIT * deviation).astype(np.int64),
        np.rint(THOUSANDTHS * shares).astype(np.int64),
        np.zeros(len(rows), np.int64),
        rows.decided.scored.row,
        np.ones(len(rows), np.int64),
        rows.decided.scored.score,
        KeptRows(rows, where),
    )


def _is_string_alone(detector: Detector, nats: np.ndarray) -> np.ndarray:
    """(n, c) bool: the strings with the most nats (n, c) of their row, whose features, the class, do not show it."""
    is_text = np.array([column.kind is Kind.TEXT for column in detector.schema.features], bool)
    return np.asarray(is_text & (nats == nats.max(1, keepdims=True, initial=1e-9)))


def coordinates(detector: Detector) -> tuple[str, ...]:
    """The names (d) of the coordinates of a deviation, which another model of the same columns has too.

    Features stand by kind, as in the layout of the model, and not in the order of the columns.
    """
    columns, slots = detector.schema.features, detector.preprocessor.layout.slots
    laid_out = sorted(zip(slots, columns, strict=True), key=lambda pair: pair[0].start)
    return (
        *chain.from_iterable(_features_of(column, slot.stop - slot.start) for slot, column in laid_out),
        *(f"{column.name}:gap" for column in columns),
    )


def _features_of(column: Column, width: int) -> list[str]:
    """The names of the features of a column; beyond its categories there may be one of all other words."""
    if column.kind is not Kind.CATEGORICAL:
        return [column.name] if width == 1 else [f"{column.name}:{i}" for i in range(width)]
    others = [f"{column.name}:other{i or ''}" for i in range(width - len(column.categories))]
    return [*(f"{column.name}={category}" for category in column.categories), *others]


def responsible_columns(detector: Detector, deviation: np.ndarray, shares: np.ndarray) -> tuple[ResponsibleColumn, ...]:
    """The columns with the largest `shares` (c,) of the nats of rows with a mean `deviation` (d,), in that order."""
    slots, columns = detector.preprocessor.layout.slots, detector.schema.features
    gaps = deviation[-len(columns) :]
    order = np.argsort(-shares, kind="stable")[:N_RESPONSIBLE]
    return tuple(
        ResponsibleColumn(
            columns[j].name,
            _direction(columns[j], float(deviation[slots[j].start]), float(gaps[j])),
            round(float(shares[j]), 3),
        )
        for k, j in enumerate(map(int, order))
        if shares[j] >= LEAST_SHARE or k == 0
    )


def _direction(column: Column, deviation: float, gap: float) -> str:
    if gap < -LEAST_SIDE:
        return "missing"
    if gap > LEAST_SIDE and column.kind is not Kind.TEXT:
        return "new value"
    if column.kind in (Kind.NUMERIC, Kind.DATETIME) and abs(deviation) >= LEAST_SIDE:
        return "up" if deviation > 0 else "down"
    return "changed"
