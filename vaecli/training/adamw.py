"""AdamW without the import of torch's compiler, which creating a `torch.optim` optimiser costs: 1.5 s of every fit."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

BETAS = (0.9, 0.99)
EPSILON = 1e-8


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2), as `torch.optim.AdamW` computes it."""

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float) -> None:
        self.parameters = list(parameters)
        self.weight_decay = weight_decay
        self.mean = [torch.zeros_like(parameter) for parameter in self.parameters]  # of the gradients
        self.square = [torch.zeros_like(parameter) for parameter in self.parameters]  # of their squares
        self.n_steps = 0

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move every parameter against its gradient."""
        self.n_steps += 1
        of_mean, of_square = (1 - beta**self.n_steps for beta in BETAS)  # what the zeros at the start take away
        for parameter, mean, square in zip(self.parameters, self.mean, self.square, strict=True):
            gradient = parameter.grad
            assert gradient is not None
            parameter.mul_(1 - learning_rate * self.weight_decay)
            mean.lerp_(gradient, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            spread = square.sqrt().div_(math.sqrt(of_square)).add_(EPSILON)
            parameter.addcdiv_(mean, spread, value=-learning_rate / of_mean)

    def zero_grad(self) -> None:
        """Before the next backward pass."""
        for parameter in self.parameters:
            parameter.grad = None
