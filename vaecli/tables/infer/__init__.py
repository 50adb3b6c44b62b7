"""What a table is, found out by reading it once: the schema that is stored in the bundle.

read every column (reading, evidence) → its kind and what speaks against it (finding) → its role (here)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from vaecli.config import ColumnsConfig
from vaecli.errors import MAX_LISTED, InputError, UsageError, listed
from vaecli.results import OnEvent, ignore
from vaecli.schema import Column, Kind, Role, Schema
from vaecli.tables.convert.arrow_types import arrow_type_to_text
from vaecli.tables.infer.classify import Classification, classify
from vaecli.tables.infer.scan import read_evidence
from vaecli.tables.read.frames import FrameSource
from vaecli.tables.read.parquet import ParquetSource
from vaecli.tables.source import Source

__all__ = ["infer_schema", "same_unit_columns"]

ASKED = "you asked"
ALL = ("all",)  # of --same-unit


def infer_schema(source: Source, config: ColumnsConfig, on_event: OnEvent = ignore) -> Schema:
    """Find out what each column of a table holds and what part it plays, in one pass over all rows.

    Columns that cannot or should not be features are left out with a reason; `config.columns` keeps
    those that merely look like identifiers or clocks. Raises UsageError for names the table does not
    have and options that contradict each other; InputError for a table without rows or without a
    feature, and for cells that are not what nearly all of their column is.
    """
    asked = _asked_roles(source, config)
    read = [name for name in source.names if asked.get(name) not in (Role.IGNORED, Role.KEY)]
    evidence, n_rows = read_evidence(source, read, on_event) if read else ({}, 0)
    if read and not n_rows:
        raise InputError(f"{source.name}: there are no rows", "give a table with normal rows to learn from")

    findings = {name: classify(name, evidence[name], config.max_categories) for name in read}
    columns = _with_types(source, _with_roles(source.names, findings, asked, config))
    columns = tuple(_as_number(column) if _is_named(column, config.same_unit) else column for column in columns)
    _refuse_mixed(source, columns, findings)
    _refuse_unusable(source, columns, findings)
    _refuse_without_unit(source, columns, config.same_unit)
    schema = Schema(columns, n_rows)
    _refuse_nothing_to_learn(source, schema)
    return schema


def same_unit_columns(schema: Schema, config: ColumnsConfig) -> frozenset[str]:
    """The features that share one scale, because the user says that they measure the same thing in one unit."""
    numbers = (column for column in schema.features if column.kind is Kind.NUMERIC)
    return frozenset(column.name for column in numbers if _is_named(column, config.same_unit))


# -- what the user asked for --------------------------------------------------------------------


def _asked_roles(source: Source, config: ColumnsConfig) -> dict[str, Role]:
    """The roles that the options give, by column name. Raises UsageError."""
    options = {
        "--columns": (config.columns, Role.FEATURE),
        "--exclude": (config.exclude, Role.IGNORED),
        "--label": ((config.label,) if config.label is not None else (), Role.LABEL),
        "--id": (config.id, Role.KEY),
        "--time": ((config.time,) if config.time is not None else (), Role.TIME),
        "--group": ((config.group,) if config.group is not None else (), Role.GROUP),
    }
    _refuse_unknown(source, {option: names for option, (names, _) in options.items()})
    if config.same_unit != ALL:
        _refuse_unknown(source, {"--same-unit": config.same_unit})
    _refuse_contradictions({option: names for option, (names, _) in options.items()})
    asked = {name: role for names, role in options.values() for name in names}
    if config.columns:
        asked |= {name: Role.IGNORED for name in source.names if name not in asked}
    return asked


def _refuse_unknown(source: Source, options: Mapping[str, Sequence[str]]) -> None:
    known = set(source.names)
    unknown = [
        (option, name) for option, names in options.items() for name in dict.fromkeys(names) if name not in known
    ]
    if not unknown:
        return
    problems = [f"{option} {name!r}{did_you_mean(name, source.names)}" for option, name in unknown]
    some = ", ".join(source.names[:MAX_LISTED]) + (", …" if len(source.names) > MAX_LISTED else "")
    raise UsageError(f"{source.name} has no such columns:\n{listed(problems)}", f"its columns are {some}")


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """` (did you mean 'x'?)` for the most similar of `names`, or nothing."""
    by_lower = {other.strip().lower(): other for other in reversed(names)}
    close = get_close_matches(name.strip().lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""


def _refuse_contradictions(options: Mapping[str, Sequence[str]]) -> None:
    given: dict[str, list[str]] = {}
    for option, names in options.items():
        for name in dict.fromkeys(names):
            given.setdefault(name, []).append(option)
    twice = [f"{name!r}: {' and '.join(where)}" for name, where in given.items() if len(where) > 1]
    if twice:
        raise UsageError(f"columns asked to play two parts:\n{listed(twice)}", "name each column in one option only")


def _is_named(column: Column, same_unit: Sequence[str]) -> bool:
    return same_unit == ALL or column.name in same_unit


def _as_number(column: Column) -> Column:
    """A feature of the numbers 0 and 1 as a number like others; every other column as it is."""
    is_boolean = column.role is Role.FEATURE and column.kind is Kind.BOOLEAN
    if not is_boolean or not all(_is_a_number(text) for text in column.categories):
        return column
    return replace(column, kind=Kind.NUMERIC, categories=(), whole=True, minimum=0.0, maximum=1.0)


def _is_a_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


# -- roles --------------------------------------------------------------------------------------


def _with_roles(
    names: Sequence[str], findings: Mapping[str, Classification], asked: Mapping[str, Role], config: ColumnsConfig
) -> tuple[Column, ...]:
    has_time = config.time is not None
    columns = []
    for name in names:
        column = _with_role(name, findings.get(name), asked.get(name), has_time=has_time)
        has_time = has_time or column.role is Role.TIME
        # the values of identifiers are nobody's business, and the bundle is handed around
        columns.append(replace(column, categories=()) if column.role in _NAMELESS else column)
    return tuple(columns)


_NAMELESS = (Role.KEY, Role.IGNORED)


def _with_role(name: str, finding: Classification | None, asked: Role | None, *, has_time: bool) -> Column:
    if finding is None:
        assert asked is not None
        return Column(name, Kind.TEXT, asked, reason=ASKED)  # not read
    column = finding.column
    if asked not in (None, Role.FEATURE):
        return replace(column, role=asked, reason=ASKED)
    if finding.impossible:
        return replace(column, role=Role.IGNORED, reason=finding.impossible)
    if asked is Role.FEATURE or finding.advice is None:
        return column
    role, reason = finding.advice
    if role is Role.TIME and has_time:
        role = Role.IGNORED
    return replace(column, role=role, reason=reason)


def _refuse_without_unit(source: Source, columns: Sequence[Column], same_unit: Sequence[str]) -> None:
    """Raise UsageError for features named in --same-unit that are no numbers; `all` means those that are."""
    if same_unit == ALL:
        return
    problems = [
        f"--same-unit {column.name!r}: it is {column.kind}"
        for column in columns
        if column.name in same_unit and column.role is Role.FEATURE and column.kind is not Kind.NUMERIC
    ]
    if problems:
        raise UsageError(f"{source.name}: columns without a unit:\n{listed(problems)}", "name numeric columns only")


def _with_types(source: Source, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The features with the types that they have in a typed table; delimited text has none."""
    if not isinstance(source, ParquetSource | FrameSource):
        return tuple(columns)
    types = {field.name: arrow_type_to_text(field.type) for field in source.schema}
    return tuple(
        replace(column, arrow_type=types[column.name]) if column.role is Role.FEATURE else column for column in columns
    )


# -- what cannot be learned from ----------------------------------------------------------------


def _refuse_mixed(source: Source, columns: Sequence[Column], findings: Mapping[str, Classification]) -> None:
    """Raise InputError for cells that are not what nearly all of their column is."""
    # a column advised to be left out counts too: measurements never repeat either, and bad cells make them text
    concerned = [column.name for column in columns if column.reason != ASKED or column.role is Role.TIME]
    mixed = {name: found for name in concerned if name in findings and (found := findings[name].mixed) is not None}
    if not mixed:
        return
    n_cells = sum(found.n_failures for found in mixed.values())
    cells = [
        (
            place,
            failure.row,
            f"{failure.where}: column {name!r} holds {_HELD[found.kind]}, not {_short(failure.value)}",
        )
        for name, found in mixed.items()
        for place, failure in enumerate(found.failures)
    ]
    # the first of every column before the second of any
    chosen = sorted(sorted(cells)[:MAX_LISTED], key=lambda cell: cell[1])
    rest = f"\n  … and {n_cells - len(chosen):,} more" if n_cells > len(chosen) else ""
    count = "1 cell is not what its column" if n_cells == 1 else f"{n_cells:,} cells are not what their column"
    raise InputError(
        f"{source.name}: {count} otherwise holds:\n" + "\n".join(f"  {text}" for _, _, text in chosen) + rest,
        "repair the cell, leave it empty if the value is missing, or leave the column out with --exclude "
        + ",".join(mixed),
    )


_HELD = {Kind.NUMERIC: "numbers", Kind.DATETIME: "dates", Kind.BOOLEAN: "true or false"}


def _short(value: str) -> str:
    return repr(value if len(value) <= 40 else f"{value[:39]}…")


def _refuse_unusable(source: Source, columns: Sequence[Column], findings: Mapping[str, Classification]) -> None:
    """Raise InputError for columns that cannot play the part the user gave them."""
    problems = [
        f"--{column.role} {column.name!r}: {why}"
        for column in columns
        if column.reason == ASKED and column.name in findings and (why := _unusable(column, findings[column.name]))
    ]
    if problems:
        raise InputError(
            f"{source.name}: columns that cannot play their part:\n{listed(problems)}", "name another column"
        )


def _unusable(column: Column, finding: Classification) -> str:
    if column.kind is Kind.TEXT and finding.is_unsupported:
        return finding.impossible
    if column.role is Role.TIME and column.kind not in (Kind.NUMERIC, Kind.DATETIME):
        return finding.impossible or "it holds neither dates nor numbers"
    return ""


def _refuse_nothing_to_learn(source: Source, schema: Schema) -> None:
    if schema.features:
        return
    if schema.n_rows == 1:
        raise InputError(f"{source.name}: there is one row only", "give a table with normal rows to learn from")
    reasons = [f"{column.name!r}: {column.reason}" for column in schema.columns]
    raise InputError(
        f"{source.name}: no column is left to learn from:\n{listed(reasons)}",
        "give a table with columns that vary; --columns keeps one that looks like an identifier or a clock",
    )
