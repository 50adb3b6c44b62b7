"""Decides each batch of a scored table: p-values → flags → rows with the new flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaecli.calibration.by_group import GroupCalibrations
from vaecli.calibration.conformal import Calibration
from vaecli.decisions.budget import UNSUPPRESSED
from vaecli.errors import InputError, UnreadableCell, quoted
from vaecli.schema import Column, Kind
from vaecli.tables import Batch, ReadRequest, group_texts, time_values
from vaecli.tables.write.replace_cells import Spelling, replace_cells
from vaecli.tasks.suppression import Suppression
from vaecli.tasks.written_rows import WrittenRows

_TRUE = ("true", "1")


@dataclass(frozen=True, slots=True)
class ScoredColumns:
    """The names that `score` gave its columns, and which of them the table has."""

    score: str
    p_value: str
    is_anomaly: str
    has_score: bool
    has_flags: bool

    @classmethod
    def of(cls, names: Sequence[str], prefix: str) -> ScoredColumns:
        """Find them in a table with the columns `names`. Raises InputError where it has no p-values."""
        score, p_value, is_anomaly = (prefix + name for name in ("anomaly_score", "p_value", "is_anomaly"))
        if p_value not in names:
            raise InputError(
                f"the table has no column {quoted(p_value)}: it is not one that `vaecli score` wrote",
                "score it first; for columns with a prefix give --prefix as `score` had it",
                column=p_value,
            )
        return cls(score, p_value, is_anomaly, score in names, is_anomaly in names)

    @property
    def numbers(self) -> tuple[str, ...]:
        """The columns to read as numbers."""
        return (self.p_value, self.score) if self.has_score else (self.p_value,)

    def p_values(self, batch: Batch) -> np.ndarray:
        """The p-values (n,), NaN where a row was not scored. Raises UnreadableCell for other numbers than shares."""
        found = _number_cells(batch, self.p_value)
        wrong = np.flatnonzero((found < 0) | (found > 1))
        if wrong.size:
            row = int(wrong[0])
            raise UnreadableCell(
                f"{batch.where(row)}: column {quoted(self.p_value)} holds {found[row]:g}, which is not a share",
                "give the table as `vaecli score` wrote it",
                row=batch.first_row + row + 1,
                column=self.p_value,
            )
        return found

    def scores(self, batch: Batch) -> np.ndarray:
        """The scores (n,), NaN where a row was not scored; all NaN where the table has none."""
        return _number_cells(batch, self.score) if self.has_score else np.full(batch.n_rows, np.nan)

    def flags(self, batch: Batch) -> np.ndarray:
        """The flags (n,) bool of the table; false where a cell is empty."""
        if not self.has_flags:
            return np.zeros(batch.n_rows, bool)
        texts = group_texts(batch, self.is_anomaly)
        return np.array([text is not None and text.lower() in _TRUE for text in texts], bool)


def _number_cells(batch: Batch, name: str) -> np.ndarray:
    return time_values(batch, Column(name, Kind.NUMERIC)).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Floors:
    """The smallest p-value that is conformal, by row: `everyone`'s, or that of its group's calibration."""

    everyone: float
    kind: str = ""
    groups: GroupCalibrations | None = None
    calibration: Calibration | None = None

    @property
    def smallest(self) -> float:
        """The smallest of all."""
        if self.groups is None or self.calibration is None:
            return self.everyone
        return float(self.groups.smallest_p(self.kind, (*self.groups.names, None), self.calibration).min())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read."""
        return () if self.groups is None else (self.groups.column,)

    def floored(self, p_value: np.ndarray, batch: Batch) -> np.ndarray:
        """The p-values (n,), none below what is conformal; NaN stays."""
        if self.groups is None or self.calibration is None:
            return np.maximum(p_value, self.everyone)
        group = group_texts(batch, self.groups.column).tolist()
        return np.maximum(p_value, self.groups.smallest_p(self.kind, group, self.calibration))


@dataclass(frozen=True, slots=True)
class ByPValue:
    """Flags rows whose p-value is at most `alpha`; with `floors`, none counts as less than what is conformal."""

    alpha: float
    floors: Floors | None = None


@dataclass(frozen=True, slots=True)
class ByRow:
    """Flags the rows numbered `row` (k,), ascending, but for those with a `rule` (k,)."""

    row: np.ndarray
    rule: np.ndarray


@dataclass(frozen=True, slots=True)
class AsBefore:
    """Flags the rows that the table flags."""


@dataclass(frozen=True, slots=True)
class FlagTotals:
    """What was counted of some rows."""

    suppressed: np.ndarray  # (r,) rows by rule
    rows: int = 0
    anomalies: int = 0
    before: int = 0
    unscored: int = 0
    largest_p: float = float("-inf")

    def __add__(self, later: FlagTotals) -> FlagTotals:
        """The totals of these rows and the `later` ones."""
        return FlagTotals(
            self.suppressed + later.suppressed,
            self.rows + later.rows,
            self.anomalies + later.anomalies,
            self.before + later.before,
            self.unscored + later.unscored,
            max(self.largest_p, later.largest_p),
        )


@dataclass(frozen=True, slots=True)
class FlagTask:
    """Writes new flags over the old ones, and beside them the rule by which a row is not flagged."""

    columns: ScoredColumns
    decision: ByPValue | ByRow | AsBefore
    suppression: Suppression
    spelling: Spelling
    flag: Column  # how the table spells its flags
    anomalies_only: bool

    @property
    def needs(self) -> ReadRequest:
        """The added columns and those of the rules; all columns pass through."""
        floors = self.decision.floors if isinstance(self.decision, ByPValue) else None
        rules = () if isinstance(self.decision, ByRow) else self.suppression.columns
        return request(self.columns, self.suppression, (*rules, *(() if floors is None else floors.columns)), keep=True)

    def process(self, batch: Batch) -> WrittenRows[FlagTotals]:
        """The rows of one batch with their new flags. Raises UnreadableCell."""
        p_value, before = self.columns.p_values(batch), self.columns.flags(batch)
        flagged, rule = self._decided(batch, p_value, before)
        suppressed = np.bincount(rule[rule != UNSUPPRESSED], minlength=len(self.suppression.rules))
        largest = float(np.nanmax(p_value[flagged], initial=-np.inf))
        totals = FlagTotals(
            suppressed, p_value.size, int(flagged.sum()), int(before.sum()), int(np.isnan(p_value).sum()), largest
        )
        added: dict[str, Any] = {}
        if self.suppression.rules:
            names = np.array([*(one.name for one in self.suppression.rules), None], object)
            added["suppressed_by"] = names[rule]
        if not self.columns.has_flags:
            added["is_anomaly"] = flagged
        else:
            changed = (flagged != before)[:, None]
            batch = replace_cells(batch, self.spelling, [self.flag], flagged[:, None].astype(np.float64), changed)
        return WrittenRows(batch, added, totals, flagged if self.anomalies_only else None)

    def _decided(self, batch: Batch, p_value: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n,) bool which rows are flagged, and (n,) which rule suppresses each, or UNSUPPRESSED."""
        rule = np.full(p_value.size, UNSUPPRESSED)
        if isinstance(self.decision, ByRow):
            first, last = np.searchsorted(self.decision.row, (batch.first_row, batch.first_row + p_value.size))
            at = self.decision.row[first:last] - batch.first_row
            rule[at] = self.decision.rule[first:last]
            flagged = np.zeros(p_value.size, bool)
            flagged[at] = True
        else:
            flagged = before
            if isinstance(self.decision, ByPValue):
                floors = self.decision.floors
                flagged = (p_value if floors is None else floors.floored(p_value, batch)) <= self.decision.alpha
            which = np.flatnonzero(flagged)
            rule[which] = self.suppression.rule_of(batch, which)
        return flagged & (rule == UNSUPPRESSED), rule


def request(
    columns: ScoredColumns, suppression: Suppression, others: Sequence[str], *, keep: bool = False
) -> ReadRequest:
    """A request for the columns that `score` added, and `others`."""
    names = [*columns.numbers, *([columns.is_anomaly] if columns.has_flags else []), *others]
    return ReadRequest(tuple(dict.fromkeys(names)), numbers=frozenset(columns.numbers) | suppression.numbers, keep=keep)


def matching_kinds(
    calibrations: Mapping[str, Calibration],
    groups: GroupCalibrations | None,
    columns: ScoredColumns,
    batch: Batch,
) -> set[str]:
    """The kinds of score whose calibration gives the p-values of a batch for its scores."""
    score, p_value = columns.scores(batch), columns.p_values(batch)
    found = set()
    for kind, calibration in calibrations.items():
        if groups is None:
            expected = calibration.p_value(score)
        else:
            expected = groups.p_value(kind, score, group_texts(batch, groups.column).tolist(), calibration)
        if np.allclose(expected, p_value, rtol=1e-6, atol=0, equal_nan=True):
            found.add(kind)
    return found
