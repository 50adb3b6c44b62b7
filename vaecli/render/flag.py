"""The page of `flag`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from vaecli.errors import quoted
from vaecli.render.layout import fact_list, headline, warning_lines
from vaecli.results.number_format import counted, duration, exact_per_cent, number, per_cent

if TYPE_CHECKING:
    from vaecli.results import FlagSummary


def flag_page(summary: FlagSummary) -> RenderableType:
    """How many rows are flagged now, by what, and what that promises."""
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    before = "" if summary.flagged_before is None else f"; before {summary.flagged_before:,}"
    days = counted(summary.days or 0, "day")
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        ("flagged", f"{summary.anomalies:,} ({per_cent(share)}){before}"),
        *([("not scored", counted(summary.unscored, "row"))] if summary.unscored else []),
        ("decided", _decided(summary)),
        ("promised", summary.claim),
        *([("events", f"{summary.events:,} on {days}")] if summary.events is not None else []),
        *[(f"suppressed by {quoted(name)}", counted(n, "row")) for name, n in (summary.suppressed or {}).items()],
        ("output", "standard output" if summary.output == "-" else summary.output),
    ]
    return Group(headline("Flagged"), fact_list(facts), *warning_lines(summary.warnings))


def _decided(summary: FlagSummary) -> str:
    reached = "" if summary.largest_p is None else f", p-values up to {number(summary.largest_p)}"
    if summary.method == "fdr":
        assert summary.fdr is not None
        kind = "" if summary.score_kind is None else f" of the {summary.score_kind} score"
        return (
            f"by a false-discovery rate of {exact_per_cent(summary.fdr)}{reached}; "
            f"{summary.calibration_rows:,} calibration rows{kind}"
        )
    if summary.method == "top":
        return f"the top {summary.top:,}{reached}"
    if summary.method == "per_day":
        return f"at most {summary.per_day:,} a day from level {summary.threshold:.10g} on{reached}"
    return f"at level {summary.threshold:.10g}" if summary.threshold is not None else "as the table was"
