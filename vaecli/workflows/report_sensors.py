"""`report` for series of sensors: the table is scored, then its highest events are looked at once more."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.aggregates.score_lines import ScoreLine
from vaecli.config import ReportConfig, ScoreConfig
from vaecli.data.clock_units import has_moments
from vaecli.data.sensor_scale import DEAD
from vaecli.decisions.threshold import Decision
from vaecli.errors import UsageError
from vaecli.report.data import ReportedModel
from vaecli.report.series_data import (
    Covered,
    EventDetail,
    Responsible,
    ScoreBin,
    SensorChart,
    SeriesDetail,
    SeriesFacts,
    SeriesLine,
    SeriesReportData,
)
from vaecli.report.series_page import series_headline, series_page
from vaecli.results import Event, OnEvent
from vaecli.results.long_table import LongTable
from vaecli.results.number_format import counted
from vaecli.results.report_sensors import SensorReportSummary
from vaecli.results.sensor_events import EventSensor, SensorEvent
from vaecli.runtime import urls
from vaecli.schema import Kind
from vaecli.sensors.detector import MODEL, SensorDetector
from vaecli.sensors.history import Histories
from vaecli.tables import LongSource, Source, Targets, check_schema, whole_output
from vaecli.tasks.event_incidents import EventIncidents
from vaecli.tasks.event_readings import FlagBits, ReadZooms, Zoom, ZoomReadings, no_readings
from vaecli.tasks.events import time_of
from vaecli.tasks.kept_events import EventSpans, KeptEvents
from vaecli.tasks.sensors import SensorTotals
from vaecli.workflows.coverage import coverage_warnings
from vaecli.workflows.drift_warning import dependence_warning, warnings_of
from vaecli.workflows.long_table import as_modelled, long_summary, long_warnings
from vaecli.workflows.score_sensors import EventLog, engine_of, event_rules, score_rows
from vaecli.workflows.score_series import N_DRAWN, calibrations_of, line_width, series_decision, worst_series

N_EVENTS = 200  # kept, those with the highest peaks
N_DETAILS = 12  # events of which readings are drawn, as many of each series
N_LINES = 30  # of the table of series
N_BEFORE = 64  # rows, at least, before and after an event
DEVIATIONS = 2.0  # of the band that training had


def report_sensors(
    detector: SensorDetector,
    model: ReportedModel,
    source: Source,
    target: str,
    config: ReportConfig,
    table: str | None,
    bundle: Path | None,
    started: float,
    on_event: OnEvent,
) -> SensorReportSummary:
    """Score the table of series `source`, and write a page about it, as `report_source` does.

    Raises UsageError, InputError or EnvironmentProblem.
    """
    if config.image_shape is not None:
        raise UsageError("--image-shape: rows of series are not drawn as pictures", "leave it out")
    decision = series_decision(detector, config.score)
    rules = event_rules(detector, decision, config.score)
    source = as_modelled(source, detector)
    check_schema(source, detector.schema)
    Targets.of(target, None, bundle, source)
    with whole_output(target) as write:
        kept, flags, histories = KeptEvents(N_EVENTS), FlagBits(), detector.histories()
        collected = EventIncidents(detector)
        totals = score_rows(
            detector,
            source,
            flags,
            decision,
            config.score,
            histories,
            on_event,
            events=EventLog(detector, rules, (kept, collected)),
            line_width=line_width(detector),
            of_stamps=True,
        )
        drawn = _drawn(totals.lines, kept)
        long = long_summary(source) if isinstance(source, LongSource) else None
        named = source.name if table is None else table
        facts = _facts(detector, named, model.name, decision, config.score, totals, kept, histories, long)
        data = SeriesReportData(
            facts,
            tuple(kept.highest),
            _series(detector, totals, kept) if len(totals.lines) > 1 else (),
            _details(detector, source, config.score, totals, kept, drawn, flags, on_event),
            _responsible(kept),
            model.facts(),
            collected.incidents(),
        )
        content = series_page(data).encode()
        write(content)
    return SensorReportSummary(
        output=urls.shown(target),
        bundle=model.name,
        model=MODEL,
        rows=totals.rows,
        anomalies=totals.anomalies,
        unscored=totals.unscored,
        n_groups=facts.n_series,
        n_new_groups=facts.n_new_series,
        n_events=kept.n_events,
        n_open_events=kept.n_open,
        gaps=facts.gaps,
        sensors=dict(kept.responsible),
        offline=config.score.offline,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        n_effective=facts.covered.n_effective,
        finest_level=facts.covered.finest_level,
        headline=series_headline(data),
        size_bytes=len(content),
        warnings=facts.warnings,
        seconds=time.monotonic() - started,
        alarm_budget=config.score.alarm_budget,
        long=long,
    )


def _facts(
    detector: SensorDetector,
    table: str,
    model: str,
    decision: Decision,
    config: ScoreConfig,
    totals: SensorTotals,
    kept: KeptEvents,
    histories: Histories,
    long: LongTable | None,
) -> SeriesFacts:
    calibration = calibrations_of(detector, offline=config.offline)[decision.score_kind]
    clock, schema, effective = detector.clock, detector.schema, detector.clock.effective
    warnings = warnings_of(calibration, replace(decision, uses_tail_model=False), totals.rows, totals.anomalies)
    if decision.level is not None and decision.uses_tail_model:
        warnings = (dependence_warning(calibration, effective, decision.level), *warnings)
    warnings += () if long is None else long_warnings(long)
    by_chance = decision.alpha
    if by_chance is None:
        by_chance = float(calibration.p_value(np.array(decision.min_score)))
    lines = list(totals.lines.values())
    known = set(detector.known_groups)
    return SeriesFacts(
        table=table,
        bundle=model,
        rows=totals.rows,
        flagged=totals.anomalies,
        unscored=totals.unscored,
        gaps=histories.seen.gaps,
        n_series=len(histories.series),
        n_new_series=sum(bool(known) and key not in known for key in histories.series),
        n_events=kept.n_events,
        n_open=kept.n_open,
        first=str(time_of(schema.time, min(line.first for line in lines))) if lines else "",
        last=str(time_of(schema.time, max(line.last for line in lines))) if lines else "",
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        share_by_chance=by_chance,
        offline=config.offline,
        alarm_budget=config.alarm_budget,
        covered=Covered(
            clock=None if schema.time is None else schema.time.name,
            first=str(time_of(schema.time, clock.first)),
            last=str(time_of(schema.time, clock.last)),
            is_moment=has_moments(schema.time),
            step=clock.step,
            max_gap=clock.max_gap,
            window=detector.model.shape.window,
            n_sensors=detector.sensors.n_sensors,
            n_series=clock.groups,
            n_rows=calibration.n_rows,
            n_effective=effective.n,
            finest_level=effective.finest_level,
            missing=coverage_warnings(schema.time, clock),
        ),
        warnings=warnings,
        long=None if long is None else f"{counted(long.rows, 'row')}, read as {counted(long.stamps, 'stamp')}",
    )


# -- which series and events --------------------------------------------------------------------


def _drawn(lines: Mapping[str, ScoreLine], kept: KeptEvents) -> list[str]:
    """The series that are drawn: those with the most flags, and the one with the highest event."""
    drawn = worst_series(lines, N_DRAWN)
    highest = [event.group or "" for event in kept.highest[:1]]
    if highest and highest[0] not in drawn:
        drawn = [*drawn[: N_DRAWN - 1], *highest]
    return drawn


def _series(detector: SensorDetector, totals: SensorTotals, kept: KeptEvents) -> tuple[SeriesLine, ...]:
    clock, known = detector.schema.time, set(detector.known_groups)
    worst = [(key, totals.lines[key]) for key in worst_series(totals.lines, N_LINES)]
    return tuple(
        SeriesLine(
            key,
            line.n_rows,
            line.n_flagged,
            kept.of_series.get(key, EventSpans()).n_events,
            line.highest,
            str(time_of(clock, line.first)),
            str(time_of(clock, line.last)),
            bool(known) and key not in known,
        )
        for key, line in worst
    )


def _responsible(kept: KeptEvents) -> tuple[Responsible, ...]:
    return tuple(
        Responsible(column, n, kept.first[column], tuple(kept.directions[column].most_common()))
        for column, n in kept.responsible.items()
    )


def _details(
    detector: SensorDetector,
    source: Source,
    config: ScoreConfig,
    totals: SensorTotals,
    kept: KeptEvents,
    drawn: Sequence[str],
    flags: FlagBits,
    on_event: OnEvent,
) -> tuple[SeriesDetail, ...]:
    chosen = _chosen(kept.highest, drawn)
    zooms = [_zoom(detector, event) for event in chosen]
    readings = _readings(detector, source, config, zooms, flags, on_event) if zooms else []
    details: dict[str, list[EventDetail]] = {}
    for event, zoom, found in zip(chosen, zooms, readings, strict=True):
        details.setdefault(zoom.key, []).append(_event_detail(detector, event, zoom, found))
    found_of = []
    for key in drawn:
        line = totals.lines[key].near()
        events = kept.of_series.get(key, EventSpans())
        found_of.append(
            SeriesDetail(
                key if detector.schema.group is not None else None,
                _bins(line),
                tuple((begin, end) for _, begin, end in sorted(events.highest, key=lambda span: span[1])),
                events.n_events,
                totals.lines[key].n_rows - line.n_rows,
                tuple(details.get(key, ())),
            )
        )
    return tuple(found_of)


def _chosen(events: Sequence[SensorEvent], drawn: Sequence[str]) -> list[SensorEvent]:
    """The highest events of the series that are drawn, at most the same number of each."""
    of_series = dict.fromkeys(drawn, N_DETAILS // max(len(drawn), 1))
    chosen: list[SensorEvent] = []
    for event in events:
        if of_series.get(event.group or "", 0) and len(chosen) < N_DETAILS:
            of_series[event.group or ""] -= 1
            chosen.append(event)
    return chosen


def _bins(line: ScoreLine) -> tuple[ScoreBin, ...]:
    return tuple(
        ScoreBin(number * line.width, (number + 1) * line.width, low, high, flagged)
        for number, low, high, flagged in zip(
            *(of.tolist() for of in (line.number, line.low, line.high, line.flagged)), strict=True
        )
        if np.isfinite(high)
    )


# -- readings -----------------------------------------------------------------------------------


def _zoom(detector: SensorDetector, event: SensorEvent) -> Zoom:
    """The event with as much before and after it as it is long, or more."""
    names = [column.name for column in detector.schema.features]
    begin, end = event.times[:2]
    margin = max(end - begin, N_BEFORE * line_width(detector))
    features = tuple(names.index(sensor.reason.column) for sensor in event.sensors)
    return Zoom(event.group or "", begin - margin, end + margin, features)


def _readings(
    detector: SensorDetector,
    source: Source,
    config: ScoreConfig,
    zooms: Sequence[Zoom],
    flags: FlagBits,
    on_event: OnEvent,
) -> list[ZoomReadings]:
    task = ReadZooms(detector.schema, tuple(zooms), flags)
    found = [no_readings(zoom) for zoom in zooms]
    with threadpool_limits(1, "blas"):
        for part in engine_of(config, detector).map_batches(task, source, task.needs):
            for i, readings in part.items():
                found[i] += readings
    on_event(Event("drawing", flags.n_rows, flags.n_rows))
    return found


def _event_detail(detector: SensorDetector, event: SensorEvent, zoom: Zoom, found: ZoomReadings) -> EventDetail:
    charts = tuple(
        _chart(detector, sensor, j, found.low[k], found.high[k])
        for k, (sensor, j) in enumerate(zip(event.sensors, zoom.features, strict=True))
    )
    return EventDetail(event, zoom.begin, zoom.end, tuple(found.flagged.tolist()), charts)


def _chart(detector: SensorDetector, sensor: EventSensor, j: int, low: np.ndarray, high: np.ndarray) -> SensorChart:
    """The chart of feature `j`, of its least and largest readings (b,)."""
    column, scale = detector.schema.features[j], detector.scale
    least, most = (tuple(None if np.isnan(value) else float(value) for value in ends) for ends in (low, high))
    if column.kind is Kind.CATEGORICAL:
        return SensorChart(sensor, least, most, None, (*column.categories, "(new)"))
    if column.kind is Kind.BOOLEAN:
        return SensorChart(sensor, least, most, None, column.categories or ("false", "true"))
    i = int(np.searchsorted(detector.sensor_column, j))
    mean, spread = float(scale.mean[i]), 0.0 if scale.kind[i] == DEAD else DEVIATIONS * float(scale.deviation[i])
    return SensorChart(sensor, least, most, (mean - spread, mean + spread))
