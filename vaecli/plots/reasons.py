"""The attribution to columns, over all explained rows and in the most anomalous of them, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vaecli.plots.figure import BACKGROUND, legible, new_figure, write_figure
from vaecli.results import FlaggedRow, Reason

_COLUMNS = 15
_ROWS = 12
_COLOURS = 7
_LIGHT = "0.88"


@dataclass(frozen=True, slots=True)
class Parts:
    """A row or an event, its nats, and the columns that they are of; nats below those of its reasons are these."""

    name: str
    nats: float
    reasons: tuple[Reason, ...]

    @classmethod
    def of(cls, row: FlaggedRow) -> Parts:
        """The parts of a row."""
        return cls(f"row {row.row:,}", row.score, row.reasons)


def plot_attributions(
    path: str, first: Mapping[str, int], later: Mapping[str, int], explained: Sequence[Parts], noun: str = "row"
) -> None:
    """Draw in how many rows or events each column is the `first` reason or a `later` one, and what `explained` are of.

    matplotlib is loaded here.
    """
    figure, [columns, oddest] = new_figure((1, 1.25))
    names = sorted({*first, *later}, key=lambda name: (-first.get(name, 0), -later.get(name, 0), name))
    colours = {name: f"C{i}" for i, name in enumerate(names[:_COLOURS])}
    _columns(columns, names[:_COLUMNS], first, later, colours, noun)
    if (more := len(names) - _COLUMNS) > 0:
        columns.set_xlabel(f"explained {noun}s; {more:,} more columns are not drawn")
    _rows(oddest, explained[:_ROWS], colours, noun)
    write_figure(path, figure)


def _columns(
    axes: Any,
    names: Sequence[str],
    first: Mapping[str, int],
    later: Mapping[str, int],
    colours: Mapping[str, str],
    noun: str,
) -> None:
    places = range(len(names))
    leading = [first.get(name, 0) for name in names]
    axes.barh(places, leading, color=[colours.get(name, BACKGROUND) for name in names])
    axes.barh(places, [later.get(name, 0) for name in names], left=leading, color=_LIGHT)
    axes.set_yticks(places, [legible(name) for name in names])
    axes.invert_yaxis()
    axes.set(title="Responsible columns", xlabel=f"explained {noun}s")
    axes.legend(
        handles=[_patch("C0", "strongest reason (coloured)"), _patch(_LIGHT, "a further reason")],
        loc="lower right",
        frameon=False,
    )


def _rows(axes: Any, rows: Sequence[Parts], colours: Mapping[str, str], noun: str) -> None:
    drawn: dict[str, str] = {}
    for i, row in enumerate(rows):
        left = 0.0
        for reason in row.reasons:
            colour = colours.get(reason.column, BACKGROUND)
            drawn[legible(reason.column) if reason.column in colours else "another column"] = colour
            axes.barh(i, reason.nats, left=left, color=colour, edgecolor="white", linewidth=0.6)
            left += reason.nats
        if row.nats > left:
            drawn["weaker reasons, and none alone"] = _LIGHT
            axes.barh(i, row.nats - left, left=left, color=_LIGHT, edgecolor="white", linewidth=0.6)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.invert_yaxis()
    axes.set(title=f"The most anomalous {noun}s", xlabel="score, taken apart (nats)")
    order = [*(legible(name) for name in colours), "another column", "weaker reasons, and none alone"]
    axes.legend(
        handles=[_patch(drawn[name], name) for name in order if name in drawn],
        loc="lower right",
        framealpha=0.85,
        edgecolor="none",
    )


def _patch(colour: str, name: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour, label=name)
