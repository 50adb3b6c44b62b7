"""Learns windows of normal series: models of blocks of time for honest scores, and one of all rows to keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.calibration.conformal import Calibration
from vaecli.calibration.effective_rows import Dependence, EffectiveRows
from vaecli.config import SCORE_KINDS
from vaecli.data.sensor_scale import SensorScale
from vaecli.data.series import Alarms, Chunk, Stretch, chunk_of
from vaecli.model.sensor_views import view_values
from vaecli.model.window_model import (
    HISTORY,
    Readouts,
    WindowModel,
    WindowShape,
    fit_window_model,
)
from vaecli.scoring.look_ahead import looking_ahead
from vaecli.scoring.single_sensors import SingleSensors
from vaecli.scoring.window_scores import WindowScales, concatenated, score_of, take
from vaecli.sensors.fit_single_sensors import USUAL_LEVEL, FittedViews, fit_views, judge_of

Measured = TypeVar("Measured")
N_BLOCKS = 3  # of time; each is scored by a model of the others
COLUMNS_AT_ONCE = 4_096
MOST_FOR_FEW = 0.5  # that a margin grows by for want of independent rows (docs/adr/0021-windows-of-sensors.md)
MOST_MARGIN = 10.0
EVIDENT = 0.995  # share of held-out rows whose latest rows do not make an event go on
_ON_THE_MODELS_SCALE = ("joint", "single", "residual", "code")


@dataclass(frozen=True, slots=True)
class FittedWindows:
    """A window model, its scales, and the held-out scores that calibrate it.

    `short_limits` (d,) are those of the function. `surprisals` (7, n) are those of the training rows by models that
    were not trained on their block, NaN where a row has too few before it; `held_out` are their scores (n,) by kind.
    `stretch` (n,) numbers the stretch of each row, and `seen` (n,) how many rows of it came before. `views` are those
    of single sensors, None where no sensor moves.
    """

    model: WindowModel
    scales: WindowScales
    short_limits: np.ndarray
    surprisals: np.ndarray
    held_out: dict[str, np.ndarray]
    block: np.ndarray
    stretch: np.ndarray
    seen: np.ndarray
    views: FittedViews | None

    def opinions(self, judge: SingleSensors) -> np.ndarray:
        """The opinions of a judge of these views on the held-out rows (n,), NaN where no sensor decides."""
        assert self.views is not None
        return judge.opinions(self.views.far, self.held_out["combined"], self.seen, Alarms.none(self.seen.size))


def fit_windows(
    stretches: Sequence[Stretch], scale: SensorScale, shape: WindowShape, progress: Callable[[int, int], None]
) -> FittedWindows:
    """Fit the windows of `stretches`, scaled readings whose `row` are 0 to n-1 in the order of series and time.

    `progress` is called with the number of models done and to do.
    """
    layout = chunk_of(stretches)
    order = np.argsort(layout.row, kind="stable")
    layout = layout.take(order)
    n = layout.row.size
    warm = _filled(layout.seen, shape.window)
    if warm.sum() < n // 2:  # short stretches: their windows begin with a repeated row, as they do when scored
        warm = np.ones(n, bool)
    long = _filled(layout.seen, shape.long) & warm
    if long.sum() < n // 2:
        shape = replace(shape, long=0)
    block = blocks_of(n)
    with threadpool_limits(1, "blas"):
        held_out, short = _held_out(layout, scale, shape, (warm, long), block, progress)
        model = fit_window_model(layout.x, scale, layout.column[warm], layout.column[long], shape)
        final = readouts_of(model, layout, np.arange(n))
        held_out = replace(held_out, moved=final.moved)
        short = scaled_to(short, short_of(model, layout, np.arange(n)))[:, warm]
        views = _fit_views(layout, model, warm, block)
        progress(N_BLOCKS + 1, N_BLOCKS + 1)
        if held_out.long is not None and final.long is not None:
            held_out.long[~long], final.long[~long] = np.nan, np.nan
        held_out, final = take(held_out, warm), take(final, warm)
        scales = WindowScales.of(model, held_out)
        found = scales.surprisals(model, all_scaled_to(held_out, final))
    surprisals = np.full((found.of.shape[0], n), np.nan)
    surprisals[:, warm] = found.of
    number = np.repeat(np.arange(len(stretches)), [stretch.row.size for stretch in stretches])
    scores = {kind: score_of(surprisals, kind, shape) for kind in SCORE_KINDS}
    return FittedWindows(model, scales, short_limits(short), surprisals, scores, block, number, layout.seen, views)


def _fit_views(layout: Chunk, model: WindowModel, warm: np.ndarray, block: np.ndarray) -> FittedViews | None:
    """The views of single sensors by the rows `warm` (n,) bool of a layout, in blocks (n,)."""
    rows = np.flatnonzero(warm)
    if not model.continuous.size:
        return None

    def values(view: int) -> tuple[np.ndarray, np.ndarray]:
        def measure(x: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return view_values(model.rolling(x), view, column)

        now, before = (np.concatenate(part, axis=1) for part in zip(*_measured(layout, rows, measure), strict=True))
        return now, before

    found = fit_views(values, block[rows], model.shape.window)
    far = np.zeros(block.size, np.float32)
    far[rows] = found.far
    return replace(found, far=far)


def blocks_of(n_rows: int) -> np.ndarray:
    """The block (n,) of each row, in the order of series and time."""
    return np.arange(n_rows) * N_BLOCKS // n_rows


def _filled(seen: np.ndarray, span: int) -> np.ndarray:
    """Whether a window of `span` rows holds rows of its stretch only; at most an eighth of the rows have to wait."""
    return seen >= min(span - 1, seen.size // 8)


def all_scaled_to(held_out: Readouts, final: Readouts) -> Readouts:
    """Held-out read-outs on the scale of the final model, but for those that do not depend on the model."""
    changed: dict[str, Any] = {}
    for name in _ON_THE_MODELS_SCALE:
        values, wanted = getattr(held_out, name), getattr(final, name)
        changed[name] = values if values is None or wanted is None else scaled_to(values, wanted)
    return replace(held_out, **changed)


def scaled_to(held_out: np.ndarray, final: np.ndarray) -> np.ndarray:
    """Held-out values (…, n), times how much larger the final model's own median is where it is larger.

    A model's values of the rows that it learned from are not larger than those of other rows. Where they are, the
    models of the blocks measure on another scale (sensors that hardly move in one of them), and the final model would
    flag every row by a threshold that is theirs.
    """
    if not held_out.size:
        return held_out
    found, other = np.nanmedian(held_out, axis=-1), np.nanmedian(final, axis=-1)
    factor = np.where((found > 0) & (other > found), other / np.maximum(found, 1e-30), 1)
    return np.asarray(held_out * factor[..., None])


def looked_ahead(fitted: FittedWindows, kind: str) -> np.ndarray:
    """The held-out scores (n,) of a kind with knowledge of what follows; NaN where a row has too few before it."""
    shape = fitted.model.shape
    ahead = np.full_like(fitted.surprisals, np.nan)
    scored = np.isfinite(fitted.held_out[kind])
    for number in np.unique(fitted.stretch):
        mine = scored & (fitted.stretch == number)
        if mine.any():
            ahead[:, mine] = looking_ahead(fitted.surprisals[:, mine], shape)
    return score_of(ahead, kind, shape)


def _held_out(
    layout: Chunk,
    scale: SensorScale,
    shape: WindowShape,
    filled: tuple[np.ndarray, np.ndarray],
    block: np.ndarray,
    progress: Callable[[int, int], None],
) -> tuple[Readouts, np.ndarray]:
    """What models of the other blocks, without the windows that reach into the block, give for all n rows.

    That is their read-outs (…, n), and those of their latest rows alone (d, n).

    `filled` are the rows (n,) bool whose window, and whose long statistics, hold rows of their stretch only.
    """
    parts: list[Readouts] = []
    short: list[np.ndarray] = []
    rows = np.arange(block.size)
    for b in range(N_BLOCKS):
        progress(b, N_BLOCKS + 1)
        mine = rows[block == b]
        others, long = (
            layout.column[which & ((rows < mine[0]) | (rows > mine[-1] + span - 1))]
            for which, span in zip(filled, (shape.window, max(shape.long, 1)), strict=True)
        )
        model = fit_window_model(layout.x, scale, others, long, shape)
        parts.append(readouts_of(model, layout, mine))
        short.append(short_of(model, layout, mine))
    return concatenated(parts), np.concatenate(short, axis=1)


def readouts_of(model: WindowModel, layout: Chunk, rows: np.ndarray) -> Readouts:
    """The read-outs of the rows numbered `rows` (m,), ascending by column, of a layout, in bounded memory."""
    return concatenated(_measured(layout, rows, model.readouts))


def short_of(model: WindowModel, layout: Chunk, rows: np.ndarray) -> np.ndarray:
    """What `WindowModel.short` gives (d, m) at the rows numbered `rows` (m,), ascending by column, of a layout."""
    return np.concatenate(_measured(layout, rows, model.short), axis=1)


def largest_of(
    judge: SingleSensors, model: WindowModel, layout: Chunk, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What `SensorViews.largest` gives (m,) at the rows numbered `rows` (m,), ascending by column, of a layout."""

    def measure(x: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return judge.views.largest(model.rolling(x), column, judge.limits)

    far, sensor = (np.concatenate(part) for part in zip(*_measured(layout, rows, measure), strict=True))
    return far, sensor


def _measured(layout: Chunk, rows: np.ndarray, measure: Callable[[np.ndarray, np.ndarray], Measured]) -> list[Measured]:
    """What is measured of the `rows` (m,), ascending by column, part by part, in bounded memory."""
    return [measure(x, column) for x, column in layout.around(rows, HISTORY, COLUMNS_AT_ONCE)]


def short_limits(short: np.ndarray) -> np.ndarray:
    """The limits (d,) float32 of held-out values of `WindowModel.short` (d, n), which EVIDENT of the rows stay within.

    Rows with NaN are left out.
    """
    short = short[:, np.isfinite(short).all(0)].astype(np.float64)
    limits = np.maximum(np.quantile(short, EVIDENT, axis=1), 1e-6)
    together = np.quantile((short / limits[:, None]).max(0), EVIDENT) if limits.size else 1.0
    return np.asarray(limits * max(together, 1.0), np.float32)


def judged(fitted: FittedWindows, held_out: Mapping[str, np.ndarray], level: float) -> SingleSensors | None:
    """The judge of single sensors, beside the `held_out` means of read-outs (n,) with and without looking ahead.

    None where no sensor moves.
    """
    if fitted.views is None:
        return None
    means = [held_out["combined"], held_out["offline/combined"]]
    strictest = max(level, USUAL_LEVEL)

    def highest(opinions: np.ndarray) -> float:
        return max(calibrated(mean, fitted.block, level, opinions)[0].threshold(strictest) for mean in means)

    return judge_of(fitted.views, means[0], fitted.opinions, highest)


def calibrated(
    held_out: np.ndarray, block: np.ndarray, level: float, opinions: np.ndarray | None = None
) -> tuple[Calibration, float]:
    """The calibration of held-out scores (n,), NaN where there is none, of rows in blocks (n,), and its margin.

    Rows with `opinions` (n,), NaN where there is none, score these at least.

    Rows of a series are worth few independent ones, n_eff, so the quantile of all held-out scores is uncertain. The
    margin raises held-out scores by 1.5/sqrt(n_eff), by half at most, and further until the threshold at `level` lies
    two standard deviations of the blocks' quantiles above their mean.
    """
    scored = np.isfinite(held_out)
    score, of_block = held_out[scored], block[scored]
    quantiles = np.array([np.quantile(score[of_block == b], level) for b in np.unique(of_block)])
    wanted, pooled = quantiles.mean() + 2 * quantiles.std(), np.quantile(score, level)
    least = 1 + min(MOST_FOR_FEW, 1.5 / float(independent_rows(held_out).n) ** 0.5)
    margin = float(np.clip(wanted / pooled, least, MOST_MARGIN)) if pooled > 0 else least
    raised = margin * score if opinions is None else np.fmax(margin * score, opinions[scored])
    return Calibration.of(raised), margin


def independent_rows(
    held_out: np.ndarray, readings: np.ndarray | None = None, group: np.ndarray | None = None
) -> EffectiveRows:
    """What held-out scores (n,) in the order of series and time are worth: by `group` (n,), or else along time.

    Along time no more than the slowest of the `readings` (n, D) allows.
    """
    dependence = Dependence(time=None if group is not None else np.arange(held_out.size), group=group)
    if readings is not None:
        dependence = dependence.limited_by(readings)
    return dependence.effective_rows(held_out)
