"""Scores the rows of one partition on a Spark cluster: what `mapInArrow` calls there, and what travels to it."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

import vaecli
from vaecli.bundle import load_any_detector
from vaecli.config import ScoreConfig
from vaecli.decisions.resolve import resolve
from vaecli.detector import Detector
from vaecli.engines.spark import Function, as_declared, rows_of, sent_errors
from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.model import tiles
from vaecli.tables import ReadRequest, check_schema, collect_sink, exact_types, frame_source
from vaecli.tasks.score import ScoreTask
from vaecli.workflows.scored_output import added_columns

_KEPT = 4  # detectors in the memory of a process
_detectors: dict[str, Detector] = {}
_loading = threading.Lock()


def scorer_of(bundle: bytes, config: ScoreConfig) -> Function:
    """What scores a partition with the detector in `bundle`: a function of this package, and plain values.

    It is pickled by its name, so the cluster runs its own vaecli, which compares versions before it does anything else.
    """
    return partial(score_partition, {"version": vaecli.__version__, "bundle": bundle, "config": asdict(config)})


def score_partition(sent: Mapping[str, Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Score the rows of one partition: the columns of its batches but PARTITION, then those that `score` adds.

    The score of a row depends on the bundle and the row; its last bits also on its place in the partition. Raises
    RuntimeError with the text of `sent_errors` for what the user can repair.
    """
    with sent_errors():
        if sent["version"] != vaecli.__version__:
            raise EnvironmentProblem(
                f"the cluster has vaecli {vaecli.__version__}, the driver {sent['version']}",
                f"install one version on both: pip install vaecli=={sent['version']}",
            )
        detector, config = _detector(sent["bundle"]), ScoreConfig(**sent["config"])
        decision = resolve(config, detector.calibrations, detector.score_kind, detector.threshold)
        task, added = ScoreTask(detector, detector, decision, config), added_columns(config.explain)
        needs = ReadRequest(task.needs.columns, keep=True, batch_rows=config.batch_rows, multiple_of=tiles.TILE_ROWS)
        is_checked = False
        for batch, came in rows_of(batches, needs):
            like = frame_source(batch.whole)
            if not is_checked:
                check_schema(like, detector.schema, detector.by_column)
                is_checked = True
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                rows = task.process(batch)
            sink = collect_sink(like, added, prefix=config.prefix, types=exact_types(detector.schema))
            yield as_declared(sink.render(rows.batch, rows.added, rows.keep), came)


def _detector(bundle: bytes) -> Detector:
    """The detector in a bundle, read once for each process and digest; BLAS has one thread from then on.

    The cluster runs as many tasks side by side as it has cores. Raises BundleError, and UsageError for series.
    """
    digest = hashlib.sha256(bundle).hexdigest()
    with _loading:
        if digest not in _detectors:
            threadpool_limits(1, "blas")
            with tempfile.NamedTemporaryFile(suffix=".vae") as file:
                file.write(bundle)
                file.flush()
                detector, _ = load_any_detector(Path(file.name))
            if not isinstance(detector, Detector):
                raise UsageError("a model of series is not scored on Spark: its rows depend on each other")
            for old in list(_detectors)[: 1 - _KEPT]:
                del _detectors[old]
            _detectors[digest] = detector
        return _detectors[digest]
