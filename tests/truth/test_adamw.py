"""The optimiser is the one that it claims to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vaecli.training.adamw import BETAS, AdamW


@pytest.mark.parametrize("weight_decay", [0.0, 0.01, 0.3])
def test_it_is_torchs_adamw(weight_decay: float) -> None:
    """Forty steps with changing rates and gradients lead where torch.optim.AdamW leads, to float32 rounding."""
    start = [np.random.default_rng(i).normal(size=shape) for i, shape in enumerate([(3, 4), (1, 5), (2, 2, 2)])]
    ours, theirs = ([torch.tensor(value, dtype=torch.float32, requires_grad=True) for value in start] for _ in range(2))
    optimizers = [AdamW(parameter, weight_decay) for parameter in ours]
    reference = torch.optim.AdamW(theirs, betas=BETAS, weight_decay=weight_decay)
    for step in range(40):
        rate = 3e-3 * (step + 1) / 40
        reference.param_groups[0]["lr"] = rate
        reference.zero_grad()
        for parameters in (ours, theirs):
            sum((parameter**2 * (i + step % 3)).sum() for i, parameter in enumerate(parameters)).backward()
        for optimizer in optimizers:
            optimizer.step(rate)
        reference.step()
    for mine, its, value in zip(ours, theirs, start, strict=True):
        assert not np.allclose(mine.detach(), value, atol=1e-3)
        np.testing.assert_allclose(mine.detach(), its.detach(), rtol=1e-5, atol=1e-6)


def test_gradients_are_forgotten() -> None:
    """The next backward pass starts from nothing."""
    parameter = torch.ones(2, requires_grad=True)
    optimizer = AdamW(parameter, 0.0)
    parameter.sum().backward()
    optimizer.step(0.1)
    assert parameter.grad is None
