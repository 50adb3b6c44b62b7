"""`score`: flag the anomalous rows of a table."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from vaecli.aggregates.score_bars import N_BARS, Bars
from vaecli.bundle import load_detector
from vaecli.config import ScoreConfig
from vaecli.decisions.resolve import resolve
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.model.device import device_of
from vaecli.plots.figure import refuse_picture
from vaecli.results import OnEvent, ScoreSummary, ignore
from vaecli.runtime.parallel import n_cores
from vaecli.tables import check_schema, default_output, numbers_of, open_sink, open_source, refuse_to_overwrite
from vaecli.tasks.score import Tally, score_table
from vaecli.workflows.drift_warning import warnings_of

ADDED = (("anomaly_score", pa.float64()), ("p_value", pa.float64()), ("is_anomaly", pa.bool_()))


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
    """Score the table behind `inputs` with the detector in `bundle`; write it to `output`, whole or not at all.

    With `plot` the scores become a picture. Without `with_worst` the summary does not name the oddest rows: to explain
    them takes a moment.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_detector(bundle)
    device = device_of(config.device)
    decision = resolve(config, detector.calibrations, detector.score_kind, detector.threshold)
    kind = decision.score_kind
    target = output if output is not None else default_output(inputs)
    refuse_to_overwrite(target, [str(bundle)], "the bundle")
    source = open_source(inputs, once=True)
    check_schema(source, detector.schema)
    bars = None
    if plot is not None:
        refuse_picture(plot, target, bundle, getattr(source, "files", ()))
        bars = Bars.of(detector.calibrations[kind], decision.min_score)
    sink = open_sink(
        target,
        source,
        added_columns(config.explain),
        prefix=config.prefix,
        numbers=numbers_of(detector.schema),
    )
    with sink:
        tally = score_table(
            detector,
            source,
            sink,
            decision,
            kind=kind,
            anomalies_only=config.anomalies_only,
            batch_rows=config.batch_rows,
            workers=config.workers or n_cores(),
            explain=config.explain,
            with_worst=with_worst,
            bars=bars,
            device=device,
            on_event=on_event,
        )
        if plot is not None and bars is not None:
            _draw(plot, detector, kind, tally, bars, decision)
    level = decision.level
    return ScoreSummary(
        output=target,
        bundle=str(bundle),
        rows=tally.rows,
        anomalies=tally.anomalies,
        unscored=tally.unscored,
        novel_cells=tally.novel_cells,
        score_kind=kind,
        threshold=level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        worst=tally.worst_rows(detector, kind),
        warnings=warnings_of(detector, kind, level, tally),
        seconds=time.monotonic() - started,
        plot=plot,
    )


def _draw(plot: str, detector: Detector, kind: str, tally: Tally, bars: Bars, decision: Decision) -> None:
    from vaecli.plots.scores import draw_scores

    seen = np.zeros(N_BARS, np.int64) if tally.counts is None else tally.counts
    draw_scores(plot, seen, bars, detector.calibrations[kind], decision.min_score, kind)


def added_columns(explain: int) -> tuple[tuple[str, pa.DataType], ...]:
    """Name and type of each column behind the user's."""
    return (*ADDED, ("top_columns", pa.string())) if explain else ADDED
