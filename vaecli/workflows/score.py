"""`score`: flag the anomalous rows of a table."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from vaecli.aggregates.score_bars import N_BARS, ScoreBars
from vaecli.bundle import load_detector
from vaecli.config import ScoreConfig
from vaecli.decisions.resolve import resolve
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine
from vaecli.model.device import device_of
from vaecli.results import OnEvent, ScoreSummary, ignore
from vaecli.runtime import urls
from vaecli.tables import Source, Targets, check_schema, default_output, exact_types, open_sink, open_source
from vaecli.tasks.constants import NO_CONSTANTS, Constants
from vaecli.tasks.reasons import explained_candidates
from vaecli.tasks.score import N_WORST, ScoreTask, ScoreTotals
from vaecli.tasks.written_rows import Output, Rendered, append_rows
from vaecli.workflows.drift_warning import warnings_of, warnings_of_changed

ADDED = (("anomaly_score", pa.float64()), ("p_value", pa.float64()), ("is_anomaly", pa.bool_()))
N_TOP_COLUMNS = 3
WORKERS_ON_DEVICE = 2  # one computes while the other reads; each holds a tile in the device's memory


def score(
    inputs: list[str],
    bundle: Path,
    output: str | None,
    config: ScoreConfig,
    *,
    plot: str | None = None,
    with_worst: bool = True,
    on_event: OnEvent = ignore,
) -> ScoreSummary:
    """Score the table in `inputs` with the detector in `bundle`; write it to `output`, whole or not at all.

    With `plot` the scores become a picture. Without `with_worst` the summary does not name the highest-scoring rows: to
    explain them takes a moment.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_detector(bundle)
    device = device_of(config.device)
    decision = resolve(config, detector.calibrations, detector.score_kind, detector.threshold)
    target = output if output is not None else default_output(inputs)
    source = open_source(inputs, once=True)
    check_schema(source, detector.schema)
    Targets.of(target, plot, bundle, source)
    calibration = detector.calibrations[decision.score_kind]
    bars = None if plot is None else ScoreBars.of(calibration, decision.min_score)
    n_worst = N_WORST if with_worst else 0
    constants = Constants.of(detector.schema, source.names)
    columns, types = added_columns(config.explain), exact_types(detector.schema)
    with open_sink(target, source, columns, prefix=config.prefix, types=types) as sink:
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
    engine = LocalEngine.of(config, most_workers=None if device is None else WORKERS_ON_DEVICE)
    task = ScoreTask(detector, scorer, decision, config, n_worst, bars, constants)
    parts = engine.map_batches(Rendered(task, output), source, task.needs)
    return append_rows(parts, output, ScoreTotals(), "scoring", source.n_rows, on_event)


def added_columns(explain: int) -> tuple[tuple[str, pa.DataType], ...]:
    """Name and type of each column after the user's."""
    return (*ADDED, ("top_columns", pa.string())) if explain else ADDED
