"""Finds out why a block of delimited text did not parse. It is slow, and runs only on a block that failed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from vaecli.errors import MalformedText, UnreadableCell, listed, quoted
from vaecli.runtime.urls import in_shell
from vaecli.tables.convert.arrow_types import as_numpy, one_array
from vaecli.tables.convert.missing_tokens import MISSING_TOKENS
from vaecli.tables.convert.parse import parse_numbers
from vaecli.tables.read.footers import MOST_LINES, cut_off
from vaecli.tables.read.header import Header
from vaecli.tables.read.records import RecordBlock

_SHOWN_CHARACTERS = 40


def parse_or_explain(
    block: RecordBlock,
    header: Header,
    columns: Sequence[str],
    numbers: Collection[str],
    name: str,
    problem: pa.ArrowInvalid,
) -> pa.Table:
    """Parse a block that pyarrow rejected with `problem`, ignoring spaces around numbers and missing-value tokens.

    Raises InputError listing the rows with too few or too many fields, or else the cells of the columns `numbers`
    that are not numbers.
    """
    ragged: list[tuple[int, int]] = []

    def record(row: pa_csv.InvalidRow) -> str:
        # without threads, pyarrow numbers the rows of its input from 1
        ragged.append((row.number - 1, row.actual_columns))
        return "skip"

    text = _as_text(block, header, record)
    if ragged:
        raise _ragged(block, header, ragged, name)
    arrays = [_to_numbers(text[column]) if column in numbers else _to_strings(text[column]) for column in columns]
    bad_cells = [
        (int(row), column)
        for column, array in zip(columns, arrays, strict=True)
        if array is None
        for row in _not_numbers(text[column])
    ]
    if bad_cells:
        raise _not_a_number(block, text, sorted(bad_cells), name)
    if any(array is None for array in arrays):
        raise MalformedText(
            f"{name}, line {block.line(0)} and following: {problem}", path=name, line=block.line(0)
        ) from problem
    return pa.table(arrays, names=list(columns))


def _as_text(block: RecordBlock, header: Header, on_invalid_row: object) -> pa.Table:
    content = block.buffer()
    return pa_csv.read_csv(
        pa.BufferReader(content),
        read_options=pa_csv.ReadOptions(column_names=header.names, block_size=content.size + 1, use_threads=False),
        parse_options=pa_csv.ParseOptions(
            delimiter=header.delimiter,
            newlines_in_values=block.quoted,
            ignore_empty_lines=len(header.names) > 1,
            invalid_row_handler=on_invalid_row,
        ),
        convert_options=pa_csv.ConvertOptions(
            column_types={column: pa.string() for column in header.names}, check_utf8=False
        ),
    )


def _to_strings(text: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.if_else(pc.is_in(text, pa.array(MISSING_TOKENS)), pa.scalar(None, pa.string()), text)


def _to_numbers(text: pa.ChunkedArray) -> pa.ChunkedArray | None:
    trimmed = one_array(_to_strings(pc.utf8_trim_whitespace(text)))
    numbers, failed = parse_numbers(trimmed)
    return None if failed.any() else pa.chunked_array([pa.array(numbers, mask=as_numpy(trimmed.is_null()))])


def _not_numbers(text: pa.ChunkedArray) -> list[int]:
    _, failed = parse_numbers(one_array(_to_strings(pc.utf8_trim_whitespace(text))))
    rows: list[int] = np.flatnonzero(failed).tolist()
    return rows


def _ragged(block: RecordBlock, header: Header, ragged: Sequence[tuple[int, int]], name: str) -> MalformedText:
    expected = len(header.names)
    quoting = (
        f"quote fields that hold the delimiter {quoted(header.delimiter)}, and write empty fields for missing cells"
    )
    hint = _why_ragged(block, header, ragged, name, quoting)
    lines = [
        f"line {block.line(row)}: {n} field{'s' if n != 1 else ''}, the header has {expected}" for row, n in ragged
    ]
    what = (
        f", {lines[0]}"
        if len(lines) == 1
        else f": {len(lines)} rows do not have as many fields as the header:\n{listed(lines)}"
    )
    return MalformedText(name + what, hint, path=name, line=block.line(ragged[0][0]))


def _why_ragged(
    block: RecordBlock, header: Header, ragged: Sequence[tuple[int, int]], name: str, others_do: str
) -> str:
    """The hint for rows that end with a delimiter, and for last lines that are no rows; `others_do` for others."""
    rows = [block.data[block.starts[row] : block.stops[row]] for row, _ in ragged]
    has_footer = 0 < len(block) - ragged[0][0] <= MOST_LINES < len(block)
    footer = cut_off(name, block.line(len(block) - 1) - block.line(ragged[0][0]) + 1) if has_footer else ""
    delimiter = header.delimiter.encode()
    if (
        not footer
        and all(n == len(header.names) + 1 for _, n in ragged)
        and all(row.endswith(delimiter) for row in rows)
    ):
        in_sed = "\\t" if header.delimiter == "\t" else header.delimiter
        return f"the lines end with a delimiter: `sed 's/{in_sed}\\r*$//' {in_shell(name)} > table.csv`"
    [(row, n), *others] = ragged
    is_last = row == len(block) - 1 and not block.data[: block.size].endswith(b"\n")
    if is_last and not others and n < len(header.names):
        return (
            "the line has no end: the last line is half-written, as by a writer that is still at it; "
            f"`sed '$d' {in_shell(name)} > table.csv` leaves it out"
        )
    return f"{footer}; else {others_do}" if footer else others_do


def _not_a_number(
    block: RecordBlock, text: pa.Table, bad_cells: Sequence[tuple[int, str]], name: str
) -> UnreadableCell:
    hint = "correct the cell, or leave it empty if the value is missing; decimals are written with a point"
    hint += "; `fit --missing` takes words that mean so"
    first = bad_cells[0][0]
    if len(block) - first <= MOST_LINES < len(block):
        hint += f"; {cut_off(name, len(block) - first)}"
    lines = [
        f"line {block.line(row)}, column {quoted(column, marks=False)}: "
        f'"{quoted(text[column][row].as_py(), _SHOWN_CHARACTERS, marks=False)}" is not a number'
        for row, column in bad_cells
    ]
    what = f", {lines[0]}" if len(lines) == 1 else f": {len(lines)} cells are not numbers:\n{listed(lines)}"
    (row, column), *_ = bad_cells
    return UnreadableCell(name + what, hint, path=name, line=block.line(row), column=column)
