"""The scores of a table beside those of calibration rows, as a picture."""

from __future__ import annotations

import numpy as np

from vaecli.aggregates.score_bars import N_BARS, ScoreBars
from vaecli.calibration.conformal import Calibration
from vaecli.plots.figure import BACKGROUND, new_figure, write_figure

_NEAREST_TICKS = 0.045  # of the width of the picture


def draw_scores(
    path: str, seen: np.ndarray, bars: ScoreBars, calibration: Calibration, min_score: float, kind: str
) -> None:
    """Draw the number of rows in each bar, `seen` (N_BARS,), beside that of as many normal rows; loads matplotlib."""
    figure, [axes] = new_figure()
    normal = bars.counts(calibration.scores, np.diff(calibration.ranks, prepend=0).astype(np.float64))
    n_rows = int(seen.sum())
    expected = normal * ((n_rows or calibration.n_rows) / normal.sum())
    last = int(np.flatnonzero((seen > 0) | (normal > 0))[-1]) + 1
    shown = bars.edges[: last + 1]
    axes.stairs(
        expected[:last],
        shown,
        fill=True,
        color=BACKGROUND,
        label=f"expected of normal rows: {calibration.n_rows:,} calibration rows, scaled",
    )
    axes.stairs(seen[:last], shown, color="C0", linewidth=1.4, label=f"this table: {n_rows:,} rows")
    if np.isfinite(min_score):
        position = bars.scaled(np.array([min_score]))[0]
        axes.axvline(position, color="C3", linestyle="--", linewidth=1.2, label="threshold: flagged from here")
    # a thousand normal rows and three anomalous ones are to be seen in one picture
    axes.set_yscale("log")
    tallest = max(expected.max(), seen.max(), 1.0)
    axes.set(ylim=(0.5, 1.6 * tallest), xlim=(shown[0], shown[-1]), title="Scores", ylabel="rows")
    ticks = _ticks(bars, shown[0], shown[-1])
    axes.set_xticks(bars.scaled(ticks), [f"{tick:,.6g}" for tick in ticks])
    beyond = "; the last bar holds all beyond it" if last == N_BARS else ""
    axes.set_xlabel(f"{kind} score, higher is more anomalous; steps grow with the score{beyond}")
    axes.legend(loc="upper right", frameon=False)
    write_figure(path, figure)


def _ticks(bars: ScoreBars, low: float, high: float) -> np.ndarray:
    """Round scores that are not too near each other in the picture: 0, 1, 2, 5, 10 …, rounder ones first."""
    powers = 10.0 ** np.arange(-6, 13)
    taken: list[float] = []
    for candidates in ([0.0], powers[::-1], 5 * powers, 2 * powers):
        for size in candidates:
            for tick in {float(size), -float(size)}:
                position = float(bars.scaled(np.array([tick]))[0])
                near = [abs(position - float(bars.scaled(np.array([other]))[0])) for other in taken]
                if low <= position <= high and min(near, default=high) > _NEAREST_TICKS * (high - low):
                    taken.append(tick)
    return np.array(sorted(taken))
