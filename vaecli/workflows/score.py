"""`score`: flag the anomalous rows of a table."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from vaecli.aggregates.score_bars import N_BARS, Bars
from vaecli.bundle import load_detector
from vaecli.calibration.conformal import alpha_of, rows_needed
from vaecli.config import ScoreConfig
from vaecli.detector import Detector
from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.plots.figure import refuse_picture
from vaecli.results import OnEvent, ScoreSummary, ignore
from vaecli.runtime.parallel import n_cores
from vaecli.tables import default_output, match_schema, numbers_of, open_sink, open_source, refuse_to_overwrite
from vaecli.tasks.score import Decision, Tally, score_table

ADDED = (("anomaly_score", pa.float64()), ("p_value", pa.float64()), ("is_anomaly", pa.bool_()))
DRIFT_FACTOR = 5.0  # this many times the expected share of flags looks like another process, not like anomalies
DRIFT_ROWS = 200
GPU_DEVICE = Path("/dev/nvidiactl")


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
    kind, decision = decide(detector, config)
    target = output if output is not None else default_output(inputs)
    refuse_to_overwrite(target, [str(bundle)], "the bundle")
    source = open_source(inputs, once=True)
    match_schema(source, detector.schema)
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
    level = None if decision.alpha is None else (config.threshold or detector.threshold)
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
        uses_tail_model=level is not None and not detector.calibrations[kind].resolves(level),
        worst=tally.worst_rows(detector, kind),
        warnings=warnings_of(detector, kind, level, tally),
        seconds=time.monotonic() - started,
        plot=plot,
    )


def _draw(plot: str, detector: Detector, kind: str, tally: Tally, bars: Bars, decision: Decision) -> None:
    from vaecli.plots.scores import draw_scores

    seen = np.zeros(N_BARS, np.int64) if tally.counts is None else tally.counts
    draw_scores(plot, seen, bars, detector.calibrations[kind], decision.min_score, kind)


def decide(detector: Detector, config: ScoreConfig) -> tuple[str, Decision]:
    """(score kind, how rows are flagged): as asked, else as stored in the bundle."""
    kind = config.score_kind or detector.score_kind
    if kind not in detector.calibrations:
        raise UsageError(
            f"the bundle holds no calibration for --score-kind {kind}",
            f"it has {', '.join(sorted(detector.calibrations))}",
        )
    if config.min_score is not None:
        return kind, Decision(None, config.min_score)
    level = config.threshold if config.threshold is not None else detector.threshold
    return kind, Decision(alpha_of(level), detector.calibrations[kind].threshold(level))


def added_columns(explain: int) -> tuple[tuple[str, pa.DataType], ...]:
    """Name and type of each column behind the user's."""
    return (*ADDED, ("top_columns", pa.string())) if explain else ADDED


def device_of(device: str) -> str | None:
    """The torch device that was asked for, None for NumPy. torch is imported only where there is a GPU to use."""
    if device == "cpu" or (device == "auto" and not GPU_DEVICE.exists()):
        return None
    try:
        import torch
    except ImportError:
        if device == "auto":
            return None
        raise EnvironmentProblem("--device cuda needs torch", "pip install torch, or use --device cpu") from None
    if torch.cuda.is_available():
        return "cuda"
    if device == "auto":
        return None
    raise EnvironmentProblem("no CUDA device is available", "use --device cpu, or install a CUDA build of torch")


def warnings_of(detector: Detector, kind: str, level: float | None, tally: Tally) -> tuple[str, ...]:
    """What whoever reads the flags should know."""
    warnings = []
    calibration = detector.calibrations[kind]
    if level is not None and not calibration.resolves(level):
        warnings.append(
            f"threshold {level:g} needs {rows_needed(level):,} calibration rows to be measured; the bundle has "
            f"{calibration.n_rows:,}: beyond them a fitted tail decides, a model and not a guarantee"
        )
    if level is not None and tally.rows >= DRIFT_ROWS and tally.anomalies > DRIFT_FACTOR * (1 - level) * tally.rows:
        warnings.append(
            f"{tally.anomalies / tally.rows:.1%} of the rows are flagged where {1 - level:.2%} of normal rows "
            "would be: if they are not anomalies, the process has changed since the fit"
        )
    return tuple(warnings)
