"""`score`: flag the anomalous rows of a table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaecli.aggregates.score_bars import N_BARS, ScoreBars
from vaecli.bundle import Manifest, load_any_detector
from vaecli.config import ScoreConfig
from vaecli.config.incidents import NO_INCIDENTS, IncidentConfig
from vaecli.decisions.resolve import resolve
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine
from vaecli.errors import UsageError
from vaecli.model.device import device_of
from vaecli.model.tiles import MOST_IN_SMALL_TILES
from vaecli.results import OnEvent, ScoreSummary, ignore
from vaecli.runtime import urls
from vaecli.tables import Source, Targets, check_schema, default_output, exact_types, growth_notes
from vaecli.tasks.constants import NO_CONSTANTS, Constants
from vaecli.tasks.reasons import explained_candidates
from vaecli.tasks.score import N_WORST, ScoreTask, ScoreTotals
from vaecli.tasks.written_rows import Output, Rendered, append_rows
from vaecli.workflows.bad_files import bad_file_facts, left_out_files, without_bad_files
from vaecli.workflows.drift_warning import warnings_of, warnings_of_changed
from vaecli.workflows.file_warnings import file_warnings
from vaecli.workflows.new_rows import note, opened, progress_of, protect
from vaecli.workflows.scored_output import added_columns, opened_sink
from vaecli.workflows.where import folder_of

if TYPE_CHECKING:
    from vaecli.engines.live import LiveEngine
    from vaecli.results.plan import PlanSummary
    from vaecli.results.score_parts import PartsSummary
    from vaecli.results.score_sensors import SensorScoreSummary
    from vaecli.results.score_spark import SparkSummary
    from vaecli.sensors.detector import SensorDetector
    from vaecli.tables.read.left_out import LeftOut
    from vaecli.tasks.incidents import RowIncidents

N_TOP_COLUMNS = 3
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
    incidents: IncidentConfig = NO_INCIDENTS,
    since: Path | None = None,
    bad_files: str | None = None,
    with_worst: bool = True,
    dry_run: bool = False,
    resume: bool = False,
    engine: str | None = None,
    remote: str | None = None,
    on_event: OnEvent = ignore,
) -> ScoreSummary | SensorScoreSummary | PlanSummary | PartsSummary | SparkSummary:
    """Score the table in `inputs` with the detector in `bundle`; write it to `output`, whole or not at all.

    With `since`, a file that keeps what earlier runs have read, only new rows are scored. `bad_files` decides what
    happens to files that cannot be read (`left_out_files`). With `dry_run` only what comes before the first row is
    done.
    With `plot` the scores become a picture; `incidents` is what is written and
    remembered of incidents. Without `with_worst` the summary does not name the highest-scoring rows: to explain them
    takes a moment. If `output` ends with a slash, each file is scored into a file of its own below it; `resume` uses
    those that are finished. With the `engine` "spark" the server at `remote` reads, scores and writes.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    into_one_file = {"--plot": plot, "--state": state, "--events": events, "--follow": config.follow or None}
    into_one_file |= {"--since-last-run": since, "--bad-files": bad_files, "--dry-run": dry_run or None}
    into_one_file |= {"--incidents": incidents.incidents, "--incident-state": incidents.incident_state}
    if engine == "spark" and remote is not None:
        _refuse_for_parts(into_one_file | {"--resume": resume or None, "--workers": config.workers})
        from vaecli.workflows.score_spark import score_on_spark

        return score_on_spark(inputs, bundle, folder_of(output), config, remote, on_event)
    if output is not None and output.endswith("/"):
        _refuse_for_parts(into_one_file)
        from vaecli.workflows.score_parts import score_parts

        return score_parts(inputs, bundle, output, config, resume=resume, on_event=on_event)
    if resume:
        raise UsageError("--resume goes on with a folder of parts", "name the folder, with a slash: -o FOLDER/")
    detector, manifest = load_any_detector(bundle)
    if config.follow and bad_files is not None:
        raise UsageError("--bad-files and --follow contradict each other", "a stream is one input")
    n_worst = N_WORST if with_worst else 0
    target = output if output is not None else default_output(inputs, extension=_extension(detector))
    left_out = left_out_files(bad_files, since, detector, manifest, target)
    written = _Written(target, plot, incidents, since)

    def run() -> ScoreSummary | SensorScoreSummary | PlanSummary:
        if isinstance(detector, Detector):
            refuse_for_rows(bundle, config, state, events)
            return _score_rows(
                *(detector, manifest, inputs, bundle, config, written, n_worst, started, on_event, left_out),
                dry_run=dry_run,
            )
        from vaecli.workflows.score_series import score_series  # what series need is loaded for them alone

        return score_series(
            *(detector, manifest, inputs, bundle, target, config, plot, state, events, incidents, n_worst),
            *(started, on_event),
            since=since,
            left_out=left_out,
            dry_run=dry_run,
        )

    return without_bad_files(run, inputs, detector, left_out)


@dataclass(frozen=True, slots=True)
class _Written:
    """Where a run writes: the scored table, the picture, incidents, and the state of what earlier runs have read."""

    target: str
    plot: str | None
    incidents: IncidentConfig
    since: Path | None


def _extension(detector: Detector | SensorDetector) -> str | None:
    """That of the output by default, None for that of the input."""
    return ".csv" if isinstance(detector, Detector) and detector.lines else None


def _score_rows(
    detector: Detector,
    manifest: Manifest,
    inputs: list[str],
    bundle: Path,
    config: ScoreConfig,
    written: _Written,
    n_worst: int,
    started: float,
    on_event: OnEvent,
    left_out: LeftOut | None,
    *,
    dry_run: bool,
) -> ScoreSummary | PlanSummary:
    """Score a table whose rows are judged each by itself; see `score`."""
    target, plot, incidents = written.target, written.plot, written.incidents
    device = device_of(config.device)
    decision = decision_of(detector, config)
    progress = progress_of(written.since, follow=config.follow)
    source = opened(inputs, detector, progress, left_out, live=config.follow)
    check_schema(source, detector.schema, detector.by_column)
    Targets.of(target, plot, bundle, source)
    collected = None
    if incidents.is_wanted:
        from vaecli.workflows.incidents import rows_to_collect

        collected = rows_to_collect(incidents, detector, decision, bundle, source, [target, plot])
    protect(progress, left_out, bundle, (target, plot, *incidents.files))
    if dry_run:
        from vaecli.tables.write.sinks import check_sink
        from vaecli.workflows.plan import plan

        check_sink(target, source, added_columns(config.explain), prefix=config.prefix)
        writes, schema = (target, plot, *incidents.files), detector.schema
        planned = plan("score", source, bundle, writes, schema, decision.level, decision.score_kind, series=False)
        return replace(planned, **bad_file_facts(left_out))
    calibration = detector.calibrations[decision.score_kind]
    bars = None if plot is None else ScoreBars.of(calibration, decision.min_score)
    constants = Constants.of(detector.schema, source.names)
    columns, types = added_columns(config.explain), exact_types(detector.schema)
    with opened_sink(target, source, columns, config, types) as sink:
        totals = score_source(
            *(detector, source, sink, decision, config, device),
            n_worst=n_worst,
            bars=bars,
            constants=constants,
            incidents=collected,
            on_event=on_event,
        )
        if plot is not None and bars is not None:
            from vaecli.plots.scores import draw_scores

            counts = np.zeros(N_BARS, np.int64) if totals.counts is None else totals.counts
            draw_scores(plot, counts, bars, calibration, decision.min_score, decision.score_kind)
    found, facts = None, {}
    if collected is not None:
        from vaecli.workflows.incidents import finished, incident_facts

        model = manifest.digests["arrays.safetensors"]
        rows, chance = collected.incidents(decision.score_kind), decision.chance(calibration)
        found = finished(incidents, rows, totals.rows, chance, source, bundle, model)
        facts = incident_facts(incidents, found)
    new_files = note(progress, source)
    of_files = file_warnings(source, progress)
    changed = constants.changed(totals.moved)
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
            *totals.blank.noted,
            *growth_notes(source),
            *of_files,
            *(() if found is None else found.warnings),
        ),
        seconds=time.monotonic() - started,
        plot=plot and urls.shown(plot),
        changed=changed,
        blank_rows=totals.blank.n,
        **facts,
        since_last_run=new_files,
        **bad_file_facts(left_out),
    )


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
    incidents: RowIncidents | None = None,
    in_memory: bool = False,
    on_event: OnEvent = ignore,
) -> ScoreTotals:
    """Score every row of `source` into `output`, on a torch `device` if one is named.

    Without one the same table gives the same bytes whatever `batch_rows` and `workers` are; a few rows that are
    `in_memory` those of a stream, which takes a fraction of the time.
    """
    scorer = detector if device is None else detector.on(device)
    places = None if incidents is None else incidents.place_columns(source.names)
    at_once = config.follow or (in_memory and source.n_rows is not None and source.n_rows <= MOST_IN_SMALL_TILES)
    task = ScoreTask(detector, scorer, decision, config, n_worst, bars, constants, places, small_tiles=at_once)
    engine: LiveEngine | LocalEngine
    if at_once:
        from vaecli.engines.live import LiveEngine

        engine = LiveEngine(config.batch_rows)
    else:
        engine = LocalEngine.of(config, most_workers=None if device is None else WORKERS_ON_DEVICE)
    parts = engine.map_batches(Rendered(task, output), source, task.needs)
    return append_rows(
        parts if incidents is None else incidents.following(parts),
        output,
        ScoreTotals(),
        "scoring",
        source.n_rows,
        on_event,
    )


def decision_of(detector: Detector | SensorDetector, config: ScoreConfig) -> Decision:
    """The decision that `config` asks for. Raises UsageError for what the detector does not have."""
    if not isinstance(detector, Detector):
        from vaecli.workflows.score_series import series_decision

        return series_decision(detector, config)
    for flag, given in (("--offline", config.offline), ("--alarm-budget", config.alarm_budget)):
        if given:
            raise UsageError(f"{flag}: the model is one of rows, each judged by itself", "fit a table with a clock")
    return resolve(config, detector.calibrations, detector.score_kind, detector.threshold)


def score_table(
    detector: Detector | SensorDetector, source: Source, output: Output, decision: Decision, config: ScoreConfig
) -> None:
    """Score every row of `source`, a table in memory, into `output`; series begin with its first row."""
    if isinstance(detector, Detector):
        device = device_of(config.device)
        score_source(detector, source, output, decision, config, device, in_memory=True)
        return
    from vaecli.workflows.score_sensors import score_rows

    score_rows(detector, source, output, decision, config, detector.histories(), ignore)


def _refuse_for_parts(given: Mapping[str, object | None]) -> None:
    if refused := [flag for flag, value in given.items() if value is not None]:
        raise UsageError(
            f"{', '.join(refused)}: not where a folder of parts is written", "leave it out, or write one file: -o FILE"
        )


def refuse_for_rows(
    bundle: str | Path, config: ScoreConfig, state: Path | None = None, events: str | None = None
) -> None:
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
