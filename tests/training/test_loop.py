"""Training: every row is learned from, nothing leaks, it stops in time, and goes on as if never interrupted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from vaecli.config import TrainConfig
from vaecli.data.training_rows import Rows, RowsInMemory, RowsOnDisk, TrainingRows
from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.model.device import torch_device
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import Parameters, decode, elbo, forward, kl_to_prior
from vaecli.model.ppca_init import VARIANCE_WEIGHTS, independent_output, start_parameters, variance_outputs
from vaecli.results import Event
from vaecli.schema import Column, Kind, Layout
from vaecli.training import loop as module, schedule as schedule_module
from vaecli.training.checkpoint import Checkpoint, load_checkpoint
from vaecli.training.loop import Family, HeldOut, Run, Step, objective, train
from vaecli.training.plans import Check, Plan
from vaecli.training.schedule import Schedule

E, N, D = 3, 240, 4
QUICK = TrainConfig(device="cpu", max_steps=50, batch_rows=64)
LAYOUT = Layout.of([*(Column(f"x{j}", Kind.NUMERIC) for j in range(3)), Column("s", Kind.BOOLEAN)])
LIKELIHOOD = Likelihood.of(LAYOUT, np.array([0, 7, 0, 0]), N, -3.0)
VIEWING = Likelihood.of(LAYOUT, np.array([0, 7, 0, 0]), N, -3.0, np.array([[-1.0, 1.0]]))
CPU = torch.device("cpu")


def correlated(n: int = N, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    load = rng.normal(size=(n, 1))
    numbers = load * [1.0, -0.9, 0.7] + 0.3 * rng.normal(size=(n, 3))
    state = np.zeros((n, 4), np.uint8)
    state[::34, 1] = 1
    numbers[::34, 1] = 0
    return Rows(np.hstack([numbers, load > 0]).astype(np.float32), state, np.arange(n) % E)


ROWS = RowsInMemory(correlated())


def plan(
    rows: Rows = ROWS.rows,
    *,
    held_out: tuple[int, ...] = tuple(range(E)),
    beta: float = 1.0,
    homoscedastic: bool = False,
) -> Plan:
    """One variance a column goes with booleans as numbers, as in a fit, and with a larger latent space."""
    likelihood, n_latent = (VIEWING, 3) if homoscedastic else (LIKELIHOOD, 2)
    start = start_parameters(
        rows, likelihood, held_out=held_out, n_latent=n_latent, n_hidden=8, homoscedastic=homoscedastic, seed=0
    )
    return Plan(likelihood, start, held_out, beta, homoscedastic)


PLAN = plan()
BOTH = (
    plan(held_out=(0, 2)),
    plan(held_out=(1, 2), beta=0.1, homoscedastic=True),
)  # fold 2 is held out from two members


def trained(config: TrainConfig = QUICK, rows: TrainingRows = ROWS, *plans: Plan, **given: Any) -> module.Trained:
    """One family, or those given."""
    return train(rows, plans or (PLAN,), config, **given)


def quick(**changed: Any) -> TrainConfig:
    return dataclasses.replace(QUICK, **changed)


def assert_same(a: Parameters, b: Parameters) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def tensors(parameters: Parameters) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value, requires_grad=True) for name, value in parameters.items()}


def gradients(rows: Rows, beta: float = 1.0) -> dict[str, np.ndarray]:
    """Of the training objective at the start, with fixed noise."""
    parameters = tensors(PLAN.start)
    x, state, fold = (torch.from_numpy(part) for part in rows[:3])
    noise = torch.randn((1, E, len(rows.fold), 2), generator=torch.Generator().manual_seed(0))
    bound = elbo(forward(parameters, LIKELIHOOD, x, state, noise))
    objective(bound, fold, torch.arange(E), beta).backward()
    return {name: value.grad.numpy() for name, value in parameters.items() if value.grad is not None}


# ------------------------------------------------------------------------------------------ the objective


def test_the_kl_term_is_alive() -> None:
    """With beta above 0 the KL's gradient reaches every encoder parameter that makes q(z|x), and no decoder one."""
    with_kl, without = gradients(ROWS.rows, beta=1.0), gradients(ROWS.rows, beta=0.0)
    for name in with_kl:
        difference = np.abs(with_kl[name] - without[name]).max()
        if name.startswith("encoder"):
            assert difference > 1e-6, name
        else:
            assert difference == 0, name


def test_the_kl_gradient_is_that_of_the_closed_form() -> None:
    """What beta adds to the gradient is d/dθ of the mean KL over the rows a member may see, over the columns."""
    parameters = tensors(PLAN.start)
    x, state, fold = (torch.from_numpy(part) for part in ROWS.rows[:3])
    noise = torch.zeros((1, E, N, 2))
    passed = forward(parameters, LIKELIHOOD, x, state, noise)
    may_see = fold[None] != torch.arange(E)[:, None]
    (kl_to_prior(passed.mean, passed.log_variance) * may_see).sum().div(N * (E - 1) / E * 4).backward()
    with_kl, without = gradients(ROWS.rows, beta=1.0), gradients(ROWS.rows, beta=0.0)
    for name in ("encoder.mean.b", "encoder.log_variance.b", "encoder.skip.w"):
        expected = parameters[name].grad
        assert expected is not None
        np.testing.assert_allclose(with_kl[name] - without[name], expected.numpy(), rtol=1e-3, atol=1e-5)


def test_the_objective_is_minus_the_elbo() -> None:
    """At beta 1 and for rows of no fold: minus the mean ELBO a column, summed over members."""
    rows = ROWS.rows._replace(fold=np.full(N, -1))
    x, state, fold = (torch.from_numpy(part) for part in rows[:3])
    bound = elbo(forward(tensors(PLAN.start), LIKELIHOOD, x, state, torch.zeros((1, E, 1, 2))))
    found = objective(bound, fold, torch.arange(E), 1.0).item()
    assert found == pytest.approx(-bound.value.mean(1).sum().item() / 4, rel=1e-6)


@pytest.mark.parametrize("k", range(E))
def test_rows_of_its_own_fold_do_not_move_a_member(k: int) -> None:
    """Wild changes of the rows of fold k leave the gradients of member k as they were, and move the others'."""
    values = ROWS.rows.values.copy()
    values[ROWS.rows.fold == k] = 1e3 * np.random.default_rng(k).normal(size=values[ROWS.rows.fold == k].shape)
    before, after = gradients(ROWS.rows), gradients(ROWS.rows._replace(values=values))
    for name in before:
        np.testing.assert_array_equal(after[name][k], before[name][k], err_msg=name)
    moved = (before["decoder.out.b"] != after["decoder.out.b"]).any((1, 2))
    assert moved.tolist() == [j != k for j in range(E)]


def test_a_member_is_kept_from_the_fold_it_holds_out_whatever_its_number() -> None:
    """Members may hold out any fold, two of them the same: the objective is that of the rows each may see."""
    x, state, fold = (torch.from_numpy(part) for part in ROWS.rows[:3])
    bound = elbo(forward(tensors(PLAN.start), LIKELIHOOD, x, state, torch.zeros((1, E, 1, 2))))
    held_out = (2, 0, 2)
    per_row = 0.5 * bound.kl - bound.column_log_prob.sum(-1)
    expected = sum(per_row[k][fold != held_out[k]].mean().item() for k in range(E)) / 4
    assert objective(bound, fold, torch.tensor(held_out), 0.5).item() == pytest.approx(expected, rel=1e-5)


def test_a_batch_of_one_fold_only_teaches_nothing_to_its_member() -> None:
    """A batch whose rows all are of fold k gives member k a gradient of zero, not NaN."""
    found = gradients(ROWS.rows._replace(fold=np.full(N, 1)))
    for value in found.values():
        assert (value[1] == 0).all()
        assert np.isfinite(value).all()


def test_each_member_is_clipped_alone() -> None:
    """A gradient longer than 1 is scaled to 1, a shorter one left alone, member by member."""
    family = Family.start(PLAN, PLAN.start, CPU, 0.0)
    family.values.grad = torch.zeros_like(family.values)
    family.values.grad[0, 3], family.values.grad[0, 70] = 3.0, 4.0
    family.values.grad[1, 3], family.values.grad[1, 70] = 0.1, 0.2
    family.limit_gradient()
    np.testing.assert_allclose(family.values.grad[:, [3, 70]], [[0.6, 0.8], [0.1, 0.2], [0.0, 0.0]], rtol=1e-6)


def test_the_names_of_parameters_are_views_of_their_values() -> None:
    """What a family starts with comes back under its names, and a change of the values shows there."""
    family = Family.start(PLAN, PLAN.start, CPU, 0.0)
    for name, value in family.parameters.items():
        np.testing.assert_array_equal(value.detach(), PLAN.start[name], err_msg=name)
    with torch.no_grad():
        family.values.add_(1.0)
    for name, value in family.parameters.items():
        np.testing.assert_array_equal(value.detach(), PLAN.start[name] + np.float32(1.0), err_msg=name)


def test_families_in_threads_learn_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many cores there are does not show in the parameters of small batches."""
    found = []
    for cores in (1, 2):
        monkeypatch.setattr(module, "n_cores", lambda cores=cores: cores)
        found.append(trained(QUICK, ROWS, *BOTH))
    for one, other in zip(found[0].parameters, found[1].parameters, strict=True):
        assert_same(one, other)


def test_how_many_steps_families_take_by_themselves_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other or up to the next check: the same parameters, checks and steps."""
    found, at_once = [], []
    learn = Run.learn

    def listening(self: Run, steps: Sequence[Step]) -> None:
        at_once.append(len(steps))
        learn(self, steps)

    monkeypatch.setattr(Run, "learn", listening)
    for between in (1, 10, 1000):
        monkeypatch.setattr(module, "STEPS_BETWEEN_EVENTS", between)
        found.append(trained(quick(max_steps=60), ROWS, *BOTH))
    assert {1, 2} == set(at_once)  # 25 checks of 50 steps are due sooner
    for other in found[1:]:
        assert other.history == found[0].history
        for one, same in zip(found[0].parameters, other.parameters, strict=True):
            assert_same(one, same)


@pytest.mark.parametrize(
    ("done", "every", "pause_at", "expected"),
    [
        (0, 40, math.inf, 10),
        (10, 40, math.inf, 20),
        (35, 37, math.inf, 37),
        (0, 40, 0, 1),
        (0, 40, 7, 7),
        (95, 40, 200, 98),
    ],
)
def test_families_wait_for_each_other_where_something_is_due(
    done: int, every: int, pause_at: float, expected: int
) -> None:
    """At a check, an event, a question about a checkpoint and the end; with a time budget at every step."""
    schedule = Schedule(64, 98)
    assert module._last_step_at_once(done, every, pause_at, schedule, QUICK) == expected
    budget = dataclasses.replace(QUICK, time_budget_seconds=1.0)
    assert module._last_step_at_once(done, every, pause_at, schedule, budget) == done + 1


# ------------------------------------------------------------------------------------------ the whole loop


def test_training_learns_and_the_latent_code_is_used() -> None:
    """On correlated rows the held-out ELBO rises above independent columns, and the code carries information."""
    rows = ROWS.rows
    found = trained(quick(max_steps=150))
    output = independent_output(rows, LIKELIHOOD).astype(np.float32)
    baseline = LIKELIHOOD.column_log_prob(output, rows.values, rows.state).sum(-1).mean()
    assert found.best[0].elbo > found.history[0][0].elbo
    assert found.best[0].elbo > baseline + 0.5
    assert found.best[0].kl > 0.5


def check_of(plan: Plan, parameters: Parameters, held_out: HeldOut, i: int, step: int) -> Check:
    """One look at held-out rows, of the i-th family."""
    return held_out.check(Family.start(plan, parameters, CPU, 0.0), held_out.noise[i], step)


def test_the_best_check_is_what_is_returned() -> None:
    """Each family's parameters are those of its own best check after the warm-up, measured again to the last digit."""
    found = trained(QUICK, ROWS, *BOTH)
    held_out = HeldOut.of(ROWS, BOTH, QUICK.seed, CPU)
    for i, some in enumerate(BOTH):
        eligible = [check for check in found.history[i] if check.step >= 10]
        assert found.best[i] == max(eligible, key=lambda check: check.elbo)
        resume = check_of(some, found.parameters[i], held_out, i, found.best[i].step)
        assert resume.elbo == pytest.approx(found.best[i].elbo, rel=1e-6)


@pytest.mark.parametrize("i", [0, 1])
def test_held_out_rows_are_judged_by_members_that_hold_them_out(i: int) -> None:
    """A check is the mean over rows and the members not trained on them, the KL weighted as in training."""
    some, held_out = BOTH[i], HeldOut.of(ROWS, BOTH, 0, CPU)
    check = check_of(some, some.start, held_out, i, 5)
    rows = ROWS.sample(N, 0)
    bound = elbo(forward(some.start, some.likelihood, rows.values, rows.state, held_out.noise[i].numpy()))
    value = bound.column_log_prob.sum(-1) - some.beta * bound.kl
    own = [(k, rows.fold == fold) for k, fold in enumerate(some.held_out)]
    assert (check.step, check.elbo, check.kl) == (
        5,
        pytest.approx(np.concatenate([value[k][of] for k, of in own]).mean(), rel=1e-5),
        pytest.approx(np.concatenate([bound.kl[k][of] for k, of in own]).mean(), rel=1e-5),
    )


def test_the_same_seed_gives_the_same_parameters() -> None:
    """Training is deterministic, and another seed gives another model."""
    first, resume, other = trained(QUICK, ROWS, *BOTH), trained(QUICK, ROWS, *BOTH), trained(quick(seed=1), ROWS, *BOTH)
    for i in range(2):
        assert_same(first.parameters[i], resume.parameters[i])
        assert (first.parameters[i]["decoder.out.w"] != other.parameters[i]["decoder.out.w"]).any()


def test_a_family_of_one_variance_keeps_it() -> None:
    """Weights that would make a variance depend on the row stay exactly zero, in this family alone; biases learn."""
    found = trained(QUICK, ROWS, *BOTH)
    for name in VARIANCE_WEIGHTS:
        assert (found.parameters[1][name][..., variance_outputs(VIEWING)] == 0).all()
        assert (found.parameters[0][name][..., variance_outputs(LIKELIHOOD)] != 0).all()
        means = found.parameters[1][name][..., : VIEWING.n_gaussian]
        assert (means != 0).any()
    bias = "decoder.out.b"
    learned = found.parameters[1][bias] != BOTH[1].start[bias]
    assert learned[..., variance_outputs(VIEWING)].all()


def test_of_one_variance_every_row_has_the_same() -> None:
    """After training p(x|z) of a number has one spread a column and member, whatever the code."""
    found = trained(QUICK, ROWS, *BOTH).parameters[1]
    z = 3 * np.random.default_rng(0).normal(size=(2, 50, 3)).astype(np.float32)
    raw = decode(found, z)[..., variance_outputs(VIEWING)]
    np.testing.assert_array_equal(raw, np.broadcast_to(raw[:, :1], raw.shape))


def test_members_never_learn_from_the_fold_they_hold_out() -> None:
    """After some steps a member of either family is to the last bit what it is when the fold it holds out is others."""
    values = ROWS.rows.values.copy()
    values[ROWS.rows.fold == 2] = np.random.default_rng(0).normal(size=values[ROWS.rows.fold == 2].shape)
    kept: list[dict[str, np.ndarray]] = []
    for rows in (ROWS, RowsInMemory(ROWS.rows._replace(values=values))):
        run = Run.start(BOTH, QUICK, CPU)
        for i in range(4):
            for batch in rows.shuffled(64, (0, i)):
                run.learn([run.drawn(batch, 1.0, 3e-3)])
        for family in run.families:
            kept.append({name: value.detach().numpy() for name, value in family.parameters.items()})
    for i, some in enumerate(BOTH):
        before, after = kept[i], kept[2 + i]
        k = some.held_out.index(2)
        for name in before:
            np.testing.assert_array_equal(before[name][k], after[name][k], err_msg=name)
        assert (before["encoder.mean.w"][1 - k] != after["encoder.mean.w"][1 - k]).any()


def test_the_start_is_not_written_to() -> None:
    """A plan is the same after training as before."""
    before = {name: value.copy() for name, value in PLAN.start.items()}
    trained()
    assert_same(PLAN.start, before)


def weights_of_the_kl(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What every call of the objective weighs the KL by, as it is called."""
    seen: list[float] = []

    def listening(bound: Any, fold: Any, held_out: Any, beta: float) -> Any:
        seen.append(beta)
        return objective(bound, fold, held_out, beta)

    monkeypatch.setattr(module, "objective", listening)
    return seen


def test_the_kl_weight_warms_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each family's beta grows linearly to its value over the share of steps asked for, and stays there."""
    seen = weights_of_the_kl(monkeypatch)
    monkeypatch.setattr(module, "n_cores", lambda: 1)  # the families in turn,
    monkeypatch.setattr(module, "STEPS_BETWEEN_EVENTS", 1)  # step by step
    trained(quick(warmup_share=0.4, patience=99), ROWS, plan(beta=0.5), plan(beta=0.1, homoscedastic=True))
    kl_weight = np.minimum(1, np.arange(1, 51) / 20)
    np.testing.assert_allclose(seen[::2], 0.5 * kl_weight)
    np.testing.assert_allclose(seen[1::2], 0.1 * kl_weight)


def test_nothing_wins_before_the_kl_has_its_full_weight() -> None:
    """A model that has not paid for its code yet is never the best, unless training ends there."""
    assert trained(quick(warmup_share=0.9, patience=1)).best[0].step >= 45
    assert trained(quick(warmup_share=1.0, patience=1)).best[0].step == 50


def test_patience_ends_it() -> None:
    """After that many checks without an improvement training stops, as with a learning rate of next to nothing."""
    found = trained(quick(learning_rate=1e-30, weight_decay=0.0, warmup_share=0.0, patience=4))
    assert found.best[0].step == 2
    assert found.n_steps == 2 + 4 * 2
    assert len({check.elbo for check in found.history[0]}) == 1


def test_patience_waits_for_every_family() -> None:
    """While any family still improves, training goes on: the other just keeps its best."""
    run = Run.start(BOTH, QUICK, CPU)
    for step, (first, second) in enumerate([(-5.0, -9.0), (-6.0, -8.0), (-7.0, -7.0), (-8.0, -7.5)], 1):
        run.families[0].validate(Check(step, first, 0.0), eligible=True)
        run.families[1].validate(Check(step, second, 0.0), eligible=True)
    assert [family.best.step for family in run.families if family.best] == [1, 3]
    assert run.checks_since_best == 1


def test_a_time_budget_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the budget spent training stops at a check that may win, however many steps were planned."""
    ticking = iter(np.arange(0.0, 1e6))
    monkeypatch.setattr(schedule_module, "time", SimpleNamespace(monotonic=lambda: float(next(ticking))))
    found = trained(quick(max_steps=5000, time_budget_seconds=12.0))
    assert 5 <= found.n_steps <= 12
    assert found.best[0].step == found.n_steps


def test_a_time_budget_warms_up_in_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The KL has its full weight for most of a training that time cuts short, not only of one that runs its steps."""
    ticking = iter(np.arange(0.0, 1e6))
    monkeypatch.setattr(schedule_module, "time", SimpleNamespace(monotonic=lambda: float(next(ticking))))
    seen = weights_of_the_kl(monkeypatch)
    trained(quick(max_steps=5000, time_budget_seconds=20.0))
    assert seen == sorted(seen)
    assert 0 < seen[0] < 1
    assert seen.count(1.0) > len(seen) / 2


def test_progress_is_announced() -> None:
    """Events name the step, the total, and the latest held-out ELBO and KL of the first family."""
    events: list[Event] = []
    found = trained(QUICK, ROWS, *BOTH, on_event=events.append)
    assert [event.done for event in events] == [10, 20, 30, 40, 50]
    assert {event.total for event in events} == {50}
    assert dict(events[-1].values) == {"elbo": found.history[0][-1].elbo, "kl": found.history[0][-1].kl}


# ------------------------------------------------------------------------------------------ divergence


@pytest.mark.parametrize("i", [0, 1])
def test_training_that_starts_with_nan_is_refused(i: int) -> None:
    """Parameters that are not numbers, of any family, are an error that names the learning rate, never a model."""
    broken = {name: value.copy() for name, value in BOTH[i].start.items()}
    broken["decoder.out.b"][1, 0, 0] = np.nan
    plans = [dataclasses.replace(some, start=broken) if j == i else some for j, some in enumerate(BOTH)]
    with pytest.raises(UsageError, match="diverged") as caught:
        trained(QUICK, ROWS, *plans)
    assert "learning_rate" in caught.value.hint


@pytest.mark.parametrize("i", [0, 1])
def test_training_that_diverges_late_keeps_the_best(i: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound of any family that turns NaN after good checks ends training with the parameters of the good ones."""
    check = HeldOut.check

    def spoilt(self: HeldOut, family: Family, noise: Any, step: int) -> Check:
        is_spoilt = step > 20 and family.plan is BOTH[i]
        return Check(step, math.nan, math.nan) if is_spoilt else check(self, family, noise, step)

    monkeypatch.setattr(HeldOut, "check", spoilt)
    found = trained(QUICK, ROWS, *BOTH)
    assert found.n_steps == 22
    assert found.best[i].step <= 20
    assert all(np.isfinite(value).all() for family in found.parameters for value in family.values())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_no_number_is_never_the_best(bad: float) -> None:
    """A check without a finite bound is remembered but wins nothing, first or later."""
    run = Run.start((PLAN,), QUICK, CPU)
    family = run.families[0]
    family.validate(Check(1, bad, 0.0), eligible=True)
    assert family.best is None
    assert run.has_diverged
    family.validate(Check(2, -5.0, 0.0), eligible=True)
    family.validate(Check(3, bad, 0.0), eligible=True)
    assert family.best == Check(2, -5.0, 0.0)


# ------------------------------------------------------------------------------------------ going on


def interrupted(
    config: TrainConfig, rows: TrainingRows, path: Path, at: int, monkeypatch: pytest.MonkeyPatch, *plans: Plan
) -> Checkpoint:
    """The checkpoint, through its file, of a training that is stopped after step `at`."""
    monkeypatch.setattr(schedule_module, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    class Stop(Exception):
        pass

    def keep(progress: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        if progress["step"] == at:
            Checkpoint("this", progress, arrays).save(path)
            raise Stop

    with pytest.raises(Stop):
        trained(config, rows, *plans, on_checkpoint=keep)
    found = load_checkpoint(path, "this")
    assert found is not None
    return found


@pytest.mark.parametrize("at", [1, 4, 23, 49])
def test_resuming_is_as_if_nothing_had_happened(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted in any epoch, before or after a best check, both families end with the same bits."""
    whole = trained(QUICK, ROWS, *BOTH)
    checkpoint = interrupted(QUICK, ROWS, tmp_path / "checkpoint", at, monkeypatch, *BOTH)
    resumed = trained(QUICK, ROWS, *BOTH, resume=checkpoint)
    for i in range(2):
        assert_same(whole.parameters[i], resumed.parameters[i])
    assert (whole.history, whole.best, whole.n_steps) == (resumed.history, resumed.best, resumed.n_steps)


def test_resuming_from_rows_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same when the rows are streamed."""
    rows = RowsOnDisk(D, D, 0)
    rows.add(ROWS.rows)
    checkpoint = interrupted(QUICK, rows, tmp_path / "checkpoint", 11, monkeypatch)
    assert_same(trained(rows=rows).parameters[0], trained(rows=rows, resume=checkpoint).parameters[0])


def test_a_resumed_run_keeps_counting_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time budget is for all parts of a training together."""
    checkpoint = interrupted(QUICK, ROWS, tmp_path / "checkpoint", 30, monkeypatch)
    spent = dataclasses.replace(checkpoint, progress=checkpoint.progress | {"seconds": 100.0})
    assert trained(quick(time_budget_seconds=50.0), resume=spent).n_steps == 31


# ------------------------------------------------------------------------------------------ schedule and device


@given(
    n_rows=st.integers(1, 10**8),
    max_steps=st.integers(1, 10**5),
    batch_rows=st.integers(2, 10**5),
    max_epochs=st.integers(1, 1000),
)
def test_every_row_is_seen_at_least_once(n_rows: int, max_steps: int, batch_rows: int, max_epochs: int) -> None:
    """However many rows there are, the steps make one epoch or more, and never more epochs than allowed."""
    schedule = Schedule.of(n_rows, TrainConfig(max_steps=max_steps, batch_rows=batch_rows, max_epochs=max_epochs))
    assert schedule.n_steps * schedule.batch_rows >= n_rows
    assert schedule.n_steps <= max_epochs * math.ceil(n_rows / schedule.batch_rows)
    assert schedule.batch_rows >= batch_rows
    assert schedule.batch_rows <= max(batch_rows, schedule_module.LARGEST_BATCH_ROWS)


def test_more_steps_than_asked_only_for_a_whole_epoch() -> None:
    """`max_steps` holds unless one epoch needs more, and batches grow before steps do."""
    assert Schedule.of(1000, TrainConfig(max_steps=800, batch_rows=256)) == Schedule(256, 800)
    assert Schedule.of(800 * 1000, TrainConfig(max_steps=800, batch_rows=256)) == Schedule(1000, 800)
    assert Schedule.of(10**7, TrainConfig(max_steps=800, batch_rows=256)) == Schedule(4096, 2442)
    assert Schedule.of(100, TrainConfig(max_steps=800, batch_rows=256, max_epochs=3)) == Schedule(256, 3)


def test_a_step_sees_every_row_of_a_large_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """With few steps and many rows, each row is in exactly one batch of the epoch."""
    monkeypatch.setattr(schedule_module, "LARGEST_BATCH_ROWS", 32)
    rows, seen = RowsInMemory(correlated(700)), []
    drawn = Run.drawn

    def listening(self: Run, batch: Rows, *others: float) -> Step:
        seen.append(batch.values)
        return drawn(self, batch, *others)

    monkeypatch.setattr(Run, "drawn", listening)
    trained(quick(max_steps=5, batch_rows=8, patience=99), rows)
    found = np.concatenate(seen)
    assert found.shape == rows.rows.values.shape
    np.testing.assert_array_equal(found[np.lexsort(found.T)], rows.rows.values[np.lexsort(rows.rows.values.T)])


def test_an_absent_device_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """`cuda` without CUDA is an error with a hint; `auto` and `cpu` then mean the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EnvironmentProblem, match="CUDA") as caught:
        torch_device("cuda")
    assert "--device cpu" in caught.value.hint
    assert torch_device("auto") == torch_device("cpu") == "cpu"


def test_torch_keeps_its_threads() -> None:
    """Training borrows threads and gives them back, also when it fails."""
    before = torch.get_num_threads()
    trained(quick(max_steps=2))
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        trained(quick(max_steps=20), on_event=lambda event: 1 / 0)
    assert torch.get_num_threads() == before
