"""The page of `report` in a terminal: the headline of the HTML page, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType

from vaecli.errors import quoted
from vaecli.render.layout import fact_list, headline, warning_lines
from vaecli.results.number_format import counted, duration, per_cent, size

if TYPE_CHECKING:
    from vaecli.results import ReportSummary
    from vaecli.results.report_sensors import SensorReportSummary

_SENSORS = 5


def report_page(summary: ReportSummary) -> RenderableType:
    """What was found, in how many rows, and where the page is."""
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    facts = [
        ("found", summary.headline),
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)}"),
        ("flagged", f"{summary.anomalies:,} ({per_cent(share)})"),
        *([("not scored", f"{summary.unscored:,}")] if summary.unscored else []),
        *([("pictures", "each row {} × {} pixels".format(*summary.image_shape))] if summary.image_shape else []),
        ("page", _page(summary)),
    ]
    return Group(headline("Reported"), fact_list(facts), *warning_lines(summary.warnings))


def sensor_report_page(summary: SensorReportSummary) -> RenderableType:
    """What was found in the series, the sensors that are responsible most often, and where the page is."""
    share = summary.anomalies / summary.rows if summary.rows else 0.0
    still = f", {summary.n_open_events:,} of them still open" if summary.n_open_events else ""
    responsible = ", ".join(
        f"{quoted(column, marks=False)} {n:,}" for column, n in list(summary.sensors.items())[:_SENSORS]
    )
    facts = [
        ("found", summary.headline),
        ("rows", f"{summary.rows:,} in {duration(summary.seconds)} of {summary.n_groups:,} series"),
        *([("long table", f"{counted(summary.long.rows, 'row')}; those above are its stamps")] if summary.long else []),
        ("flagged", f"{summary.anomalies:,} ({per_cent(share)})"),
        ("events", f"{summary.n_events:,}{still}"),
        *([("responsible", f"{responsible} (events)")] if responsible else []),
        *([("not scored", f"{summary.unscored:,}")] if summary.unscored else []),
        ("page", _page(summary)),
    ]
    return Group(headline("Reported"), fact_list(facts), *warning_lines(summary.warnings))


def _page(summary: ReportSummary | SensorReportSummary) -> str:
    return f"{'standard output' if summary.output == '-' else summary.output} ({size(summary.size_bytes)})"
