"""The page of `mark`, and the line that other verbs print of the marks they were given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from vaecli.errors import quoted
from vaecli.render.layout import empty_table, fact_list, headline, plain_cells
from vaecli.results.number_format import counted, duration

if TYPE_CHECKING:
    from vaecli.results.mark import Mark, MarkSummary, MarksUsed

_SHOWN_MARKS = 20
_SHOWN_DIGEST = 12


def mark_page(summary: MarkSummary) -> RenderableType:
    """What changed, what the file holds now, and with --list the marks."""
    changes = [
        (counted(summary.added, "new mark"), summary.added),
        (f"{summary.changed:,} changed", summary.changed),
        (f"{summary.removed:,} taken back", summary.removed),
        (f"{summary.repeated:,} marked so already", summary.repeated),
        (f"{summary.unmarked:,} without a mark", summary.unmarked),
    ]
    what = ", ".join(text for text, n in changes if n) or "nothing new"
    facts = [
        *([("rows", f"{summary.rows:,} in {duration(summary.seconds)}: {what}")] if summary.written else []),
        ("marks", f"{summary.normal:,} normal, {counted(summary.faults, 'fault')}, in {summary.marks}"),
    ]
    parts: list[RenderableType] = [headline("Marked" if summary.written else "Marks"), fact_list(facts)]
    if summary.listed:
        table = empty_table(("mark", "row"))
        for one in summary.listed[:_SHOWN_MARKS]:
            table.add_row(*plain_cells(one.decision, _named(one)))
        parts += [Text(), table]
        if (more := len(summary.listed) - _SHOWN_MARKS) > 0:
            parts.append(Text(f"… and {counted(more, 'mark')} more: --json lists all"))
    return Group(*parts)


def marks_line(used: MarksUsed | None) -> list[tuple[str, str]]:
    """`marks  2 rows normal, 5 rows faults; 3 marks name no row here`, nothing without marks."""
    if used is None:
        return []
    unmet = f"; {counted(used.unmet, 'mark')} without a row here" if used.unmet else ""
    return [("marks", f"{counted(used.normal, 'row')} marked normal, {used.faults:,} as faults{unmet}")]


def _named(one: Mark) -> str:
    if not one.key:
        return f"digest {one.digest[:_SHOWN_DIGEST]} of {counted(len(one.columns), 'column')}"
    return ", ".join(
        f"{quoted(name, marks=False)} = {quoted(text)}" for name, text in zip(one.columns, one.key, strict=True)
    )
