"""`selftest`: which faults a bundle sees at its threshold, without labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pyarrow as pa

from vaecli.bundle import load_any_detector
from vaecli.config import FAULTS, TEXT_FAULTS, SelftestConfig
from vaecli.decisions.resolve import resolve
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine
from vaecli.errors import InputError
from vaecli.evaluation.faults import wilson
from vaecli.plots.fault_heatmap import draw_heatmap
from vaecli.results import DetectionRate, OnEvent, SelftestSummary, Untested, blind_spots_of, ignore, verdict_of
from vaecli.results.selftest import UNTRIED
from vaecli.results.selftest_sensors import SensorSelftestSummary
from vaecli.runtime import urls
from vaecli.schema import Column, Kind, Role, Schema
from vaecli.tables import Source, Targets, check_schema, frame_source, open_sink, open_source
from vaecli.tasks.known_rows import are_known, rows_if_all_known
from vaecli.tasks.selftest import Case, NormalRowsTask, Outcome, draw_rows, run_faults
from vaecli.tasks.written_rows import append_table

SCHEMA = pa.schema(
    [
        ("fault", pa.string()),
        ("size", pa.float64()),
        ("column", pa.string()),
        ("rows", pa.int64()),
        ("flagged", pa.int64()),
        ("share", pa.float64()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("ranges_share", pa.float64()),
        ("word", pa.string()),
        ("column_limits_share", pa.float64()),
        ("verdict", pa.string()),
    ]
)
_FORMER_COLUMNS = {"ranges_share": "column_limits_share", "word": "verdict"}  # until schema_version 3 (docs/cli.md)
ROWS = 2_000  # drawn, if not given
FEWEST_ROWS = 20  # unflagged, to put faults into
MANY_ALARMS = 3.0  # times as many as the level promises


def selftest(
    inputs: list[str],
    bundle: Path,
    output: str | None,
    plot: str | None,
    config: SelftestConfig,
    *,
    on_event: OnEvent = ignore,
) -> SelftestSummary | SensorSelftestSummary:
    """Put faults into normal rows from the table in `inputs`, and count which of them `bundle` flags.

    With `output` every share goes there, one line per fault, size and column; with `plot` they become a heat map.
    Raises UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    detector, _ = load_any_detector(bundle)
    if not isinstance(detector, Detector):
        from vaecli.workflows.selftest_sensors import selftest_sensors

        return selftest_sensors(detector, inputs, bundle, output, plot, config, started, on_event)
    has_text = any(column.kind is Kind.TEXT for column in detector.schema.features)
    faults = config.faults_among((*FAULTS, *TEXT_FAULTS) if has_text or config.faults else FAULTS, "of rows")
    decision = resolve(config.score, detector.calibrations, detector.score_kind, detector.threshold)
    source = open_source(inputs, once=True, lines=detector.lines)
    check_schema(source, detector.schema, detector.by_column)
    Targets.of(output, plot, bundle, source)
    engine = LocalEngine.of(config.score)
    rows = NormalRowsTask(detector.schema, label_of(source, detector.schema), detector.by_column)

    with nullcontext() if output is None else open_sink(output, frame_source(SCHEMA.empty_table()), ()) as sink:
        drawn = draw_rows(engine, rows, source, config.rows or ROWS, config.seed, on_event)
        _require_rows(source.name, len(drawn.cells), "normal rows")
        tested = run_faults(engine, detector, decision, drawn.cells, faults, config.seed, on_event)
        _require_rows(source.name, int((~tested.flagged_before).sum()), "rows that are not flagged as they are")
        overall, by_column = _rates(tested, detector.schema)
        if sink is not None:
            append_table(rate_table((*overall, *by_column)), sink)
        if plot is not None:
            draw_heatmap(plot, by_column, [column.name for column in detector.schema.features])

    return SelftestSummary(
        output=output and urls.shown(output),
        plot=plot and urls.shown(plot),
        bundle=str(bundle),
        rows=drawn.n_rows,
        excluded_by_label=drawn.n_labelled_out,
        drawn=len(drawn.cells),
        flagged_before=int(tested.flagged_before.sum()),
        false_alarm_rate=float(tested.flagged_before.mean()),
        column_limits_false_alarm_rate=float(tested.ranges_before.mean()),
        known_rows=tested.n_known,
        score_kind=decision.score_kind,
        threshold=decision.level,
        min_score=decision.min_score,
        uses_tail_model=decision.uses_tail_model,
        seed=config.seed,
        faults=overall,
        columns=by_column,
        untested=tuple(
            Untested(case.fault.name, case.size, case.fault.why_not(case.size))
            for case in tested.cases
            if not case.applies
        ),
        blind_spots=blind_spots_of(by_column),
        warnings=_warnings(detector.schema, tested, decision.alpha),
        seconds=time.monotonic() - started,
    )


def rate_table(rates: Sequence[DetectionRate]) -> pa.Table:
    """One line per share; the column is null for all columns together."""
    lines = [{name: getattr(rate, _FORMER_COLUMNS.get(name, name)) for name in SCHEMA.names} for rate in rates]
    return pa.Table.from_pylist(lines, schema=SCHEMA)


def label_of(source: Source, schema: Schema) -> Column | None:
    """The column that marked anomalies at fit, where this table has it too."""
    label = schema.with_role(Role.LABEL)
    return label if label is not None and label.name in source.names else None


def _require_rows(table: str, n: int, what: str) -> None:
    if n < FEWEST_ROWS:
        raise InputError(
            f"{table}: too few {what}, {n:,}; at least {FEWEST_ROWS} are needed",
            "give normal rows, best of them ones that were not in the fit, and as many as there are",
        )


def _rates(tested: Outcome, schema: Schema) -> tuple[tuple[DetectionRate, ...], tuple[DetectionRate, ...]]:
    """(all columns together, column by column) of every case that the table can have."""
    overall = [_rate(case, tested, None, None) for case in tested.cases if case.applies]
    by_column = [
        _rate(case, tested, int(j), schema.features[j].name)
        for case in tested.cases
        for j in case.fault.applies_to(schema.features, case.size)
    ]
    return tuple(overall), tuple(by_column)


def _rate(case: Case, tested: Outcome, j: int | None, column: str | None) -> DetectionRate:
    """What became of the rows in which column `j`, or any, had the fault."""
    hit = case.changed if j is None else case.changed & (case.column == j)
    n, n_flagged = int(hit.sum()), int(case.flagged[hit].sum())
    if not n:
        return DetectionRate(case.fault.name, case.size, column, 0, 0, None, None, None, None, UNTRIED)
    share, (low, high) = n_flagged / n, wilson(n_flagged, n)
    # each is asked about the rows that it had let through
    theirs = case.by_ranges[hit & tested.passed_ranges]
    column_limits_share = float(theirs.mean()) if theirs.size else None
    verdict = verdict_of(share, low, float(tested.flagged_before.mean()))
    return DetectionRate(
        case.fault.name, case.size, column, n, n_flagged, share, low, high, column_limits_share, verdict
    )


def _warnings(schema: Schema, tested: Outcome, alpha: float | None) -> tuple[str, ...]:
    """Why the figures may not be those of new normal rows."""
    warnings = []
    n, n_alarms = tested.flagged_before.size, int(tested.flagged_before.sum())
    if_all_known = rows_if_all_known(n, tested.n_remembered, schema.n_rows)
    if are_known(tested.n_known, if_all_known):
        warnings.append(
            f"{tested.n_known:,} of {n:,} rows are exactly like one that the bundle remembers of its fit, where "
            f"{if_all_known:,.0f} would be if all were rows of the fit: expect more false alarms among new rows"
        )
    if alpha is not None and wilson(n_alarms, n)[0] > alpha and n_alarms > MANY_ALARMS * alpha * n:
        warnings.append(
            f"{n_alarms / n:.1%} of the rows are flagged as they are, where {alpha:.2%} of normal rows would be: these "
            "rows are not like those of the fit, and the figures hold only for those that are"
        )
    return tuple(warnings)
