"""How long training lasts, and at which learning rate and weight of the KL."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from vaecli.config import TrainConfig

LEARNING_RATE_WARMUP_STEPS = 30
LARGEST_BATCH_ROWS = 4096
SECONDS_BETWEEN_CHECKPOINTS = 10.0
QUESTIONS_PER_CHECKPOINT = 20  # how often processes that train together ask whether one is due


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


def learning_rate_factor(step: int, progress: float) -> float:
    """A short linear warm-up, then half a cosine to zero; `progress` in [0, 1] is the share of training done."""
    return min(1.0, step / LEARNING_RATE_WARMUP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class Clock:
    """Wall-clock time of one training, over all its resumptions."""

    def __init__(self, budget_seconds: float | None, already: float) -> None:
        self._budget, self._start = budget_seconds, time.monotonic() - already
        self._last_checkpoint = self._began = time.monotonic()

    def elapsed(self) -> float:
        """Seconds of training so far."""
        return time.monotonic() - self._start

    def share(self) -> float:
        """The share of the budget that is spent; 0 without a budget."""
        return self.elapsed() / self._budget if self._budget else 0.0

    def wants_checkpoint(self) -> bool:
        """Whether ten seconds have passed since the last checkpoint."""
        now = time.monotonic()
        if now - self._last_checkpoint < SECONDS_BETWEEN_CHECKPOINTS:
            return False
        self._last_checkpoint = now
        return True

    def pause(self, n_steps: int) -> int:
        """After how many more steps to ask again whether a checkpoint is due, at the speed of the `n_steps` so far.

        Processes that train together have to agree on the answer, and would wait for each other at every step.
        """
        seconds = max(time.monotonic() - self._began, 1e-9)
        return max(1, int(n_steps / seconds * SECONDS_BETWEEN_CHECKPOINTS / QUESTIONS_PER_CHECKPOINT))
