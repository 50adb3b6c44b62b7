"""Computes the rows of one partition on a Spark cluster: what `mapInArrow` calls there, and what travels to it."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

import vaecli
from vaecli.bundle import load_any_detector
from vaecli.config import EncodeConfig, ReconstructConfig, ScoreConfig
from vaecli.decisions.resolve import resolve
from vaecli.detector import Detector
from vaecli.engines.spark import Function, as_declared, rows_of, sent_errors
from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.model import tiles
from vaecli.tables import Batch, ReadRequest, check_schema, collect_sink, exact_types, frame_source
from vaecli.tables.write.replace_cells import Spelling
from vaecli.tasks.encode import EncodeTask
from vaecli.tasks.reconstruct import ReconstructTask
from vaecli.tasks.score import ScoreTask
from vaecli.tasks.written_rows import WrittenRows
from vaecli.workflows.encode import coordinate_names
from vaecli.workflows.scored_output import added_columns

Config = ScoreConfig | EncodeConfig | ReconstructConfig

_KEPT = 4  # detectors in the memory of a process
_detectors: dict[str, Detector] = {}
_loading = threading.Lock()


def function_of(bundle: bytes, verb: str, config: Config) -> Function:
    """What computes the rows of a partition by the detector in `bundle`: a function of this package, and plain values.

    `verb` is "score", "encode" or "reconstruct". It is pickled by its name, so the cluster runs its own vaecli, which
    compares versions before it does anything else.
    """
    sent = {"version": vaecli.__version__, "bundle": bundle, "verb": verb, "config": asdict(config)}
    return partial(process_rows, sent)


def process_rows(sent: Mapping[str, Any], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of one partition: the columns of its batches but PARTITION, then those that the verb adds.

    What a row gets depends on the bundle and the row; without AVX-512 its last bits also on its place in the partition.
    Raises RuntimeError with the text of `sent_errors` for what the user can repair.
    """
    with sent_errors():
        if sent["version"] != vaecli.__version__:
            raise EnvironmentProblem(
                f"the cluster has vaecli {vaecli.__version__}, the driver {sent['version']}",
                f"install one version on both: pip install vaecli=={sent['version']}",
            )
        detector = _detector(sent["bundle"])
        work = _WORK[sent["verb"]](detector, sent["config"])
        columns, batch_rows = work.task.needs.columns, work.run.batch_rows
        needs = ReadRequest(columns, keep=True, batch_rows=batch_rows, multiple_of=tiles.TILE_ROWS)
        is_checked = False
        for batch, came in rows_of(batches, needs):
            like = frame_source(batch.whole)
            if not is_checked:
                check_schema(like, detector.schema, work.by_column)
                is_checked = True
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                rows = work.task.process(batch)
            sink = collect_sink(like, work.added, prefix=work.run.prefix, types=exact_types(detector.schema))
            yield as_declared(sink.render(rows.batch, rows.added, rows.keep), came)


class _RowTask(Protocol):
    """A task that passes rows on."""

    @property
    def needs(self) -> ReadRequest:
        """The columns that it reads."""

    def process(self, batch: Batch) -> WrittenRows[Any]:
        """The rows of a batch, with what is added to them."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What is done to each batch, and the columns that come after those of the user."""

    task: _RowTask
    added: Sequence[tuple[str, pa.DataType]]
    run: ScoreConfig
    by_column: str | None = None  # of groups that have thresholds of their own


def _score(detector: Detector, values: dict[str, Any]) -> _Work:
    config = ScoreConfig(**values)
    decision = resolve(config, detector.calibrations, detector.score_kind, detector.threshold)
    task = ScoreTask(detector, detector, decision, config)
    return _Work(task, added_columns(config.explain), config, detector.by_column)


def _encode(detector: Detector, values: dict[str, Any]) -> _Work:
    config = EncodeConfig(**values | {"run": ScoreConfig(**values["run"])})
    names = coordinate_names(detector, config)
    task = EncodeTask(detector, names, config, None, with_points=False)
    return _Work(task, [(name, pa.float64()) for name in names], config.run)


def _reconstruct(detector: Detector, values: dict[str, Any]) -> _Work:
    config = ReconstructConfig(**values | {"run": ScoreConfig(**values["run"])})
    return _Work(ReconstructTask(detector, Spelling("the DataFrame", None), config.impute), (), config.run)


_WORK: dict[str, Callable[[Detector, dict[str, Any]], _Work]] = {
    "score": _score,
    "encode": _encode,
    "reconstruct": _reconstruct,
}


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
                raise UsageError("a model of series does not run on Spark: its rows depend on each other")
            for old in list(_detectors)[: 1 - _KEPT]:
                del _detectors[old]
            _detectors[digest] = detector
        return _detectors[digest]
