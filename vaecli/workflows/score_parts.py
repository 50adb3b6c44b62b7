"""`score` with a folder as output: every input file becomes a part, by as many processes as share the folder."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import vaecli
from vaecli.bundle import load_any_detector
from vaecli.config import ScoreConfig
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine, ThreadEngine
from vaecli.errors import UsageError, VaecliError
from vaecli.model.device import device_of
from vaecli.results import ChangedColumn, Event, OnEvent
from vaecli.results.json_object import SCHEMA_VERSION
from vaecli.results.score_parts import PartCount, PartsSummary
from vaecli.runtime import outputs
from vaecli.runtime.blas import one_blas_thread
from vaecli.runtime.parallel import n_cores, short_turns
from vaecli.runtime.parts_folder import Claim, PartsFolder, Record, file_digest, opened_folder
from vaecli.runtime.urls import is_url, shown, without_file_scheme
from vaecli.tables import Batch, ColumnTypes, Sink, check_schema, exact_types, open_sink, refuse_to_overwrite
from vaecli.tables.convert.blank_rows import BlankRows
from vaecli.tables.read.parts import Part, find_parts, without_folder_columns
from vaecli.tables.write.targets import Target
from vaecli.tasks.constants import Constants
from vaecli.tasks.score import ScoreTask, ScoreTotals
from vaecli.tasks.written_rows import Rendered, append_rows
from vaecli.workflows.drift_warning import warnings_of, warnings_of_changed
from vaecli.workflows.score import WORKERS_ON_DEVICE, decision_of
from vaecli.workflows.scored_output import added_columns, settings_of_rows

N_MOST_FLAGGED = 3
_Engine = LocalEngine | ThreadEngine
_SECONDS_BETWEEN_LOOKS = 0.1  # at parts that other processes are writing
_COUNTS = ("rows", "anomalies", "unscored", "novel_cells", "blank_rows")


def score_parts(
    inputs: list[str],
    bundle: Path,
    output: str,
    config: ScoreConfig,
    *,
    resume: bool,
    on_event: OnEvent,
) -> PartsSummary:
    """Score each file that `inputs` name into a file of the same name below the folder `output`.

    A part has the bytes that scoring its file alone gives. It is written whole or not at all, and the manifest comes
    last. Raises UsageError, InputError, BundleError or EnvironmentProblem; parts that are finished by then stay, and
    with `resume` the next run uses those whose input, bundle and settings are the same.
    """
    started = time.monotonic()
    detector, _ = load_any_detector(bundle)
    digest = file_digest(str(bundle))
    if not isinstance(detector, Detector):
        raise UsageError(
            f"{output}: a model of series scores one table, whose rows follow each other",
            "write one file: -o FILE; files that follow each other are scored as one table with --state",
        )
    decision, device = decision_of(detector, config), device_of(config.device)
    folder = without_file_scheme(output).rstrip("/") or "/"
    parts = find_parts(inputs)
    _refuse_inputs(folder, inputs, parts)
    settings = settings_of_rows(decision, config) | {"device": device or "cpu"}
    run = hashlib.sha256(json.dumps([vaecli.__version__, digest, settings], sort_keys=True).encode()).hexdigest()
    scorer = detector if device is None else detector.on(device)
    with opened_folder(folder, run, [part.name for part in parts], resume=resume) as opened:
        workers = config.workers or n_cores()
        if device is not None:
            workers = min(workers, WORKERS_ON_DEVICE)
        n_at_once = max(1, min(workers, len(parts)))
        computing, types = threading.Semaphore(n_at_once), exact_types(detector.schema)
        job = _Job(opened, detector, scorer, decision, config, types, computing)
        try:
            records, n_reused = _scored(job, parts, workers, n_at_once, on_event)
        except BaseException as stop:
            _note_what_stays(stop, output)
            raise
        totals = {name: sum(record[name] for record in records) for name in _COUNTS}
        seconds = time.monotonic() - started
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "verb": "score",
            "version": vaecli.__version__,
            "bundle": str(bundle),
            "bundle_digest": f"sha256:{digest}",
            "settings": settings,
            "run": run,
            **totals,
            "seconds": round(seconds, 3),
            "inputs": [{name: value for name, value in record.items() if name != "run"} for record in records],
        }
        opened.finish(manifest)
    calibration = detector.calibrations[decision.score_kind]
    changed = _changed(records)
    first_blank = next((record["first_blank"] for record in records if record["blank_rows"]), "")
    return PartsSummary(
        output=output,
        bundle=str(bundle),
        parts=len(parts),
        reused=n_reused,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        most_flagged=_most_flagged(records),
        warnings=(
            *warnings_of(calibration, decision, totals["rows"], totals["anomalies"]),
            *warnings_of_changed(changed),
            *BlankRows(totals["blank_rows"], first_blank).noted,
        ),
        seconds=seconds,
        changed=changed,
        **totals,
    )


@dataclass(frozen=True, slots=True)
class _Job:
    """What all parts have in common."""

    folder: PartsFolder
    detector: Detector
    scorer: Detector
    decision: Decision
    config: ScoreConfig
    types: ColumnTypes
    computing: threading.Semaphore  # how many parts are computed at a time; others wait for the disk meanwhile

    def score(self, part: Part, engine: _Engine, stop: threading.Event) -> tuple[Record, bool] | None:
        """The record of the part and whether it was there already; None while another process writes it."""
        if stop.is_set():
            raise _Stopped
        with self.folder.claimed(part.name) as claim:
            if claim is None:
                return None
            digest, target = part.digest(), self.folder.target(part.name)
            if (known := self._still_right(claim, digest, target)) is not None:
                return known, True
            totals, changed = self._write(part, target, engine, stop)
            record = {
                "path": part.location.name,
                "digest": digest,
                "output": part.name,
                "output_digest": f"sha256:{file_digest(target)}",
                "rows": totals.rows,
                "anomalies": totals.anomalies,
                "unscored": totals.unscored,
                "novel_cells": totals.novel_cells,
                "blank_rows": totals.blank.n,
                "first_blank": totals.blank.first,
                "changed": [[one.column, one.value, one.rows] for one in changed],
                "run": self.folder.run,
            }
            claim.record(record)
            return record, False

    def _still_right(self, claim: Claim, digest: str, target: str) -> Record | None:
        """What is known of a part, if its input, the run and the part itself are still what they were."""
        known = claim.known
        if known is None or (known.get("run"), known.get("digest")) != (self.folder.run, digest):
            return None
        if known["output_digest"] != f"sha256:{file_digest(target)}":
            return None
        claim.record(known)
        return known

    def _write(
        self, part: Part, target: str, engine: _Engine, stop: threading.Event
    ) -> tuple[ScoreTotals, tuple[ChangedColumn, ...]]:
        schema = self.detector.schema
        source = part.open()
        check_schema(source, schema, self.detector.by_column)
        written, constants = without_folder_columns(source), Constants.of(schema, source.names)
        task = ScoreTask(self.detector, self.scorer, self.decision, self.config, constants=constants)
        columns = added_columns(self.config.explain)

        def go_on(_: Event) -> None:
            if stop.is_set():
                raise _Stopped

        sink = open_sink(target, written, columns, prefix=self.config.prefix, types=self.types)
        with self.computing, replace(sink, target=_OthersCompute(sink.target, self.computing)) as sink:
            output = _OwnColumns(sink, written.names)
            batches = engine.map_batches(Rendered(task, output), source, task.needs)
            totals = append_rows(batches, output, ScoreTotals(), "scoring", source.n_rows, go_on)
        outputs.forget(target)  # a stopped run names the folder, not each part
        return totals, constants.changed(totals.moved)


@dataclass(frozen=True, slots=True)
class _OthersCompute:
    """The target of a part: while it waits for the disk, another thread computes."""

    target: Target
    computing: threading.Semaphore

    @property
    def name(self) -> str:
        """The name of the part in messages."""
        return self.target.name

    @property
    def stream(self) -> BinaryIO:
        """The stream of the part."""
        return self.target.stream

    def commit(self) -> None:
        """Flush the part to the disk and rename it. Raises OSError."""
        self.computing.release()
        try:
            self.target.commit()
        finally:
            self.computing.acquire()

    def abort(self) -> None:
        """Discard the part."""
        self.target.abort()


@dataclass(frozen=True, slots=True)
class _OwnColumns:
    """The output of a part, which has the columns of its file but not those of its folders."""

    sink: Sink
    names: Sequence[str]

    def render(self, batch: Batch, added: Mapping[str, Any], keep: np.ndarray | None = None) -> Any:
        """Render a batch as `Sink.render`."""
        if batch.whole is not None and len(self.names) < batch.whole.num_columns:
            batch = Batch(batch.table, batch.first_row, batch.where, whole=batch.whole.select(list(self.names)))
        return self.sink.render(batch, added, keep)

    def append(self, rendered: Any) -> None:
        """Write rows as `Sink.append`."""
        self.sink.append(rendered)


class _Stopped(Exception):
    """Ends the threads of a run that was stopped."""


def _scored(
    job: _Job, parts: Sequence[Part], workers: int, n_at_once: int, on_event: OnEvent
) -> tuple[list[Record], int]:
    """The records of all parts in order, and how many parts were there already.

    Of `workers` threads, `n_at_once` take parts; where that is fewer, several share the rows of a part. Parts that
    other processes write are looked at again at the end: a process that died has left its part to us. Of several
    failures that of the first part is raised.
    """
    n_each = workers // n_at_once
    engine = LocalEngine(job.config.batch_rows, n_each) if n_each > 1 else ThreadEngine(job.config.batch_rows)
    stop = threading.Event()
    found: dict[str, tuple[Record, bool]] = {}
    threads = ThreadPoolExecutor(n_at_once + 1, thread_name_prefix="vaecli")
    with one_blas_thread(), short_turns(), threads as pool:
        waiting = list(parts)
        try:
            while waiting:
                scored = zip(waiting, pool.map(lambda part: job.score(part, engine, stop), waiting), strict=True)
                later = []
                for part, result in scored:
                    if result is None:
                        later.append(part)
                        continue
                    found[part.name] = result
                    on_event(Event("scoring", len(found), len(parts), "parts"))
                if len(later) == len(waiting):
                    time.sleep(_SECONDS_BETWEEN_LOOKS)
                waiting = later
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found[part.name][0] for part in parts], sum(was_there for _, was_there in found.values())


def _refuse_inputs(folder: str, inputs: Sequence[str], parts: Sequence[Part]) -> None:
    """Raise UsageError where a part would replace an input, or the next run would read the parts of this one."""
    if is_url(folder):
        raise UsageError(
            f"{shown(folder)}/: parts are written to a folder of this machine", "name a local folder: -o FOLDER/"
        )
    for part in parts:
        refuse_to_overwrite(os.path.join(folder, part.name), [part.location.file], "the input")
    real = os.path.realpath(folder)
    for text in inputs:
        path = os.path.realpath(without_file_scheme(text))
        if os.path.isdir(path) and os.path.commonpath([path, real]) == path:
            raise UsageError(
                f"{folder}: lies in the folder of the input, where the next run would read it",
                "name a folder beside it: -o FOLDER/",
            )


def _note_what_stays(stop: BaseException, output: str) -> None:
    """Name the way to go on, in the hint of an error or as a note on a signal."""
    outputs.forget_all()  # the last part may have been renamed just now
    how = f"parts that are finished stay in {output}: the same command with --resume goes on from there"
    if isinstance(stop, VaecliError):
        stop.hint = f"{stop.hint}; {how}" if stop.hint else how
    else:
        stop.add_note(how)


def _most_flagged(records: Sequence[Record]) -> tuple[PartCount, ...]:
    """The parts with the highest share of flagged rows, where there are several parts."""
    if len(records) < 2:
        return ()
    counts = [PartCount(record["output"], record["rows"], record["anomalies"]) for record in records]
    flagged = [count for count in counts if count.anomalies]
    return tuple(sorted(flagged, key=lambda count: -count.anomalies / count.rows)[:N_MOST_FLAGGED])


def _changed(records: Sequence[Record]) -> tuple[ChangedColumn, ...]:
    """The columns that were constant at fit and moved, over all parts; those that moved in most rows come first."""
    moved: dict[str, ChangedColumn] = {}
    for record in records:
        for name, value, rows in record["changed"]:
            moved[name] = ChangedColumn(name, value, rows + (moved[name].rows if name in moved else 0))
    return tuple(sorted(moved.values(), key=lambda one: -one.rows))
