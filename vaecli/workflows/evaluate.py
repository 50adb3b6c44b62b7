"""`evaluate`: how good a bundle is on a labelled table, and whether a simple method would do."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa

from vaecli.bundle import load_any_detector
from vaecli.config import EvaluateConfig
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.base import Engine
from vaecli.engines.local import LocalEngine
from vaecli.errors import MissingPackage, UsageError, did_you_mean, quoted
from vaecli.evaluation import baselines, metrics as evaluation
from vaecli.evaluation.metrics import RANKED, Difference, Estimate, Evaluated, Labelled
from vaecli.results import Comparison, EvaluateSummary, Evaluation, Figure, OnEvent, ignore
from vaecli.results.evaluate import MarksEvaluated
from vaecli.results.evaluate_sensors import SensorEvaluateSummary
from vaecli.runtime import urls
from vaecli.schema import Role, Schema
from vaecli.sensors.detector import SensorDetector
from vaecli.tables import Source, Targets, check_schema, frame_source, open_sink, open_source
from vaecli.tables.marks import Marks
from vaecli.tasks.evaluate import OURS, EvaluateTask, LabelledScores, MarksMet, sample_features
from vaecli.tasks.written_rows import append_table
from vaecli.workflows.evaluate_sensors import evaluate_sensors, refuse_what_is_for_rows
from vaecli.workflows.long_table import as_modelled
from vaecli.workflows.score import decision_of
from vaecli.workflows.where import refuse_on_spark, table_and_engine

SCHEMA = pa.schema(
    [
        ("group", pa.string()),
        ("method", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
    ]
)
FEW_ANOMALIES = 20  # below it, an interval is wide
FEWEST_NORMAL_ROWS = 8


def evaluate(
    inputs: list[str],
    bundle: Path,
    output: str | None,
    plot: str | None,
    config: EvaluateConfig,
    *,
    remote: str | None = None,
    on_event: OnEvent = ignore,
) -> EvaluateSummary | SensorEvaluateSummary:
    """Measure the detector in `bundle` on the labelled table in `inputs`.

    With `output` every figure goes there, a line a metric; with `plot` the curves become a picture; with `remote` the
    Spark server there has the table. Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_any_detector(bundle)
    if isinstance(detector, SensorDetector):
        refuse_what_is_for_rows(bundle, plot, config)
    only_here = {"--marks": config.marks, "--baselines": config.baselines, "--workers": config.score.workers}
    refuse_on_spark(bundle, remote, only_here, is_of_rows=isinstance(detector, Detector))
    once = not (isinstance(detector, SensorDetector) and detector.long)
    source, engine = table_and_engine(inputs, config.score, remote, adds_up=False, once=once)
    marked = detector.schema.with_role(Role.LABEL)
    source = as_modelled(source, detector, config.label or (marked.name if marked else None))
    summary = evaluate_source(detector, source, config, bundle, output, plot, on_event, engine)
    return replace(summary, seconds=time.monotonic() - started)


def evaluate_source(
    detector: Detector | SensorDetector,
    source: Source,
    config: EvaluateConfig,
    bundle: Path = Path(),
    output: str | None = None,
    plot: str | None = None,
    on_event: OnEvent = ignore,
    engine: Engine | None = None,
) -> EvaluateSummary | SensorEvaluateSummary:
    """Measure a detector on the labelled rows of `source`, a table as it is modelled; see `evaluate`.

    Raises UsageError, InputError or EnvironmentProblem.
    """
    decision = decision_of(detector, config.score)
    check_schema(source, detector.schema, detector.by_column if isinstance(detector, Detector) else None)
    label = _label(source, detector.schema, config)
    targets = Targets.of(output, plot, bundle, source)
    targets.refuse(filter(None, [config.marks]), "the file of --marks")
    if isinstance(detector, SensorDetector):
        assert label is not None  # marks, which make it needless, are refused
        return _of_sensors(detector, source, label, decision, bundle, output, config, on_event)
    simple = _baselines(detector, source, label, config, targets, on_event)
    marks = Marks.given(config.marks, source)
    task = EvaluateTask(detector, decision, label, config.group, simple, marks)

    with nullcontext() if output is None else open_sink(output, frame_source(SCHEMA.empty_table()), ()) as sink:
        batches = (engine or LocalEngine.of(config.score)).map_batches(task, source, task.needs)
        labelled = LabelledScores.of(batches, source, config.group, on_event)
        evaluated = evaluation.evaluate(labelled.rows)
        has_intervals = config.bootstrap != 0
        overall, *others = _evaluations(evaluated, labelled.rows, None, has_intervals)
        groups = _groups(labelled, has_intervals)
        if sink is not None:
            append_table(figure_table((overall, *others, *groups)), sink)
        drawn = None if plot is None else _drawn(plot, labelled.rows)

    rows = labelled.rows
    return EvaluateSummary(
        output=output and urls.shown(output),
        plot=drawn,
        bundle=str(bundle),
        label=label,
        rows=rows.is_anomaly.size,
        anomalies=int(rows.is_anomaly.sum()),
        flagged=int(rows.flagged.sum()),
        true_positives=int((rows.flagged & rows.is_anomaly).sum()),
        unscored=labelled.unscored,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        has_intervals=has_intervals,
        overall=overall,
        baselines=tuple(others),
        groups=groups,
        comparisons=_comparisons(evaluated, has_intervals),
        warnings=_warnings(labelled, label, config, plot),
        seconds=0.0,
        marks=None if marks is None else _marks_evaluated(marks, labelled.marks),
    )


def _marks_evaluated(marks: Marks, met: MarksMet) -> MarksEvaluated:
    tally = met.tally
    return MarksEvaluated(
        marks.file, tally.normal, tally.faults, marks.unmet(tally), met.normal_flagged, met.faults_flagged
    )


def _of_sensors(
    detector: SensorDetector,
    source: Source,
    label: str,
    decision: Decision,
    bundle: Path,
    output: str | None,
    config: EvaluateConfig,
    on_event: OnEvent,
) -> SensorEvaluateSummary:
    with nullcontext() if output is None else open_sink(output, frame_source(SCHEMA.empty_table()), ()) as sink:
        summary = evaluate_sensors(detector, source, label, decision, bundle, output, config, on_event)
        if sink is not None:
            append_table(figure_table((summary.overall, summary.random)), sink)
    return summary


def figure_table(evaluations: Sequence[Evaluation]) -> pa.Table:
    """One line per figure; the group is null for all rows together."""
    lines = [
        {
            "group": one.group,
            "method": one.method,
            "metric": figure.metric,
            "value": figure.value,
            "low": figure.low,
            "high": figure.high,
        }
        for one in evaluations
        for figure in one.figures
    ]
    return pa.Table.from_pylist(lines, schema=SCHEMA)


def _label(source: Source, schema: Schema, config: EvaluateConfig) -> str | None:
    """The label column: the one that was named, else the one of the fit; None where marks stand for it.

    Raises UsageError where there is neither.
    """
    marked = schema.with_role(Role.LABEL)
    label = config.label if config.label is not None else marked.name if marked is not None else None
    if config.marks is not None and config.label is None and label not in source.names:
        label = None
    elif label is None:
        raise UsageError("no column is named that marks the anomalies", "name it: --label NAME, or give --marks FILE")
    asked = {"--label": label, "--group": config.group}
    unknown = {option: name for option, name in asked.items() if name is not None and name not in source.names}
    if unknown:
        listed = ", ".join(
            f"{option} {quoted(name)}{did_you_mean(name, source.names)}" for option, name in unknown.items()
        )
        raise UsageError(
            f"{source.name} has no such column: {listed}", "see the first line of the table for its columns"
        )
    if label is not None and label in {column.name for column in schema.features}:
        raise UsageError(
            f"--label {quoted(label)} is a feature of the model: it has seen the answers",
            f"fit without it, `vaecli fit … --label {label}`, or name the column that marks the anomalies",
        )
    if label is not None and label == config.group:
        raise UsageError(f"column {quoted(label)} is named by --label and --group", "a column plays one part")
    return label


def _baselines(
    detector: Detector, source: Source, label: str | None, config: EvaluateConfig, targets: Targets, on_event: OnEvent
) -> Mapping[str, baselines.Scorer]:
    """The simple methods, fitted on the table of `--baselines`; none where there is no such table."""
    if config.baselines is None:
        return {}
    if find_spec("sklearn") is None:
        raise MissingPackage("--baselines needs scikit-learn, which is not installed here", "pip install scikit-learn")
    normal = open_source([config.baselines])
    check_schema(normal, detector.schema)
    targets.refuse(normal.files, "the table of --baselines")
    evaluated = {os.path.realpath(file) for file in source.files}
    if evaluated & {os.path.realpath(file) for file in normal.files}:
        raise UsageError(
            f"--baselines {config.baselines}: is the table to be evaluated, so its rows would be known",
            "give the table that the bundle was fitted on, or other normal rows",
        )
    marks = label if label in normal.names else None
    features = sample_features(detector, normal, marks, baselines.MOST_ROWS, config.seed, on_event)
    if len(features) < FEWEST_NORMAL_ROWS:
        raise UsageError(
            f"--baselines {config.baselines}: {len(features):,} normal rows; at least {FEWEST_NORMAL_ROWS} are needed",
            "give the table that the bundle was fitted on, or other normal rows",
        )
    return baselines.fitted(features, config.seed)


def _groups(labelled: LabelledScores, has_intervals: bool) -> tuple[Evaluation, ...]:
    """Every group by itself: the worst first."""
    order = np.argsort(labelled.group, kind="stable")
    bounds = np.searchsorted(labelled.group[order], np.arange(len(labelled.groups) + 1))
    by_group = []
    for i, name in enumerate(labelled.groups):
        rows = labelled.rows.where(order[bounds[i] : bounds[i + 1]])
        by_group.append(_evaluations(evaluation.evaluate(rows), rows, name, has_intervals))
    by_group.sort(key=lambda of_group: _badness(of_group[0]))
    return tuple(one for of_group in by_group for one in of_group)


def _evaluations(
    evaluated: Evaluated, rows: Labelled, group: str | None, has_intervals: bool
) -> tuple[Evaluation, ...]:
    """One a method, vaecli first."""
    n_rows, n_anomalies = rows.is_anomaly.size, int(rows.is_anomaly.sum())
    return tuple(
        Evaluation(
            method,
            group,
            n_rows,
            n_anomalies,
            tuple(
                Figure(metric, _finite(figure.value), *_ends(figure, has_intervals))
                for metric, figure in figures.items()
            ),
        )
        for method, figures in evaluated.figures.items()
    )


def _ends(of: Estimate | Difference, has_intervals: bool) -> tuple[float | None, float | None]:
    return (_finite(of.low), _finite(of.high)) if has_intervals else (None, None)


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _badness(one: Evaluation) -> tuple[float, float, str]:
    """Sorts groups: the lowest AUROC first; those without one last, and of them the most false alarms first."""
    auroc, alarms = one.figure("auroc").value, one.figure("false_alarm_rate").value
    return (math.inf if auroc is None else auroc, -(alarms or 0.0), one.group or "")


def _comparisons(evaluated: Evaluated, has_intervals: bool) -> tuple[Comparison, ...]:
    """vaecli against the best of the others, by each metric that ranks."""
    others = [method for method in evaluated.figures if method != OURS]
    comparisons = []
    for metric in RANKED:
        ours = evaluated.figures[OURS][metric].value
        if not others or math.isnan(ours):
            continue
        best = max(others, key=lambda method: evaluated.figures[method][metric].value)
        gap = evaluated.difference(metric, OURS, best)
        theirs = evaluated.figures[best][metric].value
        comparisons.append(Comparison(metric, ours, best, theirs, *_ends(gap, has_intervals)))
    return tuple(comparisons)


def _drawn(plot: str, rows: Labelled) -> str | None:
    """The picture's name, None where there are no curves to draw."""
    if rows.is_anomaly.all() or not rows.is_anomaly.any():
        return None
    from vaecli.plots.roc import draw_curves

    draw_curves(plot, rows)
    return urls.shown(plot)


def _warnings(labelled: LabelledScores, label: str | None, config: EvaluateConfig, plot: str | None) -> tuple[str, ...]:
    is_anomaly = labelled.rows.is_anomaly
    n_anomalies = int(is_anomaly.sum())
    no_plot = "" if plot is None else f"; no curves are drawn, and {plot} is not written"
    warnings = []
    if label is None:
        warnings.append("without a label every row that is not marked as a fault counts as normal")
    if not n_anomalies:
        warnings.append(
            "no row is labelled an anomaly: AUROC, average precision and recall are undefined, and the false-alarm "
            f"rate is the only informative figure{no_plot}"
        )
    elif n_anomalies == is_anomaly.size:
        warnings.append(
            "every row is labelled an anomaly: AUROC, average precision and the false-alarm rate are undefined, and "
            f"recall is the only informative figure{no_plot}"
        )
    elif n_anomalies < FEW_ANOMALIES and config.bootstrap != 0:
        warnings.append(f"only {n_anomalies:,} rows are labelled anomalies: the intervals are wide")
    if not labelled.rows.flagged.any():
        warnings.append("no row is flagged: precision is undefined")
    if labelled.unscored:
        warnings.append(f"{labelled.unscored:,} rows have no score: they count as not flagged, and rank last")
    if config.bootstrap:
        warnings.append(
            f"--bootstrap {config.bootstrap} has no effect: intervals are computed, not drawn (0 leaves them out)"
        )
    return tuple(warnings)
