"""`flag`: decides again over a scored table."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from vaecli.aggregates.group_codes import GroupCodes
from vaecli.bundle import load_any_detector
from vaecli.calibration.conformal import alpha_of
from vaecli.config import ColumnsConfig, FlagConfig
from vaecli.config.flag import LEVEL_OF_A_DAY
from vaecli.config.spans import Span
from vaecli.data.clock_units import clock_seconds, has_moments
from vaecli.decisions.budget import UNSUPPRESSED, RankedRows, per_day
from vaecli.decisions.false_discoveries import fewest_discoveries, largest_discovery
from vaecli.detector import Detector
from vaecli.engines.local import LocalEngine
from vaecli.errors import InputError, SchemaMismatch, UsageError, did_you_mean, listed, quoted
from vaecli.results import Event, FlagSummary, OnEvent, ignore
from vaecli.results.number_format import counted, exact_per_cent
from vaecli.runtime import urls
from vaecli.schema import Column, Kind, Role
from vaecli.tables import (
    ReadRequest,
    Sink,
    Source,
    check_schema,
    default_output,
    group_texts,
    open_sink,
    open_source,
    refuse_to_overwrite,
    time_values,
)
from vaecli.tables.infer.infer_schema import infer_schema
from vaecli.tables.write.replace_cells import Spelling
from vaecli.tasks.flag import (
    AsBefore,
    ByPValue,
    ByRow,
    FlagTask,
    FlagTotals,
    Floors,
    ScoredColumns,
    matching_kinds,
    request,
)
from vaecli.tasks.suppression import Suppression
from vaecli.tasks.written_rows import Rendered, append_rows

if TYPE_CHECKING:
    from vaecli.sensors.detector import SensorDetector

SUPPRESSED_BY = ("suppressed_by", pa.string())
RANKED_AT_ONCE = 256
IS_ANOMALY = ("is_anomaly", pa.bool_())


@dataclass(frozen=True, slots=True)
class Plan:
    """A scored table and how it is to be decided: everything but the pass that writes it."""

    source: Source
    config: FlagConfig
    columns: ScoredColumns
    suppression: Suppression
    detector: Detector | SensorDetector | None  # where the model is needed
    kind: str | None  # of score, where the model is needed
    flag: Column  # how the table spells its flags

    @property
    def added(self) -> tuple[tuple[str, pa.DataType], ...]:
        """The columns that the output has beyond those of the table."""
        return (
            *(() if self.columns.has_flags else (IS_ANOMALY,)),
            *((SUPPRESSED_BY,) if self.config.rules else ()),
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """The decision, and what is to be reported of it."""

    decision: ByPValue | ByRow | AsBefore
    claim: str
    facts: dict[str, Any]
    warnings: tuple[str, ...] = ()


def flag(
    inputs: list[str], bundle: Path, output: str | None, config: FlagConfig, *, on_event: OnEvent = ignore
) -> FlagSummary:
    """Decide again over the scored table in `inputs`; write it to `output`, whole or not at all.

    The detector in `bundle` is read only for a false-discovery rate and for rules that name a column. Raises
    UsageError, InputError, BundleError or EnvironmentProblem.
    """
    started = time.monotonic()
    target = output if output is not None else default_output(inputs, "flagged")
    needs_model = _needs_model(config)
    detector = load_any_detector(bundle)[0] if needs_model else None
    if needs_model:
        refuse_to_overwrite(target, [str(bundle)], "the bundle")
    source = open_source(inputs)
    plan = plan_of(source, detector, config, on_event)
    refuse_to_overwrite(target, source.files, "the input")
    with open_sink(target, source, plan.added, prefix=config.run.prefix) as sink:
        summary = flag_source(plan, sink, on_event=on_event)
    return replace(summary, output=urls.shown(target), seconds=time.monotonic() - started)


def _needs_model(config: FlagConfig) -> bool:
    by_rate = config.fdr is not None and config.calibration_rows is None
    return by_rate or any(rule.column is not None for rule in config.rules)


def plan_of(source: Source, detector: Detector | SensorDetector | None, config: FlagConfig, on_event: OnEvent) -> Plan:
    """The plan for a scored table. Raises UsageError or InputError for what the table does not have."""
    columns = ScoredColumns.of(source.names, config.run.prefix)
    if config.method == "kept" and not columns.has_flags:
        raise UsageError(
            f"{source.name} has no column {quoted(columns.is_anomaly)}, so it has no flags to suppress",
            "choose how to decide: --threshold, --fdr, --top or --per-day",
        )
    _require_columns(source, config)
    clock = None if config.time is None else _clock(source, config.time, on_event)
    if not _needs_model(config):
        detector = None
    kind = None if detector is None else _kind_of(source, columns, detector)
    with_columns = [rule for rule in config.rules if rule.column is not None]
    explains = detector if with_columns else None
    if explains is not None and not isinstance(explains, Detector):
        raise UsageError(
            f"rule {quoted(with_columns[0].name)}: names a column, and the model is one of series",
            "rules for tables of series may name group, time_of_day and until",
        )
    if explains is not None:
        check_schema(source, explains.schema, explains.by_column)
        known = [column.name for column in explains.schema.features]
        unknown = [rule for rule in with_columns if rule.column not in known]
        if unknown:
            raise UsageError(
                f"rule {quoted(unknown[0].name)}: the model has no column {quoted(unknown[0].column)}"
                f"{did_you_mean(str(unknown[0].column), known)}",
                "`vaecli inspect --schema` lists its columns",
            )
    suppression = Suppression(config.rules, explains, kind, clock, time.time())
    return Plan(source, config, columns, suppression, detector, kind, _flag_column(source, columns))


def flag_source(plan: Plan, sink: Sink | Any, *, on_event: OnEvent = ignore) -> FlagSummary:
    """Decide and write every row of the plan's table into `sink`. Raises UsageError or InputError."""
    started = time.monotonic()
    config, source = plan.config, plan.source
    decided = _decide(plan, on_event)
    task = FlagTask(
        plan.columns, decided.decision, plan.suppression, Spelling.of(source), plan.flag, config.anomalies_only
    )
    parts = LocalEngine.of(config.run).map_batches(Rendered(task, sink), source, task.needs)
    no_totals = FlagTotals(np.zeros(len(config.rules), np.int64))
    totals = append_rows(parts, sink, no_totals, "flagging", source.n_rows, on_event)
    names = [rule.name for rule in config.rules]
    suppressed = dict(zip(names, totals.suppressed.tolist(), strict=True)) if names else None
    facts: dict[str, Any] = dict.fromkeys(("calibration_rows", "fewest_discoveries", "events", "days", "untimed"), None)
    return FlagSummary(
        output="",
        rows=totals.rows,
        anomalies=totals.anomalies,
        flagged_before=totals.before if plan.columns.has_flags else None,
        unscored=totals.unscored,
        method=config.method,
        threshold=LEVEL_OF_A_DAY if config.method == "per_day" and config.threshold is None else config.threshold,
        fdr=config.fdr,
        top=config.top,
        per_day=config.per_day,
        largest_p=totals.largest_p if totals.anomalies else None,
        score_kind=plan.kind,
        suppressed=suppressed,
        claim=decided.claim,
        warnings=(*decided.warnings, *_warnings(plan, totals)),
        seconds=time.monotonic() - started,
        **(facts | decided.facts),
    )


def _decide(plan: Plan, on_event: OnEvent) -> Decided:
    config = plan.config
    if config.fdr is not None:
        return _by_rate(plan, config.fdr, on_event)
    if config.top is not None:
        return _by_count(plan, config.top, on_event)
    if config.per_day is not None:
        return _by_day(plan, config.per_day, on_event)
    if config.threshold is not None:
        claim = f"{exact_per_cent(alpha_of(config.threshold))} of normal rows are flagged by chance"
        return Decided(ByPValue(alpha_of(config.threshold)), claim, {})
    return Decided(AsBefore(), "the flags are those of the table, but for the rows that a rule suppresses", {})


# -- a false-discovery rate -----------------------------------------------------------------------


def _by_rate(plan: Plan, q: float, on_event: OnEvent) -> Decided:
    floors = _floors(plan)
    smallest = floors.smallest
    m = round(1 / smallest) - 1
    if smallest > q:
        raise UsageError(
            f"--fdr {q:g}: with {counted(m, 'calibration row')} no p-value is below {smallest:.3g}, "
            "so that no row could ever be flagged",
            f"calibrate with {int(np.ceil(1 / q)) - 1:,} normal rows or more: `vaecli calibrate`",
        )
    kept, n_tests = [np.empty(0)], 0
    needs = request(plan.columns, plan.suppression, floors.columns)
    for batch in plan.source.batches(needs):
        p_value = plan.columns.p_values(batch)
        n_tests += int((~np.isnan(p_value)).sum())
        floored = floors.floored(p_value, batch)
        kept.append(floored[floored <= q])
        if plan.detector is not None and plan.kind not in _kinds(plan.detector, plan.columns, batch):
            raise _other_p_values(plan.source, plan.columns)
        on_event(Event("ranking", batch.first_row + batch.n_rows, plan.source.n_rows))
    cutoff = largest_discovery(np.concatenate(kept), n_tests, q)
    needed = fewest_discoveries(n_tests, smallest, q)
    is_dependent = _is_dependent(plan)
    claim = ("nothing; if rows were independent, " if is_dependent else "") + (
        f"on average at most {exact_per_cent(q)} of the flagged rows are normal, over these {counted(n_tests, 'row')} "
        f"as one batch (Benjamini-Hochberg; normal rows like the {m:,} that calibrated)"
    )
    warnings = []
    if cutoff is None and n_tests:
        warnings.append(
            f"nothing is flagged: with {m:,} calibration rows and {n_tests:,} tested ones the rate can flag nothing "
            f"unless {counted(needed, 'row')} or more {'stands' if needed == 1 else 'stand'} out from all of them"
        )
    if config_rules := plan.config.rules:
        warnings.append(
            f"the rate is of all rows found, those that {counted(len(config_rules), 'rule')} may suppress among them"
        )
    if is_dependent:
        warnings.append("rows of one series or of a few groups depend on each other: the rate is not promised for them")
    if 0 < n_tests < 100:
        warnings.append(f"a batch of {counted(n_tests, 'row')}: the rate of a stream of such batches can be far higher")
    decision = ByPValue(-1.0 if cutoff is None else cutoff, floors)
    return Decided(decision, claim, {"calibration_rows": m, "fewest_discoveries": needed}, tuple(warnings))


def _floors(plan: Plan) -> Floors:
    if plan.config.calibration_rows is not None:
        return Floors(1 / (plan.config.calibration_rows + 1))
    assert plan.detector is not None
    assert plan.kind is not None
    calibration = plan.detector.calibrations[plan.kind]
    if not isinstance(plan.detector, Detector):
        return Floors(1 / (plan.detector.clock.effective.n + 1))
    groups = plan.detector.groups
    return Floors(1 / (calibration.n_independent + 1), plan.kind, groups, None if groups is None else calibration)


def _is_dependent(plan: Plan) -> bool:
    if plan.detector is None or plan.kind is None:
        return False
    return not isinstance(plan.detector, Detector) or plan.detector.calibrations[plan.kind].effective is not None


def _kinds(detector: Detector | SensorDetector, columns: ScoredColumns, batch: Any) -> set[str]:
    groups = detector.groups if isinstance(detector, Detector) else None
    return matching_kinds(detector.calibrations, groups, columns, batch)


def _kind_of(source: Source, columns: ScoredColumns, detector: Detector | SensorDetector) -> str:
    """The kind of score whose calibration gives the p-values of the first rows, the default one if several do.

    Raises InputError where none does: the table was scored with another bundle.
    """
    if not columns.has_score:
        raise InputError(
            f"{source.name} has no column {quoted(columns.score)}, by which its p-values are known to be the model's",
            "give the table as `vaecli score` wrote it, or --calibration-rows",
            column=columns.score,
        )
    by = detector.by_column if isinstance(detector, Detector) else None
    if by is not None and by not in source.names:
        raise SchemaMismatch(
            f"{source.name}: the column {quoted(by)}, whose groups are calibrated, is missing",
            "give the table with it",
            column=by,
        )
    names = (*columns.numbers, *(() if by is None else (by,)))
    for batch in source.batches(request(columns, _NO_RULES, names)):
        if np.isnan(columns.p_values(batch)).all():
            continue
        kinds = _kinds(detector, columns, batch)
        if not kinds:
            raise _other_p_values(source, columns)
        return detector.score_kind if detector.score_kind in kinds else min(kinds)
    return detector.score_kind


_NO_RULES = Suppression((), None, None, None, 0.0)


def _other_p_values(source: Source, columns: ScoredColumns) -> InputError:
    return InputError(
        f"{source.name}: the values of {quoted(columns.p_value)} are not those that the bundle gives these scores",
        "name with -m the bundle that scored the table, or give --calibration-rows",
        column=columns.p_value,
    )


# -- budgets --------------------------------------------------------------------------------------


def _by_count(plan: Plan, most: int, on_event: OnEvent) -> Decided:
    alpha = 1.0 if plan.config.threshold is None else alpha_of(plan.config.threshold)
    best = RankedRows.none()
    needs = request(plan.columns, plan.suppression, plan.suppression.columns)
    for batch in plan.source.batches(needs):
        p_value = plan.columns.p_values(batch)
        which = np.flatnonzero(p_value <= alpha)
        which = which[np.argsort(p_value[which], kind="stable")]
        for start in range(0, which.size, max(most, RANKED_AT_ONCE)):
            part = which[start : start + max(most, RANKED_AT_ONCE)]
            if (best.rule == UNSUPPRESSED).sum() >= most and p_value[part[0]] > best.p_value.max():
                break  # rows that cannot be among the best any more are not explained
            best = (best + _candidates(plan, batch, np.sort(part))).best(most)
        on_event(Event("ranking", batch.first_row + batch.n_rows, plan.source.n_rows))
    order = np.argsort(best.row)
    claim = f"the {most:,} most unusual rows; how many of them are normal is not promised"
    return Decided(ByRow(best.row[order], best.rule[order]), claim, {})


def _candidates(plan: Plan, batch: Any, which: np.ndarray) -> RankedRows:
    return RankedRows(
        batch.first_row + which,
        plan.columns.p_values(batch)[which],
        plan.columns.scores(batch)[which],
        plan.suppression.rule_of(batch, which),
    )


def _by_day(plan: Plan, events: int, on_event: OnEvent) -> Decided:
    config, clock = plan.config, plan.suppression.clock
    assert clock is not None
    alpha = alpha_of(config.threshold if config.threshold is not None else LEVEL_OF_A_DAY)
    gap = Span(rows=1) if config.merge_gap is None else Span.parse(config.merge_gap)
    others = (*plan.suppression.columns, *((config.group,) if config.group is not None else ()))
    rows, times, codes = RankedRows.none(), [np.empty(0)], GroupCodes()
    for batch in plan.source.batches(request(plan.columns, plan.suppression, others)):
        seconds = clock_seconds(time_values(batch, clock), clock)
        p_value = plan.columns.p_values(batch)
        rows = rows + _candidates(plan, batch, np.flatnonzero((p_value <= alpha) & np.isfinite(seconds)))
        times.append(seconds)
        if config.group is not None:
            names, index = np.unique(group_texts(batch, config.group).astype(str), return_inverse=True)
            codes.add(names.tolist(), index)
        on_event(Event("ranking", batch.first_row + batch.n_rows, plan.source.n_rows))
    seconds = np.concatenate(times)
    series = np.concatenate(codes.parts) if codes.parts else np.zeros(seconds.size, np.int32)
    place = seconds if gap.seconds is not None else _places(seconds, series)
    of = rows.row
    budget = per_day(rows, seconds[of], place[of], series[of], events, float(gap.seconds or gap.rows or 0))
    chosen = rows.take(budget.chosen)
    untimed = int(np.isnan(seconds).sum())
    apart = "next to each other in time" if config.merge_gap is None else f"within {config.merge_gap}"
    if gap.rows is not None and config.merge_gap is not None:
        apart += " rows"
    claim = (
        f"at most {counted(events, 'event')} a day (of UTC where the clock has a zone): the most unusual of the rows "
        f"at {1 - alpha:.10g}; flagged rows of {'a series' if config.group is None else quoted(config.group)} "
        f"{apart} are one event"
    )
    facts = {"events": budget.n_events, "days": budget.n_days, "untimed": untimed}
    warnings = () if not untimed else (f"{counted(untimed, 'row')} without a time: not flagged, as no day is theirs",)
    return Decided(ByRow(chosen.row, chosen.rule), claim, facts, warnings)


def _places(seconds: np.ndarray, series: np.ndarray) -> np.ndarray:
    """(n,) where each row stands in its series in the order of time, in rows; those without a time at the end."""
    order = np.lexsort((np.arange(seconds.size), seconds, series))
    place = np.empty(seconds.size)
    place[order] = np.arange(seconds.size)
    return place


# -- columns --------------------------------------------------------------------------------------


def _require_columns(source: Source, config: FlagConfig) -> None:
    """Raise UsageError for columns of the options and rules that the table does not have."""
    wanted = {"--time": config.time, "--group": config.group}
    named = [(flag, name) for flag, name in wanted.items() if name is not None]
    named += [(f"rule {quoted(rule.name)}: group", column) for rule in config.rules for column, _ in rule.group]
    missing = [
        f"{flag} {quoted(name)}{did_you_mean(name, source.names)}" for flag, name in named if name not in source.names
    ]
    if missing:
        raise UsageError(f"{source.name} does not have these columns:\n{listed(missing)}", "name one that it has")
    if config.time is None and (needing := [rule for rule in config.rules if rule.needs_clock]):
        raise UsageError(
            f"rule {quoted(needing[0].name)}: time_of_day needs a clock", "name the column of times with --time"
        )
    taken = config.run.prefix + SUPPRESSED_BY[0]
    if config.rules and taken in source.names:
        raise UsageError(
            f"{source.name} already has a column {quoted(taken)}: rules were applied before",
            "flag the table that `vaecli score` wrote",
        )


def _clock(source: Source, name: str, on_event: OnEvent) -> Column:
    """The column of times. Raises UsageError where it holds no moments."""
    if not any(batch.n_rows for batch in source.batches(ReadRequest((name,)))):  # nothing shows what it holds
        return Column(name, Kind.NUMERIC, Role.TIME)
    others = tuple(other for other in source.names if other != name)
    column = next(
        found
        for found in infer_schema(source, ColumnsConfig(time=name, exclude=others), on_event).columns
        if found.name == name
    )
    if not has_moments(column):
        raise UsageError(
            f"--time {quoted(name)} only counts: it has no days or times of day",
            "name a column of dates with times, or of seconds since 1970",
        )
    return column


def _flag_column(source: Source, columns: ScoredColumns) -> Column:
    """The column of flags as the table spells them: false and true, but `False` after pandas, or 0 and 1."""
    spelled = ("false", "true")
    if columns.has_flags:
        for batch in source.batches(ReadRequest((columns.is_anomaly,))):
            texts = {text for text in group_texts(batch, columns.is_anomaly) if text is not None}
            if texts:
                spelled = next(
                    (pair for pair in (("False", "True"), ("FALSE", "TRUE"), ("0", "1")) if texts & set(pair)), spelled
                )
                break
    return Column(columns.is_anomaly, Kind.BOOLEAN, categories=spelled)


def _warnings(plan: Plan, totals: FlagTotals) -> list[str]:
    warnings = []
    if not totals.rows:
        warnings.append(f"{plan.source.name}: there are no rows")
    elif totals.unscored:
        warnings.append(f"{counted(totals.unscored, 'row')} without a p-value: not flagged")
    now = plan.suppression.today
    expired = [rule.name for rule in plan.config.rules if rule.until is not None and rule.until <= now]
    if expired:
        warnings.append(f"rules whose last day has passed: {', '.join(map(quoted, expired))}")
    return warnings
