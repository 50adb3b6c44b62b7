"""The torch loop: the ELBO with a KL warm-up, by AdamW, until the held-out bound stops rising.

All e members are trained at once. Member k learns from every batch except the rows of fold k, by a 0/1
weight, so each is held out from a different e-th of the rows. One joint stopping point is chosen, by the mean
held-out ELBO over all members: one chosen per member, on the very fold that later calibrates it, would make the
calibration rows look more normal than fresh ones.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaecli.checkpoint import Checkpoint
from vaecli.config import ModelConfig, TrainConfig
from vaecli.cores import n_cores
from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.features import Rows, TrainingRows
from vaecli.likelihoods import Likelihood
from vaecli.network import Elbo, Parameters, elbo, forward
from vaecli.results import Event, OnEvent, ignore

N_CHECKS = 25  # looks at the held-out rows over the whole schedule
N_HELD_OUT_ROWS = 4096
GRADIENT_NORM = 1.0  # per member
LEARNING_RATE_WARMUP_STEPS = 30
LARGEST_BATCH_ROWS = 4096
MANY_ROWS = 1024  # a batch from which more than one thread pays
SECONDS_BETWEEN_CHECKPOINTS = 10.0
STEPS_BETWEEN_EVENTS = 10

OnCheckpoint = Callable[[dict[str, Any], dict[str, np.ndarray]], None]


@dataclass(frozen=True, slots=True)
class Check:
    """One look at held-out rows: nats a row, mean over rows and members."""

    step: int
    elbo: float
    kl: float


@dataclass(frozen=True, slots=True)
class Trained:
    """The members as they were at the best check, in NumPy, and the way there."""

    parameters: Parameters
    history: tuple[Check, ...]
    best: Check
    n_steps: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """How many steps of how many rows: every row is seen at least once, however many there are."""

    batch_rows: int
    n_steps: int

    @classmethod
    def of(cls, n_rows: int, config: TrainConfig) -> Schedule:
        """Batches grow up to 4,096 rows so that one epoch fits into `max_steps`; beyond, the steps grow."""
        batch_rows = max(config.batch_rows, min(LARGEST_BATCH_ROWS, math.ceil(n_rows / config.max_steps)))
        steps_per_epoch = math.ceil(n_rows / batch_rows)
        return cls(batch_rows, min(max(config.max_steps, steps_per_epoch), config.max_epochs * steps_per_epoch))


def device_of(name: str) -> torch.device:
    """`auto` is CUDA when there is one. Raises EnvironmentProblem when `cuda` is asked for and absent."""
    if name == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem("no CUDA device is available", "use --device cpu, or install a CUDA build of torch")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def train(
    rows: TrainingRows,
    likelihood: Likelihood,
    start: Parameters,
    model: ModelConfig,
    config: TrainConfig,
    *,
    on_event: OnEvent = ignore,
    on_checkpoint: OnCheckpoint | None = None,
    resume: Checkpoint | None = None,
) -> Trained:
    """Fit the ensemble from the parameters `start` (leading axis e).

    Deterministic for one seed, machine and number of threads, also when resumed, unless a time budget ends it.
    Raises UsageError when training diverges before any parameters could win.
    """
    device = device_of(config.device)
    schedule = Schedule.of(rows.n_rows, config)
    run = Run.begin(start, config, device) if resume is None else Run.again(resume, config, device)
    held_out = HeldOut.of(rows, run.n_members, model.n_latent, config.seed, device)
    every = max(1, schedule.n_steps // N_CHECKS)
    clock = Clock(config.time_budget_seconds, run.seconds)

    with _threads(schedule.batch_rows):
        for batch in _batches(rows, schedule, config.seed, run.step):
            run.step += 1
            progress = max(run.step / schedule.n_steps, clock.share())
            warmth = min(1.0, progress / config.warmup_share) if config.warmup_share else 1.0
            learning_rate = config.learning_rate * _learning_rate(run.step, progress)
            run.descend(likelihood, batch, model.beta * warmth, learning_rate)
            ended = progress >= 1
            if run.step % every == 0 or ended:
                run.judge(held_out.check(run.parameters, likelihood, run.step), may_win=warmth == 1 or ended)
                ended = ended or run.checks_since_best >= config.patience or run.has_diverged
            if run.step % STEPS_BETWEEN_EVENTS == 0 or ended:
                on_event(Event("training", run.step, schedule.n_steps, "steps", run.figures()))
            if on_checkpoint is not None and not ended and clock.wants_checkpoint():
                run.seconds = clock.elapsed()
                on_checkpoint(*run.to_parts())
            if ended:
                break
    if run.best is None:  # the last step is always a check that may win, if its bound is a number
        raise UsageError(
            f"training diverged: the ELBO of held-out rows is no number at step {run.step:,} of {schedule.n_steps:,}",
            f"lower train.learning_rate (now {config.learning_rate:g}) in --config FILE.toml",
        )
    parameters = {name: value.detach().cpu().numpy() for name, value in run.best_parameters.items()}
    return Trained(parameters, tuple(run.history), run.best, run.step)


def objective(bound: Elbo, fold: Tensor, beta: float) -> Tensor:
    """Minus the ELBO with its KL weighted by `beta`: mean over columns and over the rows each member may see.

    `bound` has shapes (e, n, c) and (e, n), `fold` (n,). Summed over members, which share no parameter.
    """
    n_members, n_columns = bound.kl.shape[0], bound.column_log_prob.shape[-1]
    may_see = (fold[None, :] != torch.arange(n_members, device=fold.device)[:, None]).to(bound.kl.dtype)
    per_row = beta * bound.kl - bound.column_log_prob.sum(-1)
    per_member = (per_row * may_see).sum(1) / may_see.sum(1).clamp(min=1)
    return per_member.sum() / n_columns


@dataclass(slots=True)
class Run:
    """The moving parts of one training: what a checkpoint must hold to go on as if nothing had happened."""

    parameters: dict[str, Tensor]
    optimizer: torch.optim.AdamW
    generator: torch.Generator
    step: int = 0
    seconds: float = 0.0
    history: list[Check] = field(default_factory=list)
    best: Check | None = None
    best_parameters: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def begin(cls, start: Parameters, config: TrainConfig, device: torch.device) -> Run:
        """At step 0, with the optimiser's memory empty."""
        # sorted, as a checkpoint hands them back: the order in which gradients are summed shows in the last bit
        parameters = {name: torch.tensor(start[name], device=device, requires_grad=True) for name in sorted(start)}
        optimizer = torch.optim.AdamW(
            parameters.values(), lr=config.learning_rate, betas=(0.9, 0.99), weight_decay=config.weight_decay
        )
        return cls(parameters, optimizer, torch.Generator(device).manual_seed(config.seed))

    @classmethod
    def again(cls, checkpoint: Checkpoint, config: TrainConfig, device: torch.device) -> Run:
        """Where the checkpoint left off."""
        parts = {kind: _part(checkpoint.arrays, kind, device) for kind in ("now", "best", "exp_avg", "exp_avg_sq")}
        run = cls.begin({name: value.cpu().numpy() for name, value in parts["now"].items()}, config, device)
        for name, parameter in run.parameters.items():
            run.optimizer.state[parameter] = {
                "step": torch.tensor(float(checkpoint.progress["step"])),
                "exp_avg": parts["exp_avg"][name],
                "exp_avg_sq": parts["exp_avg_sq"][name],
            }
        run.generator.set_state(torch.from_numpy(checkpoint.arrays["generator"].copy()))
        run.step, run.seconds = int(checkpoint.progress["step"]), float(checkpoint.progress["seconds"])
        run.history = [Check(**check) for check in checkpoint.progress["history"]]
        best = checkpoint.progress["best"]
        run.best, run.best_parameters = (Check(**best) if best else None), parts["best"]
        return run

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(progress as JSON values, arrays) for a checkpoint; `again` is the inverse."""
        progress = {
            "step": self.step,
            "seconds": self.seconds,
            "history": [asdict(check) for check in self.history],
            "best": asdict(self.best) if self.best else None,
        }
        memory = {name: self.optimizer.state[parameter] for name, parameter in self.parameters.items()}
        tensors = {f"now/{name}": value for name, value in self.parameters.items()}
        tensors |= {f"best/{name}": value for name, value in self.best_parameters.items()}
        tensors |= {f"{kind}/{name}": memory[name][kind] for name in memory for kind in ("exp_avg", "exp_avg_sq")}
        arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
        return progress, arrays | {"generator": self.generator.get_state().numpy()}

    @property
    def n_members(self) -> int:
        """e."""
        return next(iter(self.parameters.values())).shape[0]

    @property
    def checks_since_best(self) -> int:
        """Looks at the held-out rows without an improvement; 0 while none may win yet."""
        return 0 if self.best is None else sum(check.step > self.best.step for check in self.history)

    @property
    def has_diverged(self) -> bool:
        """Whether the latest check is no number; parameters that are not numbers never recover."""
        return bool(self.history) and not math.isfinite(self.history[-1].elbo)

    def descend(self, likelihood: Likelihood, batch: Rows, beta: float, learning_rate: float) -> None:
        """One step of AdamW."""
        device = self.generator.device
        x, state, fold = (torch.from_numpy(part).to(device) for part in batch)
        n_latent = self.parameters["encoder.mean.b"].shape[-1]
        noise = torch.randn((1, self.n_members, x.shape[0], n_latent), generator=self.generator, device=device)
        loss = objective(elbo(forward(self.parameters, likelihood, x, state, noise)), fold, beta)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        clip_each_member(self.parameters.values())
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()

    def judge(self, check: Check, may_win: bool) -> None:
        """Remember the check, and the parameters when it is the best so far; never a bound that is not a number."""
        self.history.append(check)
        if may_win and math.isfinite(check.elbo) and (self.best is None or check.elbo > self.best.elbo):
            self.best = check
            self.best_parameters = {name: value.detach().clone() for name, value in self.parameters.items()}

    def figures(self) -> tuple[tuple[str, float], ...]:
        """The latest held-out figures, for the progress bar."""
        return (("elbo", self.history[-1].elbo), ("kl", self.history[-1].kl)) if self.history else ()


def clip_each_member(parameters: Any) -> None:
    """Scale each member's gradient to at most unit norm: one member's spike must not slow the others."""
    gradients = [parameter.grad for parameter in parameters]
    square = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
    factor = (GRADIENT_NORM / square.sqrt().clamp(min=1e-12)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor.reshape(-1, *[1] * (gradient.dim() - 1)))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows on which the members are compared while they train, each only where it was held out."""

    x: Tensor
    state: Tensor
    fold: Tensor
    noise: Tensor

    @classmethod
    def of(cls, rows: TrainingRows, n_members: int, n_latent: int, seed: int, device: torch.device) -> HeldOut:
        """At most 4,096 rows, and one fixed draw of noise for each."""
        sample = rows.some(N_HELD_OUT_ROWS, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        noise = torch.randn((1, n_members, sample.fold.size, n_latent), generator=generator)
        x, state, fold = (torch.from_numpy(part).to(device) for part in sample)
        return cls(x, state, fold, noise.to(device))

    @torch.no_grad()
    def check(self, parameters: Parameters, likelihood: Likelihood, step: int) -> Check:
        """Mean held-out ELBO and KL at this step."""
        bound = elbo(forward(parameters, likelihood, self.x, self.state, self.noise))
        own = self.fold[None, :]
        return Check(step, bound.value.gather(0, own).mean().item(), bound.kl.gather(0, own).mean().item())


class Clock:
    """Wall-clock time of one training, over all its resumptions."""

    def __init__(self, budget_seconds: float | None, already: float) -> None:
        self._budget, self._start = budget_seconds, time.monotonic() - already
        self._last_checkpoint = time.monotonic()

    def elapsed(self) -> float:
        """Seconds of training so far."""
        return time.monotonic() - self._start

    def share(self) -> float:
        """How much of the budget is spent; 0 without one."""
        return self.elapsed() / self._budget if self._budget else 0.0

    def wants_checkpoint(self) -> bool:
        """True every ten seconds."""
        now = time.monotonic()
        if now - self._last_checkpoint < SECONDS_BETWEEN_CHECKPOINTS:
            return False
        self._last_checkpoint = now
        return True


def _batches(rows: TrainingRows, schedule: Schedule, seed: int, skip: int) -> Iterator[Rows]:
    """Epoch after epoch; the first `skip` batches were trained on before an interruption."""
    steps_per_epoch = math.ceil(rows.n_rows / schedule.batch_rows)
    epoch, within = divmod(skip, steps_per_epoch)
    while True:
        for i, batch in enumerate(rows.shuffled(schedule.batch_rows, (seed, epoch))):
            if i >= within:
                yield batch
        epoch, within = epoch + 1, 0


@contextmanager
def _threads(batch_rows: int) -> Iterator[None]:
    """One thread for small batches: two that wait for each other at every small product lose to one.

    Measured on two shared cores, a fit of 111 rows: 309 s with two threads, 6 s with one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if batch_rows < MANY_ROWS else n_cores())
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _learning_rate(step: int, progress: float) -> float:
    """A short linear warm-up, then half a cosine to zero."""
    return min(1.0, step / LEARNING_RATE_WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def _part(arrays: dict[str, np.ndarray], kind: str, device: torch.device) -> dict[str, Tensor]:
    prefix = f"{kind}/"
    return {
        name.removeprefix(prefix): torch.tensor(value, device=device)
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
