"""`evaluate` for series of sensors: rows ranked, events found and missed, how late, and false alarms."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.aggregates.group_codes import GroupCodes
from vaecli.config import EvaluateConfig, ScoreConfig
from vaecli.data.clock_units import has_moments
from vaecli.decisions.threshold import Decision
from vaecli.errors import InputError, UsageError
from vaecli.evaluation.event_figures import EventFigures, event_figures
from vaecli.evaluation.intervals import clopper_pearson
from vaecli.evaluation.metrics import Labelled, evaluate
from vaecli.evaluation.runs import Runs
from vaecli.evaluation.vus import random_volumes, volumes
from vaecli.results import Evaluation, Event, Figure, OnEvent
from vaecli.results.evaluate_sensors import SensorEvaluateSummary
from vaecli.results.number_format import counted
from vaecli.runtime import urls
from vaecli.runtime.moments import SECONDS_PER_DAY
from vaecli.runtime.parallel import map_in_order
from vaecli.sensors.detector import MODEL, SensorDetector
from vaecli.sensors.events import FlaggedRows, Tracker, series_parts
from vaecli.tables import Source
from vaecli.tasks.evaluate import OURS
from vaecli.tasks.evaluate_sensors import ReadLabelledSensors
from vaecli.tasks.sensors import SensorRows, SensorWork, in_order
from vaecli.workflows.score_sensors import ahead, engine_of, event_rules
from vaecli.workflows.score_series import calibrations_of

RANDOM = "random scores"
FEW_EVENTS = 5  # below it, figures of events are vague


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """n labelled rows with their scores, in the order of the table; a score or a time is NaN where there is none."""

    is_anomaly: np.ndarray
    score: np.ndarray
    time: np.ndarray
    series: np.ndarray  # code of the series of each row
    evident: np.ndarray  # whether its latest rows alone are anomalous; see SensorDetector
    n_series: int


def refuse_what_is_for_rows(bundle: Path, plot: str | None, config: EvaluateConfig) -> None:
    """Raise UsageError for options that `evaluate` has for models of rows only."""
    asked = {"--group": config.group, "--marks": config.marks, "--baselines": config.baselines, "--plot": plot}
    if given := [option for option, value in asked.items() if value is not None]:
        raise UsageError(
            f"{', '.join(given)}: {bundle} is a model of sensors in time, for which there is no such comparison yet",
            "leave it out: all series are judged together, beside random scores",
        )


def evaluate_sensors(
    detector: SensorDetector,
    source: Source,
    label: str,
    decision: Decision,
    bundle: Path,
    output: str | None,
    config: EvaluateConfig,
    on_event: OnEvent,
) -> SensorEvaluateSummary:
    """Measure `detector` on the rows of `source`. Raises InputError where there are none, or for unreadable labels."""
    rows = scored_series(detector, source, label, decision, config, on_event)
    calibration = calibrations_of(detector, offline=config.score.offline)[decision.score_kind]
    flagged = decision.flagged(rows.score, calibration.p_value(rows.score))
    score = np.where(np.isnan(rows.score), -np.inf, rows.score)
    order = np.lexsort((rows.time, rows.series))
    order = order[~np.isnan(rows.time[order])]
    events = event_figures(
        rows.is_anomaly[order],
        flagged[order],
        _alarms(detector, decision, rows, flagged, order),
        rows.series[order],
        rows.time[order],
        detector.clock.step,
        detector.clock.max_gap,
    )
    schema = detector.schema
    is_date = has_moments(schema.time)
    of_rows = evaluate(Labelled(rows.is_anomaly, flagged, {OURS: score})).figures[OURS]
    ours = volumes(rows.is_anomaly[order], score[order], rows.series[order])
    noise = random_volumes(rows.is_anomaly[order], rows.series[order], config.seed)
    n_rows, n_anomalies = rows.is_anomaly.size, int(rows.is_anomaly.sum())
    n_normal = int((~rows.is_anomaly[order]).sum())
    ranked = {metric: of_rows[metric].value for metric in ("auroc", "average_precision")}
    ranked |= {"vus_roc": ours.roc, "vus_pr": ours.pr}
    flags = {metric: of_rows[metric].value for metric in ("precision", "recall", "f1", "false_alarm_rate")}
    both = 0 < n_anomalies < n_rows
    by_chance = {
        "auroc": 0.5 if both else math.nan,
        "average_precision": n_anomalies / n_rows if both else math.nan,
        "vus_roc": noise.roc,
        "vus_pr": noise.pr,
    }
    figures = (
        *_figures(ranked | flags),
        _event_recall(events, has_interval=config.bootstrap != 0),
        *_figures(_of_events(events, n_normal, has_clock=schema.time is not None, is_date=is_date)),
    )
    return SensorEvaluateSummary(
        output=output and urls.shown(output),
        bundle=str(bundle),
        model=MODEL,
        label=label,
        rows=n_rows,
        anomalies=n_anomalies,
        flagged=int(flagged.sum()),
        true_positives=int((flagged & rows.is_anomaly).sum()),
        unscored=int(np.isnan(rows.score).sum()),
        n_groups=rows.n_series,
        events=events.n_events,
        detected_events=events.n_found,
        alarms=events.n_alarms,
        false_alarms=events.n_false_alarms,
        normal_time=None if schema.time is None else events.normal_time,
        is_date=is_date,
        offline=config.score.offline,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        overall=Evaluation(OURS, None, n_rows, n_anomalies, figures),
        random=Evaluation(RANDOM, None, n_rows, n_anomalies, _figures(by_chance)),
        warnings=_warnings(rows, flagged, events, config),
        seconds=0.0,
    )


def scored_series(
    detector: SensorDetector,
    source: Source,
    label: str,
    decision: Decision,
    config: EvaluateConfig,
    on_event: OnEvent,
) -> LabelledSeries:
    """Score every row of `source` as `score` does; `config.score.offline` looks ahead. Raises InputError."""
    engine, task = engine_of(config.score, detector), ReadLabelledSensors(detector, label)
    calibration = detector.calibrations[decision.score_kind]
    labels, times, groups = [], [], GroupCodes()

    def read() -> Iterator[SensorRows]:
        for part in engine.map_batches(task, source, task.needs):
            labels.append(part.is_anomaly)
            times.append(part.rows.time)
            groups.add(part.rows.keys, part.rows.group)
            yield part.rows

    def scored(work: SensorWork) -> tuple[np.ndarray, np.ndarray]:
        n_rows = work.rows.batch.n_rows
        if config.score.offline:
            found = detector.readout_surprisals(work.stretches, n_rows)
            return found, detector.evident(work.stretches, np.ones(n_rows, bool))
        score = detector.score(work.stretches, n_rows, decision.score_kind)
        return score, detector.evident(work.stretches, decision.flagged(score, calibration.p_value(score)))

    found, evident, n_rows = [], [], 0
    with (
        threadpool_limits(1, "blas"),
        closing(map_in_order(scored, in_order(read(), detector.histories()), engine.workers)) as parts,
    ):
        for part, is_evident in parts:
            found.append(part)
            evident.append(is_evident)
            n_rows += is_evident.size
            on_event(Event("scoring", n_rows, source.n_rows))
    if not n_rows:
        raise InputError(f"{source.name}: there are no rows", "give a table with labelled rows")
    score, time, series = np.concatenate(found, axis=-1), np.concatenate(times), np.concatenate(groups.parts)
    if config.score.offline:
        score = ahead(detector, score, time, series, decision.score_kind)
    return LabelledSeries(
        np.concatenate(labels), score, time, series, np.concatenate(evident), n_series=len(groups.code)
    )


def _alarms(
    detector: SensorDetector, decision: Decision, rows: LabelledSeries, flagged: np.ndarray, order: np.ndarray
) -> Runs:
    """The events that `score` writes with its default rules, as runs of the rows `order` (m,) of all n."""
    codes = tuple(str(code) for code in range(rows.n_series))
    found = (rows.series, rows.time, rows.score, flagged, rows.evident)
    tracker: Tracker[np.ndarray] = Tracker(event_rules(detector, decision, ScoreConfig()))
    parts = series_parts(FlaggedRows(codes, *(of[order] for of in found)), tracker.rules, lambda places: places)
    ends = sorted((event.found[0][0], event.found[-1][-1]) for event in [*tracker.add(parts), *tracker.rest()])
    first, last = np.array(ends, np.int64).reshape(-1, 2).T
    return Runs(first, last)


def _figures(values: dict[str, float]) -> tuple[Figure, ...]:
    """Figures without an interval: rows of a series depend on each other, so that none is known."""
    return tuple(Figure(metric, None if math.isnan(value) else value, None, None) for metric, value in values.items())


def _event_recall(events: EventFigures, *, has_interval: bool) -> Figure:
    if not events.n_events:
        return Figure("event_recall", None, None, None)
    ends = clopper_pearson(events.n_found, events.n_events) if has_interval else (None, None)
    return Figure("event_recall", events.n_found / events.n_events, *ends)


def _of_events(events: EventFigures, n_normal: int, *, has_clock: bool, is_date: bool) -> dict[str, float]:
    """The figures of events and alarms but event recall; NaN where one is undefined or the clock counts."""
    is_found, n_false = events.n_found > 0, events.n_false_alarms
    return {
        "event_precision": 1 - n_false / events.n_alarms if events.n_alarms else math.nan,
        "delay_rows": float(np.median(events.delay_rows)) if is_found else math.nan,
        "delay_time": float(np.median(events.delay_time)) if is_found and has_clock else math.nan,
        "false_alarms_per_day": n_false * SECONDS_PER_DAY / events.normal_time
        if is_date and events.normal_time
        else math.nan,
        "false_alarms_per_1000_rows": 1000 * n_false / n_normal if n_normal else math.nan,
    }


def _warnings(
    rows: LabelledSeries, flagged: np.ndarray, events: EventFigures, config: EvaluateConfig
) -> tuple[str, ...]:
    warnings = []
    if not rows.is_anomaly.any():
        warnings.append("no row is labelled an anomaly: only the figures of false alarms are defined")
    elif rows.is_anomaly.all():
        warnings.append("every row is labelled an anomaly: only recall and delay are informative")
    elif events.n_events < FEW_EVENTS:
        warnings.append(f"the labels make {counted(events.n_events, 'event')}: too few for firm figures of events")
    if not flagged.any():
        warnings.append("no row is flagged: precision is undefined")
    n_unscored, n_timeless = int(np.isnan(rows.score).sum()), int(np.isnan(rows.time).sum())
    if n_unscored:
        warnings.append(f"{n_unscored:,} rows have no score: they count as not flagged, and rank last")
    if n_timeless:
        warnings.append(f"{n_timeless:,} rows have no time: they have no part in events, alarms and volumes")
    if config.bootstrap:
        warnings.append(
            f"--bootstrap {config.bootstrap} has no effect: intervals are computed, not drawn (0 leaves them out)"
        )
    return tuple(warnings)
