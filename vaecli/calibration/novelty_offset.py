"""The offset that the score of a row gains for each cell of a kind that no training row had."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vaecli.calibration.conformal import LARGEST, Calibration
from vaecli.scoring.scores import ScoredBatch

NOVELTY_LEVEL = 0.999  # the level at which a row with an unexpected cell is flagged


def novelty_offset(calibration: Calibration) -> float:
    """The distance from the lowest calibration score to the one at level 0.999, in nats; at least 0.

    With fewer than 999 calibration rows it is the distance to the highest finite score.
    """
    finite = calibration.scores[np.abs(calibration.scores) < LARGEST]
    if not finite.size:
        return 0.0
    highest = float(finite[-1])
    extreme = calibration.threshold(NOVELTY_LEVEL) if calibration.resolves(NOVELTY_LEVEL) else highest
    return max(min(extreme, highest) - float(finite[0]), 0.0)


def add_novelty_offset(scored: ScoredBatch, unexpected: np.ndarray, offset: float) -> ScoredBatch:
    """The scores with the novelty `offset` in nats added for each unexpected cell (n, c), to the score of its column.

    A cell of a kind that none of m training rows had makes its row at least as anomalous as one normal row in a
    thousand, or as the most extreme of fewer. Its cost in nats alone would be lost where the scores of normal rows vary
    by more than it.
    """
    if not unexpected.any():
        return scored
    column_score = scored.column_score + offset * unexpected
    return replace(scored, score=column_score.sum(1) + scored.latent_score, column_score=column_score)
