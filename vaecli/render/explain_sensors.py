"""Explained events and rows of series → a page for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vaecli.errors import quoted
from vaecli.render.layout import empty_table, fact_list, headline, plain_cells, warning_lines
from vaecli.results.number_format import counted, duration, number

if TYPE_CHECKING:
    from vaecli.results.explain_sensors import SensorExplainSummary, SeriesRow
    from vaecli.results.sensor_events import EventSensor, SensorEvent

NOTABLE = 0.05  # share of a score, from which a sensor is shown


def sensor_explain_page(summary: SensorExplainSummary) -> RenderableType:
    """The events or rows, and the sensors to blame for each."""
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)} of {summary.n_groups:,} series"),
        ("flagged", f"{summary.anomalies:,}"),
        ("events", f"{summary.n_events:,}"),
        *([("explained", counted(summary.explained, "row"))] if summary.by_row else []),
        *([("output", "standard output" if summary.output == "-" else summary.output)] if summary.output else []),
        *([("picture", summary.plot)] if summary.plot else []),
    ]
    parts: list[RenderableType] = [headline("Explained"), fact_list(facts)]
    if summary.shown:
        heads = ("row", "score", "since") if summary.by_row else ("event", "peak", "since")
        table = empty_table((*heads, "nats", "way", "reason"), numeric=(*heads[:2], "nats"))
        for one in summary.shown:
            _add(table, one)
        parts += [Text(), table]
        if (more := summary.explained - len(summary.shown)) > 0:
            parts.append(Text(f"… and {counted(more, 'event')} more: --most N shows more, -o FILE writes all"))
    return Group(*parts, *warning_lines(summary.warnings))


def _add(table: Table, one: SensorEvent | SeriesRow) -> None:
    """One line per sensor, the facts of the row or event in the first."""
    from vaecli.results.sensor_events import SensorEvent

    if isinstance(one, SensorEvent):
        still = " (open)" if one.open else ""
        facts = (
            f"{one.event:,}",
            number(one.peak_score),
            f"{_series(one.group)}{one.start}, {counted(one.rows, 'row')}{still}",
        )
        told = [_line(sensor) for sensor in one.sensors]
    else:
        since = f"{_series(one.group)}{'not in an event' if one.since is None else one.since}"
        facts = (f"{one.row:,}", number(one.score), since)
        told = [_line(sensor) for sensor in one.sensors if sensor.reason.nats > NOTABLE * one.score]
        if not one.is_scored:
            told = [("", "", "no score: the row has no place in its series")]
        elif one.rest > 0.5 * one.score or not told:
            told.append((number(one.rest), "", "the sensors together: no single one explains this part"))
    for place, line in enumerate(told):
        table.add_row(*plain_cells(*(facts if place == 0 else ("", "", "")), *line))


def _series(group: str | None) -> str:
    return "" if group is None else f"{quoted(group, marks=False)}: "


def _line(sensor: EventSensor) -> tuple[str, str, str]:
    return number(sensor.reason.nats), sensor.direction, sensor.reason.sentence
