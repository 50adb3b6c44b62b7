"""One scale for the scores of different members: how improbable it is that a normal row scores that much.

    surprise(s) = −log P(S ≥ s),   S the score that the member gives to normal rows it was not trained on

A nat of one network is not a nat of another: a sharp likelihood spreads its scores over hundreds of nats, a blunt one
over ten. Surprises can be averaged. Up to the 80 % quantile of held-out scores the probability is the
empirical one; beyond, normal scores are taken to thin out exponentially, so the surprise is linear in the score, and a
difference of a column's nats is a difference of surprise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

TAIL_BEGINS = 0.8
LEVELS = np.linspace(0.0, TAIL_BEGINS, 65)
SURPRISES = -np.log1p(-LEVELS)  # at the knots
MIN_OWN_ROWS = 200  # held out from a member, below which its quantiles are too noisy to stand alone
SMALLEST_SPREAD = 0.1  # nats a nat of surprise; below it rounding would tell scores of normal rows apart


@dataclass(frozen=True, slots=True)
class Surprise:
    """The scale of e members for one score kind, float64. A member may give v ≥ 1 scores, w of them in all."""

    member: np.ndarray  # (w,) int64, whose score each is
    knots: np.ndarray  # (w, 65) held-out scores at LEVELS, ascending
    spread: np.ndarray  # (w,) mean excess over the last knot: nats of score a nat of surprise
    typical: np.ndarray  # (e, c) mean column score of held-out rows

    @classmethod
    def of(
        cls, scores: np.ndarray, member: np.ndarray, alike: np.ndarray, held_out: np.ndarray, typical: np.ndarray
    ) -> Surprise:
        """From the scores (n, w) of training rows, and which rows are held out from which member (n, e).

        `alike` (w,) numbers the sorts of scores: where fewer than 200 rows are held out from a member, those of all
        scores of its sort are pooled. NaN scores are left out; raises ValueError when none is left.
        """
        usable = held_out[:, member] & np.isfinite(scores)
        knots, spread = np.empty((member.size, LEVELS.size)), np.empty(member.size)
        for i in range(member.size):
            of = np.arange(member.size) == i if usable[:, i].sum() >= MIN_OWN_ROWS else alike == alike[i]
            unseen = scores[:, of][usable[:, of]]
            if not unseen.size:
                raise ValueError("no calibration row has a score")
            # knots at least as far apart as rounding: among tied scores it must not decide the surprise
            steps = SMALLEST_SPREAD * SURPRISES
            knots[i] = np.maximum.accumulate(np.quantile(unseen, LEVELS) - steps) + steps
            excess = unseen[unseen > knots[i, -1]] - knots[i, -1]
            spread[i] = max(float(excess.mean()) if excess.size else 0.0, SMALLEST_SPREAD)
        return cls(np.asarray(member, np.int64), knots, spread, typical)

    def of_members(self, scores: np.ndarray) -> np.ndarray:
        """The surprise of each member (e, n), the mean over its scores (w, n): at least 0, never decreasing.

        NaN where one of its scores is.
        """
        surprise = np.zeros((self.typical.shape[0], scores.shape[1]))
        for i, score in enumerate(scores):
            last = self.knots[i, -1]
            beyond = SURPRISES[-1] + (score - last) / self.spread[i]
            surprise[self.member[i]] += np.where(score > last, beyond, np.interp(score, self.knots[i], SURPRISES))
        return surprise / self._n_scores[:, None]

    def of_columns(self, column_score: np.ndarray) -> np.ndarray:
        """What each column of each member (e, n, c) adds beyond what is usual, mean over members: (n, c).

        Exact where the scale is linear.
        """
        rate = np.bincount(self.member, 1 / self.spread) / self._n_scores / self._n_scores.size
        parts: np.ndarray = np.tensordot(rate, column_score, 1) - rate @ self.typical
        return parts

    @property
    def _n_scores(self) -> np.ndarray:
        """(e,) how many each member gives."""
        return np.bincount(self.member)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        return {f"{prefix}.{name}": getattr(self, name) for name in ("member", "knots", "spread", "typical")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], prefix: str, member: np.ndarray, n_columns: int) -> Surprise:
        """Raises KeyError or ValueError on arrays that `to_arrays` cannot have written for scores of `member` (w,)."""
        w, e = member.size, int(member.max()) + 1
        shapes = {"member": (w,), "knots": (w, LEVELS.size), "spread": (w,), "typical": (e, n_columns)}
        found = {name: arrays[f"{prefix}.{name}"] for name in shapes}
        for name, array in found.items():
            kind = np.int64 if name == "member" else np.float64
            if array.dtype != kind or array.shape != shapes[name] or not np.isfinite(array).all():
                raise ValueError(f"{prefix}.{name} is not {shapes[name]} finite numbers of {np.dtype(kind)}")
        if (found["member"] != member).any():
            raise ValueError(f"{prefix}.member are not the members")
        if (np.diff(found["knots"]) < 0).any() or (found["spread"] < SMALLEST_SPREAD).any():
            raise ValueError(f"{prefix}: knots are not ascending, or a spread is below {SMALLEST_SPREAD}")
        return cls(**found)
