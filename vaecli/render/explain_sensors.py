"""Explained events and rows of series → a page for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from vaecli.errors import escaped, quoted
from vaecli.render.incidents import incident_facts, incident_parts
from vaecli.render.layout import empty_table, fact_list, headline, plain_cells, warning_lines
from vaecli.results.number_format import counted, duration, number

if TYPE_CHECKING:
    from vaecli.results.explain_sensors import SensorExplainSummary, SeriesRow
    from vaecli.results.sensor_events import EventSensor, SensorEvent

NOTABLE = 0.05  # share of a score, from which a sensor is shown


def sensor_explain_page(summary: SensorExplainSummary) -> RenderableType:
    """The events or rows, and the sensors responsible for each."""
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)} of {summary.n_groups:,} series"),
        ("flagged", f"{summary.anomalies:,}"),
        ("events", f"{summary.n_events:,}"),
        *([("explained", counted(summary.explained, "row"))] if summary.by_row else []),
        *([("output", "standard output" if summary.output == "-" else summary.output)] if summary.output else []),
        *([("picture", summary.plot)] if summary.plot else []),
        *incident_facts(summary.incidents, summary.incident_file),
    ]
    parts: list[RenderableType] = [headline("Explained"), fact_list(facts), *incident_parts(summary.incidents)]
    for one in summary.shown:
        title, told = _told(one)
        table = empty_table(("nats", "way", "reason"), numeric=("nats",))
        for line in told:
            table.add_row(*plain_cells(*line))
        parts += [headline(f"\n{escaped(title)}"), *([table] if told else [])]
    if (more := summary.explained - len(summary.shown)) > 0:
        parts.append(Text(f"… and {counted(more, 'event')} more: --most N shows more, -o FILE writes all"))
    return Group(*parts, *warning_lines(summary.warnings))


def _told(one: SensorEvent | SeriesRow) -> tuple[str, list[tuple[str, str, str]]]:
    """A title, and one line per sensor."""
    from vaecli.results.sensor_events import SensorEvent

    series = "" if one.group is None else f", {quoted(one.group, marks=False)}"
    if isinstance(one, SensorEvent):
        when = f"since {one.start}, still open" if one.open else f"from {one.start} to {one.end}"
        title = f"Event {one.event:,}{series}: {when}, {counted(one.rows, 'row')}, up to "
        return f"{title}{number(one.peak_score)} nats", [_line(sensor) for sensor in one.sensors]
    title = f"Row {one.row:,}{series}: "
    if not one.is_scored:
        return f"{title}no score, as it has no place in its series", []
    told = [_line(sensor) for sensor in one.sensors if sensor.reason.nats > NOTABLE * one.score]
    if one.rest > 0.5 * one.score or not told:
        told.append((number(one.rest), "", "the sensors together: no single one explains this part"))
    since = "not in an event" if one.event is None else f"in event {one.event:,}, since {one.since}"
    return f"{title}{since}, {number(one.score)} nats, p-value {one.p_value:.2g}", told


def _line(sensor: EventSensor) -> tuple[str, str, str]:
    return number(sensor.reason.nats), sensor.direction, sensor.reason.sentence
