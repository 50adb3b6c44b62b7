"""What a running verb announces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One announcement of a running verb.

    `stage` names what is going on (`reading`, `training`, `calibrating`, `scoring`, `writing`);
    `done` of `total` units of it are done, `total` None when unknown (a stream has no length).
    `values` are figures worth showing beside the bar: `{"elbo": …, "kl": …}` in nats per row.
    """

    stage: str
    done: int
    total: int | None = None
    unit: str = "rows"
    values: tuple[tuple[str, float], ...] = ()


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An event listener that ignores every event."""
