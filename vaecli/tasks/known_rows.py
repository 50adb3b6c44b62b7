"""Finds rows that are exactly like one that a bundle remembers of its fit."""

from __future__ import annotations

from dataclasses import replace

from vaecli.data.preprocessor import FeatureBatch
from vaecli.detector import Detector
from vaecli.model.ensemble import Ensemble
from vaecli.scoring.scores import member_scores

SAME_CODE = 1e-8  # nats: a row's code differs from what the fit made of it by 1e-10, from other rows' by far more
FEWEST_KNOWN, FEW_KNOWN = 2, 0.2  # rows of the fit that are too few to mention: one, or a fifth of what all would be


def known_rows(detector: Detector, batch: FeatureBatch) -> tuple[int, int]:
    """(how many rows have exactly the code of a row of the fit, how many such codes a member keeps)."""
    family = detector.ensemble.reference_family
    distance, _ = member_scores(Ensemble((replace(family, centers=None),)), batch, "latent")
    return int((distance[:, 0] < SAME_CODE).sum()), int(family.exemplar_prior.codes.shape[1])


def rows_if_all_known(n_rows: int, n_remembered: int, n_fitted: int) -> float:
    """How many of `n_rows` rows would be known if all were rows of the fit."""
    return n_rows * min(1.0, n_remembered / n_fitted)


def are_known(n_known: int, if_all_known: float) -> bool:
    """Whether so many known rows are worth a warning."""
    return n_known >= FEWEST_KNOWN and n_known > FEW_KNOWN * if_all_known
