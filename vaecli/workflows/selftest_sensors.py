"""`selftest` for series of sensors: which faults in time a bundle sees, how late, and which sensor it names."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa

from vaecli.aggregates.group_codes import GroupCodes
from vaecli.config import SERIES_FAULTS, SelftestConfig
from vaecli.data.cells import Cells
from vaecli.data.clock_units import has_moments
from vaecli.data.sensor_scale import DEAD, DISCRETE
from vaecli.decisions.threshold import Decision
from vaecli.errors import InputError, UsageError
from vaecli.evaluation.column_limits import ColumnLimits
from vaecli.evaluation.faults import wilson
from vaecli.evaluation.series_faults import LONGEST, SERIES_CATALOGUE
from vaecli.plots.fault_heatmap import draw_heatmap
from vaecli.results import Event, OnEvent, blind_spots_of, verdict_of
from vaecli.results.selftest import UNTRIED
from vaecli.results.selftest_sensors import SensorSelftestSummary, SeriesDetectionRate, SkippedFaults
from vaecli.runtime import urls
from vaecli.sensors.detector import MODEL, SensorDetector
from vaecli.tables import Source, Targets, check_schema, frame_source, open_sink, open_source
from vaecli.tasks.selftest_sensors import (
    NEVER,
    ReadRows,
    ReadRowsTask,
    Segments,
    SeriesCase,
    SeriesFaultTask,
    flagged_rows,
    kinds_of,
    limits_of,
    segments_of,
    stretches_of,
)
from vaecli.tasks.written_rows import append_table
from vaecli.workflows.long_table import as_modelled
from vaecli.workflows.score_sensors import engine_of
from vaecli.workflows.score_series import series_decision
from vaecli.workflows.selftest import label_of

ROWS = 25_600  # drawn, if not given
FEWEST = 5  # stretches without a flag
MOST_CELLS = 2**24  # read
MANY_ALARMS = 3.0  # times as many as the level promises
SCHEMA = pa.schema(
    [
        ("fault", pa.string()),
        ("size", pa.float64()),
        ("unit", pa.string()),
        ("column", pa.string()),
        ("rows", pa.int64()),
        ("events", pa.int64()),
        ("detected", pa.int64()),
        *((name, pa.float64()) for name in ("share", "low", "high", "delay_rows", "delay_time", "first_named_share")),
        *((name, pa.float64()) for name in ("false_alarm_share", "column_limits_share", "column_limits_delay_rows")),
        ("verdict", pa.string()),
    ]
)


def selftest_sensors(
    detector: SensorDetector,
    inputs: list[str],
    bundle: Path,
    output: str | None,
    plot: str | None,
    config: SelftestConfig,
    started: float,
    on_event: OnEvent,
) -> SensorSelftestSummary:
    """Put faults into normal stretches of the series in `inputs`, and find when `detector` flags them.

    `started` is when the run began, of the monotonic clock. Raises UsageError, InputError, BundleError or
    EnvironmentProblem.
    """
    faults = config.faults_among(SERIES_FAULTS, "of series")
    skipped = _skipped(detector, faults, bundle)
    decision = series_decision(detector, config.score)
    source = as_modelled(open_source(inputs, once=detector.long is None), detector)
    check_schema(source, detector.schema)
    Targets.of(output, plot, bundle, source)
    names = [column.name for column in detector.schema.features]

    with nullcontext() if output is None else open_sink(output, frame_source(SCHEMA.empty_table()), ()) as sink:
        rows, is_all = _read(detector, source, config, on_event)
        segments = _segments(detector, source, rows, config)
        before = flagged_rows(detector, decision, segments, segments.cells())
        _require(source.name, int((~before.any(1)).sum()), "that hold no flag as they are")
        limits = limits_of(detector, segments, int(before.sum()))
        limits_before = limits.flags_own().reshape(before.shape)
        clean = np.flatnonzero(~before.any(1))
        cases = _cases(detector, decision, segments.take(clean), limits, faults, config, on_event)
        rates = [_rate(case, None, None, before, limits_before[clean], detector) for case in cases if case.applies]
        by_column = [
            _rate(case, int(j), names[j], before, limits_before[clean], detector)
            for case in cases
            for j in case.fault.applies_to(kinds_of(detector))
        ]
        if sink is not None:
            append_table(rate_table([*rates, *by_column]), sink)
        if plot is not None:
            draw_heatmap(plot, by_column, names, "share of the faults that are seen")

    return SensorSelftestSummary(
        output=output and urls.shown(output),
        plot=plot and urls.shown(plot),
        bundle=str(bundle),
        model=MODEL,
        rows=rows.time.size,
        excluded_by_label=int(rows.marked.sum()),
        n_groups=len(rows.keys),
        stretches=len(segments),
        stretch_rows=LONGEST,
        flagged_before=int(before.any(1).sum()),
        false_alarm_rate=float(before.mean()),
        column_limits_false_alarm_rate=float(limits_before.mean()),
        column_limits_flagged_before=int(limits_before.any(1).sum()),
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        seed=config.seed,
        is_date=has_moments(detector.schema.time),
        faults=tuple(rates),
        columns=tuple(by_column),
        skipped=skipped,
        blind_spots=blind_spots_of(by_column),
        warnings=_warnings(rows, before, decision, is_all=is_all),
        seconds=time.monotonic() - started,
    )


def rate_table(rates: Sequence[SeriesDetectionRate]) -> pa.Table:
    """One line per share; the column is null for all columns together."""
    return pa.Table.from_pylist([{name: getattr(rate, name) for name in SCHEMA.names} for rate in rates], schema=SCHEMA)


def _skipped(detector: SensorDetector, faults: Sequence[str], bundle: Path) -> tuple[SkippedFaults, ...]:
    """What columns cannot have. Raises UsageError where no column can have any of the faults."""
    names, kinds = [column.name for column in detector.schema.features], kinds_of(detector)
    of_continuous = tuple(fault for fault in faults if SERIES_CATALOGUE[fault].only_continuous)
    found = []
    for kind, skips, reason in (
        (DEAD, tuple(faults), "never moved in the fit, so there is no spread to measure a fault by"),
        (DISCRETE, of_continuous, "has few different values, between which nothing can drift or be noisy"),
    ):
        columns = tuple(name for name, one in zip(names, kinds, strict=True) if one == kind)
        if columns and skips:
            found.append(SkippedFaults(skips, columns, reason))
    if not any(SERIES_CATALOGUE[fault].applies_to(kinds).size for fault in faults):
        raise UsageError(
            f"{bundle}: no sensor can have any of the faults {', '.join(faults)}",
            "give a bundle with sensors that moved in its fit, or other --faults",
        )
    return tuple(found)


def _read(detector: SensorDetector, source: Source, config: SelftestConfig, on_event: OnEvent) -> tuple[ReadRows, bool]:
    """(at most about MOST_CELLS cells of the table, whether these are all). Raises InputError if there are none."""
    task = ReadRowsTask(detector, label_of(source, detector.schema))
    most = max(MOST_CELLS // len(detector.schema.features), LONGEST)
    parts: list[ReadRows] = []
    groups, n_rows, is_all = GroupCodes(), 0, True
    for part in engine_of(config.score, detector).map_batches(task, source, task.needs):
        if n_rows >= most:
            is_all = False
            break
        parts.append(part)
        groups.add(part.keys, part.group)
        n_rows += part.time.size
        on_event(Event("reading", n_rows, source.n_rows))
    if not n_rows:
        raise InputError(f"{source.name}: there are no rows", "give normal rows that were not in the fit")
    cells, times, marked = (
        Cells.concatenate([part.cells for part in parts]),
        np.concatenate([part.time for part in parts]),
        np.concatenate([part.marked for part in parts]),
    )
    # batches end where threads and --batch-rows decide, and the figures must not
    keep = slice(0, most)
    group = np.concatenate(groups.parts)[keep]
    keys = tuple(map(str, groups.code))[: int(group.max()) + 1]
    return ReadRows(cells[keep], times[keep], keys, group, marked[keep]), is_all and n_rows <= most


def _segments(detector: SensorDetector, source: Source, rows: ReadRows, config: SelftestConfig) -> Segments:
    most = max((config.rows or ROWS) // LONGEST, FEWEST)
    stretches = stretches_of(rows, detector.clock.max_gap)
    segments = segments_of(detector, rows, stretches, most, np.random.default_rng([config.seed, 0x5E20]))
    _require(source.name, len(segments), "that follow each other without a gap")
    return segments


def _require(table: str, n: int, what: str) -> None:
    if n < FEWEST:
        raise InputError(
            f"{table}: too few stretches of {LONGEST} normal rows {what}, {n:,}; at least {FEWEST} are needed",
            "give more normal rows that follow each other, best of them ones that were not in the fit: "
            f"{FEWEST * LONGEST} and a window before them at the very least, and better ten times as many",
        )


def _cases(
    detector: SensorDetector,
    decision: Decision,
    clean: Segments,
    limits: ColumnLimits,
    faults: Sequence[str],
    config: SelftestConfig,
    on_event: OnEvent,
) -> list[SeriesCase]:
    plan = [(name, size) for name in faults for size in SERIES_CATALOGUE[name].sizes]
    task = SeriesFaultTask(detector, decision, clean, limits, len(plan), config.seed)
    cases: list[SeriesCase] = []
    for case in engine_of(config.score, detector).map_items(task, plan):
        cases.append(case)
        on_event(Event("injecting faults", len(cases), len(plan), "faults"))
    return cases


def _rate(
    case: SeriesCase,
    j: int | None,
    column: str | None,
    before: np.ndarray,
    limits_before: np.ndarray,
    detector: SensorDetector,
) -> SeriesDetectionRate:
    """What became of the faults in column `j`, or any.

    `before` (S, m) are the flags of all stretches as they are, `limits_before` (k, m) those of the limits in the
    stretches that got faults.
    """
    n_rows = case.fault.n_rows(case.size)
    tried = (case.begin != NEVER) & (np.ones(case.column.size, bool) if j is None else case.column == j)
    found = tried & (case.first != NEVER)
    n, n_found = int(tried.sum()), int(found.sum())
    false_alarm_share = float(before[:, :n_rows].any(1).mean())
    # each is asked about the stretches that it had let through
    passed = ~np.asarray(limits_before[:, :n_rows]).max(axis=1)
    theirs = tried & passed[case.segment]
    by_limits = theirs & (case.by_limits != NEVER)
    share = low = high = None
    verdict = UNTRIED
    if n:
        share, n_segments = n_found / n, np.unique(case.segment[tried]).size
        low, high = wilson(share * n_segments, n_segments)
        verdict = verdict_of(share, low, false_alarm_share)
    return SeriesDetectionRate(
        fault=case.fault.name,
        size=case.size,
        unit=case.fault.size_unit,
        column=column,
        rows=n_rows,
        events=n,
        detected=n_found,
        share=share,
        low=low,
        high=high,
        delay_rows=_median((case.first - case.begin)[found]),
        delay_time=None if detector.schema.time is None else _median(case.delay_time[found]),
        first_named_share=float(case.named[found].mean()) if n_found else None,
        false_alarm_share=false_alarm_share,
        column_limits_share=float(by_limits.sum() / theirs.sum()) if theirs.any() else None,
        column_limits_delay_rows=_median((case.by_limits - case.begin)[by_limits]),
        verdict=verdict,
    )


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if values.size else None


def _warnings(rows: ReadRows, before: np.ndarray, decision: Decision, *, is_all: bool) -> tuple[str, ...]:
    warnings = []
    if not is_all:
        warnings.append(f"only the first {rows.time.size:,} rows of the table were read")
    rate, n, alpha = float(before.mean()), before.shape[0], decision.alpha
    if alpha is not None and wilson(rate * n, n)[0] > alpha and rate > MANY_ALARMS * alpha:
        warnings.append(
            f"{rate:.1%} of the rows are flagged as they are, where {alpha:.2%} of normal rows would be: these rows "
            "are not like those of the fit, and the figures hold only for stretches that are"
        )
    return tuple(warnings)
