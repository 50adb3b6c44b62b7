"""Which sensors a score of windows comes from: the share of each read-out, split over the sensors."""

from __future__ import annotations

import numpy as np

from vaecli.data.windows import movement, windows
from vaecli.model.window_model import HISTORY, WindowModel
from vaecli.scoring.window_scores import READOUTS, WORST_SENSORS, Surprisals, score_of

AT_ONCE = 2**22  # readings of windows that are held at a time
_ERROR, _CODE, _MOVED = "error", "code", "moved"
_SPLITS = {"residual": (_ERROR,), "code": (_CODE,), "elbo": (_ERROR, _CODE), "moved": (_MOVED,)}


def sensor_parts(
    model: WindowModel, x: np.ndarray, column: np.ndarray, surprisals: Surprisals, kind: str
) -> np.ndarray:
    """The parts (D, k) of D sensors in the scores of a kind of the rows at `column` (k,) of x (D, columns), in nats.

    They are at least 0 and add up to the score. `surprisals` are those of the k rows. Statistics are split by the
    surprisals of the WORST_SENSORS most surprising sensors, the reconstruction error and the code by what each sensor
    contributes to them, and movement by each sensor's squared distance. Where a single sensor decides, at least half of
    the score is its own.
    """
    most = max(AT_ONCE // max(model.window_mean.size, 1), 1)
    pieces = []
    for start in range(0, column.size, most):
        part = slice(start, start + most)
        found = Surprisals(**{name: getattr(surprisals, name)[:, part] for name in Surprisals.__slots__})
        pieces.append(_parts(model, x, column[part], found, kind))
    return np.concatenate(pieces, axis=1) if pieces else np.empty((x.shape[0], 0))


def _parts(model: WindowModel, x: np.ndarray, column: np.ndarray, surprisals: Surprisals, kind: str) -> np.ndarray:
    of, splits = surprisals.of[: len(READOUTS)], _window_splits(model, x, column)
    if model.movement_deviation.size:
        splits[_MOVED] = _of_movement(model, x, column)
    statistics = _of_statistics(model, surprisals.single, x.shape[0])
    found = np.zeros((x.shape[0], column.size))
    for j, name in enumerate(READOUTS):
        alone = np.where(np.isnan(of), np.nan, 0.0)
        alone[j] = of[j]
        share = np.nan_to_num(score_of(alone, kind, model.shape))
        if (share > 0).any():
            wanted = [splits[split] for split in _SPLITS.get(name, ()) if split in splits]
            found += share * _as_shares(sum(wanted[1:], wanted[0]) if wanted else statistics, splits[_ERROR])
    total = found.sum(0)
    score = score_of(of, kind, model.shape)
    found *= np.divide(score, total, out=np.zeros_like(total), where=total > 0)
    decided = np.flatnonzero(score_of(surprisals.of, kind, model.shape) > score)
    worth = surprisals.of[-1, decided]
    of_others = np.minimum(score[decided], worth / 2)
    found[:, decided] *= np.divide(of_others, score[decided], out=np.zeros_like(worth), where=score[decided] > 0)
    found[surprisals.alone[0, decided], decided] += worth - found[:, decided].sum(0)
    return found


def _as_shares(parts: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Parts (D, k) divided by their sums; where a sum is 0 those of `otherwise`, and equal ones where that is 0 too."""
    filled = np.where(parts.sum(0) > 0, parts, otherwise)
    filled = np.where(filled.sum(0) > 0, filled, 1.0)
    return np.asarray(filled / filled.sum(0))


def _window_splits(model: WindowModel, x: np.ndarray, column: np.ndarray) -> dict[str, np.ndarray]:
    """What each sensor contributes (D, k) to the reconstruction error and to the code, in nats of a linear VAE."""
    length, components = model.shape.window, model.components.astype(np.float64)  # the last bits of float32 products
    window = windows(x, length, column) - model.window_mean[:, None].astype(np.float64)  # depend on how many rows
    code = components @ window
    scaled = components.T @ (code / model.component_variance[:, None])
    error = window - components.T @ code
    of_code = np.maximum((scaled * window).reshape(-1, length, column.size).sum(1), 0)
    of_error = np.square(error).reshape(-1, length, column.size).sum(1) / model.noise_variance[0]
    return {_ERROR: of_error, _CODE: of_code}


def _of_movement(model: WindowModel, x: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Squared movements (D, k), in training deviations."""
    out = np.zeros((x.shape[0], column.size))
    length = model.shape.movement
    around = column[:, None] + np.arange(-min(length, HISTORY), 1)
    moved = movement(x[model.continuous][:, around].reshape(-1, around.shape[1]), length)[:, -1]
    out[model.continuous] = np.square(moved.reshape(-1, column.size) / model.movement_deviation[:, None])
    return out


def _of_statistics(model: WindowModel, single: np.ndarray, n_sensors: int) -> np.ndarray:
    """The surprisals of the WORST_SENSORS most surprising sensors (D, k), 0 for the others."""
    out = np.zeros((n_sensors, single.shape[1]))
    if single.shape[0] > WORST_SENSORS:
        least = np.partition(single, -WORST_SENSORS, axis=0)[-WORST_SENSORS]
        single = np.where(single >= least, single, 0)
    out[model.continuous] = single
    return out
