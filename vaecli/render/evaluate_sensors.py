"""The summary of `evaluate` for sensors → a page for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vaecli.errors import quoted
from vaecli.render.layout import decision, empty_table, fact_list, headline, plain_cells, warning_lines
from vaecli.results.number_format import counted, duration, number, per_cent

if TYPE_CHECKING:
    from vaecli.results import Figure
    from vaecli.results.evaluate_sensors import SensorEvaluateSummary


def sensor_evaluate_page(summary: SensorEvaluateSummary) -> RenderableType:
    """How scores rank the rows beside random scores, then what the threshold finds: rows, events, delay, alarms."""
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    events = f" in {counted(summary.events, 'event')}" if summary.events else ""
    facts = [
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)} of {summary.n_groups:,} series"),
        ("anomalies", f"{summary.anomalies:,} ({per_cent(share)}){events}, by column {quoted(summary.label)}"),
        (
            "flagged",
            f"{summary.flagged:,} in {counted(summary.alarms, 'alarm')}, {summary.false_alarms:,} of them false",
        ),
        ("events found", f"{summary.detected_events:,} of {summary.events:,}"),
        *([("not scored", counted(summary.unscored, "row"))] if summary.unscored else []),
        ("scores", "look ahead (--offline)" if summary.offline else "depend on the row and those before it"),
        ("threshold", decision(summary)),
        *([("output", "standard output" if summary.output == "-" else summary.output)] if summary.output else []),
    ]
    return Group(
        headline("Evaluated"),
        fact_list(facts),
        headline("\nRanking of rows"),
        _ranking(summary),
        headline("\nAt the threshold"),
        _decisions(summary),
        Text("Rows of a series depend on each other: figures of rows and alarms are without an interval"),
        *warning_lines(summary.warnings),
    )


def _ranking(summary: SensorEvaluateSummary) -> Table:
    from vaecli.results.evaluate_sensors import RANKING_NAMES

    table = empty_table(("figure", "value", "random scores"), numeric=("value", "random scores"))
    for metric, name in RANKING_NAMES.items():
        table.add_row(*plain_cells(name, *(_share(one.figure(metric)) for one in (summary.overall, summary.random))))
    return table


def _decisions(summary: SensorEvaluateSummary) -> Table:
    from vaecli.results.evaluate_sensors import EVENT_NAMES, ROW_NAMES

    table = empty_table(("figure", "value", "95 % interval"), numeric=("value",))
    for metric, name in ROW_NAMES.items():
        table.add_row(*plain_cells(name, _share(summary.overall.figure(metric)), ""))
    left_out = "false_alarms_per_1000_rows" if summary.is_date else "false_alarms_per_day"
    for metric, name in EVENT_NAMES.items():
        figure = summary.overall.figure(metric)
        if metric == left_out or (metric == "delay_time" and summary.normal_time is None):
            continue
        ends = "" if figure.low is None or figure.high is None else f"{figure.low:.4f} to {figure.high:.4f}"
        table.add_row(*plain_cells(name, _shown(figure, is_date=summary.is_date), ends))
    return table


def _shown(figure: Figure, *, is_date: bool) -> str:
    if figure.value is None or figure.metric in ("event_recall", "event_precision"):
        return _share(figure)
    if figure.metric == "delay_time" and is_date:
        return duration(figure.value)
    return number(figure.value)


def _share(figure: Figure) -> str:
    return "undefined" if figure.value is None else f"{figure.value:.4f}"
