"""What `selftest` returns: how often each fault is flagged, with intervals and verdicts, and blind spots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vaecli.results.json_object import json_object, with_former_keys

if TYPE_CHECKING:
    from vaecli.results.selftest_sensors import SeriesDetectionRate

FAULT_NAMES = {
    "spike": "spike",
    "shift": "shift",
    "scale": "wrong scale",
    "swap": "swapped columns",
    "stuck": "stuck",
    "missing": "missing",
    "unseen": "unseen category",
    "wrong": "wrong category",
    "borrowed": "another row's value",
    "mistyped": "mistyped",
    "truncated": "truncated",
    "drift": "drift",
    "noise": "noise",
    "quiet": "noise gone",
    "delay": "delay",
}
# the lowest share that earns each verdict
VERDICTS = ((0.9, "seen"), (0.6, "mostly"), (0.3, "partly"), (0.0, "hardly"))
NOT_SEEN, UNTRIED = "not seen", "not tried"
BLIND_BELOW = 0.5  # of the rows with a fault: what is surely seen less often, at every size, is a blind spot


@dataclass(frozen=True, slots=True)
class DetectionRate:
    """How often one fault at one size is seen, in all columns together (`column` None) or in one.

    `low` and `high` bound the share with 95 % confidence. None, and 0 rows, where no row could have the fault.
    """

    fault: str  # one of FAULT_NAMES
    size: float | None  # in the unit of the fault; None where it has no sizes
    column: str | None
    rows: int  # with the fault, none of them flagged without it
    flagged: int
    share: float | None
    low: float | None
    high: float | None
    column_limits_share: float | None  # what limits on each column alone would flag, as often wrong as the bundle
    verdict: str  # seen, mostly, partly, hardly, not seen, not tried


@dataclass(frozen=True, slots=True)
class Untested:
    """A fault that the table cannot have, and why."""

    fault: str
    size: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class BlindSpot:
    """A column, and the faults that are surely seen in fewer than half of the rows, whatever their size."""

    column: str
    faults: tuple[str, ...]
    n_tried: int  # kinds of fault that were tried in this column

    @property
    def sentence(self) -> str:
        """`flow: most cases of stuck and another row's value would pass unnoticed`."""
        if len(self.faults) == self.n_tried > 1:
            return f"{self.column}: most faults of every kind would pass unnoticed"
        *names, last = (FAULT_NAMES[fault] for fault in self.faults)
        listed = f"{', '.join(names)} and {last}" if names else last
        return f"{self.column}: most cases of {listed} would pass unnoticed"


@dataclass(frozen=True, slots=True)
class SelftestSummary:
    """Which faults a bundle sees at its threshold, measured on normal rows into which they were put."""

    output: str | None
    plot: str | None
    bundle: str
    rows: int  # of the table
    excluded_by_label: int
    drawn: int
    flagged_before: int  # of the drawn rows as they are: false alarms, which get no fault
    false_alarm_rate: float
    column_limits_false_alarm_rate: float  # of limits on each column alone
    known_rows: int  # of the drawn ones: exactly like a row that the bundle remembers of its fit
    score_kind: str
    threshold: float | None  # None when --min-score decided
    min_score: float
    uses_tail_model: bool
    seed: int
    faults: tuple[DetectionRate, ...]  # all columns together
    columns: tuple[DetectionRate, ...]  # column by column, in the same order
    untested: tuple[Untested, ...]
    blind_spots: tuple[BlindSpot, ...]  # the blindest column first
    warnings: tuple[str, ...]
    seconds: float

    @property
    def ranges_see_more(self) -> tuple[DetectionRate, ...]:
        """The faults that limits on each column alone would see more often than the interval of the share allows."""
        return tuple(one for one in self.faults if one.high is not None and (one.column_limits_share or 0.0) > one.high)

    def hardest(self, rate: DetectionRate) -> DetectionRate | None:
        """The column in which a fault is seen least often; None where only one column can have it."""
        tried = [one for one in self.columns if (one.fault, one.size) == (rate.fault, rate.size) and one.rows]
        return min(tried, key=lambda one: one.share or 0.0) if len(tried) > 1 else None

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`; every blind spot with its sentence."""
        values = json_object("selftest", self)
        for shares in ("faults", "columns"):
            values[shares] = [with_former_keys(rate) for rate in values[shares]]
        for spot, told in zip(values["blind_spots"], self.blind_spots, strict=True):
            spot["sentence"] = told.sentence
        return values


def verdict_of(share: float, low: float, false_alarm_rate: float) -> str:
    """`not seen` where the share may be no more than false alarms, else the verdict that VERDICTS has for it."""
    if low <= false_alarm_rate:
        return NOT_SEEN
    return next(verdict for bound, verdict in VERDICTS if share >= bound)


def blind_spots_of(rates: Sequence[DetectionRate] | Sequence[SeriesDetectionRate]) -> tuple[BlindSpot, ...]:
    """The blind spots of single columns, the column with the most such faults first, of equal ones in file order."""
    spots = []
    for column in dict.fromkeys(rate.column for rate in rates):
        best: dict[str, float] = {}
        for rate in rates:
            if rate.column == column and rate.high is not None:
                best[rate.fault] = max(best.get(rate.fault, 0.0), rate.high)
        blind = tuple(fault for fault, high in best.items() if high < BLIND_BELOW)
        if blind:
            spots.append(BlindSpot(str(column), blind, len(best)))
    return tuple(sorted(spots, key=lambda spot: -len(spot.faults)))
