"""The pages of scoring runs that wrote a folder of parts, on this machine or on Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from vaecli.render.layout import decision, empty_table, fact_list, headline, plain_cells, warning_lines
from vaecli.results.number_format import counted, duration, per_cent

if TYPE_CHECKING:
    from vaecli.results.score_parts import PartsSummary
    from vaecli.results.score_spark import SparkSummary


def score_parts_page(summary: PartsSummary) -> RenderableType:
    """How many parts and rows there are, how many rows were flagged, and where the share of flagged rows is highest."""
    reused = f", {summary.reused:,} of them were there already" if summary.reused else ""
    shown: list[RenderableType] = [headline("Scored"), _facts(summary, reused)]
    if summary.most_flagged:
        table = empty_table(("part", "rows", "flagged", "share"), numeric=("rows", "flagged", "share"))
        for part in summary.most_flagged:
            counts = (f"{part.rows:,}", f"{part.anomalies:,}", per_cent(part.anomalies / part.rows))
            table.add_row(*plain_cells(part.part, *counts))
        shown += [headline("\nParts with the largest share of flagged rows"), table]
    return Group(*shown, *warning_lines(summary.warnings))


def spark_page(summary: SparkSummary) -> RenderableType:
    """How many rows were flagged, and where the parts are."""
    return Group(headline("Scored"), _facts(summary, f", by {summary.remote}"), *warning_lines(summary.warnings))


def _facts(summary: PartsSummary | SparkSummary, of_parts: str) -> RenderableType:
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    return fact_list(
        [
            ("parts", f"{summary.parts:,}{of_parts}"),
            ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
            ("flagged", f"{summary.anomalies:,} ({per_cent(share)})"),
            *([("not scored", counted(summary.unscored, "row"))] if summary.unscored else []),
            ("threshold", decision(summary)),
            ("output", summary.output),
        ]
    )
