"""The page of a check: what has changed, the worst first, with before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from vaecli.errors import escaped
from vaecli.render.layout import fact_list, files_left_out, headline, new_files, warning_lines
from vaecli.results.number_format import counted, duration

if TYPE_CHECKING:
    from vaecli.results.check import CheckSummary

_SHOWN_FINDINGS = 20
_HEADLINES = {
    "ok": "Checked: like the rows of the fit",
    "warn": "Checked: some things have changed",
    "fail": "Checked: this table is not like the rows of the fit",
}


def check_page(summary: CheckSummary) -> RenderableType:
    """A sentence for each finding, those that fail first."""
    rows = f"{summary.rows:,} in {duration(summary.seconds)}"
    if summary.n_independent < summary.rows:
        worth = counted(max(summary.n_independent, 1), "independent row")
        rows += f"; rows depend on each other, these are worth about {worth}"
    facts = [
        ("rows", rows),
        *new_files(summary.since_last_run),
        *files_left_out(summary.bad_files, summary.n_files),
        ("columns", f"{summary.n_columns:,}"),
        *([("output", "standard output" if summary.output == "-" else summary.output)] if summary.output else []),
    ]
    parts: list[RenderableType] = [headline(_headline_of(summary)), fact_list(facts)]
    for one in summary.findings[:_SHOWN_FINDINGS]:
        colour = "red" if one.level == "fail" else "yellow"
        parts.append(Text.assemble((f"{one.level}: ", colour), escaped(one.sentence)))
    if (more := len(summary.findings) - _SHOWN_FINDINGS) > 0:
        parts.append(Text(f"… and {counted(more, 'finding')} more: -o FILE writes all"))
    parts += [Text(escaped(f"not compared: {one}")) for one in summary.unchecked]
    return Group(*parts, *warning_lines(summary.warnings))


def _headline_of(summary: CheckSummary) -> str:
    if summary.rows or summary.level == "fail":
        return _HEADLINES[summary.level]
    return f"Checked: no {'rows' if summary.since_last_run is None else 'new rows'}, and nothing was compared"
