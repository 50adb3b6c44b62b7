"""Lines after the last row of a delimited file: totals, an average, or a count of rows, as exports append them."""

from __future__ import annotations

from vaecli.runtime.urls import in_shell

MOST_LINES = 3


def cut_off(name: str, n_lines: int) -> str:
    """The command that leaves out the last lines of a file, as a part of a hint."""
    what = "the last line holds totals or a note" if n_lines == 1 else f"the last {n_lines} lines hold totals or notes"
    return f"if {what}: `head -n -{n_lines} {in_shell(name)} > table.csv`"
