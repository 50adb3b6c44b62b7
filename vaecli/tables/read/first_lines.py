"""Recognises what stands where the header of a delimited file should be, and how to make a table of it.

Nothing here decides how a table is read: these are files that would be misread, or rejected for a reason that does not
help. Texts are split by the standard library's csv module, which is good enough for a diagnosis.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from vaecli.errors import MalformedText, UnreadableFile
from vaecli.runtime.urls import in_shell
from vaecli.tables.convert.missing_tokens import MISSING_TOKENS

DELIMITERS = (",", ";", "\t", "|")
ROWS_LOOKED_AT = 20

_LINES_LOOKED_AT = 200
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_NUMBER = re.compile(r"[-+]?(\d+([.,]\d+)*|[.,]\d+)([eE][-+]?\d+)?")
_DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([T ]\d{1,2}:\d{2}.*)?"
    r"|\d{1,2}:\d{2}(:\d{2}[.\d]*)?"
)
_UNIT = re.compile(
    r"[°%²³µ\[\](){}]|^(deg ?[CFK]?|[cmk]?m|mm|m?s|sec|min|hr?|[mk]?[VAWgNJ]|[MG]W|k?Pa|[mh]?bar|psi|rpm|[kMG]?Hz"
    r"|[CFKl]|ppm|dB|Nm|.{1,5}/.{1,5})$",
    re.IGNORECASE,
)


def reject_known_preamble(data: bytes, name: str) -> None:
    """Raise an InputError where the first bytes are those of a logger's, an instrument's or a tool's own text format.

    They are TOA5 of Campbell Scientific, LVM of LabVIEW, annotated CSV of InfluxDB, ARFF, and comment lines that begin
    with `#`; the hint has a command that leaves a table.
    """
    lines = data.decode("utf-8-sig", "replace").splitlines()
    first = lines[0].replace('"', "")
    if first.startswith(("TOA5,", "TOACI1,")):
        rows, cut = (5, "1d;3,4d") if first.startswith("TOA5") else (3, "1d")
        raise MalformedText(
            f"{name}, line 1: a {first.split(',')[0]} file of a Campbell Scientific logger: "
            f"line 2 looks like the header, and rows begin at line {rows}",
            f"keep the names and the rows: `sed '{cut}' {in_shell(name)} > table.csv`",
            line=1,
        )
    if first.startswith("LabVIEW Measurement"):
        ends = [i for i, line in enumerate(lines) if line.startswith("***End_of_Header***")]
        n_above = ends[-1] + 1 if ends else 1
        raise MalformedText(
            f"{name}, line 1: a LabVIEW measurement file (LVM): line {n_above + 1} looks like the header",
            f"cut what is above it: `sed '{_first(n_above)}' {in_shell(name)} > table.csv`",
            line=1,
        )
    if any(line.lower().lstrip().startswith("@relation") for line in lines[:_LINES_LOOKED_AT]):
        raise UnreadableFile(
            f"{name}: an ARFF file, not CSV",
            f"convert it: `pandas.DataFrame(scipy.io.arff.loadarff({name!r})[0]).to_csv('table.csv', index=False)`",
        )
    _reject_comments(lines, name)


def reject_other_shapes(data: bytes, delimiter: str, n_above: int, name: str) -> None:
    """Raise MalformedText where `data`, which begins with the header line, does not look like a header and its rows.

    That is: lines above the header that are not part of the table, blanks instead of a delimiter, no header at all, or
    a row of units below it. `n_above` lines are above `data`.
    """
    text = data.decode("utf-8", "replace")
    # a quoted field may hold delimiters and line ends
    lines = _QUOTED.sub(lambda field: "q" + "\n" * field[0].count("\n"), text).splitlines()[:_LINES_LOOKED_AT]
    if sum(bool(line.strip()) for line in lines) > 1:
        _reject_blanks([line for line in lines if line.strip()], n_above, name)
        _reject_lines_above(lines, text.splitlines(), delimiter, n_above, name)
        _reject_padded_lines_above(lines, delimiter, n_above, name)
    records = _records(data, delimiter)
    if records:
        _reject_row_as_header(records[0], records[1:], delimiter, n_above, name)
        _reject_units(records[0], records[1:], n_above, name)


def choose_delimiter(data: bytes, name: str) -> str:
    """The delimiter that occurs as often in the rows as in the header, in `data`, which begins with the header.

    Where several do, it is the one that leaves more cells that are numbers or dates (a comma may be their decimal
    mark), or whose rivals are followed by a blank everywhere, as in prose. Raises MalformedText where that does not
    decide; a comma where there is none at all.
    """
    lines = [line for line in _QUOTED.sub("", data.decode("utf-8", "replace")).splitlines() if line.strip()]
    # the last line may be cut off
    header, rows = lines[0] if lines else "", lines[1:-1][:ROWS_LOOKED_AT] or lines[1:]

    def agreement(delimiter: str) -> float:
        n = header.count(delimiter)
        if not n:
            return 0.0
        return sum(row.count(delimiter) == n for row in rows) / len(rows) if rows else 1.0

    best = max(map(agreement, DELIMITERS))
    if not best or not rows:
        return max(DELIMITERS, key=lambda delimiter: (agreement(delimiter), delimiter in header))
    tied = [delimiter for delimiter in DELIMITERS if agreement(delimiter) == best]
    if len(tied) > 1:
        shares = {delimiter: _share_of_values(rows, delimiter) for delimiter in tied}
        tied = [delimiter for delimiter in tied if shares[delimiter] == max(shares.values())]
    if len(tied) > 1:
        in_prose = [delimiter for delimiter in tied if _is_prose(lines, delimiter)]
        tied = [delimiter for delimiter in tied if delimiter not in in_prose] or tied
    if len(tied) > 1:
        spelled = " or ".join(map(repr, tied))
        raise MalformedText(
            f"{name}, line 1: fields may be separated by {spelled}: both occur equally often in every line",
            f"name it in a line above the header: `sed '1i sep={tied[-1]}' {in_shell(name)} > table.csv`",
            line=1,
        )
    return tied[0]


def hint_for_names(names: Sequence[str], data: bytes, delimiter: str, name: str) -> str:
    """How to mend a header in which a column without a name has no values either; empty for other headers."""
    unnamed = [i for i, column in enumerate(names) if not column.strip()]
    if len(unnamed) != 1 or len(names) < 2:
        return ""
    [i] = unnamed
    rows = _records(data, delimiter)[1:]
    if not rows or any(len(row) > i and row[i].strip() for row in rows):
        return ""
    if i == len(names) - 1:
        return f"every line ends with a delimiter: `sed 's/{_in_sed(delimiter)}\\r*$//' {in_shell(name)} > table.csv`"
    if i == 0:
        return f"column 1 is empty: `{_cut(delimiter)} -f2- {name} > table.csv`"
    return ""


def is_value(text: str) -> bool:
    """Whether the text is a number, with a point or a comma, or a date or time."""
    text = text.strip()
    return bool(_NUMBER.fullmatch(text) or _DATE.fullmatch(text))


def _share_of_values(rows: Sequence[str], delimiter: str) -> float:
    cells = [cell for row in rows for cell in row.split(delimiter) if cell.strip()]
    return sum(is_value(cell) for cell in cells) / max(len(cells), 1)


def _is_prose(lines: Sequence[str], delimiter: str) -> bool:
    pieces = [piece for line in lines for piece in line.split(delimiter)[1:]]
    return all(piece.startswith(" ") for piece in pieces)


def _records(data: bytes, delimiter: str) -> list[list[str]]:
    """The header and the first rows, as cells; without the last line, which may be cut off, if there are others."""
    lines = data.decode("utf-8", "replace").splitlines(keepends=True)
    lines = (lines[:-1] or lines)[:_LINES_LOOKED_AT]
    try:
        rows = [row for row in csv.reader(lines, delimiter=delimiter) if row]
    except csv.Error:
        return []
    return rows[: ROWS_LOOKED_AT + 1]


def _reject_comments(lines: Sequence[str], name: str) -> None:
    n = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    if not n or n == len(lines):
        return
    is_annotated = any(line.startswith(("#datatype", "#group", "#default")) for line in lines[:n])
    if is_annotated and (n > 1 or lines[n].startswith(",result,")):
        raise MalformedText(
            f"{name}, line 1: annotated CSV of InfluxDB (#group, #datatype, #default): "
            f"line {n + 1} looks like the header",
            f"export without annotations, or cut them: `grep -v '^#' {in_shell(name)} | cut -d, -f2- > table.csv`; "
            "`pivot` in the query gives every field its own column",
            line=1,
        )
    delimiter = max(DELIMITERS, key=lines[n].count)
    n_fields = lines[n].count(delimiter)
    fits = lines[n - 1].count(delimiter) == n_fields
    if n == 1 and fits:
        return  # `#` is the name of the first column, or its beginning
    if fits and n_fields and all(map(is_value, lines[n].split(delimiter))):
        above = f"{_first(n - 1)};" if n > 1 else ""
        header, cut = n, f"{above}{n}s/^# *//"
    else:
        header, cut = n + 1, _first(n)
    which = "line 1 begins" if n == 1 else f"lines 1 to {n} begin"
    raise MalformedText(
        f"{name}: {which} with `#`, as comments do; line {header} looks like the header",
        f"cut the comments: `sed '{cut}' {in_shell(name)} > table.csv`",
        line=1,
    )


def _reject_blanks(lines: Sequence[str], n_above: int, name: str) -> None:
    if any(delimiter in line for line in lines for delimiter in DELIMITERS):
        return
    header, *rows = [line.split() for line in lines]
    alike = [row for row in rows if len(row) == len(header)]
    n_numbers = sum(bool(_NUMBER.fullmatch(cell)) for row in alike for cell in row)
    if len(header) > 1 and len(alike) >= 0.9 * len(rows) and n_numbers >= 0.5 * len(header) * len(rows):
        raise MalformedText(
            f"{name}, line {n_above + 1}: fields seem to be separated by blanks, which are not a delimiter here",
            f"write commas: `awk '{{$1=$1}}1' OFS=, {in_shell(name)} > table.csv`",
            line=n_above + 1,
        )


def _reject_lines_above(bare: Sequence[str], lines: Sequence[str], delimiter: str, n_above: int, name: str) -> None:
    """Raise MalformedText where a later line looks like the header: most rows have as many fields as it has.

    `bare` are the `lines` with `q` for each quoted field.
    """
    if any(line.count('"') % 2 for line in lines):
        return  # a quoted name or cell goes on in the next line
    rows = [line for line in bare[1:] if line.strip()]
    n_of_first = bare[0].count(delimiter)
    if n_of_first and sum(line.count(delimiter) == n_of_first for line in rows) >= 0.5 * len(rows):
        return
    for other in DELIMITERS:
        counts = [line.count(other) for line in bare if line.strip()]
        # the last line may be cut off
        (n, _), *_ = Counter(counts[len(counts) // 2 : -1] or counts[-1:]).most_common(1)
        start = next((i for i, line in enumerate(bare) if line.count(other) == n), 0)
        below = [line for line in bare[start + 1 :] if line.strip()][:-1]
        if not n or not start or len(below) < 2 or sum(line.count(other) == n for line in below) < 0.9 * len(below):
            continue
        if not n_of_first and other != delimiter and not _has_numbers_below(bare[start], below, other):
            continue  # one column, whose cells hold a delimiter
        if n == n_of_first + 1 and other == delimiter and all(line.rstrip().endswith(other) for line in below):
            continue  # rows that end with a delimiter
        number = n_above + start + 1
        if all(is_value(cell.strip('"')) for cell in lines[start].split(other)):
            raise MalformedText(
                f"{name}: lines {n_above + 1} to {number - 1} are not part of the table, and line {number} looks "
                "like a row: there is no line of names",
                f"cut them and add names: `sed '{_first(number - 1)}' {in_shell(name)} | "
                f"sed '1i {_names(n + 1, other)}' > table.csv`",
                line=n_above + 1,
            )
        raise MalformedText(
            f"{name}, line {number} looks like the header: the lines above it are not part of the table",
            f"cut them: `sed '{_first(number - 1)}' {in_shell(name)} > table.csv`",
            line=number,
        )


def _reject_padded_lines_above(bare: Sequence[str], delimiter: str, n_above: int, name: str) -> None:
    """Raise MalformedText where the first line is a title that a spreadsheet filled up with empty cells.

    `bare` are lines with `q` for each quoted field. Titles and merged cells leave at least half of the fields empty;
    the first line that does not is the header, if it holds words only and values stand below it.
    """
    n = bare[0].count(delimiter)
    if n < 2 or not _is_half_empty(bare[0], delimiter):
        return
    full = [i for i, line in enumerate(bare) if line.count(delimiter) == n and not _is_half_empty(line, delimiter)]
    if not full or any(map(is_value, bare[full[0]].split(delimiter))):
        return
    if not any(is_value(cell) for i in full[1:] for cell in bare[i].split(delimiter)):
        return
    number = n_above + full[0] + 1
    raise MalformedText(
        f"{name}, line {number} looks like the header: the lines above it are not part of the table",
        f"cut them: `sed '{_first(number - 1)}' {in_shell(name)} > table.csv`",
        line=number,
    )


def _is_half_empty(line: str, delimiter: str) -> bool:
    cells = line.split(delimiter)
    return 2 * sum(not cell.strip() for cell in cells) >= len(cells)


def _has_numbers_below(names: str, rows: Sequence[str], delimiter: str) -> bool:
    """Whether the first line holds words only, and a column of the rows below it numbers or dates only."""
    cells = [row.split(delimiter) for row in rows if row.count(delimiter) == names.count(delimiter)]
    columns = list(zip(*cells, strict=True))
    return not any(map(is_value, names.split(delimiter))) and any(all(map(is_value, column)) for column in columns)


def _reject_row_as_header(
    names: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str, n_above: int, name: str
) -> None:
    values = [is_value(column) for column in names]
    if not any(values) or (all(values) and _is_scale(names) and not any(map(_is_scale, rows))):
        return
    others = [i for i, value in enumerate(values) if not value]
    if any(names[i].strip() not in {row[i].strip() for row in rows if len(row) > i} for i in others):
        return
    which = "every name is a number or a date" if not others else "its fields are values of the rows below"
    raise MalformedText(
        f"{name}, line {n_above + 1}: the first line looks like a row ({which}); vaecli needs a line of names",
        f"add one, with your names: `sed '1i {_names(len(names), delimiter)}' {in_shell(name)} > table.csv`",
        line=n_above + 1,
    )


def _reject_units(names: Sequence[str], rows: Sequence[Sequence[str]], n_above: int, name: str) -> None:
    if len(rows) < 3 or any(len(row) != len(names) for row in rows):
        return
    first, below = rows[0], rows[1:]

    def holds_numbers(i: int) -> bool:
        cells = [cell for row in below if (cell := row[i].strip()) not in MISSING_TOKENS]
        return bool(cells) and all(map(_NUMBER.fullmatch, cells))

    columns = range(len(names))
    if any(_NUMBER.fullmatch(first[i].strip()) and holds_numbers(i) for i in columns):
        return  # mostly the first column of numbers: the others need not be looked at
    numeric = [i for i in columns if holds_numbers(i)]
    words = [first[i].strip() for i in numeric]
    given = [word for word in words if word not in MISSING_TOKENS]
    if not given:
        return
    if any(map(_UNIT.search, given)) or (len(set(given)) > 1 and len(given) == len(words)):
        raise MalformedText(
            f"{name}, line {n_above + 2}: looks like a row of units or a second header ({', '.join(given[:4])}), "
            "below the header",
            f"leave it out: `sed {n_above + 2}d {in_shell(name)} > table.csv`",
            line=n_above + 2,
        )


def _first(n: int) -> str:
    """The command of sed that deletes the first `n` lines."""
    return "1d" if n == 1 else f"1,{n}d"


def _is_scale(names: Sequence[str]) -> bool:
    """Whether the names are the positions of pixels, bins or days, which rise from column to column."""
    try:
        numbers = [float(name) for name in names]
    except ValueError:
        is_dates = all(_DATE.fullmatch(name.strip()) for name in names)
        return is_dates and len(names) > 3 and all(a < b for a, b in pairwise(names))
    steps = [b - a for a, b in pairwise(numbers)]
    if numbers in (list(range(len(numbers))), list(range(1, len(numbers) + 1))):
        return len(numbers) > 1
    if len(steps) < 2 or min(steps) <= 0:
        return False
    return len(names) >= 8 or max(steps) - min(steps) <= 1e-6 * max(steps)


def _names(n: int, delimiter: str) -> str:
    return delimiter.join(f"name{i + 1}" for i in range(n)) if n <= 6 else f"name1{delimiter}…{delimiter}name{n}"


def _in_sed(delimiter: str) -> str:
    return "\\t" if delimiter == "\t" else delimiter


def _cut(delimiter: str) -> str:
    return "cut" if delimiter == "\t" else f"cut -d'{delimiter}'"
