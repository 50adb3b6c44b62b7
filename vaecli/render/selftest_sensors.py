"""The page of a self-test of series: which faults are seen, how late, and which sensor is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from vaecli import results
from vaecli.errors import quoted
from vaecli.render.layout import decision, empty_table, fact_list, headline, plain_cells, warning_lines
from vaecli.render.selftest import blind_lines, seen
from vaecli.results.number_format import counted, duration, number, per_cent, whole_per_cent

if TYPE_CHECKING:
    from vaecli.results.selftest_sensors import SensorSelftestSummary, SeriesDetectionRate, SkippedFaults

_SHOWN_COLUMNS = 5
_HEADS = (
    "fault",
    "size",
    "seen",
    "in words",
    "delay",
    "right sensor",
    "hardest column",
    "false alarms",
    "limits alone",
)
_NUMERIC = ("size", "delay", "right sensor", "false alarms", "limits alone")
_SCOPE = (
    "A fault is seen if one of its rows is flagged. The delay is the median from the first changed reading to the "
    "first flag. False alarms: the share of stretches in which as many rows without the fault hold a flag."
)


def sensor_selftest_page(summary: SensorSelftestSummary) -> RenderableType:
    """A line for each fault and size, what was left out, then the blind spots."""
    table = empty_table(_HEADS, numeric=_NUMERIC)
    fault = ""
    for rate in summary.faults:
        name = "" if rate.fault == fault else results.FAULT_NAMES[fault := rate.fault]
        table.add_row(
            *plain_cells(
                name,
                _size(rate),
                seen(rate),
                rate.verdict,
                _delay(rate, is_date=summary.is_date),
                _share(rate.first_named_share),
                _hardest(summary, rate),
                whole_per_cent(rate.false_alarm_share),
                _share(rate.column_limits_share),
            )
        )
    parts: list[RenderableType] = [headline("Self-test"), fact_list(_about(summary)), Text(), table]
    parts += [Text(f"not applicable: {_skipped(one)}") for one in summary.skipped]
    if summary.limits_see_more:
        listed = ", ".join(f"{results.FAULT_NAMES[one.fault]} {_size(one)}".rstrip() for one in summary.limits_see_more)
        parts.append(Text(f"Limits on each column by itself would see more of: {listed}"))
    parts += [headline("\nBlind spots"), *blind_lines(summary.blind_spots, "faults"), Text(), Text(_SCOPE)]
    return Group(*parts, *warning_lines(summary.warnings))


def _about(summary: SensorSelftestSummary) -> list[tuple[str, str]]:
    n_excluded = summary.excluded_by_label
    marked = f"; {counted(n_excluded, 'row')} labelled anomalous left out" if n_excluded else ""
    drawn = (
        f"{summary.stretches:,} stretches of {summary.stretch_rows} rows, drawn at random from {summary.rows:,} rows"
    )
    left = summary.stretches - summary.flagged_before
    return [
        ("rows", f"{drawn} of {summary.n_groups:,} series, in {duration(summary.seconds)}{marked}"),
        (
            "false alarms",
            f"{per_cent(summary.false_alarm_rate)} of their rows are flagged as they are, in "
            f"{summary.flagged_before:,} of the stretches; "
            f"faults are put into the other {left:,}",
        ),
        (
            "limits alone",
            f"{per_cent(summary.column_limits_false_alarm_rate)} of the rows, in "
            f"{summary.column_limits_flagged_before:,} of the stretches",
        ),
        ("threshold", decision(summary)),
        *([("output", "standard output" if summary.output == "-" else summary.output)] if summary.output else []),
        *([("map", summary.plot)] if summary.plot else []),
    ]


def _size(rate: SeriesDetectionRate) -> str:
    return "" if rate.size is None else f"{rate.size:g} {rate.unit}"


def _share(share: float | None) -> str:
    return "–" if share is None else whole_per_cent(share)


def _delay(rate: SeriesDetectionRate, *, is_date: bool) -> str:
    if rate.delay_rows is None:
        return "–"
    rows = f"{rate.delay_rows:g} rows"
    if rate.delay_time is None:
        return rows
    return f"{rows}, {duration(rate.delay_time) if is_date else number(rate.delay_time)}"


def _hardest(summary: SensorSelftestSummary, rate: SeriesDetectionRate) -> str:
    hardest = summary.hardest(rate)
    if hardest is None or hardest.share is None or hardest.share == rate.share:
        return ""
    return f"{hardest.column} {whole_per_cent(hardest.share)}"


def _skipped(one: SkippedFaults) -> str:
    shown = ", ".join(quoted(column) for column in one.columns[:_SHOWN_COLUMNS])
    more = len(one.columns) - _SHOWN_COLUMNS
    columns = f"{shown} and {counted(more, 'other')}" if more > 0 else shown
    return f"{', '.join(results.FAULT_NAMES[fault] for fault in one.faults)} in {columns}: {one.reason}"
