"""What is added to the score of a cell of which training met none of its like."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vaecli.calibration.conformal import Calibration
from vaecli.scoring.scores import ScoredBatch


def add_novelty_offset(scored: ScoredBatch, unexpected: np.ndarray, calibration: Calibration) -> ScoredBatch:
    """The scores with the lift of `calibration` added for each unexpected cell (n, c), to its own column.

    What none of m training rows had is at least as odd as one row in a thousand, or the oddest of fewer: a cost in nats
    alone would drown where the scores of normal rows vary by more than it.
    """
    if not unexpected.any():
        return scored
    lifted = scored.column_score + calibration.novelty_offset * unexpected
    return replace(scored, score=lifted.sum(1) + scored.latent_score, column_score=lifted)
