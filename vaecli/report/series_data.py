"""What a page about series shows: numbers and strings gathered from one table and one bundle."""

from __future__ import annotations

from dataclasses import dataclass

from vaecli.results.incidents import Incident
from vaecli.results.sensor_events import EventSensor, SensorEvent

Reading = float | None  # None where there is none


@dataclass(frozen=True, slots=True)
class Covered:
    """What training covers, in the words of the page: times, step, windows, and how many independent rows."""

    clock: str | None  # the column of times; None: rows in their order
    first: str
    last: str
    is_moment: bool  # whether times and lengths of time are in seconds
    step: float
    max_gap: float
    window: int
    n_sensors: int
    n_series: int
    n_rows: int  # that calibrate
    n_effective: int
    finest_level: float  # 0: no level is resolved
    missing: tuple[str, ...]  # sentences: what training does not cover


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """The table, the bundle, and the counts of rows and events."""

    table: str
    bundle: str
    rows: int
    flagged: int
    unscored: int
    gaps: int
    n_series: int
    n_new_series: int  # that training did not have
    n_events: int
    n_open: int
    first: str  # times of the first and the last row; empty without rows
    last: str
    score_kind: str
    threshold: float | None  # None when --min-score or --alarm-budget decided
    min_score: float
    share_by_chance: float  # of normal rows that are flagged
    offline: bool
    alarm_budget: str | None
    covered: Covered
    warnings: tuple[str, ...]
    long: str | None = None  # of a long table, whose stamps are the rows here: how many of its own rows it has

    @property
    def scored(self) -> int:
        """Rows that have a score."""
        return self.rows - self.unscored

    @property
    def worth(self) -> float:
        """How many independent rows the scored ones are worth, at least 1, if they depend as those of training do."""
        covered = self.covered
        return max(self.scored * min(covered.n_effective / max(covered.n_rows, 1), 1.0), 1.0)


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """The least and the largest score of the rows of one series from `begin` to `end`."""

    begin: float
    end: float
    low: float
    high: float
    flagged: int


@dataclass(frozen=True, slots=True)
class SensorChart:
    """The readings of one responsible sensor: least and largest in bins of one width, None where there is none.

    `band` is what training had. Values without order have `names` for the readings 0, 1, ….
    """

    sensor: EventSensor
    low: tuple[Reading, ...]
    high: tuple[Reading, ...]
    band: tuple[float, float] | None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventDetail:
    """An event and the readings before, during and after it, from `begin` to `end`; bins with a flag."""

    event: SensorEvent
    begin: float
    end: float
    flagged: tuple[bool, ...]
    sensors: tuple[SensorChart, ...]


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """A row of the table of series; times are as the table writes them."""

    name: str
    rows: int
    flagged: int
    events: int
    highest: float  # score; minus infinity without one
    first: str
    last: str
    is_new: bool


@dataclass(frozen=True, slots=True)
class SeriesDetail:
    """The scores of one series along time, its events as (begin, end), and some of them with readings."""

    name: str | None  # None where there is one series
    bins: tuple[ScoreBin, ...]
    spans: tuple[tuple[float, float], ...]
    n_events: int
    n_outside: int  # rows far off in time, which are not drawn
    details: tuple[EventDetail, ...]


@dataclass(frozen=True, slots=True)
class Responsible:
    """A responsible column: in how many events, in how many as the first, and which way how often."""

    column: str
    n_events: int
    n_first: int
    directions: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class SeriesReportData:
    """All that a page about series shows."""

    facts: SeriesFacts
    events: tuple[SensorEvent, ...]  # the highest peak first
    series: tuple[SeriesLine, ...]  # the worst first; empty where there is one
    drawn: tuple[SeriesDetail, ...]  # the worst first
    responsible: tuple[Responsible, ...]  # the most frequent first
    settings: tuple[tuple[str, str], ...]
    incidents: tuple[Incident, ...] = ()  # those of most rows first
