"""`score --engine spark`: from a folder of Parquet that the cluster reads to one that it writes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaecli.bundle import load_any_detector
from vaecli.config import ScoreConfig
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.spark import absolute, connect, count_rows, mapped, read_parquet, source_like, spark_errors
from vaecli.errors import UsageError
from vaecli.results import OnEvent
from vaecli.results.score_spark import SparkSummary
from vaecli.runtime.parts_folder import file_digest
from vaecli.runtime.urls import shown
from vaecli.tables import check_schema, collect_sink
from vaecli.workflows.drift_warning import warnings_of
from vaecli.workflows.score import decision_of
from vaecli.workflows.scored_output import added_columns, settings_of_rows
from vaecli.workflows.spark_folder import SparkRun
from vaecli.workflows.spark_rows import function_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def scored(frame: DataFrame, bundle: Path, config: ScoreConfig) -> DataFrame:
    """The DataFrame with the columns that `score` adds, lazily. Raises what can be known before rows are read."""
    detector, _ = _detector_of(bundle, config)
    return _scored(frame, detector, bundle, config)


def score_on_spark(
    inputs: Sequence[str], bundle: Path, output: str, config: ScoreConfig, remote: str, on_event: OnEvent
) -> SparkSummary:
    """Score the Parquet files that `inputs` name to the cluster into the new folder `output`.

    Paths are those of the cluster and, for the manifest, of this machine. A run that fails leaves no folder. Raises
    UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, decision = _detector_of(bundle, config)
    settings = settings_of_rows(decision, config)
    run = SparkRun("score", "scoring", inputs, bundle, file_digest(str(bundle)), settings, started)
    session = connect(remote)
    frame = read_parquet(session, [absolute(text) for text in inputs])

    def count(folder: str) -> dict[str, Any]:
        counted = count_rows(session, folder, config.prefix)
        if config.anomalies_only:
            with spark_errors():
                counted["rows"] = frame.count()
        return counted

    done = run.write(frame, _scored(frame, detector, bundle, config), output, count, on_event)
    rows, anomalies = done.counted["rows"], done.counted["anomalies"]
    return SparkSummary(
        output=shown(output),
        bundle=str(bundle),
        remote=shown(remote),
        parts=done.n_parts,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        warnings=warnings_of(detector.calibrations[decision.score_kind], decision, rows, anomalies),
        seconds=done.seconds,
        **done.counted,
    )


def _detector_of(bundle: Path, config: ScoreConfig) -> tuple[Detector, Decision]:
    detector, _ = load_any_detector(bundle)
    if not isinstance(detector, Detector):
        raise UsageError(
            f"{bundle}: is a model of series, whose rows depend on each other: it is not scored on Spark",
            "score its files in order with --state, or fit with --window 0 for a model of rows",
        )
    if config.device == "cuda":
        raise UsageError("--device cuda: Spark computes on the CPUs of its cluster", "leave it out")
    return detector, decision_of(detector, config)


def _scored(frame: DataFrame, detector: Detector, bundle: Path, config: ScoreConfig) -> DataFrame:
    like, added = source_like(frame), added_columns(config.explain)
    check_schema(like, detector.schema, detector.by_column)
    collect_sink(like, added, prefix=config.prefix)  # whether the names are free
    named = [(config.prefix + name, kind) for name, kind in added]
    return mapped(frame, function_of(bundle.read_bytes(), "score", config), named)
