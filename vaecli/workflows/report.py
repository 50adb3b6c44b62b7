"""`report`: one HTML page about a table, for people who were not there when it was scored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaecli.bundle import Manifest, load_any_detector
from vaecli.calibration.conformal import Calibration
from vaecli.config import ReportConfig
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.report.data import Facts, ReportData, Training
from vaecli.report.page import headline, page
from vaecli.results import OnEvent, ReportSummary, TrainingCheck, ignore
from vaecli.results.flat_settings import flat_settings
from vaecli.runtime import urls
from vaecli.tables import Targets, check_schema, default_output, whole_output
from vaecli.tasks.report import ReportInputs, ReportTask, collect
from vaecli.tasks.report_images import ImageLayout
from vaecli.workflows.drift_warning import warnings_of
from vaecli.workflows.score import decision_of, refuse_for_rows
from vaecli.workflows.where import refuse_on_spark, table_and_engine

if TYPE_CHECKING:
    from vaecli.results.report_sensors import SensorReportSummary


def report(
    inputs: list[str],
    bundle: Path,
    output: str | None,
    config: ReportConfig,
    *,
    remote: str | None = None,
    on_event: OnEvent = ignore,
) -> ReportSummary | SensorReportSummary:
    """Score the table in `inputs`, and write a page about it to `output`, whole or not at all.

    With `remote` the Spark server there has the table and adds up what the page shows, except incidents.

    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, manifest = load_any_detector(bundle)
    refuse_on_spark(bundle, remote, {"--workers": config.score.workers}, is_of_rows=isinstance(detector, Detector))
    if not isinstance(detector, Detector):  # what series need is loaded for them alone
        from vaecli.workflows.report_sensors import report_sensors

        return report_sensors(detector, manifest, inputs, bundle, output, config, started, on_event)
    refuse_for_rows(bundle, config.score)
    decision = decision_of(detector, config.score)
    layout = None if config.image_shape is None else ImageLayout.of(detector, config.image_shape)
    target = output if output is not None else default_output(inputs, "report", ".html")
    source, engine = table_and_engine(
        inputs, config.score, remote, adds_up=True, numbers_rows=True, lines=detector.lines
    )
    check_schema(source, detector.schema, detector.by_column)
    Targets.of(target, None, bundle, source)
    with whole_output(target) as write:
        task = ReportTask.of(detector, source, decision, with_incidents=remote is None)
        shown = collect(engine, task, source, layout, on_event)
        facts = _facts(detector.calibrations[decision.score_kind], source.name, bundle, decision, shown)
        data = _data(facts, shown, manifest)
        content = page(data).encode()
        write(content)
    return ReportSummary(
        output=urls.shown(target),
        bundle=str(bundle),
        rows=facts.rows,
        anomalies=facts.flagged,
        unscored=facts.unscored,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=facts.uses_tail_model,
        headline=headline(data),
        size_bytes=len(content),
        warnings=facts.warnings,
        seconds=time.monotonic() - started,
        image_shape=config.image_shape,
    )


def _facts(calibration: Calibration, table: str, bundle: Path, decision: Decision, shown: ReportInputs) -> Facts:
    by_chance = (
        decision.alpha if decision.alpha is not None else float(calibration.p_value(np.array(decision.min_score)))
    )
    return Facts(
        table=table,
        bundle=str(bundle),
        rows=shown.rows,
        flagged=shown.flagged,
        unscored=shown.unscored,
        missing_cells=shown.missing_cells,
        novel_cells=shown.novel_cells,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        share_by_chance=by_chance,
        uses_tail_model=decision.uses_tail_model,
        n_calibration_rows=calibration.n_independent,
        warnings=warnings_of(calibration, decision, shown.rows, shown.flagged),
    )


def _data(facts: Facts, shown: ReportInputs, manifest: Manifest) -> ReportData:
    return ReportData(
        facts=facts,
        worst=shown.worst,
        scores=shown.scores,
        timeline=shown.timeline,
        contributions=shown.contributions,
        map=shown.map,
        profiles=shown.profiles,
        n_other_columns=shown.n_other_columns,
        training=_training(manifest.summary),
        settings=(
            ("vaecli", manifest.version),
            ("bundle", facts.bundle),
            ("schema", manifest.schema_fingerprint[:16]),
            *flat_settings(manifest.config["fit"]),
        ),
        pictures=shown.pictures,
        incidents=shown.incidents,
        n_incidents=shown.n_incidents,
    )


# A bundle is checked where it decides; here it only informs, and what it does not hold is not shown.


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
