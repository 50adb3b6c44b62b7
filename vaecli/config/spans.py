"""Lengths of time and budgets of alarms as they are typed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vaecli.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DAYS = {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 365.25 / 12}


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time: so many rows of a series, or seconds."""

    rows: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Span:
        """The length that `32` describes in rows, or `90s`, `10m`, `1.5h` or `2d` in time; else raises UsageError."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|d)?", text)
        if not match or (match[2] is None and "." in match[1]):
            raise UsageError(
                f"{text!r} is neither a number of rows nor a duration", "for example: 32, 90s, 10m or 1.5h"
            )
        return cls(rows=int(match[1])) if match[2] is None else cls(seconds=float(match[1]) * _SECONDS[match[2]])


@dataclass(frozen=True, slots=True)
class AlarmBudget:
    """At most `events` events in every `days` days."""

    events: float
    days: float

    @classmethod
    def parse(cls, text: str) -> AlarmBudget:
        """The budget that a text such as `1/day` or `3/week` names. Raises UsageError for any other text."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)/(hour|day|week|month)", text)
        if not match or float(match[1]) <= 0:
            raise UsageError(f"{text!r} is not a budget of alarms", "for example: 2/hour, 1/day, 3/week or 1/month")
        return cls(float(match[1]), _DAYS[match[2]])

    @property
    def per_day(self) -> float:
        """Events per day."""
        return self.events / self.days
