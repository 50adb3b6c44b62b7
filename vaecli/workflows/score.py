"""`score`: flag the anomalous rows of a table."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from vaecli.aggregates.score_bars import N_BARS, ScoreBars
from vaecli.bundle import Manifest, load_any_detector, load_histories, save_histories
from vaecli.calibration.conformal import Calibration
from vaecli.config import SCORE_KINDS, ScoreConfig
from vaecli.config.spans import AlarmBudget
from vaecli.decisions.resolve import resolve
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.live import LiveEngine
from vaecli.engines.local import LocalEngine
from vaecli.errors import UsageError
from vaecli.model.device import device_of
from vaecli.results import OnEvent, ScoreSummary, ignore
from vaecli.results.score_sensors import SensorScoreSummary
from vaecli.runtime import urls
from vaecli.runtime.atomic_file import require_writable
from vaecli.runtime.signals import held_signals
from vaecli.sensors.detector import MODEL, SensorDetector
from vaecli.tables import (
    ColumnTypes,
    Sink,
    Source,
    Targets,
    check_event_file,
    check_schema,
    default_output,
    exact_types,
    open_event_file,
    open_live_sink,
    open_sink,
    open_source,
    refuse_to_overwrite,
)
from vaecli.tasks.constants import NO_CONSTANTS, Constants
from vaecli.tasks.reasons import explained_candidates
from vaecli.tasks.score import N_WORST, ScoreTask, ScoreTotals
from vaecli.tasks.sensors import SensorTotals
from vaecli.tasks.written_rows import Output, Rendered, append_rows
from vaecli.workflows.drift_warning import warnings_of, warnings_of_changed
from vaecli.workflows.score_sensors import EventLog, event_rules, score_rows, within_budget

ADDED = (("anomaly_score", pa.float64()), ("p_value", pa.float64()), ("is_anomaly", pa.bool_()))
N_TOP_COLUMNS = 3
N_NEW_GROUPS = 5  # series that training did not have, named in a summary
WORKERS_ON_DEVICE = 2  # one computes while the other reads; each holds a tile in the device's memory


def score(
    inputs: list[str],
    bundle: Path,
    output: str | None,
    config: ScoreConfig,
    *,
    plot: str | None = None,
    state: Path | None = None,
    events: str | None = None,
    with_worst: bool = True,
    on_event: OnEvent = ignore,
) -> ScoreSummary | SensorScoreSummary:
    """Score the table in `inputs` with the detector in `bundle`; write it to `output`, whole or not at all.

    With `plot` the scores become a picture. Without `with_worst` the summary does not name the highest-scoring rows: to
    explain them takes a moment.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, manifest = load_any_detector(bundle)
    if isinstance(detector, SensorDetector):
        n_worst = N_WORST if with_worst else 0
        return _score_sensors(
            detector, manifest, inputs, bundle, output, config, plot, state, events, n_worst, started, on_event
        )
    _refuse_for_rows(bundle, config, state, events)
    device = device_of(config.device)
    decision = decision_of(detector, config)
    target = output if output is not None else default_output(inputs)
    source = open_source(inputs, once=True, live=config.follow)
    check_schema(source, detector.schema)
    Targets.of(target, plot, bundle, source)
    calibration = detector.calibrations[decision.score_kind]
    bars = None if plot is None else ScoreBars.of(calibration, decision.min_score)
    n_worst = N_WORST if with_worst else 0
    constants = Constants.of(detector.schema, source.names)
    columns, types = added_columns(config.explain), exact_types(detector.schema)
    with opened_sink(target, source, columns, config, types) as sink:
        totals = score_source(
            *(detector, source, sink, decision, config, device),
            n_worst=n_worst,
            bars=bars,
            constants=constants,
            on_event=on_event,
        )
        if plot is not None and bars is not None:
            from vaecli.plots.scores import draw_scores

            counts = np.zeros(N_BARS, np.int64) if totals.counts is None else totals.counts
            draw_scores(plot, counts, bars, calibration, decision.min_score, decision.score_kind)
    changed = constants.changed(totals.moved)
    blank = (f"{totals.blank.described}: every cell is missing",) if totals.blank.n else ()
    return ScoreSummary(
        output=urls.shown(target),
        bundle=str(bundle),
        rows=totals.rows,
        anomalies=totals.anomalies,
        unscored=totals.unscored,
        novel_cells=totals.novel_cells,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        worst=explained_candidates(detector, totals.worst, decision.score_kind, N_TOP_COLUMNS),
        warnings=(
            *warnings_of(calibration, decision, totals.rows, totals.anomalies),
            *warnings_of_changed(changed),
            *blank,
        ),
        seconds=time.monotonic() - started,
        plot=plot and urls.shown(plot),
        changed=changed,
        blank_rows=totals.blank.n,
    )


@contextmanager
def opened_sink(
    target: str,
    source: Source,
    columns: Sequence[tuple[str, pa.DataType]],
    config: ScoreConfig,
    types: ColumnTypes,
) -> Iterator[Sink]:
    """The output of a run: whole or not at all, or with `config.follow` rows as they come.

    What a stopped stream leaves is noted on the exception.
    """
    if not config.follow:
        with open_sink(target, source, columns, prefix=config.prefix, types=types) as sink:
            yield sink
        return
    try:
        with held_signals(), open_live_sink(target, source, columns, prefix=config.prefix, types=types) as sink:
            yield sink
    except BaseException as stop:
        stop.add_note(f"the rows that came are in {'standard output' if target == '-' else target}")
        raise


def score_source(
    detector: Detector,
    source: Source,
    output: Output,
    decision: Decision,
    config: ScoreConfig,
    device: str | None,
    *,
    n_worst: int = 0,
    bars: ScoreBars | None = None,
    constants: Constants = NO_CONSTANTS,
    on_event: OnEvent = ignore,
) -> ScoreTotals:
    """Score every row of `source` into `output`, on a torch `device` if one is named.

    Without one the same table gives the same bytes whatever `batch_rows` and `workers` are.
    """
    scorer = detector if device is None else detector.on(device)
    task = ScoreTask(detector, scorer, decision, config, n_worst, bars, constants)
    engine: LiveEngine | LocalEngine = LiveEngine(config.batch_rows)
    if not config.follow:
        engine = LocalEngine.of(config, most_workers=None if device is None else WORKERS_ON_DEVICE)
    parts = engine.map_batches(Rendered(task, output), source, task.needs)
    return append_rows(parts, output, ScoreTotals(), "scoring", source.n_rows, on_event)


def calibrations_of(detector: Detector | SensorDetector, *, offline: bool) -> Mapping[str, Calibration]:
    """The calibrations of a detector by score kind; with `offline` those of scores that look ahead."""
    if not offline:
        return detector.calibrations
    return {kind: detector.calibrations[f"offline/{kind}"] for kind in SCORE_KINDS}


def decision_of(detector: Detector | SensorDetector, config: ScoreConfig) -> Decision:
    """The decision that `config` asks for. Raises UsageError for what a detector of rows does not have."""
    for flag, given in (("--offline", config.offline), ("--alarm-budget", config.alarm_budget)):
        if given and isinstance(detector, Detector):
            raise UsageError(f"{flag}: the model is one of rows, each judged by itself", "fit a table with a clock")
    calibrations = calibrations_of(detector, offline=config.offline)
    if config.alarm_budget is not None and isinstance(detector, SensorDetector):
        return within_budget(detector, config, AlarmBudget.parse(config.alarm_budget))
    decision = resolve(config, calibrations, detector.score_kind, detector.threshold)
    if isinstance(detector, Detector) or decision.level is None:
        return decision
    return replace(decision, uses_tail_model=decision.level > detector.clock.effective.finest_level)


def score_table(
    detector: Detector | SensorDetector, source: Source, output: Output, decision: Decision, config: ScoreConfig
) -> ScoreTotals | SensorTotals:
    """Score every row of `source` into `output`; series begin with its first row."""
    if isinstance(detector, Detector):
        return score_source(detector, source, output, decision, config, device_of(config.device))
    return score_rows(detector, source, output, decision, config, detector.histories(), ignore)


def added_columns(explain: int) -> tuple[tuple[str, pa.DataType], ...]:
    """Name and type of each column after the user's."""
    return (*ADDED, ("top_columns", pa.string())) if explain else ADDED


def _score_sensors(
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
    if config.offline and state is not None:
        raise UsageError("--offline and --state contradict each other", "a state knows no later rows; give one of them")
    decision = decision_of(detector, config)
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
        warnings=warnings_of(calibration, replace(decision, uses_tail_model=False), totals.rows, totals.anomalies),
        seconds=time.monotonic() - started,
        state=None if state is None else str(state),
        alarm_budget=config.alarm_budget,
        events=events and urls.shown(events),
        n_events=None if log is None else log.n_events,
        n_open_events=None if log is None else log.n_open,
    )


def _refuse_for_rows(bundle: Path, config: ScoreConfig, state: Path | None, events: str | None) -> None:
    """Raise UsageError for settings that only models of series know."""
    given = {
        "--state": state,
        "--events": events,
        "--merge-gap": config.merge_gap,
        "--min-duration": config.min_duration,
    }
    if refused := [flag for flag, value in given.items() if value is not None]:
        raise UsageError(
            f"{', '.join(refused)}: {bundle} is a model of rows, each judged by itself", "fit a table with a clock"
        )
