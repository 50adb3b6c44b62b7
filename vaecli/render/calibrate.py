"""The page of `calibrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from vaecli.errors import quoted
from vaecli.render.layout import empty_table, fact_list, headline, plain_cells, warning_lines
from vaecli.render.mark import marks_line
from vaecli.results.number_format import counted, duration, how_often, number, per_cent

if TYPE_CHECKING:
    from vaecli.results import CalibrateSummary

_SHOWN_GROUPS = 20


def calibrate_page(summary: CalibrateSummary) -> RenderableType:
    """What was flagged before and what is now; the groups with a calibration of their own."""
    why = "the label" if summary.marks is None else "labels and marks"
    left_out = f"; {summary.excluded_by_label:,} left out by {why}" if summary.excluded_by_label else ""
    worth = "" if summary.n_effective is None else f", worth about {summary.n_effective:,} independent ones"
    beside = " (those of the earlier calibration among them)" if summary.added else ""
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}{left_out}"),
        *marks_line(summary.marks),
        *([("not scored", counted(summary.unscored, "row"))] if summary.unscored else []),
        ("before", f"the earlier calibration flags {per_cent(summary.flagged_before)} of these rows at this level"),
        (
            "threshold",
            f"{summary.threshold:.10g}: {how_often(summary.threshold)} normal rows is flagged by chance "
            f"({summary.score_kind} score from {number(summary.min_score)} nats, "
            f"before {number(summary.former_min_score)})",
        ),
        ("calibration", f"{counted(summary.n_calibration_rows, 'row')}{beside}{worth}"),
        *([("groups", _groups(summary))] if summary.by is not None else []),
        ("bundle", summary.bundle),
    ]
    parts: list[RenderableType] = [headline("Calibrated anew; the networks are the same"), fact_list(facts)]
    if summary.groups:
        heads = ("group", "rows", "flagged before", "score from")
        table = empty_table(heads, numeric=heads[1:])
        for group in summary.groups[:_SHOWN_GROUPS]:
            cells = (group.group, f"{group.rows:,}", per_cent(group.flagged_before), number(group.min_score))
            table.add_row(*plain_cells(*cells))
        parts += [headline("\nGroups with a calibration of their own"), table]
        if (more := len(summary.groups) - _SHOWN_GROUPS) > 0:
            parts.append(Text(f"… and {counted(more, 'group')} more: --json lists all"))
    return Group(*parts, *warning_lines(summary.warnings))


def _groups(summary: CalibrateSummary) -> str:
    own = f"{counted(len(summary.groups), 'group')} of {quoted(summary.by)} by their own rows"
    return f"{own}; every other, and new ones, by all rows together"
