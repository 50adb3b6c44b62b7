"""`fit` for series of sensors: learn what normal windows look like."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from vaecli.calibration.conformal import Calibration
from vaecli.config import SCORE_KINDS, FitConfig
from vaecli.data.clock_units import has_moments
from vaecli.data.cycle_profile import CycleProfile, find_profile
from vaecli.data.sensor_columns import SensorColumns
from vaecli.data.sensor_scale import CONTINUOUS, SensorScale
from vaecli.data.series import Stretch, filled_forward, held_forward
from vaecli.errors import UsageError
from vaecli.model.window_model import HISTORY, WINDOW, WindowShape
from vaecli.results import Event, OnEvent
from vaecli.results.fit_sensors import SensorFitSummary
from vaecli.runtime.moments import SECONDS_PER_DAY
from vaecli.schema import Kind, Schema
from vaecli.sensors.detector import JUDGED_KINDS, KINDS, MODEL, Clock, SensorDetector
from vaecli.sensors.event_rates import event_rates
from vaecli.sensors.fit_single_sensors import silence_limits
from vaecli.sensors.fit_stretches import column_values, learn_stretches
from vaecli.sensors.fit_support import fit_support
from vaecli.sensors.fitting import blocks_of, calibrated, fit_windows, independent_rows, judged, looked_ahead
from vaecli.sensors.history import spike_limits
from vaecli.sensors.stretches import TrainingStretches
from vaecli.tables import LongSource, Source
from vaecli.tables.infer.infer_schema import reject_nothing_to_learn
from vaecli.workflows.column_summaries import column_summaries
from vaecli.workflows.column_warnings import column_warnings
from vaecli.workflows.coverage import coverage_warnings
from vaecli.workflows.drift_warning import dependence_warning
from vaecli.workflows.long_table import with_found_clock, with_long
from vaecli.workflows.sensor_data import (
    SeriesRows,
    as_series,
    longest_step,
    pieces,
    read_series,
    require_rows,
    usual_steps,
)

MOST_GROUPS = 10_000  # whose names a bundle keeps, to report new ones


def fit_sensors(
    source: Source, schema: Schema, config: FitConfig, output: Path | None, on_event: OnEvent
) -> tuple[SensorDetector, SensorFitSummary]:
    """Fit the windows of a table of series.

    Raises UsageError for a table with too many sensors, and InputError for one without any or with too few rows.
    """
    started = time.monotonic()
    schema = as_series(schema)
    long = None
    if isinstance(source, LongSource):
        source, long = source.of_tags(schema.features), source.form
        schema = with_found_clock(schema, source)
    reject_nothing_to_learn(source, schema)
    if config.windows.max_gap_seconds is not None and schema.time is None:
        raise UsageError(
            f"{source.name}: --max-gap, but no column is a clock", "name the clock with --time, or leave out --max-gap"
        )
    n_sensors = SensorColumns(schema.features).n_sensors
    rows = read_series(source, schema, on_event, most_rows=config.train.memory_bytes // (4 * max(n_sensors, 1)))
    require_rows(rows, source)
    step, max_gap = longest_step(rows, config.windows.max_gap_seconds)
    hold = None if long is None or long.hold is None else _times(usual_steps(rows), long.hold)
    stretches, scale = _stretches(rows, max_gap, hold)
    cycle = None
    if has_moments(schema.time):
        cycle, stretches, scale = _with_cycle(SensorColumns(schema.features), rows, step, stretches, scale)
    silence = silence_limits((np.isnan(rows.readings[part]) for part in pieces(rows, max_gap)), n_sensors)
    if cycle is not None:
        column = SensorColumns(schema.features).column
        silence = cycle.widened(silence, silence[cycle.sensor], column)
        hold = None if hold is None else cycle.widened(hold, hold[cycle.sensor], column)
    shape = _shape(source, rows.time.size, scale.n_sensors, config.windows.window)
    fitted = fit_windows(stretches, scale, shape, lambda done, of: on_event(Event("fitting", done, of, "models")))
    level, calibrations, margins = config.calibration.threshold, {}, {}
    held_out = {**fitted.held_out, **{f"offline/{kind}": looked_ahead(fitted, kind) for kind in SCORE_KINDS}}
    judge = judged(fitted, held_out, level)
    columns = SensorColumns(schema.features)
    own = np.arange(n_sensors) if cycle is None else np.flatnonzero(cycle.order(columns.column) < n_sensors)
    if judge is not None:
        judge = replace(judge, silence_limit=silence, support=fit_support(stretches, columns, own, scale.kind))
    opinions = {} if judge is None else dict.fromkeys(JUDGED_KINDS, fitted.opinions(judge))
    for kind in KINDS:
        calibrations[kind], margins[kind] = calibrated(held_out[kind], fitted.block, level, opinions.get(kind))
    rates = None
    if schema.time is not None and schema.time.is_date:
        scores = np.stack([np.fmax(held_out[kind], opinions.get(kind, np.nan)) for kind in KINDS])
        rates = event_rates(scores, fitted.stretch, rows.time, fitted.model.shape.window, max_gap)
    scaled = np.concatenate([stretch.readings for stretch in stretches])
    group = None if schema.group is None else rows.group
    effective = independent_rows(fitted.held_out[config.score_kind], scaled, group)
    first, last = float(rows.time.min()), float(rows.time.max())
    clock = Clock(step, max_gap, first, last, len(rows.keys), effective.n, effective.n_groups)
    known = rows.keys if schema.group is not None and len(rows.keys) <= MOST_GROUPS else ()
    detector = SensorDetector(
        schema,
        scale,
        fitted.model,
        fitted.scales,
        spike_limits(stretches),
        calibrations,
        margins[config.score_kind],
        config.score_kind,
        level,
        clock,
        tuple(sorted(known)),
        rates,
        long,
        fitted.short_limits,
        hold,
        cycle,
        judge,
    )
    score = margins[config.score_kind] * held_out[config.score_kind]
    if judge is not None and config.score_kind in JUDGED_KINDS:
        score = np.fmax(score, opinions[config.score_kind])
    detector = replace(detector, stretches=_stretches_of(detector, rows, scaled, score))
    summary = _summary(detector, rows, len(stretches), output, time.monotonic() - started)
    return detector, with_long(summary, source) if isinstance(source, LongSource) else summary


def _stretches_of(
    detector: SensorDetector, rows: SeriesRows, scaled: np.ndarray, score: np.ndarray
) -> TrainingStretches:
    """What a check compares tables with, of rows with scaled readings (n, D) and held-out scores (n,)."""
    values = column_values(detector.schema.features, rows.readings)
    companions = scaled[:, detector.companions].astype(np.float64)
    if detector.cycle is not None:
        companions[np.isnan(rows.readings[:, detector.cycle.sensor])] = np.nan
    return learn_stretches(
        detector.schema.features, values, companions, score, rows.time, rows.group, detector.clock.step
    )


def _times(steps: np.ndarray, n: int) -> np.ndarray:
    """`n` of the steps (D,), at most the largest float64."""
    return np.minimum(steps, np.finfo(np.float64).max / n) * n


def _stretches(rows: SeriesRows, max_gap: float, hold: np.ndarray | None) -> tuple[list[Stretch], SensorScale]:
    """The rows in stretches, scaled and filled forward, for at most `hold` (D,) after a reading, and their scale."""
    parts = list(pieces(rows, max_gap))
    middle = np.nan_to_num(np.nanmedian(rows.readings, axis=0)) if rows.readings.size else np.empty(0)
    if hold is None:
        filled = np.concatenate([filled_forward(rows.readings[part], middle) for part in parts])
    else:
        never = np.full(middle.size, -np.inf)
        held = (held_forward(rows.readings[part], rows.time[part], middle, never, hold, middle) for part in parts)
        filled = np.concatenate([part for part, *_ in held])
    scale = SensorScale.of(np.where(np.isfinite(filled), filled, middle))
    scaled = scale.scaled(filled)
    return [_stretch(scaled[part], np.arange(part.start, part.stop)) for part in parts], scale


def _stretch(scaled: np.ndarray, row: np.ndarray) -> Stretch:
    """Training rows (m, D) numbered (m,), before which their first is repeated."""
    return Stretch(np.repeat(scaled[:1], HISTORY, axis=0), scaled, row, 0)


def _with_cycle(
    columns: SensorColumns, rows: SeriesRows, step: float, stretches: list[Stretch], scale: SensorScale
) -> tuple[CycleProfile | None, list[Stretch], SensorScale]:
    """What sensors usually read at the hour, where that helps, and stretches and scale with the companions."""
    is_number = np.array([column.kind is Kind.NUMERIC for column in columns.columns])[columns.column]
    candidates = np.flatnonzero(is_number & (scale.kind == CONTINUOUS))
    scaled = np.concatenate([stretch.readings for stretch in stretches])
    found = find_profile(scaled, rows.time, blocks_of(rows.time.size), candidates, step) if candidates.size else None
    if found is None:
        return None, stretches, scale
    cycle, companions = found
    companions = np.where(np.isnan(rows.readings[:, cycle.sensor]), np.nan, companions)
    nothing = np.zeros(cycle.sensor.size, np.float32)
    column = columns.column
    widened = [
        _stretch(
            cycle.widened(one.readings, filled_forward(companions[one.row], nothing).astype(np.float32), column),
            one.row,
        )
        for one in stretches
    ]
    return cycle, widened, cycle.widened_scale(scale, column)


def _shape(source: Source, n_rows: int, n_sensors: int, window: int | None) -> WindowShape:
    try:
        return WindowShape.of(n_rows, n_sensors, window or WINDOW)
    except ValueError as problem:
        raise UsageError(
            f"{source.name}: {problem}", "leave sensors out with --exclude, or judge every row by itself: --window 0"
        ) from None


def _summary(
    detector: SensorDetector, rows: SeriesRows, n_stretches: int, output: Path | None, seconds: float
) -> SensorFitSummary:
    calibration, clock = detector.calibrations[detector.score_kind], detector.clock
    schema, cycle = detector.schema, detector.cycle
    n_compared = 0 if cycle is None else cycle.sensor.size
    return SensorFitSummary(
        bundle="" if output is None else str(output),
        model=MODEL,
        n_rows=rows.time.size,
        n_excluded_by_label=rows.n_labelled_out,
        columns=column_summaries(schema),
        n_sensors=detector.sensors.n_sensors,
        n_continuous=int((detector.scale.kind == CONTINUOUS).sum()) - n_compared,
        n_groups=clock.groups,
        n_gaps=n_stretches - clock.groups,
        time_column=None if schema.time is None else schema.time.name,
        is_date=has_moments(schema.time),
        first_time=clock.first,
        last_time=clock.last,
        step=clock.step,
        max_gap=clock.max_gap,
        window_rows=detector.model.shape.window,
        statistics_rows=detector.model.shape.statistics_span,
        movement_rows=detector.model.shape.movement,
        n_components=detector.model.component_variance.size,
        threshold=detector.threshold,
        score_kind=detector.score_kind,
        min_score=calibration.threshold(detector.threshold),
        n_calibration_rows=calibration.n_rows,
        n_effective=clock.effective_rows,
        margin=round(detector.margin, 3),
        finest_level=clock.effective.finest_level,
        warnings=_warnings(detector, rows, calibration),
        seconds=seconds,
        n_compared=n_compared,
        cycle_days=0 if cycle is None else round(cycle.period / SECONDS_PER_DAY),
    )


def _left_out(rows: SeriesRows) -> list[str]:
    """Notes about rows that are empty, and about others that have no time."""
    fate = "left out" if rows.n_without_time else "read as missing"
    notes = [f"{rows.blank.described}: {fate}"] if rows.blank.n else []
    if n_others := rows.n_without_time - rows.blank.n if rows.n_without_time else 0:
        notes.append(f"{n_others:,} {'row has' if n_others == 1 else 'rows have'} no time: left out")
    return notes


def _warnings(detector: SensorDetector, rows: SeriesRows, calibration: Calibration) -> tuple[str, ...]:
    warnings, clock = column_warnings(detector.schema), detector.clock
    if detector.threshold > clock.effective.finest_level:
        warnings.append(dependence_warning(calibration, clock.effective, detector.threshold))
    schema = detector.schema
    warnings += _left_out(rows)
    warnings += coverage_warnings(schema.time, clock)
    if schema.group is None and (np.diff(rows.time) == 0).mean() > 0.1:
        warnings.append(
            "many rows have the time of the row before: if the table holds several devices, name their column with "
            "--group"
        )
    return tuple(warnings)
