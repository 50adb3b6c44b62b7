"""Where this process stands among those that torchrun started together: its rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_MEETING = ("MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True, slots=True)
class Place:
    """The rank of a process among `n`, and among the `n_local` of its machine, both counted from 0."""

    rank: int
    n: int
    local_rank: int
    n_local: int

    @property
    def is_first(self) -> bool:
        """Whether it is the process that prints, calibrates and writes."""
        return self.rank == 0


def place_of(environment: Mapping[str, str]) -> Place | None:
    """The place that torchrun, or a launcher with the same variables, gave this process; None without one."""
    given = [environment.get(name, "") for name in _NAMES]
    if not all(map(environment.get, _MEETING)) or not all(text.isdecimal() for text in given):
        return None
    return Place(*map(int, given))
