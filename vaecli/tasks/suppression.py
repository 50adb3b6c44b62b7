"""Applies suppression rules to rows of a scored table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vaecli.config.rules import Rule
from vaecli.data.cells import PRESENT, Cells
from vaecli.data.clock_units import clock_seconds
from vaecli.decisions.budget import SECONDS_PER_DAY, UNSUPPRESSED
from vaecli.detector import Detector
from vaecli.schema import Column, Kind
from vaecli.tables import Batch, group_texts, numbers_of, readable_times, to_cells

_ORDERED = (Kind.NUMERIC,)


@dataclass(frozen=True, slots=True)
class Suppression:
    """Finds the first rule that applies to a row.

    `detector` explains rows for rules that name a column; `clock` is the column that holds when a row was; `today` is
    the moment, in seconds since 1970, that decides whether rules apply where there is no clock.
    """

    rules: tuple[Rule, ...]
    detector: Detector | None
    score_kind: str | None
    clock: Column | None
    today: float

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns to read."""
        names = [column for rule in self.rules for column, _ in rule.group]
        names += [self.clock.name] if self.clock is not None else []
        if self.detector is not None:
            names += [column.name for column in self.detector.schema.features]
        return tuple(dict.fromkeys(names))

    @property
    def numbers(self) -> frozenset[str]:
        """The columns to read as numbers."""
        return frozenset() if self.detector is None else numbers_of(self.detector.schema)

    def rule_of(self, batch: Batch, which: np.ndarray) -> np.ndarray:
        """The position (k,) of the first rule that applies to each row `which` (k,), or UNSUPPRESSED."""
        found = np.full(which.size, UNSUPPRESSED)
        if not which.size or not self.rules:
            return found
        rows = Batch(batch.table.take(pa.array(which)), 0, lambda i: batch.where(int(which[i])))
        applies = self._context(rows)
        asked = np.flatnonzero(applies[[rule.column is not None for rule in self.rules]].any(0))
        if asked.size and self.detector is not None:
            applies[:, asked] &= self._responsible(self.detector, to_cells(rows, self.detector.schema)[asked])
        for i in reversed(range(len(self.rules))):
            found[applies[i]] = i
        return found

    def _context(self, rows: Batch) -> np.ndarray:
        """(r, k) bool: whether the group, the time of day and the date of each rule are those of each row."""
        n = rows.table.num_rows
        applies = np.ones((len(self.rules), n), bool)
        seconds = np.full(n, self.today)
        if self.clock is not None:
            seconds = clock_seconds(readable_times(rows, self.clock), self.clock)
        texts = {column: group_texts(rows, column) for rule in self.rules for column, _ in rule.group}
        for i, rule in enumerate(self.rules):
            for column, wanted in rule.group:
                applies[i] &= np.isin(texts[column].astype(str), wanted) & (texts[column] != None)  # noqa: E711
            if rule.time_of_day is not None:
                start, end = rule.time_of_day
                of_day = np.mod(seconds, SECONDS_PER_DAY)
                within = (of_day >= start, of_day < end)
                applies[i] &= within[0] & within[1] if start < end else within[0] | within[1]
                applies[i] &= np.isfinite(seconds)
            if rule.until is not None:
                applies[i] &= seconds < rule.until
        return applies

    def _responsible(self, detector: Detector, cells: Cells) -> np.ndarray:
        """(r, k) bool: whether the column of each rule explains most of the score, and by what the rule asks."""
        numbered = cells.numbered()
        explanation = detector.explain(numbered, detector.score(numbered, self.score_kind), self.score_kind, most=1)
        responsible = explanation.attribution.argmax(1)
        at = np.arange(len(cells)), responsible
        deviation = cells.values[at] - explanation.expected[at]
        features = detector.schema.features
        ordered = np.array([features[j].kind in _ORDERED for j in responsible]) & (cells.state[at] == PRESENT)
        names = np.array([column.name for column in features], object)[responsible]
        applies = np.ones((len(self.rules), len(cells)), bool)
        for i, rule in enumerate(self.rules):
            if rule.column is None:
                continue
            applies[i] = (names == rule.column) & (explanation.attribution[at] > 0)
            if rule.direction is not None:
                applies[i] &= ordered & (deviation > 0 if rule.direction == "high" else deviation < 0)
            if rule.min_deviation is not None:
                applies[i] &= ordered & (np.abs(deviation) < rule.min_deviation)
        return applies
