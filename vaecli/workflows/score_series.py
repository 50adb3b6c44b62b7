"""`score` with a detector of sensors: one run from the options to the summary."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vaecli.aggregates.score_lines import ScoreLine
from vaecli.bundle import Manifest
from vaecli.bundle.series_state import load_histories, save_histories
from vaecli.calibration.conformal import Calibration
from vaecli.config import SCORE_KINDS, ScoreConfig
from vaecli.config.incidents import IncidentConfig
from vaecli.config.spans import AlarmBudget
from vaecli.data.clock_units import has_moments
from vaecli.decisions.resolve import resolve
from vaecli.decisions.threshold import Decision
from vaecli.errors import UsageError
from vaecli.results import OnEvent
from vaecli.results.plan import PlanSummary
from vaecli.results.score_sensors import SensorScoreSummary
from vaecli.runtime import urls
from vaecli.runtime.atomic_file import require_writable
from vaecli.sensors.detector import MODEL, SensorDetector
from vaecli.tables import (
    LongSource,
    Targets,
    check_schema,
    exact_types,
    growth_notes,
    refuse_to_overwrite,
)
from vaecli.tables.write.event_file import EventWriter, check_event_file, open_event_file
from vaecli.tables.write.sinks import check_sink
from vaecli.tasks.event_incidents import EventIncidents
from vaecli.tasks.kept_events import KeptEvents
from vaecli.workflows.bad_files import bad_file_facts
from vaecli.workflows.drift_warning import warnings_of
from vaecli.workflows.file_warnings import file_warnings
from vaecli.workflows.incidents import check_incident_outputs, finished, incident_facts
from vaecli.workflows.long_table import as_modelled, hold_warnings, long_summary, long_warnings
from vaecli.workflows.new_rows import note, opened, progress_of, protect
from vaecli.workflows.plan import plan
from vaecli.workflows.range_warnings import range_warnings
from vaecli.workflows.score_sensors import EventLog, event_rules, score_rows, within_budget
from vaecli.workflows.scored_output import added_columns, opened_sink
from vaecli.workflows.silence_warnings import silence_warnings

if TYPE_CHECKING:
    from vaecli.tables.read.left_out import LeftOut

N_DRAWN = 6  # series in a picture, the worst
N_NEW_GROUPS = 5  # series that training did not have, named in a summary


def score_series(
    detector: SensorDetector,
    manifest: Manifest,
    inputs: list[str],
    bundle: Path,
    target: str,
    config: ScoreConfig,
    plot: str | None,
    state: Path | None,
    events: str | None,
    incidents: IncidentConfig,
    n_worst: int,
    started: float,
    on_event: OnEvent,
    *,
    since: Path | None = None,
    left_out: LeftOut | None = None,
    dry_run: bool = False,
) -> SensorScoreSummary | PlanSummary:
    """Score a table of series, as `score` does; `started` is when the run began, of the monotonic clock.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    if config.offline and state is not None:
        raise UsageError("--offline and --state contradict each other", "a state knows no later rows; give one of them")
    if config.follow and (given := events or incidents.incidents or incidents.incident_state or plot):
        flag = "--events" if given == events else "--plot" if given == plot else "--incidents"
        when = "drawn" if flag == "--plot" else "written"
        raise UsageError(f"{flag} and --follow contradict each other", f"events are {when} when a table has ended")
    if since is not None and state is None:
        raise UsageError(
            "--since-last-run: new rows of a series are judged with those before them", "keep these with --state FILE"
        )
    decision = series_decision(detector, config)
    once = not config.offline and detector.long is None  # a long table is read twice: is it in the order of time?
    progress = progress_of(since, follow=config.follow)
    table = opened(inputs, detector, progress, left_out, once=once, live=config.follow)
    source = as_modelled(table, detector, follow=config.follow)
    check_schema(source, detector.schema)
    Targets.of(target, plot, bundle, source)
    if state is not None:
        refuse_to_overwrite(str(state), [target, str(bundle), *source.files], "the output, the bundle or the input")
    digest = manifest.digests["arrays.safetensors"]
    histories = detector.histories() if state is None else load_histories(state, detector, digest)
    if state is not None:
        require_writable(state)
    rules = event_rules(detector, decision, config)
    if events is not None:
        check_event_file(events)
        refuse_to_overwrite(
            events,
            [str(bundle), *source.files, target, *([] if state is None else [str(state)])],
            "the input, the bundle or another output",
        )
    check_incident_outputs(incidents, bundle, source, [target, events, plot, None if state is None else str(state)])
    protect(progress, left_out, bundle, (target, plot, events, None if state is None else str(state), *incidents.files))
    if dry_run:
        check_sink(target, table, added_columns(config.explain), prefix=config.prefix)
        writes, schema = (target, plot, events, state, *incidents.files), detector.schema
        planned = plan("score", table, bundle, writes, schema, decision.level, decision.score_kind, series=True)
        return replace(planned, **bad_file_facts(left_out))
    columns, kept = added_columns(config.explain), KeptEvents(0)
    collected = EventIncidents(detector, incidents.cooldown_seconds or None)
    types = exact_types(detector.schema) if source is table else {}
    try:
        with ExitStack() as files:
            writers: list[EventWriter] = [] if plot is None else [kept]
            if incidents.is_wanted:
                writers.append(collected)
            if events is not None:
                writers.append(files.enter_context(open_event_file(events, detector.schema.time)))
            log = EventLog(detector, rules, writers) if writers else None
            sink = files.enter_context(opened_sink(target, table, columns, config, types))
            totals = score_rows(
                detector,
                source,
                sink,
                decision,
                config,
                histories,
                on_event,
                n_worst=n_worst,
                events=log,
                line_width=None if plot is None else line_width(detector),
            )
            if plot is not None:
                _draw(plot, detector, decision, totals.lines, kept)
    except BaseException:
        if config.follow and state is not None:  # its rows are written
            save_histories(state, histories, digest, is_output=False)
        raise
    calibration = calibrations_of(detector, offline=config.offline)[decision.score_kind]
    found = None
    if incidents.is_wanted:  # before the histories: a run that is killed in between finds the same again
        chance = decision.chance(calibration)
        found = finished(incidents, collected.incidents(), totals.rows, chance, source, bundle, digest)
    if state is not None:
        save_histories(state, histories, digest)
    new_files = note(progress, table)
    of_files = file_warnings(table, progress)
    seen, known = histories.seen, set(detector.known_groups)
    new = [str(key) for key in histories.series if known and key not in known]
    long = long_summary(source) if isinstance(source, LongSource) else None
    decided = replace(decision, uses_tail_model=False)
    return SensorScoreSummary(
        output=urls.shown(target),
        bundle=str(bundle),
        model=MODEL,
        rows=totals.rows,
        anomalies=totals.anomalies,
        unscored=totals.unscored,
        novel_cells=totals.novel_cells,
        n_groups=len(histories.series),
        new_groups=tuple(new[:N_NEW_GROUPS]),
        n_new_groups=len(new),
        late_rows=seen.late,
        too_late_rows=seen.too_late,
        rows_without_time=seen.no_time + (source.counts.no_time if isinstance(source, LongSource) else 0),
        repeated_times=seen.repeated,
        clocks_set_back=seen.set_back,
        gaps=seen.gaps,
        offline=config.offline,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        n_effective=detector.clock.effective_rows,
        worst=totals.worst,
        warnings=(
            *totals.blank.noted,
            *growth_notes(table),
            *of_files,
            *warnings_of(calibration, decided, totals.scored, totals.flagged),
            *(() if long is None else long_warnings(long)),
            *(() if found is None else found.warnings),
            *hold_warnings(detector, seen.not_held),
            *silence_warnings(detector, histories),
            *range_warnings(detector, totals.beyond),
        ),
        seconds=time.monotonic() - started,
        state=None if state is None else str(state),
        alarm_budget=config.alarm_budget,
        plot=plot and urls.shown(plot),
        events=events and urls.shown(events),
        n_events=None if log is None or events is None else log.n_events,
        n_open_events=None if log is None or events is None else log.n_open,
        long=long,
        blank_rows=totals.blank.n,
        **incident_facts(incidents, found),
        since_last_run=new_files,
        **bad_file_facts(left_out),
    )


def worst_series(lines: Mapping[str, ScoreLine], most: int) -> list[str]:
    """The keys of at most `most` series with scores: those with the most flagged rows first, then by highest score."""
    scored = [key for key, line in lines.items() if line.highest > -math.inf]
    return sorted(scored, key=lambda key: (-lines[key].n_flagged, -lines[key].highest))[:most]


def _draw(
    plot: str, detector: SensorDetector, decision: Decision, lines: Mapping[str, ScoreLine], kept: KeptEvents
) -> None:
    from vaecli.plots.score_lines import DrawnSeries, TimeAxis, draw_score_lines

    clock = detector.schema.time
    drawn = [
        DrawnSeries(
            key if detector.schema.group is not None else None,
            lines[key].near(),
            [(begin, end) for _, begin, end in kept.of_series[key].highest] if key in kept.of_series else [],
        )
        for key in worst_series(lines, N_DRAWN)
    ]
    axis = TimeAxis("row" if clock is None else clock.name, has_moments(clock), detector.clock.max_gap)
    draw_score_lines(plot, drawn, len(lines) - len(drawn), axis, decision.min_score, decision.score_kind)


def calibrations_of(detector: SensorDetector, *, offline: bool) -> Mapping[str, Calibration]:
    """The calibrations of a detector by score kind; with `offline` those of scores that look ahead."""
    if not offline:
        return detector.calibrations
    return {kind: detector.calibrations[f"offline/{kind}"] for kind in SCORE_KINDS}


def line_width(detector: SensorDetector) -> float:
    """The width of the narrowest bins of scores along time: a usual step of the clock."""
    return detector.clock.step if detector.clock.step > 0 else 1.0


def series_decision(detector: SensorDetector, config: ScoreConfig) -> Decision:
    """The decision that `config` asks for. Raises UsageError for a budget that the bundle does not resolve."""
    if config.alarm_budget is not None:
        return within_budget(detector, config, AlarmBudget.parse(config.alarm_budget))
    calibrations = calibrations_of(detector, offline=config.offline)
    decision = resolve(config, calibrations, detector.score_kind, detector.threshold)
    if decision.level is None:
        return decision
    return replace(decision, uses_tail_model=decision.level > detector.clock.effective.finest_level)
