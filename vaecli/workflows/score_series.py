"""`score` with a detector of sensors: one run from the options to the summary."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from vaecli.bundle import Manifest
from vaecli.bundle.series_state import load_histories, save_histories
from vaecli.calibration.conformal import Calibration
from vaecli.config import SCORE_KINDS, ScoreConfig
from vaecli.config.spans import AlarmBudget
from vaecli.decisions.resolve import resolve
from vaecli.decisions.threshold import Decision
from vaecli.errors import UsageError
from vaecli.results import OnEvent
from vaecli.results.score_sensors import SensorScoreSummary
from vaecli.runtime import urls
from vaecli.runtime.atomic_file import require_writable
from vaecli.sensors.detector import MODEL, SensorDetector
from vaecli.tables import (
    Targets,
    check_schema,
    default_output,
    exact_types,
    growth_notes,
    open_source,
    refuse_to_overwrite,
)
from vaecli.tables.write.event_file import check_event_file, open_event_file
from vaecli.workflows.drift_warning import warnings_of
from vaecli.workflows.score_sensors import EventLog, event_rules, score_rows, within_budget
from vaecli.workflows.scored_output import added_columns, opened_sink

N_NEW_GROUPS = 5  # series that training did not have, named in a summary


def score_series(
    detector: SensorDetector,
    manifest: Manifest,
    inputs: list[str],
    bundle: Path,
    output: str | None,
    config: ScoreConfig,
    plot: str | None,
    state: Path | None,
    events: str | None,
    n_worst: int,
    started: float,
    on_event: OnEvent,
) -> SensorScoreSummary:
    """Score a table of series, as `score` does; `started` is when the run began, of the monotonic clock.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    if config.offline and state is not None:
        raise UsageError("--offline and --state contradict each other", "a state knows no later rows; give one of them")
    decision = series_decision(detector, config)
    target = output if output is not None else default_output(inputs)
    source = open_source(inputs, once=not config.offline, live=config.follow)
    check_schema(source, detector.schema)
    if events is not None and config.follow:
        raise UsageError("--events and --follow contradict each other", "events are written when a table has ended")
    if plot is not None:
        raise UsageError("--plot: scores of series are not plotted", "leave out --plot, or fit with --window 0")
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
    columns, types = added_columns(config.explain), exact_types(detector.schema)
    try:
        with ExitStack() as files:
            log = None
            if events is not None:
                log = EventLog(detector, rules, files.enter_context(open_event_file(events, detector.schema.time)))
            sink = files.enter_context(opened_sink(target, source, columns, config, types))
            totals = score_rows(
                detector, source, sink, decision, config, histories, on_event, n_worst=n_worst, events=log
            )
    except BaseException:
        if config.follow and state is not None:  # its rows are written
            save_histories(state, histories, digest, is_output=False)
        raise
    calibration = calibrations_of(detector, offline=config.offline)[decision.score_kind]
    if state is not None:
        save_histories(state, histories, digest)
    seen, known = histories.seen, set(detector.known_groups)
    new = [str(key) for key in histories.series if known and key not in known]
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
        rows_without_time=seen.no_time,
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
            *growth_notes(source),
            *warnings_of(calibration, replace(decision, uses_tail_model=False), totals.rows, totals.anomalies),
        ),
        seconds=time.monotonic() - started,
        state=None if state is None else str(state),
        alarm_budget=config.alarm_budget,
        events=events and urls.shown(events),
        n_events=None if log is None else log.n_events,
        n_open_events=None if log is None else log.n_open,
        blank_rows=totals.blank.n,
    )


def calibrations_of(detector: SensorDetector, *, offline: bool) -> Mapping[str, Calibration]:
    """The calibrations of a detector by score kind; with `offline` those of scores that look ahead."""
    if not offline:
        return detector.calibrations
    return {kind: detector.calibrations[f"offline/{kind}"] for kind in SCORE_KINDS}


def series_decision(detector: SensorDetector, config: ScoreConfig) -> Decision:
    """The decision that `config` asks for. Raises UsageError for a budget that the bundle does not resolve."""
    if config.alarm_budget is not None:
        return within_budget(detector, config, AlarmBudget.parse(config.alarm_budget))
    calibrations = calibrations_of(detector, offline=config.offline)
    decision = resolve(config, calibrations, detector.score_kind, detector.threshold)
    if decision.level is None:
        return decision
    return replace(decision, uses_tail_model=decision.level > detector.clock.effective.finest_level)
