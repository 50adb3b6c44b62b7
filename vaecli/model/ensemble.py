"""The ensemble: families of trained members, and the noise with which they are evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.model.array_namespace import Array
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import (
    Parameters,
)


@dataclass(frozen=True, slots=True)
class Family:
    """e trained members of one kind and all that their scores depend on besides the row.

    `noise` (s, e, 1, k): standard normal draws, made once at fit, the same for every row.
    """

    likelihood: Likelihood
    parameters: Parameters
    noise: Array
    codes: ExemplarPrior
    held_out: tuple[int, ...]  # the fold that each member was not trained on
    score_terms: tuple[str, ...]  # what is added to −log p(x|z=μ) in each of the scores that make up `combined`

    def on(self, device: str) -> Family:
        """The same family as torch tensors on a torch device."""
        import torch

        def moved(array: Array) -> Array:
            return torch.as_tensor(array, device=device)

        parameters = {name: moved(value) for name, value in self.parameters.items()}
        return Family(
            self.likelihood, parameters, moved(self.noise), self.codes.on(device), self.held_out, self.score_terms
        )


def draw_noise(n_noise: int, n_members: int, n_latent: int, seed: int) -> np.ndarray:
    """(s, e, 1, k) float32 standard normal draws in antithetic pairs, so that their mean is exactly zero.

    s is `n_noise`, rounded up to whole pairs.
    """
    rng = np.random.default_rng([seed, 0x5C0BE])
    half = rng.standard_normal(((n_noise + 1) // 2, n_members, 1, n_latent))
    return np.concatenate([half, -half]).astype(np.float32)
