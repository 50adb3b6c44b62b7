"""Ranks that train together: who trains which member, and members whose bits do not depend on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from vaecli.config import TrainConfig
from vaecli.data.training_rows import Rows, RowsInMemory
from vaecli.errors import UsageError
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.ppca_init import start_parameters
from vaecli.runtime.place import Place, place_of
from vaecli.schema import Column, Kind, Layout
from vaecli.training import schedule
from vaecli.training.checkpoint import Checkpoint
from vaecli.training.loop import train
from vaecli.training.plans import Plan, Trained
from vaecli.training.ranks import Ranks, shares

E, N = 3, 201  # the last batch of an epoch has 9 rows
QUICK = TrainConfig(device="cpu", max_steps=40, batch_rows=64)
LIKELIHOOD = Likelihood.of(Layout.of([Column(f"x{j}", Kind.NUMERIC) for j in range(3)]), np.array([0, 7, 0]), N, -3.0)


def rows() -> Rows:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(N, 1)) * [1.0, -0.9, 0.7] + 0.3 * rng.normal(size=(N, 3))
    state = np.zeros((N, 3), np.uint8)
    state[::30, 1] = 1
    return Rows(numbers.astype(np.float32), state, np.arange(N) % E)


def plan(held_out: tuple[int, ...], n_hidden: int, homoscedastic: bool) -> Plan:
    start = start_parameters(
        rows(), LIKELIHOOD, held_out=held_out, n_latent=2, n_hidden=n_hidden, homoscedastic=homoscedastic, seed=0
    )
    return Plan(LIKELIHOOD, start, held_out, 1.0, homoscedastic)


BOTH = (plan((0, 1, 2), 7, False), plan((0, 2), 5, True))


class Meeting:
    """What the ranks of one machine show each other, in threads instead of processes."""

    def __init__(self, n: int) -> None:
        self.shown: list[Any] = [None] * n
        self.barrier = Barrier(n, timeout=60)

    def all(self, rank: int, value: Any) -> list[Any]:
        self.shown[rank] = value
        self.barrier.wait()
        found = list(self.shown)
        self.barrier.wait()
        return found


@dataclass(frozen=True)
class InThreads(Ranks):
    """Ranks that meet without torch.distributed."""

    meeting: Meeting | None = None

    def gathered(self, value: Any) -> list[Any]:
        assert self.meeting is not None
        return self.meeting.all(self.place.rank, value)

    def summed(self, values: torch.Tensor) -> torch.Tensor:
        return torch.stack(self.gathered(values)).sum(0)

    def agreed(self, value: Any) -> Any:
        return self.gathered(value)[0]


def trained_by(n: int, resume: Checkpoint | None = None, on_checkpoint: Any = None) -> list[Trained]:
    """What each of n ranks has in the end."""
    meeting = Meeting(n)

    def one(rank: int) -> Trained:
        crew = InThreads(Place(rank, n, rank, n), on_cpu=True, meeting=meeting)
        return train(RowsInMemory(rows()), BOTH, QUICK, crew=crew, resume=resume, on_checkpoint=on_checkpoint)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


def assert_same(a: Trained, b: Trained) -> None:
    assert (a.history, a.best, a.n_steps) == (b.history, b.best, b.n_steps)
    for one, other in zip(a.parameters, b.parameters, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.fixture(scope="module")
def by_one() -> Trained:
    return trained_by(1)[0]


@pytest.mark.parametrize("n", [2, 4, 5])
def test_members_are_the_same_whoever_trains_them(n: int, by_one: Trained) -> None:
    """One rank, and several of which some have no member of a family, end with the same bits, and all know all."""
    for found in trained_by(n):
        assert_same(found, by_one)


def test_a_checkpoint_of_two_ranks_is_resumed_by_four(by_one: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    """The progress that ranks gather holds every member, and goes on as if nothing had happened."""
    monkeypatch.setattr(schedule, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    kept: list[Checkpoint] = []

    def keep(progress: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        if progress["step"] == 23:
            kept.append(Checkpoint("this", progress, dict(arrays)))

    trained_by(2, on_checkpoint=keep)
    assert len(kept) == 2  # both ranks are given it; the first one writes it
    assert_same(trained_by(4, kept[1])[0], by_one)


def test_ranks_and_one_process_learn_the_same_but_for_rounding(by_one: Trained) -> None:
    """Members that are multiplied together and one by one differ by rounding only, after 40 steps still."""
    alone = train(RowsInMemory(rows()), BOTH, QUICK)
    assert [check.step for check in alone.best] == [check.step for check in by_one.best]
    for family in range(2):
        np.testing.assert_allclose(alone.best[family].elbo, by_one.best[family].elbo, rtol=1e-3)


@given(
    st.lists(st.tuples(st.floats(0.1, 100.0), st.integers(1, 20)), min_size=1, max_size=4),
    st.integers(1, 30),
)
def test_shares_are_even(families: Sequence[tuple[float, int]], n: int) -> None:
    """Every member has a rank and every rank a member, and none has more than a member more than it must."""
    costs, n_members = [cost for cost, _ in families], [n_of for _, n_of in families]
    if n > sum(n_members):
        with pytest.raises(UsageError, match=f"there are {n} ranks and {sum(n_members)} members"):
            shares(costs, n_members, n)
        return
    counts = shares(costs, n_members, n)
    assert counts.sum(1).tolist() == n_members
    assert counts.sum(0).min() >= 1
    load = np.array(costs) @ counts
    assert load.max() <= load.sum() / n + max(costs) * (1 + 1e-9)


def test_both_families_are_divided() -> None:
    """Five members of 128 hidden units and five of 64: each of two ranks has some of both, whatever their ratio."""
    for cost in (25_000.0, 40_000.0):
        assert shares([cost, 20_000.0], [5, 5], 2).tolist() == [[3, 2], [2, 3]]


def test_ranks_ask_each_other_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a checkpoint is due is asked some twenty times between two of them, and not at every step."""
    clock, now = schedule.Clock(None, 0.0), [0.0]
    monkeypatch.setattr(schedule.time, "monotonic", lambda: now[0])
    clock._began, now[0] = 0.0, 2.0
    assert clock.pause(1_000) == 250  # half a second
    now[0] = 100.0
    assert clock.pause(3) == 1


GIVEN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
MEETING = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def test_a_place_is_what_torchrun_says() -> None:
    """All variables of torchrun make a place; some of them, as other programs set them, do not."""
    assert place_of(GIVEN | MEETING) == Place(1, 4, 1, 2)
    assert place_of(GIVEN) is None
    assert place_of(MEETING | GIVEN | {"RANK": "one"}) is None
    assert place_of({"RANK": "1", **MEETING}) is None
