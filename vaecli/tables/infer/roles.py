"""The role of each column: the one the user asked for, or else the one its values suggest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vaecli.config import ColumnsConfig
from vaecli.errors import MAX_LISTED, InputError, UsageError, did_you_mean, listed, quoted
from vaecli.schema import Column, Kind, Role
from vaecli.tables.infer.classify import Classification
from vaecli.tables.source import Source

ASKED = "you asked"
ALL = ("all",)  # of --same-unit


def requested_roles(source: Source, config: ColumnsConfig) -> dict[str, Role]:
    """The roles that the options give, by column name.

    Raises UsageError for names that the table does not have, and for a column that is named in two options.
    """
    options = {
        "--columns": (config.columns, Role.FEATURE),
        "--exclude": (config.exclude, Role.IGNORED),
        "--label": ((config.label,) if config.label is not None else (), Role.LABEL),
        "--id": (config.id, Role.KEY),
        "--time": ((config.time,) if config.time is not None else (), Role.TIME),
        "--group": ((config.group,) if config.group is not None else (), Role.GROUP),
    }
    of_text = {"--text": config.text}
    names_by_option = {option: names for option, (names, _) in options.items()}
    _reject_unknown(source, names_by_option)
    _reject_unknown(source, of_text)
    if config.same_unit != ALL:
        _reject_unknown(source, {"--same-unit": config.same_unit})
    _reject_contradictions({one: names for one, names in names_by_option.items() if one != "--columns"} | of_text)
    _reject_contradictions(names_by_option)
    requested = {name: role for names, role in options.values() for name in names}
    requested |= dict.fromkeys(config.text, Role.FEATURE)
    if config.columns:
        requested |= {name: Role.IGNORED for name in source.names if name not in requested}
    return requested


def with_roles(
    names: Sequence[str],
    classifications: Mapping[str, Classification],
    requested: Mapping[str, Role],
    config: ColumnsConfig,
) -> tuple[Column, ...]:
    """One column per name, in order: with the requested role, or else the one that its values suggest.

    Only one column can order the rows: after it, columns that look like clocks are ignored. Identifiers and ignored
    columns lose their categories, unless it is one that all rows have.
    """
    has_time = config.time is not None
    columns = []
    for name in names:
        column = _with_role(name, classifications.get(name), requested.get(name), has_time=has_time)
        has_time = has_time or column.role is Role.TIME
        bare = replace(column, categories=(), order=())
        # a bundle is passed on to others, who have no need of the values of identifiers
        columns.append(column if column.role not in (Role.KEY, Role.IGNORED) or _is_constant(column) else bare)
    return tuple(columns)


def reject_unfit_roles(
    source: Source, columns: Sequence[Column], classifications: Mapping[str, Classification]
) -> None:
    """Raise InputError for columns whose values do not fit the role that the user gave them (all are listed)."""
    problems = [
        f"--{column.role} {quoted(column.name)}: {reason}"
        for column in columns
        if column.reason == ASKED
        and column.name in classifications
        and (reason := _unfit_reason(column, classifications[column.name]))
    ]
    if problems:
        is_ambiguous = any("ambiguous" in problem for problem in problems)
        hint = "write its dates with the year first, as in 2026-12-31, or name another column"
        raise InputError(
            f"{source.name}: columns that cannot play their part:\n{listed(problems)}",
            hint if is_ambiguous else "name another column",
        )


def _unfit_reason(column: Column, classification: Classification) -> str:
    if column.kind is Kind.TEXT and classification.is_unsupported:
        return classification.impossible
    if column.role is Role.TIME and column.kind not in (Kind.NUMERIC, Kind.DATETIME):
        return classification.impossible or "it holds neither dates nor numbers"
    return ""


def _with_role(name: str, classification: Classification | None, requested: Role | None, *, has_time: bool) -> Column:
    if classification is None:
        assert requested is not None
        return Column(name, Kind.TEXT, requested, reason=ASKED)  # not read
    column = classification.column
    if requested not in (None, Role.FEATURE):
        return replace(column, role=requested, reason=ASKED)
    if classification.impossible:
        return replace(column, role=Role.IGNORED, reason=classification.impossible)
    if requested is Role.FEATURE or classification.advice is None:
        return column
    role, reason = classification.advice
    if role is Role.TIME and has_time:
        role = Role.IGNORED
    return replace(column, role=role, reason=reason)


def _is_constant(column: Column) -> bool:
    """Whether its one value is kept, so that `score` can name a later change."""
    return column.role is Role.IGNORED and len(column.categories) == 1 and not column.has_other


def _reject_unknown(source: Source, options: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError listing the option and the name of every column that the table does not have."""
    known = set(source.names)
    unknown = [
        (option, name) for option, names in options.items() for name in dict.fromkeys(names) if name not in known
    ]
    if not unknown:
        return
    problems = [f"{option} {quoted(name)}{did_you_mean(name, source.names)}" for option, name in unknown]
    some = ", ".join(source.names[:MAX_LISTED]) + (", …" if len(source.names) > MAX_LISTED else "")
    raise UsageError(f"{source.name} has no such columns:\n{listed(problems)}", f"its columns are {some}")


def _reject_contradictions(options: Mapping[str, Sequence[str]]) -> None:
    """Raise UsageError listing the columns that are named in more than one option."""
    options_by_name: dict[str, list[str]] = {}
    for option, names in options.items():
        for name in dict.fromkeys(names):
            options_by_name.setdefault(name, []).append(option)
    problems = [f"{quoted(name)}: {' and '.join(named)}" for name, named in options_by_name.items() if len(named) > 1]
    if problems:
        raise UsageError(f"columns asked to play two parts:\n{listed(problems)}", "name each column in one option only")
