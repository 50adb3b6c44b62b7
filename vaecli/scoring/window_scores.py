"""From the read-outs of a window model to scores: surprisals of each read-out, and their mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from vaecli.model.window_model import Readouts, WindowModel, WindowShape
from vaecli.scoring.surprisal_tail import SurprisalTails

WORST_SENSORS = 3  # whose mean surprisal is a read-out
JOINT, WORST, RESIDUAL, MOVED, CODE, LONG, ELBO, OPINION = range(8)
READOUTS = ("joint", "worst", "residual", "moved", "code", "long", "elbo")
# how much each read-out weighs in the combined score, for models with long statistics and for those without
WEIGHTS = {JOINT: 1.0, WORST: 1.0, RESIDUAL: 1.0, MOVED: 1.0, LONG: 0.5}
WEIGHTS_OF_SHORT = {JOINT: 1.0, WORST: 0.5, RESIDUAL: 1.0, MOVED: 1.0, CODE: 0.5}


@dataclass(frozen=True, slots=True)
class Surprisals:
    """Surprisals in nats of m rows: `of` (7, m) in the order of READOUTS, NaN where the model has no such read-out.

    An eighth row, OPINION, is the opinion of the judge of single sensors, NaN where no sensor decides; earlier bundles
    have no judge. `single` (d, m) are those of the continuous sensors' statistics, `moved` (d, m) those of their
    movements. `alone` (1, m) is the sensor, of all, that the judge names: a silent one, or the furthest beyond its
    limits, else −1.
    """

    of: np.ndarray
    single: np.ndarray
    moved: np.ndarray
    alone: np.ndarray


def score_of(surprisals: np.ndarray, kind: str, shape: WindowShape) -> np.ndarray:
    """The score of a kind (m,) of surprisals (7 or 8, m), in nats; higher is more anomalous."""
    if kind == "combined":
        mean = mean_of(surprisals, shape)
        return np.fmax(mean, surprisals[OPINION]) if len(surprisals) > OPINION else mean
    found: np.ndarray = surprisals[{"elbo": ELBO, "reconstruction": RESIDUAL, "latent": CODE}[kind]]
    return found


def mean_of(surprisals: np.ndarray, shape: WindowShape) -> np.ndarray:
    """The weighted mean (m,) of the read-outs in surprisals (7 or 8, m)."""
    return weighted_mean(surprisals, weights_of(shape))


def weights_of(shape: WindowShape) -> Mapping[int, float]:
    """The weight of each read-out in the combined score; those that a model does not have weigh nothing."""
    return WEIGHTS if shape.long else WEIGHTS_OF_SHORT


def weighted_mean(surprisals: np.ndarray, weights: Mapping[int, float]) -> np.ndarray:
    """The mean (m,) of read-outs (7, m) by their weights, added in their order, of each row over those it has."""
    total, weight = np.zeros(surprisals.shape[1]), np.zeros(surprisals.shape[1])
    for j, of_one in weights.items():
        present = ~np.isnan(surprisals[j])
        total = total + np.where(present, of_one * surprisals[j], 0)
        weight = weight + of_one * present
    with np.errstate(invalid="ignore"):
        return total / np.where(weight > 0, weight, np.nan)


def span_of(readout: int, shape: WindowShape) -> int:
    """How many rows a read-out looks at to judge the last of them; 1 for the movement of a row and for opinions."""
    spans = {JOINT: shape.statistics_span, WORST: shape.statistics_span, MOVED: 1, LONG: max(shape.long, 1), OPINION: 1}
    return spans.get(readout, shape.window)


def from_start(surprisals: np.ndarray, seen: np.ndarray, shape: WindowShape) -> np.ndarray:
    """Surprisals (7, m), in place, of rows after `seen` (m,) earlier rows of their stretch.

    A window that is not yet filled holds the first row again and again, which no normal window does: its surprisal
    counts by the share of the window that is filled.
    """
    for j, row in enumerate(surprisals):
        span = span_of(j, shape)
        if span > 1:
            row *= np.minimum((seen + 1) / span, 1.0)
    return surprisals


def values_of(
    readouts: Readouts, model: WindowModel, single: SurprisalTails | None, moved: SurprisalTails | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The values (7, m) of the read-outs in the order of READOUTS; surprisals (d, m) of sensors and of movements."""
    n_rows = readouts.residual.size
    values = np.full((len(READOUTS), n_rows), np.nan)
    of_single, of_moved = np.empty((0, n_rows)), np.empty((0, n_rows))
    if readouts.joint is not None:
        values[JOINT] = readouts.joint
    if single is not None:
        of_single = single.surprisals(readouts.single)
        values[WORST] = _mean_of_largest(of_single, WORST_SENSORS)
    values[RESIDUAL], values[CODE] = readouts.residual, readouts.code
    if readouts.moved is not None and moved is not None:
        of_moved = moved.surprisals(readouts.moved)
        values[MOVED] = of_moved.max(0)
    if readouts.long is not None:
        values[LONG] = readouts.long
    values[ELBO] = negative_elbo(model, values[RESIDUAL], values[CODE])
    return values, of_single, of_moved


def negative_elbo(model: WindowModel, residual: np.ndarray, code: np.ndarray) -> np.ndarray:
    """The part of -ELBO that depends on the window, in nats, of residuals and codes (m,) as in `Readouts`.

    At the optimum of a linear VAE the ELBO is log p(window). Larger is more anomalous.
    """
    n_code, n_window = model.component_variance.size, model.window_mean.size
    return 0.5 * (n_code * code + n_window * residual / float(model.noise_variance[0]))


def _mean_of_largest(values: np.ndarray, n: int) -> np.ndarray:
    n = min(n, values.shape[0])
    largest = np.partition(values, values.shape[0] - n, axis=0)[-n:] if n < values.shape[0] else values
    ordered = np.sort(largest, axis=0)
    total = ordered[0]
    for row in ordered[1:]:
        total = total + row
    return total / n


@dataclass(frozen=True, slots=True)
class WindowScales:
    """The surprisal scales of a model's read-outs: of sensors and movements (None without any), and of the seven."""

    single: SurprisalTails | None
    moved: SurprisalTails | None
    readouts: tuple[SurprisalTails | None, ...]

    def surprisals(self, model: WindowModel, found: Readouts) -> Surprisals:
        """The surprisals of rows by their read-outs; NaN where a value is."""
        values, single, moved = values_of(found, model, self.single, self.moved)
        out = np.full_like(values, np.nan)
        for j, tails in enumerate(self.readouts):
            if tails is not None:
                out[j] = tails.surprisals(values[j : j + 1])[0]
        return Surprisals(out, single, moved, np.full((1, out.shape[1]), -1))

    @classmethod
    def of(cls, model: WindowModel, held_out: Readouts) -> WindowScales:
        """The scales by the read-outs of held-out rows, all finite but `long`, which is NaN where windows are short."""
        single = SurprisalTails.of(held_out.single) if held_out.single.shape[0] else None
        moved = None if held_out.moved is None else SurprisalTails.of(held_out.moved)
        values, _, _ = values_of(held_out, model, single, moved)
        readouts = (None if np.isnan(row).all() else SurprisalTails.of(row[None]) for row in values)
        return cls(single, moved, tuple(readouts))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        named = (("single", self.single), ("sensor_moved", self.moved), *zip(READOUTS, self.readouts, strict=True))
        arrays: dict[str, np.ndarray] = {}
        for name, tails in named:
            arrays |= {} if tails is None else tails.to_arrays(f"tails/{name}")
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], model: WindowModel) -> WindowScales:
        """The inverse of `to_arrays`. Raises KeyError or ValueError on arrays that it cannot have written."""
        d, moves = model.continuous.size, model.movement_deviation.size > 0
        there = {
            "joint": model.joint_whitening.size > 0,
            "worst": d > 0,
            "moved": moves,
            "long": model.long_whitening.size > 0,
        }
        readouts = tuple(
            SurprisalTails.from_arrays(arrays, f"tails/{name}", 1) if there.get(name, True) else None
            for name in READOUTS
        )
        return cls(
            SurprisalTails.from_arrays(arrays, "tails/single", d) if d else None,
            SurprisalTails.from_arrays(arrays, "tails/sensor_moved", d) if moves else None,
            readouts,
        )


def take(found: Readouts, which: np.ndarray) -> Readouts:
    """The read-outs of the rows `which` (m,), in that order."""
    return _each([found], lambda arrays: arrays[0][..., which])


def concatenated(parts: list[Readouts]) -> Readouts:
    """The read-outs of all parts, in order."""
    return _each(parts, lambda arrays: np.concatenate(arrays, axis=-1))


def _each(parts: list[Readouts], make: Callable[[list[np.ndarray]], np.ndarray]) -> Readouts:
    def of(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else make(arrays)

    return Readouts(*(of(item.name) for item in fields(Readouts)))
