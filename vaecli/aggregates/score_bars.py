"""Counts scores while rows stream by, in bars that the calibration fixes before the first row.

    u(s) = asinh((s − m) / w)        m the median calibration row, w how far above it the threshold is

Bars are equally wide in u: fine where normal rows and the threshold are, wider in proportion to the score far beyond,
where the most anomalous row of a table may be a thousand times as far out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.calibration.conformal import Calibration

N_BARS = 240
FURTHEST = 2000.0  # thresholds above the median; the last bar holds whatever is beyond


@dataclass(frozen=True, slots=True)
class ScoreBars:
    """Where the bars of a histogram are."""

    middle: float
    width: float
    lowest: float  # where the first bar begins, in u

    @classmethod
    def of(cls, calibration: Calibration, min_score: float) -> ScoreBars:
        """The bars for scores with this calibration, flagged from `min_score` on, in the unit of the scores."""
        low, high = float(calibration.scores[0]), float(calibration.scores[-1])
        middle = float(calibration.scores[np.searchsorted(calibration.ranks, calibration.n_rows / 2)])
        above = (min_score if np.isfinite(min_score) and min_score > middle else high) - middle
        width = above or 1.0
        return cls(middle, width, float(np.arcsinh((low - middle) / width)))

    def scaled(self, scores: np.ndarray) -> np.ndarray:
        """The place u (n,) of each score (n,) on the axis of the bars, increasing with the score."""
        return np.arcsinh((scores - self.middle) / self.width)

    def scores(self, scaled: np.ndarray) -> np.ndarray:
        """The scores (n,) at places u (n,): the inverse of `scaled`."""
        return self.middle + self.width * np.sinh(scaled)

    @property
    def edges(self) -> np.ndarray:
        """The ascending edges of the bars (N_BARS + 1,) in u."""
        return np.linspace(self.lowest, np.arcsinh(FURTHEST), N_BARS + 1)

    def counts(self, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """(N_BARS,) how many scores (n,), or `weights` (n,) in all, are in each bar; those beyond in the outermost."""
        scored = ~np.isnan(scores)
        bar = np.clip(np.searchsorted(self.edges, self.scaled(scores[scored]), side="right") - 1, 0, N_BARS - 1)
        counts: np.ndarray = np.bincount(bar, None if weights is None else weights[scored], minlength=N_BARS)
        return counts
