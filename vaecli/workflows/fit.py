"""`fit`: learn what normal rows look like, and save it as a bundle."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

import vaecli
from vaecli.bundle import save_detector
from vaecli.calibration.calibrate import are_independent, calibrated
from vaecli.calibration.conformal import Calibration, rows_needed
from vaecli.calibration.single_cells import CellJudges, fit_cell_judges
from vaecli.config import FitConfig, LongForm
from vaecli.data.training_rows import Rows, sampled_rows
from vaecli.detector import Detector
from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.model.device import require_device
from vaecli.model.families import likelihoods_of
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.results import FitSummary, OnEvent, TrainingCheck, ignore
from vaecli.results.fit_sensors import SensorFitSummary
from vaecli.results.plan import PlanSummary
from vaecli.runtime import program
from vaecli.runtime.atomic_file import require_writable
from vaecli.schema import Layout, Schema
from vaecli.sensors.detector import SensorDetector
from vaecli.tables import Sink, Source, frame_source, growth_notes, open_sink, open_source, refuse_to_overwrite
from vaecli.tables.infer.infer_schema import infer_schema, reject_nothing_to_learn, same_unit_columns
from vaecli.tables.marks import Marks
from vaecli.tables.read.lines import LinesSource
from vaecli.tasks.written_rows import Output, append_table
from vaecli.training.checkpoint import Checkpoint, load_checkpoint
from vaecli.training.fit_ensemble import FittedEnsemble, fit_ensemble, plans_of
from vaecli.training.plans import OnCheckpoint
from vaecli.training.trainer import Here, Trainer
from vaecli.training.trainer_process import trainer_beside
from vaecli.workflows import distrusted_rows
from vaecli.workflows.column_summaries import column_summaries
from vaecli.workflows.column_warnings import column_warnings
from vaecli.workflows.distrusted_rows import distrusted_tables
from vaecli.workflows.drift_warning import dependence_warning
from vaecli.workflows.fit_sensors import fit_sensors
from vaecli.workflows.long_table import pivot_of
from vaecli.workflows.mark import marks_used
from vaecli.workflows.plan import plan
from vaecli.workflows.sensor_data import as_series, is_series
from vaecli.workflows.shape_warnings import shape_warnings
from vaecli.workflows.training_data import NormalRows, read_normal_rows

if TYPE_CHECKING:  # loads torch
    from vaecli.training.ranks import Ranks

MAX_NAME_BYTES = 255  # of a file, on nearly every file system
_CHECKPOINT = ".checkpoint"
IDENTITY = "rows or settings"  # what ranks compare before they train together
MOST_BYTES_OF_FILES = 2**25  # of a table for whose fit another process loads torch
FEW_ROWS = 300  # calibration rows below which a warning is printed


def fit(
    inputs: list[str], output: Path, config: FitConfig, *, on_event: OnEvent = ignore, ranks: Ranks | None = None
) -> FitSummary | SensorFitSummary:
    """Fit the table of `inputs` and write a bundle to `output`, whole or not at all. Only the first of `ranks` does.

    Raises UsageError, InputError, BundleError (the checkpoint to resume) or EnvironmentProblem (target, device).
    """
    require_writable(output)
    source = open_source(inputs, lines=() if config.columns.lines else None)
    _refuse_to_overwrite(output, config, source)
    checkpoint = checkpoint_path(output)
    warnings: list[str] = []
    try:
        with _distrusted_sink(config.distrusted) as sink:
            detector, summary = fit_source(
                source, config, output, sink, on_event=on_event, on_warning=warnings.append, ranks=ranks
            )
            save_detector(output, detector, settings_of(config, detector), report_of(summary))
    except BaseException as stop:
        if checkpoint.is_file():
            stop.add_note(f"the training so far is in {checkpoint}: the same command with --resume goes on from there")
        raise
    with suppress(OSError):  # the bundle is written: what cannot be removed does no harm
        checkpoint.unlink(missing_ok=True)
    return replace(summary, warnings=(*summary.warnings, *warnings, *growth_notes(source)))


def plan_fit(inputs: list[str], output: Path, config: FitConfig, *, on_event: OnEvent = ignore) -> PlanSummary:
    """What a fit of the table of `inputs` would read, and which columns it would model; nothing is trained.

    Raises UsageError, InputError or EnvironmentProblem, as `fit` does before it trains.
    """
    require_writable(output)
    table = source = open_source(inputs, lines=() if config.columns.lines else None)
    _refuse_to_overwrite(output, config, source)
    require_device(config.train.device)
    if config.columns.long is not None:
        source, config = pivot_of(source, LongForm.parse(config.columns.long), config, on_event)
    schema = infer_schema(source, config.columns, on_event)
    series = is_series(source, schema, config, on_event)
    if series:
        schema = as_series(schema)
    else:
        reject_nothing_to_learn(source, schema)
    threshold = config.calibration.threshold
    return plan("fit", table, output, [output], schema, threshold, config.score_kind, series=series)


def fit_source(
    source: Source,
    config: FitConfig,
    output: Path | None = None,
    distrusted: Output | None = None,
    *,
    on_event: OnEvent = ignore,
    on_warning: Callable[[str], None] = lambda _: None,
    ranks: Ranks | None = None,
) -> tuple[Detector | SensorDetector, FitSummary | SensorFitSummary]:
    """Fit one table. With `output`, training saves a checkpoint next to it every few seconds.

    The rows that `config.train.contamination` distrusts go to `distrusted`, if given.
    `on_warning` is given what concerns this run only and not the bundle. Raises as `fit` does.
    """
    started = time.monotonic()
    require_device(config.train.device)
    with _trainer(source, ranks) as offered:
        if config.columns.long is not None:
            source, config = pivot_of(source, LongForm.parse(config.columns.long), config, on_event)
        schema = infer_schema(source, config.columns, on_event)
        if is_series(source, schema, config, on_event):
            _refuse_what_is_for_rows(source, config)
            offered.dismiss()
            return fit_sensors(source, schema, config, output, on_event)
        reject_nothing_to_learn(source, schema)
        marks = Marks.given(config.marks, source)
        normal = read_normal_rows(source, schema, config, on_event, marks)
        schema = normal.schema
        if normal.blank.n:
            on_warning(
                f"{normal.blank.described}; such rows count as normal: remove them if they hold nothing but delimiters"
            )
        # columns sharing one unit (pixels) are judged only as a whole: a single unusual pixel is not an anomaly
        parts = same_unit_columns(schema, config.columns)
        may_decide_alone = np.array([column.name not in parts for column in schema.features])
        trainer = offered.for_rows(normal.rows)
        # before the judges, which limit the threads of BLAS in the whole process: until they end nothing else uses it
        plans = plans_of(normal.rows, normal.n_folds, likelihoods_for(normal, schema, config), config)
        judged = partial(_cell_judges, normal, may_decide_alone, config)
        judged_meanwhile = trainer.meanwhile(judged)
        identity = identity_of(normal, schema, config, trainer.device(config.train.device))
        on_checkpoint, resume = _checkpoints(output, identity, config.resume, on_warning)
        if ranks is not None:
            ranks.require_equal(IDENTITY, identity)
            resume = ranks.agreed(resume)
        fitted = fit_ensemble(
            normal.rows,
            normal.n_folds,
            plans,
            config,
            trainer,
            trusted=normal.trusted,
            on_event=on_event,
            on_checkpoint=on_checkpoint,
            resume=resume,
        )
    dependence = normal.dependence and normal.dependence.take(
        sampled_rows(normal.rows.n_rows, config.calibration.max_rows, config.seed)
    )
    found = calibrated(
        fitted.ensemble,
        fitted.sample,
        may_decide_alone,
        on_event,
        normal.preprocessor,
        normal.rows.n_rows,
        judged_meanwhile() if judged_meanwhile is not None else judged(fitted.sample),
        dependence,
        None if fitted.distrust is None else fitted.distrust.distrusted,
    )
    detector = Detector(
        schema,
        normal.preprocessor,
        fitted.ensemble.without_row_numbers(),
        found.surprisal_scales,
        found.calibrations,
        config.score_kind,
        config.calibration.threshold,
        normal.marginals,
        found.cells,
        found.neighbours,
        strings=found.strings,
        lines=source.names if isinstance(source, LinesSource) else None,
    )
    if distrusted is not None and fitted.distrust is not None:
        for table in distrusted_tables(source, detector, fitted.distrust.judge, marks, on_event):
            append_table(table, distrusted)
    used = None if marks is None else marks_used(marks, normal.marked)
    summary = _summary(detector, normal, fitted, output, time.monotonic() - started)
    return detector, replace(summary, marks=used)


def _trainer(source: Source, ranks: Ranks | None) -> AbstractContextManager[Trainer]:
    """The program has another process load torch meanwhile, unless torchrun has started several, or the table is large.

    A large one takes much memory while it is read, and trains so long that a second hardly counts.
    """
    n_bytes = sum(os.path.getsize(path) for path in source.files if os.path.isfile(path))
    is_beside = program.is_running() and ranks is None and n_bytes <= MOST_BYTES_OF_FILES
    return trainer_beside() if is_beside else nullcontext(Here(ranks))


def _cell_judges(
    normal: NormalRows, may_decide_alone: np.ndarray, config: FitConfig, sample: Rows | None = None
) -> CellJudges | None:
    """The judges of single cells for the rows that calibrate, which are `sample` if it is there already."""
    rows = sample or normal.rows.sample(config.calibration.max_rows, config.seed)
    independent = are_independent(rows, normal.dependence)
    with threadpool_limits(1):  # sums of several threads depend on their number
        return fit_cell_judges(
            normal.preprocessor.layout, rows, may_decide_alone, config.seed, are_independent=independent
        )


def likelihoods_for(normal: NormalRows, schema: Schema, config: FitConfig) -> tuple[Likelihood, ...]:
    """The likelihood of each family for these rows."""
    return likelihoods_of(
        Layout.of(schema.features),
        normal.preprocessor,
        normal.n_missing,
        normal.rows.n_rows,
        config.model.min_log_variance,
    )


def _refuse_what_is_for_rows(source: Source, config: FitConfig) -> None:
    asked = {"--marks": config.marks, "--contamination": config.train.contamination}
    if given := [option for option, value in asked.items() if value is not None]:
        raise UsageError(
            f"{source.name}: is a series, judged by windows, and {' and '.join(given)} choose single rows",
            "leave it out, or judge every row by itself with --window 0",
        )


def _refuse_to_overwrite(output: Path, config: FitConfig, source: Source) -> None:
    """Raise UsageError where the bundle or the list of distrusted rows would replace what is read, or each other."""
    for target in filter(None, (str(output), config.distrusted)):
        refuse_to_overwrite(target, source.files, "the input")
        refuse_to_overwrite(target, filter(None, [config.marks]), "the file of --marks")
    if config.distrusted is not None:
        refuse_to_overwrite(config.distrusted, [str(output)], "the bundle")


def _distrusted_sink(target: str | None) -> AbstractContextManager[Sink | None]:
    if target is None:
        return nullcontext()
    return open_sink(target, frame_source(distrusted_rows.SCHEMA.empty_table()), ())


def _checkpoints(
    output: Path | None, identity: str, resume: bool, on_warning: Callable[[str], None]
) -> tuple[OnCheckpoint | None, Checkpoint | None]:
    """What saves the progress of training beside `output`, and with `resume` the checkpoint that lies there.

    Progress that cannot be saved is a warning, the first time: the bundle needs no checkpoint.
    """
    if output is None:
        return None, None
    path = checkpoint_path(output)
    failures: list[str] = []

    def save(progress: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        try:
            Checkpoint(identity, progress, arrays).save(path)
        except (EnvironmentProblem, UsageError) as problem:
            if not failures:
                on_warning(f"the progress of training could not be saved: {problem.message}; training went on without")
            failures.append(problem.message)

    return save, load_checkpoint(path, identity) if resume else None


def _summary(
    detector: Detector, normal: NormalRows, fitted: FittedEnsemble, output: Path | None, seconds: float
) -> FitSummary:
    trained, calibration = fitted.trained, detector.calibrations[detector.score_kind]
    effective = calibration.effective
    return FitSummary(
        bundle="" if output is None else str(output),
        n_rows=normal.rows.n_rows,
        n_excluded_by_label=normal.n_labelled_out,
        columns=column_summaries(detector.schema),
        n_members=detector.ensemble.n_members,
        n_steps=trained.n_steps,
        validation_elbo=trained.best[0].elbo,
        validation_kl=trained.best[0].kl,
        baseline_log_prob=fitted.baseline_log_prob,
        threshold=detector.threshold,
        score_kind=detector.score_kind,
        min_score=calibration.threshold(detector.threshold),
        n_calibration_rows=calibration.n_rows,
        finest_level=calibration.finest_level,
        warnings=_warnings(detector, normal, calibration),
        seconds=seconds,
        n_effective=None if effective is None else effective.n,
        n_groups=(None if effective is None else effective.n_groups) or None,
        n_distrusted=None if fitted.distrust is None else int(fitted.distrust.distrusted.sum()),
        history=tuple(
            TrainingCheck(check.step, check.elbo, check.kl)
            for check in trained.history[0]
            if math.isfinite(check.elbo) and math.isfinite(check.kl)
        ),
    )


def _warnings(detector: Detector, normal: NormalRows, calibration: Calibration) -> tuple[str, ...]:
    warnings = []
    effective = calibration.effective
    if effective is not None and not calibration.resolves(detector.threshold):
        warnings.append(dependence_warning(calibration, effective, detector.threshold))
    elif not calibration.resolves(detector.threshold):
        warnings.append(
            f"threshold {detector.threshold:g} needs {rows_needed(detector.threshold):,} normal rows to be measured; "
            f"there are {calibration.n_rows:,}, so beyond level {calibration.finest_level:.4g} a fitted tail decides: "
            "a model, not a guarantee"
        )
    elif effective is None and calibration.n_rows < FEW_ROWS:
        warnings.append(
            f"only {calibration.n_rows:,} rows calibrate: the real share of normal rows above the threshold "
            "may differ from the stated one by a factor of two"
        )
    if calibration.n_rows < normal.rows.n_rows:
        warnings.append(
            f"calibrated on a uniform sample of {calibration.n_rows:,} of {normal.rows.n_rows:,} rows; "
            "all rows were trained on"
        )
    warnings += [*column_warnings(detector.schema), *shape_warnings(detector.schema)]
    if dates := [column.name for column in detector.schema.features if column.is_date]:
        warnings.append(
            f"modelled as a date: {', '.join(dates)}; rows with later dates will look new: if it is a clock, "
            "name it with --time, or leave it out with --exclude"
        )
    if normal.n_infinite:
        warnings.append(
            f"{normal.n_infinite:,} infinite values were set aside; in new rows an infinity counts as novel"
        )
    return tuple(warnings)


def identity_of(normal: NormalRows, schema: Schema, config: FitConfig, device: str) -> str:
    """A digest of the rows, the settings and the version of vaecli, which a checkpoint must share to be resumed.

    `device` is the one that trains: the state of a random generator differs between devices.
    """
    training = replace(config.train, time_budget_seconds=None, device=device)
    settings = replace(config, resume=False, marks=None, distrusted=None, train=training)
    parts = [vaecli.__version__, asdict(settings), schema.to_json(), normal.digest]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def checkpoint_path(output: Path) -> Path:
    """The checkpoint beside `output`; a name too long for it is cut and gets a digest."""
    name = os.fsencode(output.name)
    if len(name) + len(_CHECKPOINT) > MAX_NAME_BYTES:
        digest = f"-{hashlib.sha256(name).hexdigest()[:8]}"
        kept = name[: MAX_NAME_BYTES - len(_CHECKPOINT) - len(digest)].decode("utf-8", "ignore")
        return output.with_name(kept + digest + _CHECKPOINT)
    return output.with_name(output.name + _CHECKPOINT)


def settings_of(config: FitConfig, detector: Detector | SensorDetector) -> dict[str, Any]:
    """The settings of a fit as the bundle keeps them: those that its kind of model has."""
    settings = asdict(config)
    settings.pop("resume")
    settings.pop("marks")
    settings.pop("distrusted")
    if settings["train"]["contamination"] is None:
        settings["train"].pop("contamination")
    unused = ("windows",) if isinstance(detector, Detector) else ("model", "heteroscedastic", "homoscedastic")
    for stage in unused:
        settings.pop(stage)
    # others keep their bytes
    kept_where_used = ("long", "missing", "decimal", "thousands", "text", "lines")
    for name in kept_where_used:
        if not settings["columns"][name]:
            del settings["columns"][name]
    return settings


def report_of(summary: FitSummary | SensorFitSummary) -> dict[str, Any]:
    """The part of the summary that the bundle keeps: nothing that differs between two runs of the same fit."""
    kept = asdict(summary)
    if isinstance(summary, FitSummary) and summary.marks is not None:
        kept["marks"] = summary.marks.to_report()
    unset = [
        name
        for name in ("n_effective", "n_groups", "long", "marks", "n_distrusted")
        if name in kept and kept[name] is None
    ]
    for name in ("bundle", "seconds", "columns", *unset):
        kept.pop(name)
    return kept | {"warnings": list(summary.warnings)}
