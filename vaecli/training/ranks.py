"""Processes that train one ensemble together: which members each trains, and what they exchange.

On the CPU every member is computed by itself, so that its bits do not depend on who trains beside it; on CUDA the
members of a rank are one batched product. Nothing but held-out looks, the clock and checkpoints is exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Protocol, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from vaecli.errors import EnvironmentProblem, MissingDevice, MissingPackage, RankLost, UsageError
from vaecli.model.device import torch_device
from vaecli.runtime.place import Place

Value = TypeVar("Value")

_LONGEST_WAIT = timedelta(days=1)  # for a rank that reads its table; one that has ended is noticed at once


@dataclass(frozen=True, slots=True)
class Unit:
    """The members `first` to `stop` of the family `family`, which are trained in one batched product; perhaps none."""

    family: int
    first: int
    stop: int

    @property
    def members(self) -> slice:
        """The members as a slice of the first axis of the parameters of their family."""
        return slice(self.first, self.stop)


class Crew(Protocol):
    """A crew trains an ensemble: this process alone, or the ranks of torchrun."""

    def units(self, costs: Sequence[float], n_members: Sequence[int]) -> list[Unit]:
        """The units that this process trains, at least one of each family, in order; `costs` are those of a member."""

    @property
    def n_here(self) -> int:
        """The processes that share the cores of this machine."""

    @property
    def one_thread_each(self) -> bool:
        """Whether a unit has one thread, however large its batches are: more change its last bits."""

    def summed(self, values: Tensor) -> Tensor:
        """The sum (n,) over all processes of `values` (n,), each of which is 0 in all processes but one."""

    def agreed(self, value: Value) -> Value:
        """The value that the first process has."""

    def joined(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays (e, …) of all members from those (m, …) of each process."""


@dataclass(frozen=True, slots=True)
class Alone:
    """One process trains all members, a family in one batched product."""

    n_here: ClassVar[int] = 1
    one_thread_each: ClassVar[bool] = False

    def units(self, costs: Sequence[float], n_members: Sequence[int]) -> list[Unit]:  # noqa: ARG002
        """A unit per family."""
        return [Unit(i, 0, n) for i, n in enumerate(n_members)]

    def summed(self, values: Tensor) -> Tensor:
        """The values (n,) themselves."""
        return values

    def agreed(self, value: Value) -> Value:
        """The value itself."""
        return value

    def joined(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays (e, …) themselves."""
        return dict(arrays)


@dataclass(frozen=True, slots=True)
class Ranks:
    """The processes of torchrun. Its functions raise RankLost where another rank has ended."""

    place: Place
    on_cpu: bool
    one_thread_each: ClassVar[bool] = True

    def units(self, costs: Sequence[float], n_members: Sequence[int]) -> list[Unit]:
        """The share of this rank of each family, by cost. Raises UsageError for more ranks than members."""
        counts = shares(costs, n_members, self.place.n)
        units = []
        for family, of_ranks in enumerate(counts):
            first = int(of_ranks[: self.place.rank].sum())
            stop = first + int(of_ranks[self.place.rank])
            if first == stop:
                units.append(Unit(family, 0, 0))
            elif self.on_cpu:
                units += [Unit(family, i, i + 1) for i in range(first, stop)]
            else:
                units.append(Unit(family, first, stop))
        return units

    @property
    def n_here(self) -> int:
        """The ranks of this machine."""
        return self.place.n_local

    def summed(self, values: Tensor) -> Tensor:
        """The sum (n,) over the ranks, by NCCL if the values (n,) are on a GPU. Raises RankLost."""
        with _lost():
            dist.all_reduce(values)
        return values

    def agreed(self, value: Value) -> Value:
        """The value of rank 0. Raises RankLost."""
        values = [value]
        with _lost():
            dist.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        return values[0]

    def joined(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays (e, …), those of rank 0 first."""
        parts = self.gathered(dict(arrays))
        return {name: np.concatenate([part[name] for part in parts]) for name in arrays}

    def gathered(self, value: Value) -> list[Value]:
        """The values of all ranks, in their order. Raises RankLost."""
        values: list[Value] = [value] * self.place.n
        with _lost():
            dist.all_gather_object(values, value, group=None)
        return values

    def require_equal(self, what: str, value: str) -> None:
        """Raise EnvironmentProblem on every rank unless all have the same value."""
        values = self.gathered(value)
        if different := [rank for rank, other in enumerate(values) if other != values[0]]:
            raise EnvironmentProblem(
                f"rank {different[0]} of {self.place.n} has {what} other than those of rank 0",
                "give every rank the same input, settings and version of vaecli",
            )


def shares(costs: Sequence[float], n_members: Sequence[int], n: int) -> np.ndarray:
    """How many members of each family each of n ranks trains, (families, n); `costs` are those of one member.

    The costliest members go first, each to the rank that has least to do. Raises UsageError for more ranks than
    members.
    """
    if n > sum(n_members):
        raise UsageError(
            f"there are {n} ranks and {sum(n_members)} members of the ensemble to train",
            f"start at most {sum(n_members)} processes, or more members with a larger preset or calibration.n_folds",
        )
    counts, load = np.zeros((len(n_members), n), np.int64), np.zeros(n)
    for family in sorted(range(len(n_members)), key=lambda family: -costs[family]):
        for _ in range(n_members[family]):
            rank = int(load.argmin())
            counts[family, rank] += 1
            load[rank] += costs[family]
    return counts


@contextmanager
def ranks_of(place: Place, device: str) -> Iterator[Ranks]:
    """Meet the other ranks, by gloo and on CUDA devices also by NCCL; with a GPU each rank has its own.

    Raises EnvironmentProblem where there are fewer devices than ranks, or the ranks do not meet.
    """
    if not dist.is_available():
        raise MissingPackage("this build of torch has no torch.distributed", "install another, or fit without torchrun")
    on_cpu = torch_device(device) == "cpu"
    if not on_cpu:
        n_devices = torch.cuda.device_count()
        if place.n_local > n_devices:
            raise MissingDevice(
                f"{place.n_local} ranks on this machine and {n_devices} CUDA devices",
                f"start {n_devices} processes a machine, or use --device cpu",
            )
        torch.cuda.set_device(place.local_rank)
    try:
        dist.init_process_group(
            "gloo" if on_cpu else "cpu:gloo,cuda:nccl", rank=place.rank, world_size=place.n, timeout=_LONGEST_WAIT
        )
    except (RuntimeError, ValueError) as problem:
        raise EnvironmentProblem(
            f"rank {place.rank} of {place.n} does not find the others: {problem}", "start them together with torchrun"
        ) from None
    try:
        yield Ranks(place, on_cpu)
    finally:
        dist.destroy_process_group()


@contextmanager
def _lost() -> Iterator[None]:
    try:
        yield
    except RuntimeError as problem:
        raise RankLost("another rank has ended", "see its message or the report of torchrun") from problem
