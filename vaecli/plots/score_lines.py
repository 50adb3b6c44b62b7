"""The scores of series along time, with the threshold and the events, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from vaecli.aggregates.score_lines import ScoreLine
from vaecli.plots.figure import legible, new_rows, write_figure

_LOGARITHMIC = 5.0  # times the threshold; an axis that reaches further is logarithmic beyond it
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2, 9999))


@dataclass(frozen=True, slots=True)
class DrawnSeries:
    """One series: its `name`, None where there is only one, its scores, and its events as (begin, end)."""

    name: str | None
    line: ScoreLine
    spans: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """The clock: its name, whether it holds moments, and the longest step without a gap."""

    name: str
    is_moment: bool
    max_gap: float


def draw_score_lines(
    path: str, drawn: Sequence[DrawnSeries], n_more: int, axis: TimeAxis, min_score: float, kind: str
) -> None:
    """Draw each series in a row of its own; `n_more` are not drawn. matplotlib is loaded here.

    Raises UsageError or EnvironmentProblem.
    """
    figure, rows = new_rows(max(len(drawn), 1))
    for axes, one in zip(rows, drawn, strict=False):
        _draw(axes, one, axis, min_score)
    figure.suptitle("Scores along time", x=0.01, ha="left")
    if drawn:
        figure.legend(*rows[0].get_legend_handles_labels(), loc="outside upper right", frameon=False, ncols=3)
    more = f"; {n_more:,} more series are not drawn" if n_more else ""
    rows[-1].set_xlabel(f"{legible(axis.name)}{more}")
    figure.supylabel(f"{kind} score, higher is more anomalous")
    write_figure(path, figure)


def _draw(axes: Any, one: DrawnSeries, axis: TimeAxis, min_score: float) -> None:
    line = one.line
    begin, end = line.number * line.width, (line.number + 1) * line.width
    gap = np.flatnonzero(begin[1:] - end[:-1] > axis.max_gap) + 1
    middle, low, high = (np.insert(of, gap, np.nan) for of in (0.5 * (begin + end), line.low, line.high))
    at = _moments(middle) if axis.is_moment else middle
    axes.fill_between(at, low, high, color="C0", linewidth=1, label="scores, least to largest")
    for i, (first, last) in enumerate(one.spans):
        ends = _moments(np.array([first, last])) if axis.is_moment else (first, last)
        axes.axvspan(ends[0], ends[1], color="C3", alpha=0.15, label="events" if i == 0 else None)
    if np.isfinite(min_score):
        axes.axhline(min_score, color="C3", linestyle="--", linewidth=1.2, label="threshold: flagged from here")
    top = np.nanmax([*line.high[~np.isnan(line.high)], min_score])
    if 0 < _LOGARITHMIC * min_score < top:
        axes.set_yscale("symlog", linthresh=min_score)
        axes.set_ylim(bottom=min(0.0, float(np.nanmin(line.low))))
    if one.name is not None:
        axes.text(0.005, 0.95, legible(one.name), transform=axes.transAxes, va="top", fontweight="bold")


def _moments(seconds: np.ndarray) -> np.ndarray:
    """Moments (n,) for matplotlib's axis of dates; those beyond its calendar are left out."""
    dates = np.full(seconds.size, "NaT", "datetime64[ms]")
    present = (seconds > _FIRST) & (seconds < _LAST)
    dates[present] = np.round(1000 * seconds[present]).astype(np.int64).astype("datetime64[ms]")
    return dates
