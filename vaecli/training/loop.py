"""The torch loop: the ELBO with a KL warm-up, by AdamW, until the held-out bound stops rising.

All members of all families are trained in one loop on the same batches. Each learns from every row except those of
the fold it holds out, by a 0/1 weight. One stopping point per family is chosen, by the mean held-out bound over its
members: one chosen per member, on the very fold that later calibrates it, would make the calibration rows look more
normal than new ones.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaecli.config import TrainConfig
from vaecli.data.named_arrays import arrays_within
from vaecli.data.training_rows import Rows, TrainingRows
from vaecli.errors import UsageError
from vaecli.model.device import torch_device
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Elbo, Parameters, elbo, forward
from vaecli.model.ppca_init import VARIANCE_WEIGHTS, variance_outputs
from vaecli.results import Event, OnEvent, ignore
from vaecli.runtime.parallel import n_cores, short_turns
from vaecli.training.adamw import AdamW
from vaecli.training.checkpoint import Checkpoint
from vaecli.training.plans import Check, OnCheckpoint, Plan, Trained
from vaecli.training.ranks import Alone, Crew, Unit
from vaecli.training.schedule import Clock, Schedule, learning_rate_factor

N_CHECKS = 25  # evaluations on held-out rows over the whole schedule
N_HELD_OUT_ROWS = 4096
GRADIENT_NORM = 1.0  # per member
MANY_ROWS = 1024  # a batch from which more than one thread pays
STEPS_BETWEEN_EVENTS = 10
# What a step of a member costs whatever its size, in parameters. Measured on one core with 30 columns and 256 rows:
# 52,476 parameters take 2.85 ms, and 22,788 take 2.13 ms.
EVERY_MEMBER = 65_000

ALONE = Alone()


def train(
    rows: TrainingRows,
    plans: Sequence[Plan],
    config: TrainConfig,
    *,
    on_event: OnEvent = ignore,
    on_checkpoint: OnCheckpoint | None = None,
    resume: Checkpoint | None = None,
    crew: Crew = ALONE,
) -> Trained:
    """Fit the members of all families from the parameters they start with.

    Deterministic for one seed, machine and number of threads, also when resumed, unless a time budget ends it. With
    several processes as `crew` every one gets all members, and the same to the bit for any number of them on the CPU.
    Raises UsageError when training diverges before any check is finite, EnvironmentProblem when the device is absent.
    """
    device = torch.device(torch_device(config.device))
    schedule = Schedule.of(rows.n_rows, config)
    run = Run.start(plans, config, device, crew) if resume is None else Run.resume(resume, plans, config, device, crew)
    held_out = HeldOut.of(rows, plans, config.seed, device)
    every = max(1, schedule.n_steps // N_CHECKS)
    clock = Clock(config.time_budget_seconds, run.seconds)
    first = asks_at = run.n_steps

    batches, ended = _batches(rows, schedule, config.seed, run.n_steps), False
    with short_turns(), _threads(schedule.batch_rows, len(run.families), device, crew) as run.each:
        while not ended:
            pause_at = math.inf if on_checkpoint is None else asks_at
            steps, spent = [], crew.agreed(clock.share()) if config.time_budget_seconds else 0.0
            for n in range(run.n_steps + 1, _last_step_at_once(run.n_steps, every, pause_at, schedule, config) + 1):
                progress = max(n / schedule.n_steps, spent)
                kl_weight = min(1.0, progress / config.warmup_share) if config.warmup_share else 1.0
                rate = config.learning_rate * learning_rate_factor(n, progress)
                steps.append(run.drawn(next(batches), kl_weight, rate))
            run.learn(steps)
            ended = progress >= 1
            if run.n_steps % every == 0 or ended:
                run.validate(held_out, eligible=kl_weight == 1 or ended)
                ended = ended or run.checks_since_best >= config.patience or run.has_diverged
            if run.n_steps % STEPS_BETWEEN_EVENTS == 0 or ended:
                on_event(Event("training", run.n_steps, schedule.n_steps, "steps", run.figures()))
            if on_checkpoint is not None and not ended and run.n_steps >= asks_at:
                is_due, pause = crew.agreed((clock.wants_checkpoint(), clock.pause(run.n_steps - first)))
                asks_at = run.n_steps + pause
                if is_due:
                    run.seconds = clock.elapsed()
                    on_checkpoint(*run.to_parts())
    families = [run.of_family(i)[0] for i in range(len(plans))]
    best = [family.best for family in families]
    if None in best:  # the check at the last step is always eligible, if its bound is finite
        raise UsageError(
            "training diverged: the ELBO of held-out rows is not a number at step "
            f"{run.n_steps:,} of {schedule.n_steps:,}",
            f"lower train.learning_rate (now {config.learning_rate:g}) in --config FILE.toml",
        )
    parameters = run.arrays("best")
    return Trained(
        tuple(arrays_within(parameters, f"{i}/best/") for i in range(len(plans))),
        tuple(tuple(family.history) for family in families),
        tuple(check for check in best if check is not None),
        run.n_steps,
    )


def objective(bound: Elbo, fold: Tensor, held_out: Tensor, beta: float) -> Tensor:
    """Minus the ELBO with its KL weighted by `beta`, in nats: the mean over columns and the rows each member may see.

    `bound` has shapes (e, n, c) and (e, n), `fold` (n,), `held_out` (e,). Summed over members: they share no parameter.
    """
    may_see = (fold[None, :] != held_out[:, None]).to(bound.kl.dtype)
    per_row = beta * bound.kl - bound.column_log_prob.sum(-1)
    per_member = (per_row * may_see).sum(1) / may_see.sum(1).clamp(min=1)
    return per_member.sum() / bound.column_log_prob.shape[-1]


@dataclass(frozen=True, slots=True)
class Step:
    """What all families need for a step: a batch as `on_device` gives it, and the noise (1, e, n, k) of each plan."""

    batch: tuple[Tensor, Tensor | None, Tensor]
    noises: Sequence[Tensor]
    kl_weight: float
    learning_rate: float


@dataclass(slots=True)
class Family:
    """The members of one plan, or the unit of them that this process trains in one batched product."""

    plan: Plan  # of these members
    unit: Unit
    values: Tensor  # (e, P) all parameters of a member side by side, so that few operations update them
    held_out: Tensor
    learns: Tensor | None  # (P,) 0 for the weights that make a variance depend on the row, where these stay 0
    optimizer: AdamW  # of `values`
    history: list[Check] = field(default_factory=list)
    best: Check | None = None
    best_parameters: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def start(
        cls, plan: Plan, values: Parameters, device: torch.device, weight_decay: float, unit: Unit | None = None
    ) -> Family:
        """The family at its first step, with `values` as parameters; with `unit` only its members."""
        unit = unit or Unit(0, 0, len(plan.held_out))
        n_members = unit.stop - unit.first
        if n_members < len(plan.held_out):
            values = {name: value[unit.members] for name, value in values.items()}
            plan = replace(plan, start=values, held_out=plan.held_out[unit.members])
        flat = np.concatenate(
            [values[name].reshape(n_members, math.prod(values[name].shape[1:])) for name in sorted(values)], axis=1
        )
        learns = None
        if plan.homoscedastic:
            ones = {name: np.ones(value.shape[1:], value.dtype) for name, value in values.items()}
            for name in VARIANCE_WEIGHTS:
                ones[name][..., variance_outputs(plan.likelihood)] = 0
            learns = torch.tensor(np.concatenate([ones[name].ravel() for name in sorted(ones)]), device=device)
        side_by_side = torch.tensor(flat, device=device, requires_grad=True)
        held_out = torch.tensor(plan.held_out, device=device)
        return cls(plan, unit, side_by_side, held_out, learns, AdamW(side_by_side, weight_decay))

    def named(self, values: Tensor) -> dict[str, Tensor]:
        """The parameters (e, …) by name that `values` (e, P) holds, or what has its shape, as views of it."""
        shapes = {name: self.plan.start[name].shape for name in sorted(self.plan.start)}
        parts = values.split([math.prod(shape[1:]) for shape in shapes.values()], dim=1)
        return {name: part.view(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}

    def step(self, step: Step) -> None:
        """One step of AdamW."""
        if not self.plan.held_out:
            return
        (values, state, fold), noise = step.batch, step.noises[self.unit.family][:, self.unit.members]
        bound = elbo(forward(self.parameters, self.plan.likelihood, values, state, noise))
        objective(bound, fold, self.held_out, self.plan.beta * step.kl_weight).backward()
        self.limit_gradient()
        self.optimizer.step(step.learning_rate)

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The parameters (e, …) by name, through which gradients reach `values`."""
        return self.named(self.values)

    def validate(self, check: Check, eligible: bool) -> None:
        """Keep the check, and the parameters if it is eligible, finite and the best so far."""
        self.history.append(check)
        if eligible and math.isfinite(check.elbo) and (self.best is None or check.elbo > self.best.elbo):
            self.best = check
            self.best_parameters = {name: value.detach().clone() for name, value in self.parameters.items()}

    def limit_gradient(self) -> None:
        """Keep what does not learn, and scale the gradient of each member to at most unit norm.

        So a spike in one member does not slow the others.
        """
        gradient = self.values.grad
        assert gradient is not None
        if self.learns is not None:
            gradient.mul_(self.learns)
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        gradient.mul_((GRADIENT_NORM / norm.clamp(min=1e-12)).clamp(max=1.0))


@dataclass(slots=True)
class Run:
    """The state of one training: what a checkpoint must hold to continue as if it had not been interrupted."""

    families: tuple[Family, ...]  # of a plan each, or units of several, in the order of the plans
    generator: torch.Generator
    plans: Sequence[Plan]
    crew: Crew
    each: Callable[..., Iterator[Any]] = map  # calls a function with each family, perhaps in threads of their own
    n_steps: int = 0
    seconds: float = 0.0

    @classmethod
    def start(
        cls,
        plans: Sequence[Plan],
        config: TrainConfig,
        device: torch.device,
        crew: Crew = ALONE,
        values: Sequence[Parameters] | None = None,
    ) -> Run:
        """The run at step 0, with a fresh optimiser, from `values` or the start parameters of the plans."""
        values = [plan.start for plan in plans] if values is None else values
        costs = [EVERY_MEMBER + sum(math.prod(value.shape[1:]) for value in plan.start.values()) for plan in plans]
        units = crew.units(costs, [len(plan.held_out) for plan in plans])
        families = tuple(
            Family.start(plans[unit.family], values[unit.family], device, config.weight_decay, unit) for unit in units
        )
        return cls(families, torch.Generator(device).manual_seed(config.seed), plans, crew)

    @classmethod
    def resume(
        cls,
        checkpoint: Checkpoint,
        plans: Sequence[Plan],
        config: TrainConfig,
        device: torch.device,
        crew: Crew = ALONE,
    ) -> Run:
        """The state that `to_parts` gave to the checkpoint, also one of another crew."""
        values = [arrays_within(checkpoint.arrays, f"{i}/now/") for i in range(len(plans))]
        run = cls.start(plans, config, device, crew, values)
        for family in run.families:

            def part(kind: str, unit: Unit = family.unit) -> dict[str, Tensor]:
                whole = arrays_within(checkpoint.arrays, f"{unit.family}/{kind}/")
                return {name: torch.tensor(value[unit.members], device=device) for name, value in whole.items()}

            optimizer = family.optimizer
            for kind, moment in (("mean", optimizer.exp_avg), ("square", optimizer.exp_avg_sq)):
                named = part(kind)
                moment.copy_(torch.cat([named[name].flatten(1) for name in sorted(named)], dim=1))
            optimizer.n_steps = int(checkpoint.progress["step"])
            state = checkpoint.progress["families"][family.unit.family]
            family.history = [Check(**check) for check in state["history"]]
            family.best, family.best_parameters = (Check(**state["best"]) if state["best"] else None), part("best")
        run.generator.set_state(torch.from_numpy(checkpoint.arrays["generator"].copy()))
        run.n_steps, run.seconds = int(checkpoint.progress["step"]), float(checkpoint.progress["seconds"])
        return run

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(progress as JSON values, arrays) of all members for a checkpoint; `resume` is the inverse."""
        families = []
        for i in range(len(self.plans)):
            family = self.of_family(i)[0]
            best = asdict(family.best) if family.best else None
            families.append({"history": [asdict(check) for check in family.history], "best": best})
        arrays = {"generator": self.generator.get_state().numpy(), **self.arrays("now", "best", "mean", "square")}
        return {"step": self.n_steps, "seconds": self.seconds, "families": families}, arrays

    def of_family(self, i: int) -> list[Family]:
        """The units of plan i that this process trains."""
        return [family for family in self.families if family.unit.family == i]

    def arrays(self, *kinds: str) -> dict[str, np.ndarray]:
        """Arrays (e, …) of all members, named `family/kind/parameter`, joined from all processes."""
        parts: dict[str, list[Tensor]] = {}
        for family in self.families:
            by_kind = {
                "now": family.parameters,
                "best": family.best_parameters,
                "mean": family.named(family.optimizer.exp_avg),
                "square": family.named(family.optimizer.exp_avg_sq),
            }
            for kind in kinds:
                for name, value in by_kind[kind].items():
                    parts.setdefault(f"{family.unit.family}/{kind}/{name}", []).append(value)
        return self.crew.joined(_in_numpy({name: torch.cat(values) for name, values in parts.items()}))

    @property
    def checks_since_best(self) -> int:
        """Checks since the last one that was the best of its family; 0 while a family has no eligible check."""
        return min(
            0 if family.best is None else sum(check.step > family.best.step for check in family.history)
            for family in self.families
        )

    @property
    def has_diverged(self) -> bool:
        """Whether a latest check is not finite; parameters that are not numbers never recover."""
        return any(family.history and not math.isfinite(family.history[-1].elbo) for family in self.families)

    def drawn(self, batch: Rows, kl_weight: float, learning_rate: float) -> Step:
        """The next step on a batch, with noise drawn for it."""
        rows = on_device(batch, self.plans[0].likelihood, self.generator.device)
        shapes = [_noise_shape(plan, batch.fold.size) for plan in self.plans]
        noises = [torch.randn(shape, generator=self.generator, device=self.generator.device) for shape in shapes]
        return Step(rows, noises, kl_weight, learning_rate)

    def learn(self, steps: Sequence[Step]) -> None:
        """The steps of every family, one after the other; families do not wait for each other between them."""

        def learn(family: Family) -> None:
            for step in steps:
                family.step(step)

        deque(self.each(learn, self.families), maxlen=0)
        self.n_steps += len(steps)

    def validate(self, held_out: HeldOut, eligible: bool) -> None:
        """Evaluate every family on the held-out rows."""

        def look(family: Family) -> tuple[float, float, int]:
            if not family.plan.held_out:
                return 0.0, 0.0, 0
            check = held_out.check(family, held_out.noise[family.unit.family][:, family.unit.members], self.n_steps)
            return check.elbo, check.kl, held_out.n_cells(family)

        # one place for every member; the first one of a unit has the unit's, the others are zero
        looks = torch.zeros(len(self.plans), max(len(plan.held_out) for plan in self.plans), 3, dtype=torch.float64)
        for family, (elbo_, kl, n) in zip(self.families, self.each(look, self.families), strict=True):
            looks[family.unit.family, family.unit.first] += torch.tensor((elbo_ * n, kl * n, n), dtype=torch.float64)
        summed = self.crew.summed(looks.to(self.generator.device).flatten()).cpu().view_as(looks).sum(1)
        for family in self.families:
            elbo_sum, kl_sum, n = summed[family.unit.family].tolist()
            n = n or math.nan  # not one of the rows is of these folds
            family.validate(Check(self.n_steps, elbo_sum / n, kl_sum / n), eligible)

    def figures(self) -> tuple[tuple[str, float], ...]:
        """The latest held-out figures of the first family, for the progress bar."""
        history = self.families[0].history
        return (("elbo", history[-1].elbo), ("kl", history[-1].kl)) if history else ()


def on_device(rows: Rows, likelihood: Likelihood, device: torch.device) -> tuple[Tensor, Tensor | None, Tensor]:
    """Features (n, d), states (n, c) and folds (n,) of rows on a device.

    States are None where every cell is there, in a table without gaps.
    """
    parts = (rows.values, rows.state, rows.fold)
    values, state, fold = (torch.from_numpy(part).to(device) for part in parts)
    return values, state if likelihood.has_missing.size or rows.state.any() else None, fold


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows on which members are evaluated while they train, each on those of the fold it holds out."""

    values: Tensor  # (n, d)
    state: Tensor | None  # (n, c)
    fold: Tensor  # (n,)
    noise: tuple[Tensor, ...]  # one fixed draw per family

    @classmethod
    def of(cls, rows: TrainingRows, plans: Sequence[Plan], seed: int, device: torch.device) -> HeldOut:
        """A uniform sample of at most 4,096 rows."""
        sample = rows.sample(N_HELD_OUT_ROWS, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        noise = [torch.randn(_noise_shape(plan, sample.fold.size), generator=generator) for plan in plans]
        values, state, fold = on_device(sample, plans[0].likelihood, device)
        return cls(values, state, fold, tuple(part.to(device) for part in noise))

    def n_cells(self, family: Family) -> int:
        """How many pairs of a row and a member that holds it out there are, of which `check` is the mean."""
        return int((self.fold[None, :] == family.held_out[:, None]).sum())

    @torch.no_grad()
    def check(self, family: Family, noise: Tensor, step: int) -> Check:
        """The mean held-out bound, its KL weighted as in training, and the KL, in nats; `noise` is (1, e, n, k)."""
        bound = elbo(forward(family.parameters, family.plan.likelihood, self.values, self.state, noise))
        own = self.fold[None, :] == family.held_out[:, None]
        value = bound.column_log_prob.sum(-1) - family.plan.beta * bound.kl
        return Check(step, value[own].mean().item(), bound.kl[own].mean().item())


def _last_step_at_once(done: int, every: int, pause_at: float, schedule: Schedule, config: TrainConfig) -> int:
    """Up to which step families go on by themselves after the `done` ones: to the next one at which something is due.

    With a time budget it is the next, whose learning rate depends on the time.
    """
    if config.time_budget_seconds:
        return done + 1
    due = [(done // n + 1) * n for n in (every, STEPS_BETWEEN_EVENTS)]
    return int(min(*due, max(pause_at, done + 1), schedule.n_steps))


def _noise_shape(plan: Plan, n_rows: int) -> tuple[int, int, int, int]:
    return 1, len(plan.held_out), n_rows, plan.start["encoder.mean.b"].shape[-1]


def _in_numpy(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.detach().cpu().numpy() for name, value in tensors.items()}


def _batches(rows: TrainingRows, schedule: Schedule, seed: int, skip: int) -> Iterator[Rows]:
    """Batches epoch by epoch, without the first `skip`, which were trained on before an interruption."""
    steps_per_epoch = math.ceil(rows.n_rows / schedule.batch_rows)
    epoch, within = divmod(skip, steps_per_epoch)
    while True:
        for i, batch in enumerate(rows.shuffled(schedule.batch_rows, (seed, epoch))):
            if i >= within:
                yield batch
        epoch, within = epoch + 1, 0


@contextmanager
def _threads(batch_rows: int, n_units: int, device: torch.device, crew: Crew) -> Iterator[Callable[..., Iterator[Any]]]:
    """A `map` over the families or units, on the CPU in a thread for each: they share nothing but the batch.

    Within one of them one thread for small batches: two that wait for each other at every small product are slower.
    Measured on two shared cores, a fit of 111 rows: 309 s with two threads, 6 s with one.
    """
    cores = max(n_cores() // crew.n_here, 1)
    before, at_once = torch.get_num_threads(), min(n_units, cores) if device.type == "cpu" else 1
    n_threads = 1 if batch_rows < MANY_ROWS or crew.one_thread_each else max(cores // at_once, 1)
    torch.set_num_threads(n_threads)
    try:
        if at_once == 1:
            yield map
            return
        with ThreadPoolExecutor(at_once, "vaecli-fit", torch.set_num_threads, (n_threads,)) as pool:
            yield pool.map
    finally:
        torch.set_num_threads(before)
