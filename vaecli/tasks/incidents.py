"""Incidents in the words of the user's table, from the patterns of a run."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np

from vaecli.aggregates.incident_sketch import UNIT, DeviatingItems, IncidentSketch, Pattern
from vaecli.data.clock_units import clock_seconds
from vaecli.decisions.incident_groups import group_patterns
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.results import FlaggedRow, Reason
from vaecli.results.incidents import Incident, ResponsibleColumn
from vaecli.tasks.deviations import (
    LEAST_SHARE,
    N_RESPONSIBLE,
    KeptRow,
    KeptRows,
    PlaceColumns,
    coordinates,
    responsible_columns,
)
from vaecli.tasks.reasons import explained_candidates

N_REASONS = 3
Kept = TypeVar("Kept")
ID_DIGITS = 10
QUIET_BY_CHANCE = 10  # e^-10 of the gaps between normal rows that are flagged by chance are longer
NEAR_0 = 0.005  # standard deviations: what a state file leaves out


class HasDeviating(Protocol):
    """Totals of a batch with the rows of it that deviate."""

    @property
    def deviating(self) -> DeviatingItems[KeptRow] | None:
        """Its flagged rows."""


T = TypeVar("T", bound=HasDeviating)
R = TypeVar("R")


@dataclass(slots=True)
class Places:
    """Codes of places, which are groups in stretches of time; a place that is forgotten gets a new code."""

    codes: dict[tuple[str | None, int], int] = field(default_factory=dict)
    n: int = 0  # codes given so far

    def code(self, group: str | None, stretch: int) -> int:
        """The code of a place."""
        if (group, stretch) not in self.codes:
            self.codes[group, stretch] = self.n
            self.n += 1
        return self.codes[group, stretch]

    def forget_all_but(self, used: Collection[int]) -> None:
        """Forget places without a leader: their next item differs from all leaders under any code."""
        self.codes = {where: code for where, code in self.codes.items() if code in used}

    @property
    def groups(self) -> dict[int, str | None]:
        """The groups by code."""
        return {code: group for (group, _), code in self.codes.items()}


@dataclass(slots=True)
class RowIncidents:
    """Collects the flagged rows of a run; those that stand for a pattern are copied out of their batch."""

    detector: Detector
    quiet: float | None = None  # by the clock: after as long without a flagged row a stretch of time is another one
    sketch: IncidentSketch[KeptRow] = field(default_factory=IncidentSketch)
    places: Places = field(default_factory=Places)
    stretch: int = 0
    newest: float = -np.inf

    def place_columns(self, names: Collection[str]) -> PlaceColumns:
        """The columns of a table with these `names` by which its rows have a place."""
        return PlaceColumns.of(self.detector, names)

    def following(self, parts: Iterable[tuple[R, T]]) -> Iterator[tuple[R, T]]:
        """The same parts; their flagged rows are taken in."""
        for rendered, totals in parts:
            if totals.deviating is not None:
                self.add(totals.deviating)
            yield rendered, totals

    def add(self, items: DeviatingItems[KeptRow]) -> None:
        """Take in the flagged rows of a batch after those before."""
        self.sketch.add(replace(items, place=self._places(items)))
        self.places.forget_all_but({pattern.home for pattern in self.sketch.patterns})

    def _places(self, items: DeviatingItems[KeptRow]) -> np.ndarray:
        """The codes (n,) of the group and stretch of time of rows; a stamp before the newest begins no stretch."""
        assert isinstance(items.kept, KeptRows)
        where, n = items.kept.where, len(items.at)
        stretches = np.full(n, self.stretch)
        if where.moments is not None and self.quiet is not None:
            newest = np.fmax.accumulate(np.concatenate(([self.newest], where.moments)))
            begins = (where.moments - newest[:-1] > self.quiet) & (newest[:-1] > -np.inf)
            stretches += np.cumsum(begins)
            self.stretch, self.newest = int(stretches[-1]), float(newest[-1])
        groups = [None] * n if where.groups is None else where.groups.tolist()
        return np.array([self.places.code(*where) for where in zip(groups, stretches.tolist(), strict=True)], np.int64)

    def incidents(self, kind: str, most: int | None = None) -> tuple[Incident, ...]:
        """The `most` incidents with most rows, or all; their examples are explained by the score `kind`."""
        groups = self.places.groups
        patterns = incident_patterns(self.sketch)[:most]
        return tuple(self._incident(pattern, kind, groups.get(pattern.place)) for pattern in patterns)

    @property
    def n_incidents(self) -> int:
        """How many there are, once the incidents were asked for."""
        return len(self.sketch.patterns)

    def _incident(self, pattern: Pattern[KeptRow], kind: str, group: str | None) -> Incident:
        deviation = pattern.deviation / (UNIT * pattern.n)
        shares = pattern.shares / max(int(pattern.shares.sum()), 1) if pattern.shares.size else pattern.shares
        examples = explained_candidates(
            self.detector, [one.item.candidate for one in pattern.examples], kind, N_REASONS
        )
        coordinate = named(coordinates(self.detector), deviation)
        return Incident(
            id=identity(coordinate, group, pattern.first.at),
            status=None,
            columns=columns_of_examples(examples) or responsible_columns(self.detector, deviation, shares),
            group=group,
            rows=pattern.rows,
            events=None,
            first_row=pattern.first.at + 1,
            last_row=pattern.last.at + 1,
            start=pattern.first.item.time,
            end=pattern.last.item.time,
            peak_score=pattern.highest.score,
            peak_row=pattern.highest.at + 1,
            reason=most_common_reason([row.reasons[0] for row in examples if row.reasons]),
            examples=examples,
            span=(pattern.first.at, pattern.last.at),
            deviation=coordinate,
        )


def quiet_of(detector: Detector, decision: Decision, cooldown: float = 0.0) -> float | None:
    """Seconds or units of the clock without a flagged row after which the next one is of another incident.

    Without a `cooldown`: in which QUIET_BY_CHANCE normal rows would have been flagged, by the number and times of the
    rows of training; None without a clock.
    """
    clock = detector.schema.time
    if clock is None or clock.minimum is None or clock.maximum is None:
        return None
    if cooldown:
        return cooldown
    first, last = clock_seconds(np.array([clock.minimum, clock.maximum]), clock).tolist()
    share = 1 - detector.threshold if decision.alpha is None else decision.alpha
    return QUIET_BY_CHANCE * (last - first) / (max(detector.schema.n_rows, 1) * share)


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


def identity(deviation: Mapping[str, float], group: str | None, first: int) -> str:
    """The identifier of an incident that begins with row or event `first`; the same input gives the same."""
    facts = json.dumps([sorted(deviation.items()), group, first], ensure_ascii=True)
    return "inc-" + hashlib.sha256(facts.encode()).hexdigest()[:ID_DIGITS]


def columns_of_examples(examples: Sequence[FlaggedRow]) -> tuple[ResponsibleColumn, ...]:
    """The columns that explain the examples, by their mean share of the scores, the largest first."""
    shares, ways = dict[str, float](), dict[str, Counter[str]]()
    for row in examples:
        for reason in row.named:
            share = reason.nats / (max(row.score, 1e-9) * len(examples))
            shares[reason.column] = shares.get(reason.column, 0.0) + share
            ways.setdefault(reason.column, Counter())[_way(reason)] += 1
    return tuple(
        ResponsibleColumn(column, ways[column].most_common(1)[0][0], round(share, 3))
        for column, share in sorted(shares.items(), key=lambda item: -item[1])[:N_RESPONSIBLE]
        if share >= LEAST_SHARE
    )


def _way(reason: Reason) -> str:
    if reason.value is None:
        return "missing"
    if reason.is_novel:
        return "new value"
    value, expected = reason.value, reason.expected
    if isinstance(value, int | float) and isinstance(expected, int | float) and value != expected:
        return "up" if value > expected else "down"
    return "changed"


def most_common_reason(strongest: Sequence[Reason]) -> str:
    """The sentence of the first of the `strongest` reasons of examples whose column most of them name."""
    if not strongest:
        return "the columns together: no single one explains it"
    column, _ = Counter(reason.column for reason in strongest).most_common(1)[0]
    return next(reason.sentence for reason in strongest if reason.column == column)


def named(names: Sequence[str], deviation: np.ndarray) -> dict[str, float]:
    """The coordinates (d,) that are not near 0, by name."""
    return {name: round(float(value), 3) for name, value in zip(names, deviation, strict=True) if abs(value) >= NEAR_0}
