"""The page of `sample`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from vaecli.render.layout import fact_list, headline, warning_lines
from vaecli.results.number_format import counted, duration

if TYPE_CHECKING:
    from vaecli.results import SampleSummary


def sample_page(summary: SampleSummary) -> RenderableType:
    """How many rows, around what, where they went, and the seed that makes them again."""
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        *([("like", f"{summary.like}, {counted(summary.rows_each, 'row')} for each")] if summary.rows_each else []),
        ("columns", f"{len(summary.columns):,}"),
        *([("picture", "each row {} × {} pixels".format(*summary.image_shape))] if summary.image_shape else []),
        ("seed", str(summary.seed)),
        ("output", "standard output" if summary.output == "-" else summary.output),
    ]
    return Group(headline("Sampled"), fact_list(facts), *warning_lines(summary.warnings))
