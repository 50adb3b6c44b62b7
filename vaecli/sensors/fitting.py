"""Learns windows of normal series: models of blocks of time for honest scores, and one of all rows to keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.calibration.conformal import Calibration
from vaecli.calibration.dependence import effective_rows
from vaecli.config import SCORE_KINDS
from vaecli.data.sensor_scale import SensorScale
from vaecli.data.series import Chunk, Stretch, chunk_of
from vaecli.model.window_model import HISTORY, TILE, Readouts, WindowModel, WindowShape, fit_window_model
from vaecli.scoring.look_ahead import looking_ahead
from vaecli.scoring.window_scores import WindowScales, concatenated, score_of, take

N_BLOCKS = 3  # of time; each is scored by a model of the others
TILES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class FittedWindows:
    """A window model, its scales, and the held-out scores that calibrate it.

    `surprisals` (6, n) are those of the training rows by models that were not trained on their block, NaN where a row
    has too few before it; `held_out` are their scores (n,) by kind. `stretch` (n,) numbers the stretch of each row.
    """

    model: WindowModel
    scales: WindowScales
    surprisals: np.ndarray
    held_out: dict[str, np.ndarray]
    block: np.ndarray
    stretch: np.ndarray


def fit_windows(
    stretches: Sequence[Stretch], scale: SensorScale, shape: WindowShape, progress: Callable[[int, int], None]
) -> FittedWindows:
    """Fit the windows of `stretches`, scaled readings whose `row` are 0 to n-1 in the order of series and time.

    `progress` is called with the number of models done and to do.
    """
    layout = chunk_of(stretches, TILE)
    order = np.argsort(layout.row, kind="stable")
    layout = replace(layout, column=layout.column[order], output=layout.output[order], row=layout.row[order])
    n = layout.row.size
    first = np.concatenate([np.arange(stretch.row.size) for stretch in stretches])  # rows of the stretch before each
    warm = first >= min(shape.window - 1, n // 8)
    block = np.arange(n) * N_BLOCKS // n
    with threadpool_limits(1, "blas"):
        held_out = _held_out(layout, scale, shape, warm, block, progress)
        model = fit_window_model(layout.x, scale, layout.column[warm], shape)
        progress(N_BLOCKS + 1, N_BLOCKS + 1)
        scales = WindowScales.of(model, take(held_out, warm))
        found = scales.surprisals(model, take(held_out, warm))
    surprisals = np.full((found.of.shape[0], n), np.nan)
    surprisals[:, warm] = found.of
    number = np.repeat(np.arange(len(stretches)), [stretch.row.size for stretch in stretches])
    return FittedWindows(
        model, scales, surprisals, {kind: score_of(surprisals, kind) for kind in SCORE_KINDS}, block, number
    )


def looked_ahead(fitted: FittedWindows, kind: str, shape: WindowShape) -> np.ndarray:
    """The held-out scores (n,) of a kind with knowledge of what follows; NaN where a row has too few before it."""
    ahead = np.full_like(fitted.surprisals, np.nan)
    scored = np.isfinite(fitted.held_out[kind])
    for number in np.unique(fitted.stretch):
        mine = scored & (fitted.stretch == number)
        if mine.any():
            ahead[:, mine] = looking_ahead(fitted.surprisals[:, mine], shape)
    return score_of(ahead, kind)


def _held_out(
    layout: Chunk,
    scale: SensorScale,
    shape: WindowShape,
    warm: np.ndarray,
    block: np.ndarray,
    progress: Callable[[int, int], None],
) -> Readouts:
    """The read-outs (…, n) of all rows by models of the other blocks, without the windows that reach into the block."""
    parts: list[Readouts] = []
    rows = np.arange(block.size)
    for b in range(N_BLOCKS):
        progress(b, N_BLOCKS + 1)
        mine = rows[block == b]
        others = warm & ((rows < mine[0]) | (rows > mine[-1] + shape.window - 1))
        model = fit_window_model(layout.x, scale, layout.column[others], shape)
        parts.append(readouts_of(model, layout, mine))
    return concatenated(parts)


def readouts_of(model: WindowModel, layout: Chunk, rows: np.ndarray) -> Readouts:
    """The read-outs of the rows numbered `rows` of a layout, in bounded memory."""
    number = np.unique(layout.output[rows] // TILE)
    parts = []
    for start in range(0, number.size, TILES_AT_ONCE):
        tiles = layout.tiles[number[start : start + TILES_AT_ONCE]]
        for run in np.split(tiles, np.flatnonzero(np.diff(tiles) > TILE + 2 * HISTORY) + 1):
            first = max(int(run[0]) - HISTORY - 1, 0)
            parts.append(model.readouts(layout.x[:, first : run[-1] + TILE], run - first))
    place = np.searchsorted(number, layout.output[rows] // TILE) * TILE + layout.output[rows] % TILE
    return take(concatenated(parts), place)


def calibrated(held_out: np.ndarray, block: np.ndarray, level: float) -> tuple[Calibration, float]:
    """The calibration of a score, and its margin.

    Rows of a series are worth few independent ones, so the quantile of all held-out scores is uncertain. The margin
    raises them until the threshold at `level` lies two standard deviations of the blocks' quantiles above their mean.
    """
    scored = np.isfinite(held_out)
    score, of_block = held_out[scored], block[scored]
    quantiles = np.array([np.quantile(score[of_block == b], level) for b in np.unique(of_block)])
    wanted = quantiles.mean() + 2 * quantiles.std()
    pooled = np.quantile(score, level)
    margin = float(np.clip(wanted / max(pooled, 1e-9), 1, 10)) if pooled > 0 else 1.0
    return Calibration.of(margin * score), margin


def independent_rows(held_out: np.ndarray) -> float:
    """How many independent rows the held-out scores are worth."""
    return effective_rows(held_out[np.isfinite(held_out)])
