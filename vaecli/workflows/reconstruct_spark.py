"""`reconstruct --engine spark`: rows that a cluster has, as the model expects them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaecli.bundle import load_detector
from vaecli.config import ReconstructConfig
from vaecli.detector import Detector
from vaecli.engines.spark import connect, mapped, rows_in, source_like
from vaecli.engines.spark_tasks import SparkEngine, SparkSource
from vaecli.results import OnEvent, ReconstructSummary
from vaecli.runtime.parts_folder import file_digest
from vaecli.runtime.urls import shown
from vaecli.tables import check_schema
from vaecli.tasks.reconstruct import CellCounts, ReconstructTotals
from vaecli.workflows.reconstruct import missing_of
from vaecli.workflows.spark_folder import SparkRun
from vaecli.workflows.spark_rows import function_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def reconstructed(frame: DataFrame, bundle: Path, config: ReconstructConfig) -> DataFrame:
    """The DataFrame as the model expects it, lazily. Raises what can be known before rows are read."""
    detector, _ = load_detector(bundle)
    return _reconstructed(frame, detector, bundle, config)


def reconstruct_on_spark(
    inputs: Sequence[str], bundle: Path, output: str, config: ReconstructConfig, remote: str, on_event: OnEvent
) -> ReconstructSummary:
    """Reconstruct the Parquet files that `inputs` name to the cluster into the new folder `output`.

    What was missing is counted by a second job, which computes nothing. Raises UsageError, InputError, BundleError or
    EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_detector(bundle)
    settings = {"impute": config.impute}
    run = SparkRun(
        "reconstruct",
        "imputing" if config.impute else "reconstructing",
        inputs,
        bundle,
        file_digest(str(bundle)),
        settings,
        started,
    )
    source = SparkSource.of(inputs, remote)
    rows = _reconstructed(source.frame, detector, bundle, config)
    task = CellCounts(detector)
    totals: list[ReconstructTotals] = []

    def count(folder: str) -> dict[str, Any]:
        totals.append(sum(SparkEngine(config.run.batch_rows, True).map_batches(task, source, task.needs), task.nothing))
        n_missing = missing_of(detector, totals[0], impute=config.impute)[0]
        return {
            "rows": rows_in(connect(remote), folder),
            "missing_cells": sum(n_missing.values()),
            "novel_cells": totals[0].novel,
        }

    done = run.write(source.frame, rows, output, count, on_event)
    missing, warnings = missing_of(detector, totals[0], impute=config.impute)
    return ReconstructSummary(
        output=shown(output),
        bundle=str(bundle),
        rows=done.counted["rows"],
        impute=config.impute,
        missing_cells=sum(missing.values()),
        missing_by_column=missing,
        novel_cells=totals[0].novel,
        warnings=warnings,
        seconds=done.seconds,
    )


def _reconstructed(frame: DataFrame, detector: Detector, bundle: Path, config: ReconstructConfig) -> DataFrame:
    check_schema(source_like(frame), detector.schema)
    return mapped(frame, function_of(bundle.read_bytes(), "reconstruct", config), ())
