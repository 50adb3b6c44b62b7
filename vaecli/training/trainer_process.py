"""Training in another process, which loads torch while this one reads the table and loads scikit-learn.

To load torch takes a second, as long as a small table takes for all else (docs/adr/0061-a-process-that-trains.md).
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Unpack

import numpy as np

from vaecli.config import TrainConfig
from vaecli.data.training_rows import Rows, RowsInMemory, TrainingRows
from vaecli.errors import EnvironmentProblem
from vaecli.results import Event, OnEvent, ignore
from vaecli.runtime.blas import reserve_buffers
from vaecli.runtime.memory import keep_freed_memory
from vaecli.runtime.parallel import n_cores
from vaecli.runtime.python_process import Channel, PythonProcess, can_be_sent, channel_of_child
from vaecli.training.checkpoint import Checkpoint
from vaecli.training.plans import OnCheckpoint, Plan, RunOptions, Trained
from vaecli.training.trainer import Here, Result, Trainer

MOST_BYTES = 2**26  # of rows that are sent: more of them train for so long that a second hardly counts


@dataclass(frozen=True, slots=True)
class _Question:
    """Which device `device` stands for."""

    device: str


@dataclass(frozen=True, slots=True)
class _Task:
    """What `Trainer.train` is given."""

    rows: Rows
    plans: Sequence[Plan]
    config: TrainConfig
    resume: Checkpoint | None
    saves: bool  # whether checkpoints are wanted


@dataclass(frozen=True, slots=True)
class _Progress:
    """What a checkpoint holds."""

    progress: dict[str, Any]
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class _Answer:
    """The value that was asked for, or what was raised instead."""

    value: str | Trained | None = None
    problem: Exception | None = None


class _Gone(EnvironmentProblem):
    """The process has ended."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A trainer in a process of its own. One that ends while it trains raises EnvironmentProblem."""

    process: PythonProcess
    pool: ThreadPoolExecutor
    work: list[Future[Any]] = field(default_factory=list)

    def device(self, device: str) -> str:
        """The device by the torch of the process. See `Trainer`."""
        with suppress(_Gone):  # before it did anything, as where a limit allows it no memory or threads
            return str(self._answer(_Question(device), ignore, None))
        return Here().device(device)

    def for_rows(self, rows: TrainingRows) -> Trainer:
        """The same trainer; for many rows, which are not sent, one that trains here."""
        if isinstance(rows, RowsInMemory) and _n_bytes(rows.rows) <= MOST_BYTES:
            return self
        self.dismiss()
        return Here()

    def dismiss(self) -> None:
        """Kill the process."""
        self.process.kill()

    def meanwhile(self, work: Callable[[], Result]) -> Callable[[], Result] | None:
        """Begin the work in a thread, which has the cores that training leaves. See `Trainer`."""
        future = self.pool.submit(work)
        self.work.append(future)
        return future.result

    def train(
        self, rows: TrainingRows, plans: Sequence[Plan], config: TrainConfig, **options: Unpack[RunOptions]
    ) -> Trained:
        """The members from the process, to the bit as from this one. The rows are those of `for_rows`.

        Work that was begun meanwhile has ended then. See `Trainer`.
        """
        if self.process.has_ended:
            wait(self.work)
            return Here().train(rows, plans, config, **options)
        assert isinstance(rows, RowsInMemory)
        on_checkpoint = options.get("on_checkpoint")
        task = _Task(
            rows.rows._replace(readouts=None), plans, config, options.get("resume"), saves=on_checkpoint is not None
        )
        trained = self._answer(task, options.get("on_event", ignore), on_checkpoint)
        self.process.kill()  # its memory is free while this one calibrates
        wait(self.work)  # it sets how many threads BLAS has, in the whole process
        assert isinstance(trained, Trained)
        return trained

    def _answer(
        self, request: _Question | _Task, on_event: OnEvent, on_checkpoint: OnCheckpoint | None
    ) -> str | Trained | None:
        self._send(request)
        while True:
            match self._received():
                case Event() as event:
                    on_event(event)
                case _Progress(progress, arrays):
                    assert on_checkpoint is not None
                    on_checkpoint(progress, arrays)
                case _Answer(value, problem):
                    if problem is not None:
                        raise problem
                    return value

    def _send(self, request: _Question | _Task) -> None:
        try:
            self.process.channel.send(request)
        except ConnectionError:
            raise self._gone() from None

    def _received(self) -> Event | _Progress | _Answer:
        try:
            received: Event | _Progress | _Answer = self.process.channel.receive()
        except EOFError:
            raise self._gone() from None
        return received

    def _gone(self) -> _Gone:
        code = self.process.wait()
        how = f"was killed (signal {-code})" if code < 0 else f"ended with code {code}"
        return _Gone(
            f"the process that trains {how}",
            "if memory is short, try --preset fast; the log of the system may name who killed it",
        )


def _n_bytes(rows: Rows) -> int:
    """The bytes of what training needs of the rows."""
    return rows.values.nbytes + rows.state.nbytes + rows.fold.nbytes


def pays() -> bool:
    """Whether another process may load torch while this one does something else."""
    can_start = bool(sys.executable) and not getattr(sys, "frozen", False)
    return can_start and n_cores() > 1 and "torch" not in sys.modules


@contextmanager
def trainer_beside() -> Iterator[Trainer]:
    """A process that trains, gone at the end; this process where another is no faster or cannot be had."""
    if not pays():
        yield Here()
        return
    try:
        process = PythonProcess.start(__name__, serve.__name__)
    except OSError:  # there may be no more processes, for one
        yield Here()
        return
    pool = ThreadPoolExecutor(1, "vaecli-meanwhile")
    try:
        yield Beside(process, pool)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        process.end()


def serve() -> None:
    """Answer requests until the process that started this one is gone."""
    channel = channel_of_child()
    keep_freed_memory()
    with suppress(Exception):  # it is raised again where it is asked for
        importlib.import_module("vaecli.training.loop")
        reserve_buffers()
    with suppress(EOFError, ConnectionError):
        while True:
            request = channel.receive()
            try:
                answer = _Answer(_answered(request, channel))
            except ConnectionError:
                raise
            except Exception as problem:
                answer = _Answer(problem=_sent(problem))
            channel.send(answer)


def _answered(request: _Question | _Task, channel: Channel) -> str | Trained:
    match request:
        case _Question(device):
            return Here().device(device)
        case _Task() as task:
            return Here().train(
                RowsInMemory(task.rows),
                task.plans,
                task.config,
                on_event=channel.send,
                on_checkpoint=(lambda *parts: channel.send(_Progress(*parts))) if task.saves else None,
                resume=task.resume,
            )


def _sent(problem: Exception) -> Exception:
    """The problem with the place where it was raised, which does not travel with it.

    One that cannot be pickled is a RuntimeError of the same text.
    """
    sent = problem if can_be_sent(problem) else RuntimeError(f"{type(problem).__name__}: {problem}")
    sent.add_note(f"in the process that trains:\n{''.join(traceback.format_tb(problem.__traceback__))}")
    return sent
