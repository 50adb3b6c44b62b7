"""Incidents in the words of the user's table, from the patterns of a run."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import numpy as np

from vaecli.aggregates.incident_sketch import UNIT, DeviatingItems, IncidentSketch, KeptItem, Pattern
from vaecli.decisions.incident_groups import MIXED, group_patterns
from vaecli.detector import Detector
from vaecli.results import FlaggedRow
from vaecli.results.incidents import Incident
from vaecli.tasks.blame import THOUSANDTHS, blamed, coordinates
from vaecli.tasks.blame import FlaggedRow as KeptRow
from vaecli.tasks.reasons import Candidate, RowsToExplain, explained_candidates

N_REASONS = 3
Kept = TypeVar("Kept")
ID_DIGITS = 10


class HasDeviating(Protocol):
    """Totals of a batch with the rows of it that deviate."""

    @property
    def deviating(self) -> DeviatingItems[KeptRow] | None:
        """Its flagged rows."""


T = TypeVar("T", bound=HasDeviating)
R = TypeVar("R")


@dataclass(slots=True)
class RowIncidents:
    """Collects the flagged rows of a run; the rows that stand for a pattern are copied out of their batch."""

    detector: Detector
    sketch: IncidentSketch[KeptRow] = field(default_factory=IncidentSketch)

    def add(self, items: DeviatingItems[KeptRow] | None) -> None:
        """Take in the flagged rows of a batch, after those before."""
        if items is None or not len(items.at):
            return
        self.sketch.add(items)
        release(self.sketch)

    def following(self, parts: Iterable[tuple[R, T]]) -> Iterator[tuple[R, T]]:
        """The same parts; their rows are taken in."""
        for rendered, totals in parts:
            self.add(totals.deviating)
            yield rendered, totals

    def incidents(self, kind: str) -> tuple[Incident, ...]:
        """The incidents, those of most rows first; their examples are explained by the score `kind`."""
        return tuple(self._incident(pattern, kind) for pattern in incident_patterns(self.sketch))

    def _incident(self, pattern: Pattern[KeptRow], kind: str) -> Incident:
        deviation = pattern.deviation / (UNIT * pattern.n)
        shares = pattern.blame / max(int(pattern.blame.sum()), 1) if pattern.blame.size else pattern.blame
        examples = explained_candidates(
            self.detector, [one.item.candidate for one in pattern.examples], kind, N_REASONS
        )
        coordinate = _named(coordinates(self.detector), deviation)
        return Incident(
            id=identity(coordinate, None, pattern.first.at),
            status=None,
            columns=blamed(self.detector, deviation, shares),
            group=None,
            rows=pattern.rows,
            events=None,
            first_row=pattern.first.at + 1,
            last_row=pattern.last.at + 1,
            start=pattern.first.item.time,
            end=pattern.last.item.time,
            peak_score=pattern.highest.score,
            peak_row=pattern.highest.at + 1,
            reason=typical_reason(examples),
            examples=examples,
            deviation=coordinate,
        )


def incident_patterns(sketch: IncidentSketch[Kept]) -> list[Pattern[Kept]]:
    """The patterns of a sketch joined to incidents, those of most rows first, of equal ones the earlier."""
    patterns = sketch.patterns
    if not patterns:
        return []
    n = np.array([pattern.n for pattern in patterns])
    mean = np.stack([pattern.deviation for pattern in patterns]) / (UNIT * n[:, None])
    label, _ = group_patterns(mean, n, np.array([pattern.place for pattern in patterns]))
    for i, pattern in enumerate(patterns):
        if label[i] != i:
            patterns[label[i]].join(pattern)
    sketch.patterns = [pattern for i, pattern in enumerate(patterns) if label[i] == i]
    return sorted(sketch.patterns, key=lambda one: (-one.rows, one.first.at))
