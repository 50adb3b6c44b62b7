"""Which rows are flagged: by p-value at a level, or from a smallest score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.calibration.conformal import Calibration
from vaecli.scoring.scores import ScoredBatch


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """Scores of n rows and what they mean under the calibration; higher scores are more anomalous."""

    scored: ScoredBatch
    p_value: np.ndarray  # (n,) share of normal rows at least this anomalous, NaN where the score is
    n_novel: int  # cells with a value never seen at fit

    def take(self, which: np.ndarray) -> ScoredRows:
        """The rows `which` (k,), in that order."""
        scored = ScoredBatch(*(getattr(self.scored, name)[which] for name in ScoredBatch.__slots__))
        return ScoredRows(scored, self.p_value[which], self.n_novel)

    @classmethod
    def concatenate(cls, parts: Sequence[ScoredRows]) -> ScoredRows:
        """The rows of all parts, in order."""
        scored = ScoredBatch(
            *(np.concatenate([getattr(part.scored, name) for part in parts]) for name in ScoredBatch.__slots__)
        )
        return cls(scored, np.concatenate([part.p_value for part in parts]), sum(part.n_novel for part in parts))


@dataclass(frozen=True, slots=True)
class Decision:
    """Which rows are flagged, and by which score: by p-value at a threshold level, or from a smallest score."""

    score_kind: str
    level: float | None  # in (0, 1); None where a smallest score was given
    alpha: float | None  # 1 − level, exactly: the share of normal rows flagged
    min_score: float  # the smallest score that is flagged, in nats
    uses_tail_model: bool  # whether the level is beyond what the calibration rows resolve

    def flags(self, decided: ScoredRows) -> np.ndarray:
        """(n,) bool which rows are flagged; a row without a score is not."""
        return self.flagged(decided.scored.score, decided.p_value)

    def flagged(self, score: np.ndarray, p_value: np.ndarray) -> np.ndarray:
        """(n,) bool by scores and p-values (n,); a row without a score is not flagged."""
        found: np.ndarray = p_value <= self.alpha if self.alpha is not None else score >= self.min_score
        return found

    def chance(self, calibration: Calibration) -> float:
        """The share of normal rows in (0, 1] that are flagged; of a smallest score by the `calibration` of its kind."""
        if self.alpha is not None:
            return self.alpha
        return float(calibration.p_value(np.array([self.min_score]))[0])
