"""The page of `report` in a terminal: what the HTML page says first, and where it is."""

from __future__ import annotations

from vaecli.render.figures import duration, size
from vaecli.results import ReportSummary


def report_facts(summary: ReportSummary) -> list[tuple[str, str]]:
    """A word and what there is to say about it, a line each."""
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    return [
        ("found", summary.headline),
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        ("flagged", f"{summary.anomalies:,} ({100 * share:.3g} %)"),
        *([("not scored", f"{summary.unscored:,}")] if summary.unscored else []),
        ("page", f"{'standard output' if summary.output == '-' else summary.output} ({size(summary.size_bytes)})"),
    ]
