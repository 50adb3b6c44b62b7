"""The parts that the pages of all verbs share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from vaecli.errors import escaped
from vaecli.results.number_format import exact_per_cent, how_often, number

if TYPE_CHECKING:
    from vaecli.results import EvaluateSummary, FlaggedRow, ScoreSummary, SelftestSummary
    from vaecli.results.bad_files import BadFile
    from vaecli.results.evaluate_sensors import SensorEvaluateSummary
    from vaecli.results.score import NewFiles
    from vaecli.results.score_parts import PartsSummary
    from vaecli.results.score_sensors import SensorScoreSummary
    from vaecli.results.score_spark import SparkSummary
    from vaecli.results.selftest_sensors import SensorSelftestSummary

    Decided = (
        ScoreSummary
        | PartsSummary
        | SparkSummary
        | SensorScoreSummary
        | EvaluateSummary
        | SensorEvaluateSummary
        | SelftestSummary
        | SensorSelftestSummary
    )


def headline(text: str) -> Text:
    """A bold line over what follows."""
    return Text(text, style="bold")


def fact_list(facts: Iterable[tuple[str, str]]) -> Table:
    """Two columns: a term and its text, which is folded within its column."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="cyan")
    table.add_column(overflow="fold")
    for word, said in facts:
        table.add_row(*plain_cells(f"  {word}", said))
    return table


def empty_table(heads: Sequence[str], numeric: Sequence[str] = ()) -> Table:
    """A table without lines, its numbers to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, justify="right" if head in numeric else "left", overflow="fold")
    return table


def plain_cells(*texts: str) -> tuple[Text, ...]:
    """Text, not strings: what the user's table holds is never read as markup or as a control sequence."""
    return tuple(Text(escaped(text)) for text in texts)


def warning_lines(warnings: Sequence[str]) -> list[Text]:
    """One line per warning, the word `warning` in yellow."""
    return [Text.assemble(("warning: ", "yellow"), escaped(warning)) for warning in warnings]


def new_files(found: NewFiles | None) -> list[tuple[str, str]]:
    """A line about the files of a run that scores only new rows."""
    if found is None:
        return []
    return [("files", f"{found.new:,} new, {found.grown:,} grown, {found.unchanged:,} with nothing new")]


def files_left_out(bad: Sequence[BadFile], n_files: int | None) -> list[tuple[str, str]]:
    """A line about files that are not part of the run; the error that follows the page names them."""
    return [("left out", f"{len(bad):,} of {n_files:,} files")] if bad and n_files is not None else []


def decision(summary: Decided) -> str:
    """What flags a row: the level and what it means, or the score."""
    score = f"{summary.score_kind} score from {number(summary.min_score)} nats"
    if summary.threshold is None:
        return f"{score}, as set by --min-score"
    level = summary.threshold
    if summary.uses_tail_model:
        return (
            f"{level:.10g}: more unusual than {exact_per_cent(level)} of normal rows ({score}). "
            "The level is finer than the calibration rows resolve: a fitted model decides, not a guarantee"
        )
    return (
        f"{level:.10g}: more unusual than {exact_per_cent(level)} of normal rows; "
        f"{how_often(level)} normal rows is flagged by chance ({score})"
    )


def reason_table(rows: Sequence[FlaggedRow]) -> Table:
    """One line per reason; the row's number and score stand beside its first reason."""
    table = empty_table(("row", "score", "p_value", "nats", "reason"), numeric=("row", "score", "p_value", "nats"))
    for row in rows:
        facts = (f"{row.row:,}", number(row.score), f"{row.p_value:.2g}")
        told = [(number(reason.nats), reason.phrase) for reason in row.named]
        if row.rest > 0.5 * row.score or not told:
            told.append((number(row.rest), "the columns together: no single one explains this part"))
        for place, (nats, sentence) in enumerate(told):
            table.add_row(*plain_cells(*(facts if place == 0 else ("", "", "")), nats, sentence))
    return table
