"""What the ensemble would have scored each training row, had no member been trained on it."""

from __future__ import annotations

import numpy as np

MIN_OWN_MAP = 200  # held-out rows of a member, below which its quantiles are too noisy to stand alone
UNRESOLVED_ROWS = 2  # the largest of a fold, of which quantiles know too little; and at most
UNRESOLVED_SHARE = 0.005  # of all rows, so that the level 0.99 does not depend on them


def cross_fitted_scores(member_scores: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """The scores (n,) that the ensemble would give training rows if no member had been trained on them.

    `member_scores` (n, e) is the score of each row by each member, on one scale; `held_out` (n, e) bool marks where the
    member was not trained on the row. A new row is scored by the mean of e members that have not seen it; of a training
    row only one or two such scores exist. The others are too low, as scores of training rows are, and are raised
    to what unseen rows score: member by member the quantiles of its in-sample scores are mapped to those of its
    held-out ones, pooled over members where a fold is small. So marginals come from held-out rows and the dependence
    between members from in-sample ones. A model, not a theorem: docs/calibration.md. Rows with a NaN stay NaN.

    Of the rows that score highest, as many as the quantiles of a fold do not resolve, the held-out score counts where
    it is larger: what lies beyond all that a member has seen scores far more with it than with those that learned it,
    and a new row like that is beyond all of them.
    """
    scores = np.array(member_scores, dtype=np.float64)
    raised = scores.copy()
    usable = np.isfinite(scores).all(axis=1, keepdims=True)
    for member, n_held_out in enumerate((held_out & usable).sum(axis=0)):
        of = slice(member, member + 1) if n_held_out >= MIN_OWN_MAP else slice(None)
        learned = np.sort(scores[:, of][(usable & ~held_out)[:, of]])
        unseen = np.sort(scores[:, of][(usable & held_out)[:, of]])
        rows = ~held_out[:, member]
        raised[rows, member] = _mapped(scores[rows, member], learned, unseen)
    found: np.ndarray = raised.mean(axis=1)
    known = np.sort(found[np.isfinite(found)])
    share = min(UNRESOLVED_ROWS / max(int(held_out.sum(axis=0).min()), 1), UNRESOLVED_SHARE)
    if not known.size:
        return found
    honest = (found > known[-1 - int(share * known.size)]) & held_out.any(axis=1)
    found[honest] = np.maximum(found[honest], held_out_scores(scores[honest], held_out[honest]))
    return found


def held_out_scores(member_scores: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """The mean score of each row by the members that were not trained on it: (n,), arguments as above.

    For rows that resemble each other. Members agree about a stretch or a group that none of them has seen, and they
    agree much less about rows that they have learned: the model of `cross_fitted_scores` would score a new group lower
    than it will be. A mean of few members scatters more than that of all, which errs towards fewer flags.
    """
    return np.asarray(np.where(held_out, member_scores, 0.0).sum(axis=1) / held_out.sum(axis=1))


def _mapped(scores: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Each score where its quantile in ascending `source` lies in ascending `target`; shifted beyond their ends."""
    n_quantiles = min(source.size, target.size)
    if not n_quantiles:
        return scores
    at = (np.arange(n_quantiles) + 0.5) / n_quantiles
    low, high = _quantiles(source, at), _quantiles(target, at)
    return np.asarray(scores + np.interp(scores, low, high - low))


def _quantiles(ascending: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Hazen's: the i-th of n is at (i - 1/2) / n. np.quantile takes a minute for 50,000 levels, sorted or not."""
    return np.asarray(np.interp(at * ascending.size - 0.5, np.arange(ascending.size), ascending))
