"""Events of series: runs of flagged rows as a person reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.errors import quoted
from vaecli.results.number_format import counted, number
from vaecli.results.reasons import Reason, field_name


@dataclass(frozen=True, slots=True)
class EventSensor:
    """A column that is responsible for an event.

    `direction` is up, down, flat, noisy, silent or, for values without order, changed. The reason's nats are those of
    all flagged rows, its value that of the row with the highest score, and expected is what came before the event.
    """

    direction: str
    reason: Reason

    def to_json(self) -> dict[str, Any]:
        """One JSON object."""
        reason = self.reason
        return {
            "column": reason.column,
            "direction": self.direction,
            "nats": reason.nats,
            "value": reason.value,
            "expected": reason.expected,
            "low": reason.low,
            "high": reason.high,
        }


@dataclass(frozen=True, slots=True)
class SensorEvent:
    """An event of one series; times are as the table writes them, from the first to the last of its rows."""

    event: int
    group: str | None
    start: str | int | float
    end: str | int | float
    rows: int
    flagged_rows: int
    peak_score: float
    peak_time: str | int | float
    peak_p_value: float
    sensors: tuple[EventSensor, ...]
    open: bool  # whether the table ended before the event did
    times: tuple[float, float, float]  # start, end and peak as the clock's numbers, seconds since the epoch for moments

    @property
    def sentence(self) -> str:
        """`oven: 30 rows from 02:00 to 02:29, up: temp = 80.2, expected 50.1 ± 3.2; noisy: …`."""
        where = "" if self.group is None else f"{quoted(self.group, marks=False)}: "
        when = f"from {self.start} to {self.end}" if self.start != self.end else f"at {self.start}"
        why = "; ".join(f"{sensor.direction}: {sensor.reason.sentence}" for sensor in self.sensors)
        last = "; it had not ended with the table" if self.open else ""
        return f"{where}{counted(self.rows, 'row')} {when}, up to {number(self.peak_score)} nats. {why}{last}"

    @property
    def sensors_text(self) -> str:
        """`temp:up:31.4;flow:noisy:2.0`; a name that `:`, `;` or a quote is part of is quoted as in CSV."""
        return ";".join(
            f"{field_name(sensor.reason.column)}:{sensor.direction}:{sensor.reason.nats:.1f}" for sensor in self.sensors
        )

    def to_json(self) -> dict[str, Any]:
        """One JSON object, with its sensors as objects."""
        return {
            "event": self.event,
            "group": self.group,
            "start": self.start,
            "end": self.end,
            "rows": self.rows,
            "flagged_rows": self.flagged_rows,
            "peak_score": self.peak_score,
            "peak_time": self.peak_time,
            "peak_p_value": self.peak_p_value,
            "sensors": [sensor.to_json() for sensor in self.sensors],
            "open": self.open,
            "sentence": self.sentence,
        }
