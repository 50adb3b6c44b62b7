"""`report`: one HTML page about a table, for people who were not there when it was scored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vaecli.bundle import Manifest, load_detector
from vaecli.config import ReportConfig
from vaecli.decisions.resolve import resolve
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.report import Facts, ReportData, Training
from vaecli.report.page import headline, page
from vaecli.results import OnEvent, ReportSummary, TrainingCheck, ignore
from vaecli.results.flat_settings import flat_settings
from vaecli.runtime.parallel import n_cores
from vaecli.tables import check_schema, default_output, open_source, refuse_to_overwrite, whole_output
from vaecli.tasks.report import ReportInputs, collect
from vaecli.tasks.report_images import ImageLayout
from vaecli.tasks.score import Tally
from vaecli.workflows.drift_warning import warnings_of


def report(
    inputs: list[str], bundle: Path, output: str | None, config: ReportConfig, *, on_event: OnEvent = ignore
) -> ReportSummary:
    """Score the table behind `inputs`, and write a page about it to `output`, whole or not at all.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, manifest = load_detector(bundle)
    decision = resolve(config.score, detector.calibrations, detector.score_kind, detector.threshold)
    kind = decision.score_kind
    frame = None if config.image_shape is None else ImageLayout.of(detector, config.image_shape)
    target = output if output is not None else default_output(inputs, "report", ".html")
    refuse_to_overwrite(target, [str(bundle)], "the bundle")
    source = open_source(inputs, once=True)
    check_schema(source, detector.schema)
    refuse_to_overwrite(target, getattr(source, "files", ()), "the input")
    with whole_output(target) as write:
        found = collect(
            detector,
            source,
            decision,
            kind=kind,
            frame=frame,
            batch_rows=config.score.batch_rows,
            workers=config.score.workers or n_cores(),
            on_event=on_event,
        )
        level = decision.level
        facts = _facts(detector, source.name, bundle, kind, level, decision, found)
        data = _data(facts, found, manifest)
        content = page(data).encode()
        write(content)
    return ReportSummary(
        output=target,
        bundle=str(bundle),
        rows=facts.rows,
        anomalies=facts.flagged,
        unscored=facts.unscored,
        score_kind=kind,
        threshold=level,
        min_score=decision.min_score,
        uses_tail_model=facts.uses_tail_model,
        headline=headline(data),
        size_bytes=len(content),
        warnings=facts.warnings,
        seconds=time.monotonic() - started,
        image_shape=config.image_shape,
    )


def _facts(
    detector: Detector,
    table: str,
    bundle: Path,
    kind: str,
    level: float | None,
    decision: Decision,
    found: ReportInputs,
) -> Facts:
    calibration = detector.calibrations[kind]
    tally = Tally(found.rows, found.flagged, found.unscored, found.novel_cells)
    by_chance = (
        decision.alpha if decision.alpha is not None else float(calibration.p_value(np.array(decision.min_score)))
    )
    return Facts(
        table=table,
        bundle=str(bundle),
        rows=found.rows,
        flagged=found.flagged,
        unscored=found.unscored,
        missing_cells=found.missing_cells,
        novel_cells=found.novel_cells,
        score_kind=kind,
        threshold=level,
        min_score=decision.min_score,
        share_by_chance=by_chance,
        uses_tail_model=decision.uses_tail_model,
        n_calibration_rows=calibration.n_rows,
        warnings=warnings_of(detector, kind, level, tally),
    )


def _data(facts: Facts, found: ReportInputs, manifest: Manifest) -> ReportData:
    return ReportData(
        facts=facts,
        worst=found.worst,
        scores=found.scores,
        timeline=found.timeline,
        contributions=found.contributions,
        map=found.map,
        profiles=found.profiles,
        n_other_columns=found.n_other_columns,
        training=_training(manifest.summary),
        settings=(
            ("vaecli", manifest.version),
            ("bundle", facts.bundle),
            ("schema", manifest.schema_fingerprint[:16]),
            *flat_settings(manifest.config["fit"]),
        ),
        pictures=found.pictures,
    )


# A bundle is checked where it decides; here it only tells, and what it does not tell well is not shown.


def _training(summary: Mapping[str, Any]) -> Training:
    try:
        history = tuple(
            TrainingCheck(int(one["step"]), float(one["elbo"]), float(one["kl"])) for one in summary.get("history", ())
        )
        best = float(summary["validation_elbo"])
        kept = next((check for check in history if check.elbo == best), None)
        return Training(history, float(summary["baseline_log_prob"]), kept)
    except (KeyError, TypeError, ValueError):
        return Training((), None, None)
