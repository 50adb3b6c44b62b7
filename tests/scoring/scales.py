"""Surprisal scales from scores whose distribution is known."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from vaecli.scoring.surprisal import SurprisalScale

seeds = st.integers(0, 2**32 - 1)


def exponential(n: int, scale: float = 1.0) -> np.ndarray:
    """(n,) evenly spaced quantiles of Exp(scale), in an order of no meaning."""
    at = (np.arange(n) + 0.5) / n
    return np.random.default_rng(n).permutation(-scale * np.log1p(-at))


def of(
    *scores: np.ndarray, score_type: list[int] | None = None, mean_column_score: np.ndarray | None = None
) -> SurprisalScale:
    """From one array of held-out scores a member, each of other rows."""
    n, e = sum(map(len, scores)), len(scores)
    nats, held_out = np.full((n, e), -1e6), np.zeros((n, e), bool)
    start = 0
    for k, some in enumerate(scores):
        nats[start : start + len(some), k], held_out[start : start + len(some), k] = some, True
        start += len(some)
    score_type = np.arange(e) if score_type is None else np.array(score_type)
    return SurprisalScale.of(
        nats, np.arange(e), score_type, held_out, np.zeros((e, 1)) if mean_column_score is None else mean_column_score
    )


def with_two_scores(n: int = 900) -> tuple[np.ndarray, SurprisalScale]:
    """Scores (n, 5), and the scale of three members; the first and the last give two. All rows are held out."""
    rng = np.random.default_rng(0)
    nats = rng.gamma(2, [1.0, 5.0, 50.0, 0.3, 8.0], size=(n, 5))
    member, mean_column_score = np.array([0, 2, 0, 1, 2]), rng.normal(size=(3, 4))
    return nats, SurprisalScale.of(nats, member, np.arange(5), np.ones((n, 3), bool), mean_column_score)
