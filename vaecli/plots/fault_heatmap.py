"""The shares that a self-test share, as a picture: a line for each column, dark where faults pass unnoticed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaecli.plots.figure import legible, write_figure
from vaecli.results import DetectionRate
from vaecli.results.selftest import FAULT_NAMES
from vaecli.results.selftest_sensors import SeriesDetectionRate

MOST_COLUMNS = 60  # in a picture: those in which the least is seen


def shares(
    rates: Sequence[DetectionRate] | Sequence[SeriesDetectionRate], columns: Sequence[str]
) -> tuple[list[str], list[str], np.ndarray]:
    """(columns, faults, share (columns, faults) seen, NaN where a column cannot have the fault).

    At most MOST_COLUMNS columns, in their order.
    """
    cases = list(dict.fromkeys((rate.fault, rate.size) for rate in rates))
    share = np.full((len(columns), len(cases)), np.nan)
    column_index, case_index = {name: i for i, name in enumerate(columns)}, {case: i for i, case in enumerate(cases)}
    for rate in rates:
        if rate.share is not None:
            share[column_index[str(rate.column)], case_index[rate.fault, rate.size]] = rate.share
    mean = np.nansum(share, axis=1) / np.maximum((~np.isnan(share)).sum(1), 1)
    hardest = np.sort(np.argsort(mean, kind="stable")[:MOST_COLUMNS])
    heads = [FAULT_NAMES[fault] + ("" if size is None else f" {size:g}") for fault, size in cases]
    return [columns[i] for i in hardest], heads, share[hardest]


def draw_heatmap(
    path: str,
    rates: Sequence[DetectionRate] | Sequence[SeriesDetectionRate],
    columns: Sequence[str],
    title: str = "share of the rows with a fault that are flagged",
) -> None:
    """Draw the shares of each column. matplotlib is loaded here; `path` appears whole or not at all."""
    from matplotlib.figure import Figure

    names, heads, share = shares(rates, columns)
    figure = Figure(figsize=(3 + 0.42 * len(heads), 2.2 + 0.28 * len(names)), layout="constrained")
    axes = figure.subplots()
    axes.set_facecolor("0.9")  # shows where a column cannot have the fault
    image = axes.imshow(share, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    axes.set_yticks(range(len(names)), [legible(name) for name in names])
    axes.set_xticks(range(len(heads)), heads, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_title(title)
    figure.colorbar(image, ax=axes)
    write_figure(path, figure)
