"""From the read-outs of a window model to scores: surprisals of each read-out, and their mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from vaecli.model.window_model import Readouts, WindowModel
from vaecli.scoring.surprisal_tail import SurprisalTails

WORST_SENSORS = 3  # whose mean surprisal is a read-out
JOINT, WORST, RESIDUAL, MOVED, CODE, ELBO = range(6)
READOUTS = ("joint", "worst", "residual", "moved", "code", "elbo")
COMBINED = (JOINT, WORST, RESIDUAL, MOVED)


@dataclass(frozen=True, slots=True)
class Surprisals:
    """Surprisals in nats of m rows: `of` (6, m) in the order of READOUTS, NaN where the model has no such read-out.

    `single` (d, m) are those of the continuous sensors by themselves.
    """

    of: np.ndarray
    single: np.ndarray


def score_of(surprisals: np.ndarray, kind: str) -> np.ndarray:
    """The score of a kind (m,) of surprisals (6, m), in nats; higher is more anomalous."""
    if kind == "combined":
        return mean_of(surprisals[list(COMBINED)])
    found: np.ndarray = surprisals[{"elbo": ELBO, "reconstruction": RESIDUAL, "latent": CODE}[kind]]
    return found


def mean_of(surprisals: np.ndarray) -> np.ndarray:
    """The mean over read-outs (r, m) of those that are there, added in their order."""
    present = [row for row in surprisals if not np.isnan(row).all()]
    if not present:
        return np.full(surprisals.shape[1], np.nan)
    total = present[0]
    for row in present[1:]:
        total = total + row
    return total / len(present)


def values_of(readouts: Readouts, model: WindowModel, single: SurprisalTails | None) -> tuple[np.ndarray, np.ndarray]:
    """The values (6, m) of the read-outs in the order of READOUTS, and the surprisals (d, m) of single sensors."""
    n_rows = readouts.residual.size
    values = np.full((len(READOUTS), n_rows), np.nan)
    surprisal = np.empty((0, n_rows))
    if readouts.joint is not None:
        values[JOINT] = readouts.joint
    if single is not None:
        surprisal = np.stack([single.surprisal(of_sensor, j) for j, of_sensor in enumerate(readouts.single)])
        values[WORST] = _mean_of_largest(surprisal, WORST_SENSORS)
    values[RESIDUAL], values[CODE] = readouts.residual, readouts.code
    if readouts.moved is not None:
        values[MOVED] = readouts.moved[0]
    values[ELBO] = negative_elbo(model, values[RESIDUAL], values[CODE])
    return values, surprisal


def negative_elbo(model: WindowModel, residual: np.ndarray, code: np.ndarray) -> np.ndarray:
    """The part of -ELBO that depends on the window, in nats: at the optimum of a linear VAE it is -log p(window)."""
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
    """The surprisal scales of a model's read-outs: of single sensors (None without any), and of the six."""

    single: SurprisalTails | None
    readouts: tuple[SurprisalTails | None, ...]

    def surprisals(self, model: WindowModel, found: Readouts) -> Surprisals:
        """The surprisals of rows by their read-outs."""
        values, single = values_of(found, model, self.single)
        out = np.full_like(values, np.nan)
        for j, tails in enumerate(self.readouts):
            if tails is not None:
                out[j] = tails.surprisal(values[j])
        moved = self.readouts[MOVED]
        if moved is not None and found.moved is not None:
            for earlier in found.moved[1:]:
                out[MOVED] += moved.surprisal(earlier)
            out[MOVED] /= len(found.moved)
        return Surprisals(out, single)

    @classmethod
    def of(cls, model: WindowModel, held_out: Readouts) -> WindowScales:
        """The scales by the read-outs of held-out rows, all of them finite."""
        single = SurprisalTails.of(held_out.single) if held_out.single.shape[0] else None
        values, _ = values_of(held_out, model, single)
        return cls(single, tuple(None if np.isnan(row).all() else SurprisalTails.of(row[None]) for row in values))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        arrays = {} if self.single is None else self.single.to_arrays("tails/single")
        for name, tails in zip(READOUTS, self.readouts, strict=True):
            arrays |= {} if tails is None else tails.to_arrays(f"tails/{name}")
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], model: WindowModel) -> WindowScales:
        """The inverse of `to_arrays`. Raises KeyError or ValueError on arrays that it cannot have written."""
        n_single = model.continuous.size
        there = {
            "joint": model.joint_whitening.size > 0,
            "worst": n_single > 0,
            "moved": model.movement_deviation.size > 0,
        }
        single = SurprisalTails.from_arrays(arrays, "tails/single", n_single) if n_single else None
        readouts = tuple(
            SurprisalTails.from_arrays(arrays, f"tails/{name}", 1) if there.get(name, True) else None
            for name in READOUTS
        )
        return cls(single, readouts)


def take(found: Readouts, which: np.ndarray) -> Readouts:
    """The read-outs of the rows `which`."""
    return _each([found], lambda arrays: arrays[0][..., which])


def concatenated(parts: list[Readouts]) -> Readouts:
    """The read-outs of all parts, in order."""
    return _each(parts, lambda arrays: np.concatenate(arrays, axis=-1))


def _each(parts: list[Readouts], make: Callable[[list[np.ndarray]], np.ndarray]) -> Readouts:
    def of(name: str) -> Any:
        arrays = [getattr(part, name) for part in parts]
        return None if arrays[0] is None else make(arrays)

    return Readouts(*(of(item.name) for item in fields(Readouts)))
