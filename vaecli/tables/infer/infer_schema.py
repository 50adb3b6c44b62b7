"""Finds out what a table holds by reading all its rows once: the schema that a bundle stores.

read every column (scan, evidence) → its kind and why not to model it (classify) → its role (roles)
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from vaecli.config import ColumnsConfig
from vaecli.errors import MAX_LISTED, InputError, UsageError, listed, quoted
from vaecli.results import OnEvent, ignore
from vaecli.schema import Column, Kind, Role, Schema
from vaecli.tables.convert.arrow_types import arrow_type_to_text
from vaecli.tables.convert.declared_missing import option_value, words_of
from vaecli.tables.convert.kinds import TABLE_KINDS
from vaecli.tables.convert.number_spellings import DECIMAL_COMMA, by_hand
from vaecli.tables.infer.classify import MOST_COMPARED, ORDERS_THE_ROWS, Classification, Mixed, classify
from vaecli.tables.infer.evidence import Evidence, TextEvidence
from vaecli.tables.infer.long_form import long_option
from vaecli.tables.infer.rare_words import with_rare_words_folded
from vaecli.tables.infer.roles import ALL, ASKED, reject_unfit_roles, requested_roles, with_roles
from vaecli.tables.infer.scan import read_evidence
from vaecli.tables.infer.text_columns import found_text, named_text
from vaecli.tables.read.footers import MOST_LINES, cut_off
from vaecli.tables.read.frames import FrameSource
from vaecli.tables.read.lines import LINE, TIME, LinesSource
from vaecli.tables.read.parquet import ParquetSource
from vaecli.tables.read.parquet_types import index_columns
from vaecli.tables.source import Source

LONGEST_WORD = 60  # that a hint repeats
GRADES, CODES = ("none", "None"), ("NA", "na")  # words read as missing that may be a grade, or a code of two letters


def infer_schema(source: Source, config: ColumnsConfig, on_event: OnEvent = ignore) -> Schema:
    """Find the kind and the role of each column of a table, in one pass over all rows.

    Columns that cannot or should not be features are left out, with a reason; `config.columns` keeps
    those that merely look like identifiers or clocks. Raises UsageError for names that the table does not
    have and for options that contradict each other; InputError for a table without rows, and for cells
    that are not of the kind of nearly all others in their column.
    """
    if isinstance(source, LinesSource):
        has_time = TIME in source.names and TIME not in config.exclude
        config = replace(config, text=(*config.text, LINE), time=TIME if has_time else config.time)
    requested = requested_roles(source, config)
    read = [name for name in source.names if requested.get(name) not in (Role.IGNORED, Role.KEY)]
    missing = words_of(source.names, config.missing, source.name)
    spelling = by_hand(config.decimal, config.thousands)
    evidence, n_rows = read_evidence(source, read, on_event, missing, spelling) if read else ({}, 0)
    if read and not n_rows:
        raise InputError(f"{source.name}: there are no rows", "give a table with normal rows to learn from")

    index = index_columns(source.schema) if isinstance(source, ParquetSource | FrameSource) else frozenset()
    classifications = {
        name: named_text(name, evidence[name])
        if name in config.text
        else classify(name, evidence[name], config.max_categories, is_index=name in index)
        for name in read
    }
    _reject_typed_text(source, classifications, config.text)
    free = [name for name in read if name not in requested]
    classifications |= {name: found_text(classifications[name], evidence[name]) for name in free}
    columns = _with_types(source, with_roles(source.names, classifications, requested, config))
    if isinstance(source, LinesSource):
        columns = tuple(replace(one, reason=ORDERS_THE_ROWS) if one.role is Role.TIME else one for one in columns)
    columns = tuple(replace(one, missing=missing[one.name] if one.name in evidence else ()) for one in columns)
    columns = tuple(_as_number(column) if _is_named(column, config.same_unit) else column for column in columns)
    columns = with_rare_words_folded(columns, evidence, n_rows)
    if any(column.number_spelling == DECIMAL_COMMA for column in columns):
        columns = tuple(_with_doubtful_point(column, evidence) for column in columns)
    columns = tuple(_with_doubtful_missing(column, evidence) for column in columns)
    _reject_mixed(source, columns, classifications, n_rows)
    reject_unfit_roles(source, columns, classifications)
    _reject_without_unit(source, columns, config.same_unit)
    return Schema(columns, n_rows)


def _reject_typed_text(source: Source, classifications: Mapping[str, Classification], named: Sequence[str]) -> None:
    """Raise InputError for columns that the user names as text and whose type has no characters."""
    found = {name: classifications[name] for name in named}
    problems = [f"--text {quoted(name)}: {one.impossible}" for name, one in found.items() if one.typed]
    if problems:
        raise InputError(
            f"{source.name}: columns that cannot be text:\n{listed(problems)}", "name columns of strings only"
        )


def same_unit_columns(schema: Schema, config: ColumnsConfig) -> frozenset[str]:
    """The names of the numeric features that `config.same_unit` declares to have one unit; they share one scale."""
    numbers = (column for column in schema.features if column.kind is Kind.NUMERIC)
    return frozenset(column.name for column in numbers if _is_named(column, config.same_unit))


def _with_doubtful_point(column: Column, evidence: Mapping[str, Evidence]) -> Column:
    """A column of numbers, in a table with decimal commas, with its first cell where points may stand for thousands."""
    found = evidence.get(column.name)
    if not isinstance(found, TextEvidence) or column.kind is not Kind.NUMERIC or column.number_spelling:
        return column
    texts = [text.strip() for text, _ in found.counts.ranked()[:MOST_COMPARED]]
    doubtful = texts and all(re.fullmatch(r"[+-]?\d{1,3}\.\d{3}", text) for text in texts)
    return replace(column, doubtful_point=texts[0]) if doubtful else column


def _with_doubtful_missing(column: Column, evidence: Mapping[str, Evidence]) -> Column:
    """A column of categories with the words that were read as missing and look like one of them.

    They are `none`, which may be one of several grades, and NA among codes of two letters, such as Namibia among
    countries.
    """
    found = evidence.get(column.name)
    if not isinstance(found, TextEvidence) or column.kind is not Kind.CATEGORICAL:
        return column
    shapes = {_shape(category) for category in column.categories}
    doubtful = [
        (word, n)
        for word, n in found.missing_words.items()
        if word in GRADES or (word in CODES and shapes == {_shape(word)})
    ]
    return replace(column, doubtful_missing=tuple(doubtful)) if doubtful else column


def _shape(word: str) -> tuple[int, bool, bool]:
    return len(word), word.isalpha(), word.isupper()


def _is_named(column: Column, same_unit: Sequence[str]) -> bool:
    return same_unit == ALL or column.name in same_unit


def _as_number(column: Column) -> Column:
    """A feature that holds the numbers 0 and 1 as a numeric column; every other column unchanged."""
    is_boolean = column.role is Role.FEATURE and column.kind is Kind.BOOLEAN
    if not is_boolean or not all(_is_a_number(text) for text in column.categories):
        return column
    return replace(column, kind=Kind.NUMERIC, categories=(), whole=True, minimum=0.0, maximum=1.0)


def _is_a_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()


def _with_types(source: Source, columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns, features with their Arrow type in a typed table; delimited text has no types."""
    if not isinstance(source, ParquetSource | FrameSource):
        return tuple(columns)
    types = {field.name: arrow_type_to_text(field.type) for field in source.schema}
    return tuple(
        replace(column, arrow_type=types[column.name]) if column.role is Role.FEATURE else column for column in columns
    )


def _reject_mixed(
    source: Source, columns: Sequence[Column], classifications: Mapping[str, Classification], n_rows: int
) -> None:
    """Raise InputError for cells that are not of the kind of nearly all others in their column."""
    # a column advised to be left out counts too: measurements never repeat either, and bad cells make them text
    checked = [column.name for column in columns if column.reason != ASKED or column.role is Role.TIME]
    mixed = {
        name: column
        for name in checked
        if name in classifications and (column := classifications[name].mixed) is not None
    }
    if not mixed:
        return
    n_cells = sum(column.n_unexpected for column in mixed.values())
    cells = [
        (
            nth,
            cell.row,
            f"{cell.where}: column {quoted(name)} holds {TABLE_KINDS[column.kind].holds}, not {quoted(cell.value, 40)}",
        )
        for name, column in mixed.items()
        for nth, cell in enumerate(column.first_unexpected)
    ]
    # the first of every column before the second of any
    listed_cells = sorted(sorted(cells)[:MAX_LISTED], key=lambda cell: cell[1])
    rest = f"\n  … and {n_cells - len(listed_cells):,} more" if n_cells > len(listed_cells) else ""
    count = "1 cell is not what its column" if n_cells == 1 else f"{n_cells:,} cells are not what their column"
    raise InputError(
        f"{source.name}: {count} otherwise holds:\n" + "\n".join(f"  {text}" for _, _, text in listed_cells) + rest,
        "repair the cell, leave it empty if the value is missing, or leave the column out with --exclude "
        + ",".join(quoted(name, marks=False) for name in mixed)
        + _options_for(list(mixed.values()), long_option(columns, mixed))
        + _footer(list(mixed.values()), n_rows),
    )


def _footer(mixed: Sequence[Mixed], n_rows: int) -> str:
    """The command that cuts the last rows off, if no other row of a file has such cells; else empty."""
    cells = [cell for column in mixed for cell in column.first_unexpected]
    first = min(cells, key=lambda cell: cell.row)
    n_last = n_rows - first.row
    file, line, _ = first.where.partition(", line ")
    if not line or n_last > MOST_LINES or len(cells) < sum(column.n_unexpected for column in mixed):
        return ""
    return f"; {cut_off(file, n_last)}"


def _options_for(mixed: Sequence[Mixed], long: str) -> str:
    """The options that would read these columns, as they are written; empty for none."""
    words = list(dict.fromkeys(word for column in mixed for word in column.words))
    found = ""
    if words and all(len(word) <= LONGEST_WORD for word in words):
        found = f"; if they mean missing: --missing {option_value(words)}"
    if long:
        found += f"; for rows of single readings, whose usual status words mean so: {long}"
    if any(column.is_spelled_otherwise for column in mixed):
        found += "; --decimal and --thousands name the marks of numbers, such as --thousands ,"
    return found


def _reject_without_unit(source: Source, columns: Sequence[Column], same_unit: Sequence[str]) -> None:
    """Raise UsageError for features named in --same-unit that are not numeric; `all` names the numeric ones only."""
    if same_unit == ALL:
        return
    problems = [
        f"--same-unit {quoted(column.name)}: it is {column.kind}"
        for column in columns
        if column.name in same_unit and column.role is Role.FEATURE and column.kind is not Kind.NUMERIC
    ]
    if problems:
        raise UsageError(f"{source.name}: columns without a unit:\n{listed(problems)}", "name numeric columns only")


def reject_nothing_to_learn(source: Source, schema: Schema) -> None:
    """Raise InputError for a table without a feature."""
    if schema.features:
        return
    if schema.n_rows == 1:
        raise InputError(f"{source.name}: there is one row only", "give a table with normal rows to learn from")
    reasons = [f"{quoted(column.name)}: {column.reason}" for column in schema.columns]
    raise InputError(
        f"{source.name}: no column is left to learn from:\n{listed(reasons)}",
        "give a table with columns that vary; --columns keeps one that looks like an identifier or a clock",
    )
