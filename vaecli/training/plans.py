"""What a training is given and what it gives: plain values and NumPy, no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np

from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Parameters
from vaecli.results import OnEvent
from vaecli.training.checkpoint import Checkpoint

OnCheckpoint = Callable[[dict[str, Any], dict[str, np.ndarray]], None]


class RunOptions(TypedDict, total=False):
    """Who hears of a training, and the checkpoint it goes on from; its result is the same whatever they are."""

    on_event: OnEvent
    on_checkpoint: OnCheckpoint | None  # called every few seconds
    resume: Checkpoint | None


@dataclass(frozen=True, slots=True)
class Check:
    """One evaluation on held-out rows: nats per row, mean over rows and members."""

    step: int
    elbo: float
    kl: float


@dataclass(frozen=True, slots=True)
class Plan:
    """One family of members to train: networks of one shape, with one likelihood and one weight of the KL term."""

    likelihood: Likelihood
    start: Parameters  # (e, …)
    held_out: tuple[int, ...]  # the fold that each member must not see
    beta: float
    homoscedastic: bool  # a log-variance is a bias of the decoder: the weights that lead to it stay zero


@dataclass(frozen=True, slots=True)
class Trained:
    """The members of each family as they were at its best check, in NumPy, and the checks of its training."""

    parameters: tuple[Parameters, ...]
    history: tuple[tuple[Check, ...], ...]
    best: tuple[Check, ...]
    n_steps: int
