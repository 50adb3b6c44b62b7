"""AdamW. Creating a `torch.optim` optimiser imports torch's compiler, which takes 1.5 s of every fit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

BETAS = (0.9, 0.99)
EPSILON = 1e-8


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), as `torch.optim.AdamW` computes it."""

    def __init__(self, parameter: Tensor, weight_decay: float) -> None:
        self.parameter = parameter
        self.weight_decay = weight_decay
        self.exp_avg = torch.zeros_like(parameter)  # of the gradients
        self.exp_avg_sq = torch.zeros_like(parameter)  # of their squares
        self.n_steps = 0

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the parameter from its gradient, which must be set, and drop the gradient."""
        self.n_steps += 1
        bias_correction, bias_correction_sq = (1 - beta**self.n_steps for beta in BETAS)
        gradient = self.parameter.grad
        assert gradient is not None
        self.parameter.mul_(1 - learning_rate * self.weight_decay)
        self.exp_avg.lerp_(gradient, 1 - BETAS[0])
        self.exp_avg_sq.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        denominator = self.exp_avg_sq.sqrt().div_(math.sqrt(bias_correction_sq)).add_(EPSILON)
        self.parameter.addcdiv_(self.exp_avg, denominator, value=-learning_rate / bias_correction)
        self.parameter.grad = None
