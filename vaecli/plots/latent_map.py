"""The rows of a table on a map, before the training rows of the bundle, as a picture."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from vaecli.aggregates.row_sample import MapPoints
from vaecli.plots.figure import BACKGROUND, legible, new_figure, write_figure

_COLOURS = 8  # of values; beyond them a column of numbers gets a scale, and other values are one colour
_INSIDE = 0.5, 99.5  # per cent of the rows between which the picture surely reaches
_ROOM = 0.35  # beside them, of their range


def draw_map(
    path: str, points: MapPoints, n_rows: int, exemplars: np.ndarray, colour_by: str | None, kind: str
) -> None:
    """Draw `points`, some of `n_rows` rows, coloured by what the column `colour_by` holds.

    `exemplars` (N, 2) are the training rows of the bundle on the same map. matplotlib is loaded here.
    """
    figure, [axes] = new_figure()
    axes.scatter(*exemplars.T, s=5, color=BACKGROUND, linewidths=0, label="training rows", zorder=1)
    size = {"s": 9 if len(points.row) > 500 else 16, "linewidths": 0, "alpha": 0.8, "zorder": 2}
    title = None
    if colour_by is None:
        axes.scatter(*points.position.T, color="C0", label="this table", **size)
    else:
        title = _coloured(figure, axes, points, colour_by, size)
    limits, n_outside = _limits(np.concatenate([points.position, exemplars]), points.position)
    axes.set(xlim=limits[0], ylim=limits[1], xlabel="map1", ylabel="map2")
    rows = f"{n_rows:,} rows" if len(points.row) == n_rows else f"{len(points.row):,} of {n_rows:,} rows"
    outside = f", {n_outside:,} of them outside the picture" if n_outside else ""
    axes.set_title(f"Map ({kind}): {rows}{outside}")
    axes.legend(title=title, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, markerscale=2)
    write_figure(path, figure)


def _coloured(figure: Any, axes: Any, points: MapPoints, name: str, size: dict[str, Any]) -> str | None:
    """The title of the legend, None where a scale shows what colours mean."""
    frequent = [value for value, _ in Counter(points.text).most_common()]
    numbers = _numbers(points.text)
    if numbers is not None and len(frequent) > _COLOURS:
        here = np.isfinite(numbers)
        low, high = np.percentile(numbers[here], [1, 99])
        drawn = axes.scatter(*points.position[here].T, c=numbers[here], vmin=low, vmax=high, cmap="viridis", **size)
        figure.colorbar(drawn, ax=axes, label=legible(name), extend="both", location="left", pad=0.02)
        if not here.all():
            axes.scatter(*points.position[~here].T, color="C3", label="(missing)", **size)
        return None
    for i, value in enumerate(sorted(frequent[:_COLOURS], key=_order)):
        here = points.text == value
        label = "(missing)" if value is None else legible(str(value))
        axes.scatter(*points.position[here].T, color=f"C{i}", label=label, **size)
    if others := frequent[_COLOURS:]:
        here = np.isin(points.text.astype(str), [str(value) for value in others])
        axes.scatter(*points.position[here].T, color="0.25", label=f"{len(others):,} other values", **size)
    return legible(name)


def _numbers(texts: np.ndarray) -> np.ndarray | None:
    """(n,) float64, NaN where nothing stands; None for a column that holds anything else."""
    try:
        return np.array([np.nan if text is None else float(text) for text in texts])
    except ValueError:
        return None


def _order(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, then words, then what is missing."""
    try:
        return value is None, float(value), ""
    except (TypeError, ValueError):
        return value is None, float("inf"), str(value)


def _limits(everything: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, int]:
    """((2, 2) low and high of either axis, how many rows lie beyond): a far row does not make all others one point."""
    low, high = np.percentile(everything, _INSIDE, axis=0)
    room = _ROOM * np.maximum(high - low, 1e-9)
    low = np.maximum(low - room, everything.min(0) - 0.05 * room)
    high = np.minimum(high + room, everything.max(0) + 0.05 * room)
    return np.stack([low, high], axis=1), int(((rows < low) | (rows > high)).any(1).sum())
