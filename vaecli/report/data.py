"""What a page shows: numbers and strings gathered from one table and one bundle, and nothing that computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vaecli.results import FlaggedRow, TrainingCheck
from vaecli.results.flat_settings import flat_settings
from vaecli.results.incidents import Incident


@dataclass(frozen=True, slots=True)
class ReportedModel:
    """What a page shows of a model: its name, the settings of its fit by stage, and what the fit reported.

    `version` is that of the vaecli that wrote its bundle, None for a model that was not read from one.
    """

    name: str
    schema_fingerprint: str
    settings: Mapping[str, Any]
    summary: Mapping[str, Any]
    version: str | None = None

    def facts(self) -> tuple[tuple[str, str], ...]:
        """Return the names and values of the section about how the page was made."""
        version = () if self.version is None else (("vaecli", self.version),)
        named = (("bundle", self.name), ("schema", self.schema_fingerprint[:16]))
        return (*version, *named, *sorted(flat_settings(self.settings)))


@dataclass(frozen=True, slots=True)
class Facts:
    """The table, the bundle, and the counts of rows and cells."""

    table: str
    bundle: str
    rows: int
    flagged: int
    unscored: int
    missing_cells: int
    novel_cells: int
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    share_by_chance: float  # of normal rows that are flagged
    uses_tail_model: bool
    n_calibration_rows: int  # of rows of one series or of groups: how many independent ones they are worth
    warnings: tuple[str, ...]

    @property
    def scored(self) -> int:
        """Rows that have a score."""
        return self.rows - self.unscored


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """Scores of the table's rows and of the normal rows that calibrate, on the same bins.

    `edges` (b + 1), the threshold among them where it lies between; the last count is of all scores beyond the last
    edge, so there are b + 1 counts. What lies below the first edge is in the first bin.
    """

    edges: tuple[float, ...]
    scored: tuple[int, ...]
    normal: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows that follow each other, in time or in the table."""

    start: float  # seconds since the epoch, numbers of the time column, or rows from 1
    rows: int
    flagged: int


@dataclass(frozen=True, slots=True)
class Outside:
    """Rows so far from all others in time that the others would share one bar of a chart of all rows."""

    rows: int
    flagged: int
    first: float  # of all rows, those outside among them
    last: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Flagged rows along time (`column` names its source) or along the table (`column` None).

    Stretches are `width` long, ascending, and those without rows are not there.
    """

    column: str | None
    is_date: bool
    width: float
    stretches: tuple[Stretch, ...]
    n_without_time: int
    outside: Outside | None = None  # None: every row with a time is in a stretch


@dataclass(frozen=True, slots=True)
class Contribution:
    """One column's part in the scores of the explained rows: nats, and in how many rows it is the first reason."""

    column: str
    nats: float
    n_first: int


@dataclass(frozen=True, slots=True)
class Contributions:
    """Columns by their part in the scores of the most anomalous flagged rows, the largest first."""

    n_rows: int  # explained; there may be more flagged ones
    columns: tuple[Contribution, ...]
    n_others: int  # columns that have a smaller part
    others: float  # nats of all of them together
    rest: float  # nats that no single column explains


Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class LatentMap:
    """Where rows lie on the map of `encode --dims 2`."""

    training: tuple[Point, ...]
    normal: tuple[Point, ...]  # a sample of the rows that are not flagged
    flagged: tuple[Point, ...]  # those in the sample, and the most anomalous


@dataclass(frozen=True, slots=True)
class NumberProfile:
    """Shares of the present values of a number or date on common bins, in training and in the table.

    There is a share below the first edge and one beyond the last, so b + 2 shares for b + 1 edges; none where there
    are no values.
    """

    column: str
    is_date: bool
    is_whole: bool  # then edges lie half-way between whole numbers
    edges: tuple[float, ...]
    training: tuple[float, ...]
    scored: tuple[float, ...]
    missing_training: float
    missing_scored: float
    novel: float
    moved: float  # share of the cells, empty ones included, that would have to move to another bin to match training
    by_chance: float  # how much of that a table of so few rows shows by chance


@dataclass(frozen=True, slots=True)
class CategoryProfile:
    """Shares of the present values of a category or boolean, in training and in the table."""

    column: str
    categories: tuple[str, ...]  # the most frequent ones of the two
    training: tuple[float, ...] | None  # None: the bundle is too old to know
    scored: tuple[float, ...]
    n_others: int  # categories that are not shown
    others_training: float
    others_scored: float
    missing_training: float
    missing_scored: float
    novel: float
    moved: float
    by_chance: float


Profile = NumberProfile | CategoryProfile


@dataclass(frozen=True, slots=True)
class Picture:
    """A row that is a picture, how the model draws it from its code, and each pixel's part in its score: PNG files."""

    row: int  # from 1
    score: float
    found: bytes
    redrawn: bytes
    attribute: bytes


@dataclass(frozen=True, slots=True)
class Pictures:
    """Rows that are shown as pictures."""

    shape: tuple[int, int]  # (height, width) in pixels
    low: float  # drawn white
    high: float  # drawn black
    most_nats: float  # drawn black in the picture of the attribution, and what is more
    n_constant: int  # pixels that the model does not look at
    has_gaps: bool  # whether a pixel of those shown is empty or no number
    odd: tuple[Picture, ...]  # the most anomalous flagged rows, the highest score first
    normal: tuple[Picture, ...]  # rows that are not flagged


@dataclass(frozen=True, slots=True)
class Training:
    """How the networks learned; empty `history` where the bundle is too old to know."""

    history: tuple[TrainingCheck, ...]
    baseline: float | None  # mean log-likelihood of independent columns, nats per row
    kept: TrainingCheck | None  # the check whose networks the bundle holds


@dataclass(frozen=True, slots=True)
class ReportData:
    """All that a page shows."""

    facts: Facts
    worst: tuple[FlaggedRow, ...]  # the most anomalous flagged rows, with reasons
    scores: ScoreHistogram
    timeline: Timeline
    contributions: Contributions
    map: LatentMap | None  # None where the codes have one coordinate
    profiles: tuple[Profile, ...]  # the columns that moved most, most first
    n_other_columns: int
    training: Training
    settings: tuple[tuple[str, str], ...]
    pictures: Pictures | None = None  # where rows are pictures
    incidents: tuple[Incident, ...] = ()  # those of most rows
    n_incidents: int = 0
