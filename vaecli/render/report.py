"""The page of `report` in a terminal: what the HTML page says first, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from vaecli.render.layout import fact_list, headline, warning_lines
from vaecli.results.number_format import duration, per_cent, size

if TYPE_CHECKING:
    from vaecli.results import ReportSummary


def report_page(summary: ReportSummary) -> RenderableType:
    """What was found, in how many rows, and where the page is."""
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    facts = [
        ("found", summary.headline),
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        ("flagged", f"{summary.anomalies:,} ({per_cent(share)})"),
        *([("not scored", f"{summary.unscored:,}")] if summary.unscored else []),
        *([("pictures", "each row {} × {} pixels".format(*summary.image_shape))] if summary.image_shape else []),
        ("page", f"{'standard output' if summary.output == '-' else summary.output} ({size(summary.size_bytes)})"),
    ]
    return Group(headline("Reported"), fact_list(facts), *warning_lines(summary.warnings))
