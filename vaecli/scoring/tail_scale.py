"""Scores of one member as surprisal: quantiles of held-out scores, and an exponential tail beyond them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaecli.scoring.ascending_lines import AscendingLines

TAIL_BEGINS = 0.8
LEVELS = np.linspace(0.0, TAIL_BEGINS, 65)
SURPRISALS = -np.log1p(-LEVELS)  # at the knots
MIN_OWN_ROWS = 200  # held out from a member, below which its quantiles are too noisy to stand alone
SMALLEST_SPREAD = 0.1  # nats of score per nat of surprisal; below it rounding would separate scores of normal rows
AT_ONCE = 2**14  # scores that are looked up together, so that they stay in the processor's cache


@dataclass(frozen=True, slots=True)
class TailScales:
    """The scales of w scores: `surprisal_at` for all of them at once, by their knots (w, 65) and spreads (w,)."""

    knots: np.ndarray
    spread: np.ndarray
    _lines: list[AscendingLines] = field(default_factory=list, init=False, repr=False, compare=False)

    def at(self, scores: np.ndarray) -> np.ndarray:
        """The surprisals (w, n) in nats at scores (w, n); NaN of NaN."""
        if not self._lines:  # not needed to load a bundle
            self._lines.append(AscendingLines.of(self.knots, SURPRISALS))
        found, every, last = np.empty(scores.shape), slice(0, len(scores)), self.knots[:, -1:]
        most = max(AT_ONCE // max(len(scores), 1), 1)
        for start in range(0, scores.shape[1], most):
            block = slice(start, start + most)
            self._lines[0].at(scores[:, block], every, found[:, block])
            beyond = scores[:, block] - last
            np.maximum(beyond, 0.0, out=beyond)
            beyond /= self.spread[:, None]
            found[:, block] += beyond
        return found


def checked_scale(
    arrays: Mapping[str, np.ndarray], prefix: str, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, np.ndarray]:
    """The arrays of a scale by name, of `shapes` (w, …). Raises KeyError or ValueError on arrays of no scale."""
    scale = {name: arrays[f"{prefix}.{name}"] for name in shapes}
    for name, array in scale.items():
        if array.dtype != np.float64 or array.shape != shapes[name] or not np.isfinite(array).all():
            raise ValueError(f"{prefix}.{name} is not {shapes[name]} finite numbers of float64")
    units = [scale[name] for name in ("spread", "excess") if name in scale]
    if (np.diff(scale["knots"]) < 0).any() or any((unit < SMALLEST_SPREAD).any() for unit in units):
        raise ValueError(f"{prefix}: knots are not ascending, or a spread is below {SMALLEST_SPREAD}")
    return scale


def fit_scales(
    scores: np.ndarray, member: np.ndarray, score_type: np.ndarray, held_out: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Knots (w, 65) and spreads (w,) of the scores (n, w), both in their unit.

    `member` (w,), `score_type` (w,) and `held_out` (n, e) bool are as in `SurprisalScale.of`.
    Raises ValueError when no score is finite.
    """
    usable = held_out[:, member] & np.isfinite(scores)
    knots, spread = np.empty((member.size, LEVELS.size)), np.empty(member.size)
    for i in range(member.size):
        of = np.arange(member.size) == i if usable[:, i].sum() >= MIN_OWN_ROWS else score_type == score_type[i]
        unseen = scores[:, of][usable[:, of]]
        if not unseen.size:
            raise ValueError("no calibration row has a score")
        # knots at least as far apart as rounding errors, which must not decide the surprisal of tied scores
        steps = SMALLEST_SPREAD * SURPRISALS
        knots[i] = np.maximum.accumulate(np.quantile(unseen, LEVELS) - steps) + steps
        excess = unseen[unseen > knots[i, -1]] - knots[i, -1]
        spread[i] = max(float(excess.mean()) if excess.size else 0.0, SMALLEST_SPREAD)
    return knots, spread


def surprisal_at(score: np.ndarray, knots: np.ndarray, spread: float) -> np.ndarray:
    """Surprisals (n,) in nats at scores (n,): interpolated between the knots (65,), linear beyond the last."""
    beyond = SURPRISALS[-1] + (score - knots[-1]) / spread
    return np.where(score > knots[-1], beyond, np.interp(score, knots, SURPRISALS))
