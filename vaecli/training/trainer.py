"""Who trains: this process, or another one that loads torch while this one reads the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, Unpack

from vaecli.config import TrainConfig
from vaecli.data.training_rows import TrainingRows
from vaecli.model.device import torch_device
from vaecli.training.plans import Plan, RunOptions, Trained

if TYPE_CHECKING:  # loads torch
    from vaecli.training.ranks import Crew

Result = TypeVar("Result")


class Trainer(Protocol):
    """A trainer knows its device and fits the members of an ensemble, once."""

    def device(self, device: str) -> str:
        """`cpu` or `cuda` for `auto` or one of them. Raises EnvironmentProblem when `cuda` is absent."""

    def for_rows(self, rows: TrainingRows) -> Trainer:
        """The trainer of these rows, which may be another."""

    def dismiss(self) -> None:
        """There is nothing to train."""

    def meanwhile(self, work: Callable[[], Result]) -> Callable[[], Result] | None:
        """Begin work that is done when training is, and what gives its result; None where this process trains."""

    def train(
        self, rows: TrainingRows, plans: Sequence[Plan], config: TrainConfig, **options: Unpack[RunOptions]
    ) -> Trained:
        """The members of all families, as `training.loop.train` gives them. Raises what it raises."""


@dataclass(frozen=True, slots=True)
class Here:
    """Training in this process, which loads torch for it, alone or with the other processes of `crew`."""

    crew: Crew | None = None

    def device(self, device: str) -> str:
        """The device by the torch of this process. See `Trainer`."""
        return torch_device(device)

    def for_rows(self, rows: TrainingRows) -> Trainer:  # noqa: ARG002
        """The same trainer, whatever the rows."""
        return self

    def dismiss(self) -> None:
        """Do nothing: no process waits."""

    def meanwhile(self, work: Callable[[], Result]) -> Callable[[], Result] | None:  # noqa: ARG002
        """None: nothing is done meanwhile."""
        return None

    def train(
        self, rows: TrainingRows, plans: Sequence[Plan], config: TrainConfig, **options: Unpack[RunOptions]
    ) -> Trained:
        """The members as `training.loop.train` gives them. See `Trainer`."""
        from vaecli.training.loop import ALONE, train

        return train(rows, plans, config, crew=self.crew or ALONE, **options)
