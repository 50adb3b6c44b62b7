"""`explain` for series of sensors: which sensors made an event or a row anomalous, which way, and since when."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vaecli.config import ExplainConfig
from vaecli.config.incidents import IncidentConfig
from vaecli.errors import UsageError
from vaecli.results import OnEvent
from vaecli.results.explain_sensors import SensorExplainSummary, SeriesRow
from vaecli.results.sensor_events import EventSensor, SensorEvent
from vaecli.runtime import urls
from vaecli.sensors.detector import MODEL, SensorDetector
from vaecli.tables import Sink, Source, Targets, check_schema, frame_source, open_sink, open_source
from vaecli.tasks.event_incidents import EventIncidents
from vaecli.tasks.kept_events import KeptEvents
from vaecli.tasks.written_rows import NoRows, append_table
from vaecli.workflows.incidents import check_incident_outputs, write_incidents
from vaecli.workflows.long_table import as_modelled
from vaecli.workflows.score_sensors import EventLog, event_rules, score_rows
from vaecli.workflows.score_series import series_decision

N_KEPT = 1000  # events of which a picture and a summary are made, those with the highest peaks
ALL_TOGETHER = "the sensors together: no single one explains this part"
_SENSOR = (
    ("rank", pa.int32()),
    ("column", pa.string()),
    ("direction", pa.string()),
    ("nats", pa.float64()),
    ("value", pa.string()),
    ("expected", pa.string()),
    ("low", pa.float64()),
    ("high", pa.float64()),
    ("probability", pa.float64()),
    ("reason", pa.string()),
)


def explain_sensors(
    detector: SensorDetector,
    inputs: list[str],
    bundle: Path,
    output: str | None,
    config: ExplainConfig,
    plot: str | None,
    incidents: str | None,
    started: float,
    on_event: OnEvent,
) -> SensorExplainSummary:
    """Explain the events of a table of series, or the rows that `config.rows` names, as `explain` does.

    Raises UsageError, InputError or EnvironmentProblem.
    """
    decision = series_decision(detector, config.score)
    rules = event_rules(detector, decision, config.score)
    table = open_source(inputs, once=not config.score.offline and detector.long is None)
    source = as_modelled(table, detector)
    if source is not table and config.rows:
        raise UsageError(
            f"{table.name}: rows of a long table are not explained one by one",
            "leave out --row to explain its events, or name stamps with `vaecli score --explain`",
        )
    check_schema(source, detector.schema)
    Targets.of(output, plot, bundle, source)
    wanted = IncidentConfig(incidents)
    check_incident_outputs(wanted, bundle, source, [output, plot])
    kept, spans, histories = KeptEvents(max(N_KEPT, config.most)), _Spans(), detector.histories()
    with ExitStack() as files:
        schema = _schema(detector, of_rows=bool(config.rows))
        sink = None
        if output is not None:
            sink = files.enter_context(open_sink(output, frame_source(schema.empty_table()), ()))
        writer = spans if config.rows else _Lines(sink, schema)
        collected = EventIncidents(detector)
        writers = (kept, writer, collected) if wanted.is_wanted else (kept, writer)
        log = EventLog(detector, rules, writers, config.top)
        totals = score_rows(
            detector,
            source,
            NoRows(),
            decision,
            config.score,
            histories,
            on_event,
            events=log,
            numbers=config.rows,
        )
        _refuse_beyond(config.rows, totals.rows, source)
        rows = tuple(
            replace(spans.placed(row), sensors=row.sensors[: config.top], rest=_rest(row, config.top))
            for row in totals.asked
        )
        if sink is not None and config.rows:
            append_table(pa.Table.from_pylist([line for row in rows for line in _row_lines(row)], schema), sink)
    found = collected.incidents() if wanted.is_wanted else None
    if found is not None:
        write_incidents(wanted, found)
    if plot is not None:
        _draw(plot, kept, rows, of_rows=bool(config.rows))
    return SensorExplainSummary(
        output=output and urls.shown(output),
        bundle=str(bundle),
        model=MODEL,
        rows=totals.rows,
        anomalies=totals.anomalies,
        unscored=totals.unscored,
        n_groups=len(histories.series),
        n_events=log.n_events,
        explained=len(rows) if config.rows else log.n_events,
        by_row=bool(config.rows),
        offline=config.score.offline,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        shown=rows if config.rows else tuple(kept.highest[: config.most]),
        warnings=(),
        seconds=time.monotonic() - started,
        alarm_budget=config.score.alarm_budget,
        plot=plot and urls.shown(plot),
        incidents=found,
        incident_file=incidents and urls.shown(incidents),
    )


@dataclass(frozen=True, slots=True)
class _Lines:
    """Writes one line per event and sensor."""

    sink: Sink | None
    schema: pa.Schema

    def write(self, events: Sequence[SensorEvent]) -> None:
        if self.sink is not None and events:
            lines = [line for event in events for line in _event_lines(event)]
            append_table(pa.Table.from_pylist(lines, self.schema), self.sink)


@dataclass(frozen=True, slots=True)
class _Spans:
    """Keeps when the events of each series began and ended."""

    of_series: dict[str | None, list[SensorEvent]] = field(default_factory=dict)

    def write(self, events: Sequence[SensorEvent]) -> None:
        for event in events:
            self.of_series.setdefault(event.group, []).append(replace(event, sensors=()))

    def placed(self, row: SeriesRow) -> SeriesRow:
        """The row with the event that it is part of."""
        for event in self.of_series.get(row.group, ()):
            if event.times[0] <= row.moment <= event.times[1]:
                return replace(row, event=event.event, since=event.start)
        return row


def _rest(row: SeriesRow, most: int) -> float:
    """The part of the score that none of the columns explains; those beyond the `most` strongest are not it."""
    return row.rest if len(row.sensors) <= most else 0.0


def _refuse_beyond(numbers: Sequence[int], n_rows: int, source: Source) -> None:
    if beyond := [number for number in numbers if number > n_rows]:
        raise UsageError(
            f"--row {', '.join(map(str, beyond))}: {source.name} has {n_rows:,} rows", "the first row is number 1"
        )


# -- the file -----------------------------------------------------------------------------------


def _schema(detector: SensorDetector, *, of_rows: bool) -> pa.Schema:
    clock = detector.schema.time
    moment = pa.int64() if clock is None else pa.string() if clock.is_date else pa.float64()
    score = (("anomaly_score", pa.float64()), ("p_value", pa.float64()), ("is_anomaly", pa.bool_()))
    if of_rows:
        asked = (("row", pa.int64()), ("group", pa.string()), ("time", moment), *score)
        return pa.schema([*asked, ("event", pa.int64()), ("since", moment), *_SENSOR])
    counts = (("rows", pa.int64()), ("flagged_rows", pa.int64()), ("peak_score", pa.float64()), ("peak_time", moment))
    first = (("event", pa.int64()), ("group", pa.string()), ("start", moment), ("end", moment))
    return pa.schema([*first, *counts, ("peak_p_value", pa.float64()), ("open", pa.bool_()), *_SENSOR])


def _event_lines(event: SensorEvent) -> list[dict[str, Any]]:
    """One line per sensor, the strongest first."""
    values = event.to_json()
    facts = {name: values[name] for name in values if name not in ("sensors", "sentence")}
    return [facts | _line(rank, sensor) for rank, sensor in enumerate(event.sensors, start=1)]


def _row_lines(row: SeriesRow) -> list[dict[str, Any]]:
    """One line per sensor, the strongest first, and one for what they explain only together."""
    values = row.to_json() | {"anomaly_score": row.score if row.is_scored else None}
    facts = {name: values[name] for name in values if name not in ("sensors", "score", "rest")}
    facts |= {} if row.is_scored else {"p_value": None}
    lines = [facts | _line(rank, sensor) for rank, sensor in enumerate(row.sensors, start=1)]
    if not row.is_scored:
        return [facts | {"rank": 1, "reason": "no score: the row has no place in its series"}]
    if not lines or row.rest > 0:
        lines.append(facts | {"rank": len(lines) + 1, "nats": row.rest, "reason": ALL_TOGETHER})
    return lines


def _line(rank: int, sensor: EventSensor) -> dict[str, Any]:
    reason = sensor.reason
    return {
        "rank": rank,
        "column": reason.column,
        "direction": sensor.direction,
        "nats": reason.nats,
        "value": None if reason.value is None else str(reason.value),
        "expected": None if reason.expected is None else str(reason.expected),
        "low": reason.low,
        "high": reason.high,
        "probability": reason.probability,
        "reason": reason.sentence,
    }


# -- the picture --------------------------------------------------------------------------------


def _draw(plot: str, kept: KeptEvents, rows: Sequence[SeriesRow], *, of_rows: bool) -> None:
    from vaecli.plots.reasons import Parts, plot_attributions

    if of_rows:
        highest = sorted(rows, key=lambda row: (-row.score if row.is_scored else np.inf, row.row))
        first: dict[str, int] = {}
        named: dict[str, int] = {}
        for row in rows:
            for rank, sensor in enumerate(row.sensors):
                count = named if rank else first
                count[sensor.reason.column] = count.get(sensor.reason.column, 0) + 1
        parts = [
            Parts(f"row {row.row:,}", row.score, tuple(sensor.reason for sensor in row.sensors))
            for row in highest
            if row.is_scored
        ]
        plot_attributions(plot, first, named, parts, "row")
        return
    later = {column: n - kept.first[column] for column, n in kept.responsible.items()}
    events = [
        Parts(f"event {event.event:,}", 0.0, tuple(sensor.reason for sensor in event.sensors)) for event in kept.highest
    ]
    plot_attributions(plot, kept.first, later, events, "event")
