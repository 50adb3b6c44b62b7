"""`encode --engine spark`: the latent coordinates of rows that a cluster has, after their columns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from vaecli.bundle import load_detector
from vaecli.config import EncodeConfig
from vaecli.detector import Detector
from vaecli.engines.spark import absolute, connect, mapped, read_parquet, rows_in, source_like
from vaecli.errors import UsageError
from vaecli.results import EncodeSummary, OnEvent
from vaecli.runtime.parts_folder import file_digest
from vaecli.runtime.urls import shown
from vaecli.tables import check_schema, collect_sink
from vaecli.workflows.encode import coordinate_names
from vaecli.workflows.spark_folder import SparkRun
from vaecli.workflows.spark_rows import function_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def encoded(frame: DataFrame, bundle: Path, config: EncodeConfig) -> DataFrame:
    """The DataFrame with the coordinates of each row, lazily. Raises what can be known before rows are read."""
    detector, _ = load_detector(bundle)
    _refuse(config)
    return _encoded(frame, detector, bundle, config)


def encode_on_spark(
    inputs: Sequence[str], bundle: Path, output: str, config: EncodeConfig, remote: str, on_event: OnEvent
) -> EncodeSummary:
    """Encode the Parquet files that `inputs` name to the cluster into the new folder `output`, as `score_on_spark`.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_detector(bundle)
    _refuse(config)
    names = [config.run.prefix + name for name in coordinate_names(detector, config)]
    settings = {name: value for name, value in asdict(config).items() if name in ("dims", "spreads")}
    run = SparkRun("encode", "encoding", inputs, bundle, file_digest(str(bundle)), settings, started)
    session = connect(remote)
    frame = read_parquet(session, [absolute(text) for text in inputs])
    rows = _encoded(frame, detector, bundle, config)
    done = run.write(frame, rows, output, lambda folder: {"rows": rows_in(session, folder)}, on_event)
    return EncodeSummary(
        output=shown(output),
        bundle=str(bundle),
        rows=done.counted["rows"],
        columns=tuple(names),
        n_latent=detector.n_latent,
        warnings=(),
        seconds=done.seconds,
    )


def _refuse(config: EncodeConfig) -> None:
    """Raise UsageError for what a cluster does not do."""
    if not config.keep:
        raise UsageError("--engine spark: rows have no number there to know them by", "add --keep for your columns")
    if config.map == "umap":
        raise UsageError("--map umap is computed on this machine", "leave --engine spark out, or use --map pca")


def _encoded(frame: DataFrame, detector: Detector, bundle: Path, config: EncodeConfig) -> DataFrame:
    like, prefix = source_like(frame), config.run.prefix
    added = [(name, pa.float64()) for name in coordinate_names(detector, config)]
    check_schema(like, detector.schema)
    collect_sink(like, added, prefix=prefix)  # whether the names are free
    named = [(prefix + name, kind) for name, kind in added]
    return mapped(frame, function_of(bundle.read_bytes(), "encode", config), named)
