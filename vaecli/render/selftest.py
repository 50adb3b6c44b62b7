"""The page of a self-test: which faults are flagged, the blind spots, and what the figures leave out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from vaecli import results
from vaecli.errors import escaped
from vaecli.render.layout import decision, empty_table, fact_list, headline, plain_cells, warning_lines
from vaecli.results.number_format import counted, duration, per_cent, whole_per_cent

if TYPE_CHECKING:
    from vaecli.results import BlindSpot, DetectionRate, SelftestSummary
    from vaecli.results.selftest_sensors import SeriesDetectionRate

_SHOWN_SPOTS = 10
_UNITS = {"spike": "{:g} sd", "shift": "{:g} sd", "scale": "× {:g}", "missing": "{:g} cells"}
_HEADS = ("fault", "size", "seen", "in words", "hardest column", "ranges alone")
_SCOPE = (
    "Each row is judged by itself. What only time shows (a slow drift, a sensor that stands still) is seen "
    "here only through the other columns of the row; a lasting fault of which one row in five is flagged "
    "still shows, as many flags in a row."
)


def selftest_page(summary: SelftestSummary) -> RenderableType:
    """A line for each fault and size, then the blind spots."""
    table = empty_table(_HEADS, numeric=("size", "ranges alone"))
    fault = ""
    for rate in summary.faults:
        name = "" if rate.fault == fault else results.FAULT_NAMES[fault := rate.fault]
        ranges = "–" if rate.column_limits_share is None else whole_per_cent(rate.column_limits_share)
        table.add_row(
            *plain_cells(name, _size(rate.fault, rate.size), seen(rate), rate.verdict, _hardest(summary, rate), ranges)
        )
    parts: list[RenderableType] = [headline("Self-test"), fact_list(_about(summary)), Text(), table]
    parts += [Text(f"not applicable: {line}") for line in _untested(summary)]
    if summary.ranges_see_more:
        parts.append(Text(f"Limits on each column by itself would see more of: {_listed(summary.ranges_see_more)}"))
    parts += [headline("\nBlind spots"), *blind_lines(summary.blind_spots, "rows"), Text(), Text(_SCOPE)]
    return Group(*parts, *warning_lines(summary.warnings))


def _about(summary: SelftestSummary) -> list[tuple[str, str]]:
    left = summary.drawn - summary.flagged_before
    n_excluded = summary.excluded_by_label
    marked = f"; {counted(n_excluded, 'row')} labelled anomalous left out" if n_excluded else ""
    alarms = f"{summary.flagged_before:,} ({per_cent(summary.false_alarm_rate)}) are flagged as they are"
    return [
        ("rows", f"{summary.drawn:,} of {summary.rows:,}, drawn at random, in {duration(summary.seconds)}{marked}"),
        ("false alarms", f"{alarms}; faults are put into the other {left:,}"),
        ("threshold", decision(summary)),
        *([("output", "standard output" if summary.output == "-" else summary.output)] if summary.output else []),
        *([("map", summary.plot)] if summary.plot else []),
    ]


def _listed(rates: Sequence[DetectionRate]) -> str:
    """`spike 4 sd, wrong scale × 0`."""
    return ", ".join(f"{results.FAULT_NAMES[one.fault]} {_size(one.fault, one.size)}".rstrip() for one in rates)


def seen(rate: DetectionRate | SeriesDetectionRate) -> str:
    """`93 % (91 to 95)`."""
    if rate.share is None or rate.low is None or rate.high is None:
        return "–"
    return f"{whole_per_cent(rate.share)} ({100 * rate.low:.0f} to {100 * rate.high:.0f})"


def _hardest(summary: SelftestSummary, rate: DetectionRate) -> str:
    """`flow 12 %`; nothing where no column is harder than the others."""
    hardest = summary.hardest(rate)
    if hardest is None or hardest.share is None or hardest.share == rate.share:
        return ""
    return f"{hardest.column} {whole_per_cent(hardest.share)}"


def _size(fault: str, size: float | None) -> str:
    """`4 sd`, `× 10`, `1 cell`; nothing for a fault without sizes."""
    if size is None:
        return ""
    said = _UNITS[fault].format(size)
    return said.removesuffix("s") if size == 1 and fault == "missing" else said


def _untested(summary: SelftestSummary) -> list[str]:
    """One line per fault, all its sizes together."""
    lines: dict[str, None] = {}
    for one in summary.untested:
        size = f" ({_size(one.fault, one.size)})" if one.fault == "missing" else ""
        lines[f"{results.FAULT_NAMES[one.fault]}{size}: {one.reason}"] = None
    return list(lines)


def blind_lines(spots: Sequence[BlindSpot], tried: str) -> list[Text]:
    """A sentence for each of the blindest columns; `tried` is what shares are of."""
    if not spots:
        nothing = f"none: in every column, of every kind of fault tried, half of the {tried} may be seen at some size"
        return [Text(nothing)]
    lines = [Text(escaped(spot.sentence)) for spot in spots[:_SHOWN_SPOTS]]
    if (more := len(spots) - _SHOWN_SPOTS) > 0:
        lines.append(Text(f"… and {counted(more, 'column')} more: --json names all"))
    return lines
