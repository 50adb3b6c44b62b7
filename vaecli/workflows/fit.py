"""`fit`: learn what normal rows look like, and save it as a bundle."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from vaecli.bundle import save_detector
from vaecli.calibration.calibrate import calibrated
from vaecli.calibration.conformal import Calibration, rows_needed
from vaecli.config import FitConfig
from vaecli.data.training_rows import Rows, TrainingRows
from vaecli.detector import Detector
from vaecli.errors import UsageError
from vaecli.model.ensemble import Family, draw_noise
from vaecli.model.exemplar_prior import choose_exemplars
from vaecli.model.families import FAMILIES, likelihoods_of
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Parameters
from vaecli.model.ppca_init import independent_output, start_parameters
from vaecli.results import FitSummary, OnEvent, TrainingCheck, ignore
from vaecli.runtime.atomic_file import require_writable
from vaecli.schema import Kind, Layout, Schema
from vaecli.scoring.scores import Ensemble
from vaecli.tables import Source, infer_schema, open_source, refuse_to_overwrite, same_unit_columns
from vaecli.training.checkpoint import Checkpoint, load_checkpoint
from vaecli.training.loop import Plan, Trained, device_of, train
from vaecli.workflows.column_summaries import column_summaries
from vaecli.workflows.training_data import NormalRows, read_normal_rows

START_ROWS = 50_000  # rows from which the first guess (PCA) and the baseline are computed
IDENTITY_ROWS = 1_000  # rows that tell a checkpoint's table from another of the same shape
FEW_ROWS = 300  # below it, calibration is coarse enough to say so


def fit(inputs: list[str], output: Path, config: FitConfig, *, on_event: OnEvent = ignore) -> FitSummary:
    """Fit the table behind `inputs` and write a bundle to `output`, whole or not at all.

    Raises UsageError, InputError, BundleError (the checkpoint to resume) or EnvironmentProblem (target, device).
    """
    require_writable(output)
    source = open_source(inputs)
    refuse_to_overwrite(str(output), getattr(source, "files", ()), "the input")
    checkpoint = _checkpoint_path(output)
    try:
        detector, summary = fit_source(source, config, output, on_event=on_event)
        save_detector(output, detector, settings_of(config), report_of(summary))
    except BaseException as stop:
        if checkpoint.exists():
            stop.add_note(f"the training so far is in {checkpoint}: the same command with --resume goes on from there")
        raise
    checkpoint.unlink(missing_ok=True)
    return summary


def fit_source(
    source: Source, config: FitConfig, output: Path | None = None, *, on_event: OnEvent = ignore
) -> tuple[Detector, FitSummary]:
    """Fit one table. With `output`, training leaves a checkpoint beside it every few seconds."""
    started = time.monotonic()
    device_of(config.train.device)
    schema = infer_schema(source, config.columns, on_event)
    normal = read_normal_rows(source, schema, config, on_event)

    layout, n_rows = Layout.of(schema.features), normal.rows.n_rows
    likelihoods = likelihoods_of(layout, normal.preprocessor, normal.n_missing, n_rows, config.model.min_log_variance)
    plans = _plans(normal, likelihoods, config)
    trained = _trained(normal, plans, schema, config, output, on_event)
    sample = normal.rows.some(config.calibration.max_rows, config.train.seed)
    _require_every_fold(sample.fold, normal.n_folds)
    families = tuple(
        _family(plan, parameters, score_terms, sample, config)
        for plan, parameters, score_terms in zip(plans, trained.parameters, FAMILIES.values(), strict=True)
    )
    # a pixel that is odd by itself is none: what is measured in one unit is a part of one whole
    parts = same_unit_columns(schema, config.columns)
    may_decide_alone = np.array([column.name not in parts for column in schema.features])
    surprisal_scales, calibrations = calibrated(families, sample, may_decide_alone, on_event)
    without_row_numbers = tuple(  # a new table has other rows
        replace(family, codes=replace(family.codes, row=None)) for family in families
    )
    detector = Detector(
        schema,
        normal.preprocessor,
        Ensemble(without_row_numbers, surprisal_scales),
        calibrations,
        config.score_kind,
        config.calibration.threshold,
        normal.marginals,
    )
    baseline = _baseline(normal.rows, likelihoods[0], config.train.seed)
    return detector, _summary(detector, normal, trained, baseline, output, time.monotonic() - started)


def _require_every_fold(fold: np.ndarray, n_folds: int) -> None:
    n_rows = np.bincount(fold, minlength=n_folds)
    if n_rows.min() == 0 or n_rows.max() == fold.size:
        raise UsageError(
            f"among the {fold.size:,} rows that calibrate, one of the {n_folds} folds has none or all",
            "raise calibration.max_rows, or give larger groups",
        )


def _plans(normal: NormalRows, likelihoods: Sequence[Likelihood], config: FitConfig) -> tuple[Plan, ...]:
    """The two families: each holds out every fold when rows are few, else they take turns."""
    sample = normal.rows.some(START_ROWS, config.train.seed)
    folds = tuple(range(normal.n_folds))
    crossed = normal.rows.n_rows < config.model.full_crossfit_below
    plans = []
    for i, family in enumerate((config.heteroscedastic, config.homoscedastic)):
        held_out = folds if crossed else folds[i::2]
        start = start_parameters(
            sample,
            likelihoods[i],
            held_out=held_out,
            n_latent=min(family.n_latent, likelihoods[i].likelihood_slope.size),
            n_hidden=family.n_hidden,
            homoscedastic=i == 1,
            seed=config.train.seed + i,
        )
        plans.append(Plan(likelihoods[i], start, held_out, family.beta, homoscedastic=i == 1))
    return tuple(plans)


def _trained(
    normal: NormalRows,
    plans: tuple[Plan, ...],
    schema: Schema,
    config: FitConfig,
    output: Path | None,
    on_event: OnEvent,
) -> Trained:
    """The ensemble, from scratch or from where an interrupted fit left off."""
    identity = _identity(normal, schema, config)

    def keep(progress: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        if output is not None:
            Checkpoint(identity, progress, arrays).save(_checkpoint_path(output))

    return train(
        normal.rows,
        plans,
        config.train,
        on_event=on_event,
        on_checkpoint=keep if output is not None else None,
        resume=load_checkpoint(_checkpoint_path(output), identity) if config.resume and output else None,
    )


def _family(
    plan: Plan, parameters: Parameters, score_terms: tuple[str, ...], sample: Rows, config: FitConfig
) -> Family:
    """What scores rows once the plan's members are trained."""
    n_latent, seed = parameters["encoder.mean.b"].shape[-1], config.train.seed
    noise = draw_noise(config.model.n_noise, len(plan.held_out), n_latent, seed)
    codes = choose_exemplars(plan.likelihood, parameters, plan.held_out, sample, config.model.n_exemplars, seed)
    return Family(plan.likelihood, parameters, noise, codes, plan.held_out, score_terms)


def _baseline(rows: TrainingRows, likelihood: Likelihood, seed: int) -> float:
    """Mean log-likelihood of rows under independent columns, in nats: what a latent space has to beat."""
    sample = rows.some(START_ROWS, seed)
    output = independent_output(sample, likelihood).astype(np.float32)  # the family whose view is no other
    return float(likelihood.column_log_prob(output, sample.values, sample.state).sum(-1).mean(dtype=np.float64))


def _summary(
    detector: Detector, normal: NormalRows, trained: Trained, baseline: float, output: Path | None, seconds: float
) -> FitSummary:
    calibration = detector.calibrations[detector.score_kind]
    return FitSummary(
        bundle="" if output is None else str(output),
        n_rows=normal.rows.n_rows,
        n_excluded_by_label=normal.n_labelled_out,
        columns=column_summaries(detector.schema),
        n_members=detector.ensemble.n_members,
        n_steps=trained.n_steps,
        validation_elbo=trained.best[0].elbo,
        validation_kl=trained.best[0].kl,
        baseline_log_prob=baseline,
        threshold=detector.threshold,
        score_kind=detector.score_kind,
        min_score=calibration.threshold(detector.threshold),
        n_calibration_rows=calibration.n_rows,
        finest_level=calibration.finest_level,
        warnings=_warnings(detector, normal, calibration),
        seconds=seconds,
        history=tuple(
            TrainingCheck(check.step, check.elbo, check.kl)
            for check in trained.history[0]
            if math.isfinite(check.elbo) and math.isfinite(check.kl)
        ),
    )


def _warnings(detector: Detector, normal: NormalRows, calibration: Calibration) -> tuple[str, ...]:
    warnings = []
    if not calibration.resolves(detector.threshold):
        warnings.append(
            f"threshold {detector.threshold:g} needs {rows_needed(detector.threshold):,} normal rows to be measured; "
            f"there are {calibration.n_rows:,}, so beyond level {calibration.finest_level:.4g} a fitted tail decides: "
            "a model, not a guarantee"
        )
    elif calibration.n_rows < FEW_ROWS:
        warnings.append(
            f"only {calibration.n_rows:,} rows calibrate: the real share of normal rows above the threshold "
            "may differ from the stated one by a factor of two"
        )
    if calibration.n_rows < normal.rows.n_rows:
        warnings.append(
            f"calibrated on a uniform sample of {calibration.n_rows:,} of {normal.rows.n_rows:,} rows; "
            "all rows were trained on"
        )
    if dates := [column.name for column in detector.schema.features if column.kind is Kind.DATETIME]:
        warnings.append(
            f"modelled as a date: {', '.join(dates)}; rows with later dates will look new: if it is a clock, "
            "name it with --time, or leave it out with --exclude"
        )
    if normal.n_infinite:
        warnings.append(
            f"{normal.n_infinite:,} infinite values were set aside; in new rows an infinity counts as novel"
        )
    return tuple(warnings)


def _identity(normal: NormalRows, schema: Schema, config: FitConfig) -> str:
    """What a checkpoint belongs to: the same rows, the same settings."""
    device = str(device_of(config.train.device))  # what a generator of random numbers remembers differs between them
    settings = replace(config, resume=False, train=replace(config.train, time_budget_seconds=None, device=device))
    digest = hashlib.sha256(json.dumps([asdict(settings), schema.to_json()], sort_keys=True).encode())
    for array in (normal.preprocessor.mean, normal.preprocessor.scale, normal.preprocessor.quantiles, normal.n_missing):
        digest.update(array.tobytes())
    for part in normal.rows.some(IDENTITY_ROWS, config.train.seed):
        digest.update(part.tobytes())
    return digest.hexdigest()


def _checkpoint_path(output: Path) -> Path:
    return output.with_name(output.name + ".checkpoint")


def settings_of(config: FitConfig) -> dict[str, Any]:
    """The settings as the bundle keeps them."""
    settings = asdict(config)
    settings.pop("resume")
    return settings


def report_of(summary: FitSummary) -> dict[str, Any]:
    """What the bundle keeps of the report: nothing that differs between two runs of the same fit."""
    kept = asdict(summary)
    for name in ("bundle", "seconds", "columns"):
        kept.pop(name)
    return kept | {"warnings": list(summary.warnings)}
