"""Long tables, a row per sensor and time: found out at fit, read as the model knows them, and reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from vaecli.config import ColumnsConfig, FitConfig, LongForm
from vaecli.data.clock_units import EPOCH_UNITS, unit_of
from vaecli.detector import Detector
from vaecli.errors import SchemaMismatch, UsageError, did_you_mean, listed, quoted
from vaecli.results import OnEvent
from vaecli.results.fit_sensors import SensorFitSummary
from vaecli.results.long_table import LongTable
from vaecli.results.number_format import counted
from vaecli.schema import Column, Kind, Role, Schema
from vaecli.sensors.detector import SensorDetector
from vaecli.tables import LongSource, ReadRequest, Source, long_source, require_distinct, tags_of
from vaecli.tables.infer.classify import ORDERS_THE_ROWS
from vaecli.tables.infer.infer_schema import infer_schema

N_NAMED = 5  # tags and words that a summary names
FEW_TAGS = 0.5  # of the tags of the model that report at a stamp, in the mean, below which a warning is printed


def pivot_of(source: Source, form: LongForm, config: FitConfig, on_event: OnEvent) -> tuple[LongSource, FitConfig]:
    """The pivot of a long table with all its tags, and the settings in its terms, with its clock.

    Raises UsageError for columns that the table does not have or a clock that is not found, and InputError.
    """
    columns = config.columns
    _require_columns(source, form)
    clock = _clock(source, form, columns, on_event)
    if clock.name == columns.group:
        raise UsageError(f"column {quoted(clock.name)} is the clock and the group", "name the clock: --time NAME")
    found = long_source(source, form, clock, columns.group, columns.label)
    tags: set[str] = set()
    for batch in source.batches(ReadRequest([form.name])):
        tags.update(filter(None, tags_of(batch, form).dictionary.to_pylist()))
    found = replace(found, tags=tuple(sorted(tags)))
    require_distinct(found)
    # a column that is not a tag is out in any case
    exclude = tuple(name for name in columns.exclude if name in tags or name not in source.names)
    return found, replace(config, columns=replace(columns, time=clock.name, exclude=exclude))


def with_found_clock(schema: Schema, source: LongSource) -> Schema:
    """The schema of the pivot, whose clock has the reason by which it was found in the long table."""
    columns = (replace(one, reason=source.clock.reason) if one.role is Role.TIME else one for one in schema.columns)
    return replace(schema, columns=tuple(columns))


def as_modelled(
    source: Source, detector: Detector | SensorDetector, label: str | None = None, *, follow: bool = False
) -> Source:
    """A table as the model knows it: the pivot of a long table where it was fitted on one, else the table itself.

    A wide table, with the tags as columns, is one that such a model knows too. Raises SchemaMismatch for one that is
    neither, and UsageError for a long table with `follow`.
    """
    if isinstance(detector, Detector) or detector.long is None:
        return source
    form, schema = detector.long, detector.schema
    if not {form.name, form.value} <= set(source.names):
        if any(column.name in source.names for column in schema.features):
            return source
        raise SchemaMismatch(
            f"{source.name}: has neither the columns {quoted(form.name)} and {quoted(form.value)} of a long table nor "
            "the tags of the model as columns",
            f"its columns are {', '.join(source.names)}",
            path=source.name,
        )
    if follow:
        raise UsageError(
            "--follow: rows of a long table cannot be scored before their stamp is complete",
            "score files that follow each other, with --state",
        )
    assert schema.time is not None  # a fit of a long table has found it
    group = None if schema.group is None else schema.group.name
    found = long_source(source, form, schema.time, group, label if label in source.names else None)
    features = {column.name: column for column in schema.features}
    return replace(found, tags=tuple(features), columns=features)


def with_long(summary: SensorFitSummary, source: LongSource) -> SensorFitSummary:
    """The summary of a fit with what its long table was like."""
    found = long_summary(source)
    warnings = []
    if source.form.every is None and found.tags_per_stamp < FEW_TAGS * found.tags:
        warnings.append(
            f"{found.tags_per_stamp:.2g} of {found.tags:,} tags report at a stamp, so that a window of "
            f"{summary.window_rows} rows holds few readings of each: to let those of a minute share a stamp, add "
            "every=1m to --long"
        )
    if found.repeated and source.form.every is None:
        warnings.append(f"{counted(found.repeated, 'reading')} repeat a tag at a stamp; the last in the table counts")
    return replace(summary, long=found, warnings=(*summary.warnings, *warnings))


def long_summary(source: LongSource) -> LongTable:
    """What was met in the last pass over a long table."""
    counts, form = source.counts, source.form
    silent = [tag for tag, n in zip(source.tags, counts.by_tag.tolist(), strict=True) if not n]
    others = [tag for tag, _ in counts.unknown.most_common()]
    return LongTable(
        name=form.name,
        value=form.value,
        rows=counts.rows,
        stamps=counts.stamps,
        tags=len(source.tags),
        tags_per_stamp=(int(counts.by_tag.sum()) - counts.repeated) / counts.stamps if counts.stamps else 0.0,
        repeated=counts.repeated,
        gaps=dict(counts.gaps.most_common(N_NAMED)),
        n_gaps=sum(counts.gaps.values()),
        rows_without_tag=counts.no_stamp,
        other_tags=tuple(others[:N_NAMED]),
        n_other_tags=len(others),
        silent_tags=tuple(silent[:N_NAMED]),
        n_silent_tags=len(silent),
        other_columns=tuple(name for name in source.rows.names if name not in (*source.names, form.name, form.value)),
        sorted=not source.in_order,
        hold=form.hold,
    )


def long_warnings(found: LongTable) -> tuple[str, ...]:
    """What a reader of scores should know of a long table."""
    warnings = []
    if found.n_silent_tags:
        some = _some(found.silent_tags, found.n_silent_tags)
        warnings.append(f"no reading of {some}: scores rest on what is held of them from before")
    return tuple(warnings)


def hold_warnings(detector: SensorDetector, n_cells: int) -> tuple[str, ...]:
    """What a reader of scores should know of tags that were silent for longer than their readings are held."""
    if not n_cells or detector.long is None or detector.long.hold is None:
        return ()
    steps = counted(detector.long.hold, "usual step")
    return (f"{counted(n_cells, 'reading')} of tags silent for longer than {steps} read as usual instead of held",)


def _some(names: Iterable[str], n_names: int) -> str:
    shown = [quoted(name) for name in names]
    more = n_names - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _require_columns(source: Source, form: LongForm) -> None:
    missing = {part: name for part, name in (("name", form.name), ("value", form.value)) if name not in source.names}
    if missing:
        problems = [f"{part}={quoted(name)}{did_you_mean(name, source.names)}" for part, name in missing.items()]
        raise UsageError(
            f"{source.name} has no such columns, named by --long:\n{listed(problems)}",
            f"its columns are {', '.join(source.names)}",
        )


def _clock(source: Source, form: LongForm, columns: ColumnsConfig, on_event: OnEvent) -> Column:
    """The clock of a long table: the column that is named, else the only one that holds moments."""
    own = {form.name, form.value}
    others = {name for name in source.names if name not in own}
    named = {name for name in (columns.time, columns.group, columns.label) if name is not None}
    skipped = others - named if columns.time else others & set(columns.exclude)
    parts = ColumnsConfig(
        exclude=tuple(sorted(own | skipped)), time=columns.time, group=columns.group, label=columns.label
    )
    schema = infer_schema(source, parts, on_event)
    if schema.time is not None:
        return schema.time
    found = _clocks(schema)
    if len(found) == 1:
        return replace(found[0], role=Role.TIME, reason=ORDERS_THE_ROWS)
    why = f"{' and '.join(quoted(one.name) for one in found)} may be" if found else "no column of the table is"
    left = [f"{quoted(column.name)}: {column.reason}" for column in schema.columns if "date" in column.reason]
    raise UsageError(
        f"{source.name}: {why} the clock" + (f":\n{listed(left)}" if left and not found else ""),
        "name the column with the time of each row: --time NAME",
    )


def _clocks(schema: Schema) -> list[Column]:
    """The columns that hold different moments; where one tag is listed after the other, they are not in order."""
    free = [one for one in schema.columns if one.role not in (Role.GROUP, Role.LABEL) and one.minimum != one.maximum]
    return [column for column in free if column.kind is Kind.DATETIME or unit_of(column) in EPOCH_UNITS]
