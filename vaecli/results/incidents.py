"""Incidents: flagged rows, or events of series, that have the same columns responsible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vaecli.errors import quoted
from vaecli.results.number_format import counted, number
from vaecli.results.reasons import FlaggedRow, field_name
from vaecli.results.sensor_events import SensorEvent


@dataclass(frozen=True, slots=True)
class ResponsibleColumn:
    """A column that is responsible, with its share of the nats.

    `direction` is up, down, missing, new value or changed; of series also flat and noisy.
    """

    column: str
    direction: str
    share: float


@dataclass(frozen=True, slots=True)
class Incident:
    """Flagged rows of one kind; rows count from 1, times are as the table writes them, None without a clock.

    `status` is new, ongoing or ended, by the state file; None without one. `since` is when a run first met it.
    """

    id: str
    status: str | None
    columns: tuple[ResponsibleColumn, ...]
    group: str | None
    rows: int
    events: int | None  # of series
    first_row: int | None
    last_row: int | None
    start: str | int | float | None
    end: str | int | float | None
    peak_score: float
    peak_row: int | None
    reason: str  # typical of its rows
    examples: tuple[FlaggedRow | SensorEvent, ...]
    total_rows: int | None = None  # of all runs since it began
    since: str | None = None
    announced: bool | None = None  # whether it had as many rows as --after asks for
    span: tuple[int, int] = (0, 0)  # numbers of its first and last row, or event of series
    deviation: Mapping[str, float] = field(default_factory=dict)  # mean of its rows, by name of the coordinate

    @property
    def title(self) -> str:
        """`temp up, flow missing`."""
        return ", ".join(f"{quoted(one.column, marks=False)} {one.direction}" for one in self.columns)

    @property
    def columns_text(self) -> str:
        """`temp:up:0.62;flow:down:0.21`; a name that `:`, `;` or a quote is part of is quoted as in CSV."""
        return ";".join(f"{field_name(one.column)}:{one.direction}:{one.share:.2f}" for one in self.columns)

    @property
    def sentence(self) -> str:
        """`120 rows from row 17 to 4,301, up to 93 nats; temp up. Typical: temp = 91.2, expected 64.0 ± 2.1`."""
        if self.status == "ended":
            return f"ended: {self.reason}; {counted(self.total_rows or 0, 'row')} since {self.since}"
        where = "" if self.group is None else f"{quoted(self.group, marks=False)}: "
        return f"{where}{self._when()}; {self.title}. Typical: {self.reason}"

    def _when(self) -> str:
        """`120 rows from row 17 to 4,301, up to 93 nats`, or `row 17, 93 nats`."""
        peak, what = f"{number(self.peak_score)} nats", counted(self.rows, "row")
        if self.events is not None:
            what = counted(self.events, "event")
        if self.start is not None:
            when = f"at {self.start}" if self.start == self.end else f"from {self.start} to {self.end}"
            return f"{what} {when}, up to {peak}"
        if self.rows == 1 or self.first_row is None:
            return f"row {self.first_row or 0:,}, {peak}"
        return f"{what} from row {self.first_row:,} to {self.last_row:,}, up to {peak}"

    def to_json(self) -> dict[str, Any]:
        """One JSON object, with its sentence and its examples as objects."""
        values = asdict(self) | {"title": self.title, "sentence": self.sentence}
        del values["deviation"], values["span"]
        values["examples"] = [_example(one) for one in self.examples]
        return values


def _example(one: FlaggedRow | SensorEvent) -> dict[str, Any]:
    if isinstance(one, SensorEvent):
        return one.to_json()
    values = asdict(one)
    for reason, found in zip(values["reasons"], one.reasons, strict=True):
        reason["sentence"] = found.sentence
    return values


def with_incidents(values: dict[str, Any], incidents: Sequence[Incident] | None) -> dict[str, Any]:
    """The values of a summary with its incidents as objects."""
    if incidents is None:
        return values
    return values | {"incidents": [one.to_json() for one in incidents]}
