"""`score --engine spark`: from a folder of Parquet that the cluster reads to one that it writes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import vaecli
from vaecli.bundle import load_any_detector
from vaecli.config import ScoreConfig
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.spark import (
    absolute,
    connect,
    count_rows,
    folder_columns,
    mapped,
    read_parquet,
    source_like,
    spark_errors,
    write_parquet,
)
from vaecli.errors import UsageError
from vaecli.results import Event, OnEvent
from vaecli.results.json_object import SCHEMA_VERSION
from vaecli.results.score_spark import SparkSummary
from vaecli.runtime.atomic_file import translated
from vaecli.runtime.lock import locked
from vaecli.runtime.parts_folder import MANIFEST, file_digest
from vaecli.runtime.urls import is_url, shown
from vaecli.tables import check_schema, collect_sink, remote as stores, whole_output
from vaecli.workflows.drift_warning import warnings_of
from vaecli.workflows.score import decision_of
from vaecli.workflows.scored_output import added_columns, settings_of_rows
from vaecli.workflows.spark_rows import scorer_of

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
    digest = file_digest(str(bundle))
    folder = absolute(output).rstrip("/")
    session = connect(remote)
    frame = read_parquet(session, [absolute(text) for text in inputs])
    rows = _scored(frame, detector, bundle, config)
    with _new_folder(folder, shown(output)):
        on_event(Event("scoring", 0, None))
        write_parquet(rows, folder, folder_columns(frame))
        counted = count_rows(session, folder, config.prefix)
        if config.anomalies_only:
            with spark_errors():
                counted["rows"] = frame.count()
        on_event(Event("scoring", counted["rows"], counted["rows"]))
        seconds = time.monotonic() - started
        parts = list(_parts(folder))
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "verb": "score",
            "version": vaecli.__version__,
            "engine": "spark",
            "bundle": str(bundle),
            "bundle_digest": f"sha256:{digest}",
            "settings": settings_of_rows(decision, config),
            **counted,
            "seconds": round(seconds, 3),
            "inputs": [{"path": shown(text)} for text in inputs],
            "outputs": parts,
        }
        if not is_url(folder):
            os.makedirs(folder, exist_ok=True)  # Sail makes none where there is not a row to write
        with whole_output(f"{folder}/{MANIFEST}") as write:
            write(json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n")
    return SparkSummary(
        output=shown(output),
        bundle=str(bundle),
        remote=shown(remote),
        parts=len(parts),
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        warnings=warnings_of(
            detector.calibrations[decision.score_kind], decision, counted["rows"], counted["anomalies"]
        ),
        seconds=seconds,
        **counted,
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
    return mapped(frame, scorer_of(bundle.read_bytes(), config), named)


@contextmanager
def _new_folder(folder: str, name: str) -> Iterator[None]:
    """Refuse a folder that exists, and remove the new one where the block ends with an exception.

    A lock beside a local folder keeps a second run away, which would remove the folder of this one.
    """
    with _locked_beside(folder):
        yield from _made_in(folder, name)


@contextmanager
def _locked_beside(folder: str) -> Iterator[None]:
    if is_url(folder):
        yield
        return
    lock = os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}.lock")
    with locked(lock):
        try:
            yield
        finally:
            with suppress(OSError):
                os.unlink(lock)


def _made_in(folder: str, name: str) -> Iterator[None]:
    if _exists(folder):
        raise UsageError(
            f"{name}: there is something already, and Spark replaces no folder", "name a new folder, or remove this one"
        )
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if is_url(folder):
                fs, path = stores.filesystem(folder)
                with stores.as_oserror(folder):
                    fs.rm(path, recursive=True)
            else:
                shutil.rmtree(folder)
        raise


def _exists(folder: str) -> bool:
    if not is_url(folder):
        return os.path.lexists(folder)
    fs, path = stores.filesystem(folder)
    with translated(shown(folder)), stores.as_oserror(folder):
        return bool(fs.exists(path))


def _parts(folder: str) -> Iterator[dict[str, str]]:
    """Each Parquet file below the folder and its digest; of a store that of what the store reports of it."""
    if is_url(folder):
        for url in stores.expand(folder):
            yield {"output": url.removeprefix(f"{folder}/"), "state": "|".join(stores.state_of(url))}
        return
    for path in sorted(Path(folder).rglob("*.parquet")):
        yield {"output": path.relative_to(folder).as_posix(), "output_digest": f"sha256:{file_digest(str(path))}"}
