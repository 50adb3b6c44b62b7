"""Training in another process gives the same to the bit, and whatever happens to it is an answer."""

from __future__ import annotations

import pickle
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.test_ranks import BOTH, QUICK, assert_same, rows
from vaecli.data.training_rows import RowsInMemory, RowsOnDisk
from vaecli.errors import EnvironmentProblem, UsageError
from vaecli.results import Event
from vaecli.training import schedule, trainer_process as module
from vaecli.training.checkpoint import Checkpoint
from vaecli.training.plans import Trained
from vaecli.training.trainer import Here
from vaecli.training.trainer_process import Beside, trainer_beside

ROWS = RowsInMemory(rows())


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Beside]:
    """A trainer in another process, as if torch were not loaded here."""
    monkeypatch.setattr(module, "pays", lambda: True)
    with trainer_beside() as trainer:
        assert isinstance(trainer, Beside)
        yield trainer
    assert trainer.process.has_ended


@pytest.fixture(scope="module")
def here() -> tuple[Trained, list[Event]]:
    """What this process trains, and what it announces."""
    events: list[Event] = []
    return Here().train(ROWS, BOTH, QUICK, on_event=events.append), events


def test_the_same_members_and_events(beside: Beside, here: tuple[Trained, list[Event]]) -> None:
    """To the bit, with the same announcements; and work that was begun meanwhile is done then."""
    trained, announced = here
    done: list[str] = []
    result = beside.meanwhile(lambda: done.append(threading.current_thread().name) or 7)
    failed = beside.meanwhile(lambda: 1 // 0)
    assert beside.for_rows(ROWS) is beside
    assert beside.device("cpu") == "cpu"
    events: list[Event] = []
    assert_same(beside.train(ROWS, BOTH, QUICK, on_event=events.append), trained)
    assert events == announced
    assert done != [threading.main_thread().name]
    assert len(done) == 1
    assert result is not None
    assert result() == 7
    assert failed is not None
    with pytest.raises(ZeroDivisionError):
        failed()


@pytest.mark.slow
def test_resumed_beside_from_a_checkpoint(
    beside: Beside, here: tuple[Trained, list[Event]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint of this process is gone on from in the other one, to the same members."""
    monkeypatch.setattr(schedule, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)

    class Enough(Exception):
        pass

    def stop(progress: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        if progress["step"] >= 20:
            raise Enough(Checkpoint("", progress, arrays))

    with pytest.raises(Enough) as stopped:
        Here().train(ROWS, BOTH, QUICK, on_checkpoint=stop)
    (checkpoint,) = stopped.value.args
    saved: list[int] = []
    trained = beside.train(
        ROWS, BOTH, QUICK, resume=checkpoint, on_checkpoint=lambda progress, _: saved.append(progress["step"])
    )
    assert_same(trained, here[0])
    assert saved == []  # ten seconds have not passed there


def test_problems_are_raised_here(beside: Beside) -> None:
    """Of the same type, message and hint; the place where one was raised is a note."""
    diverging = replace(QUICK, learning_rate=1e30)
    with pytest.raises(UsageError, match="training diverged") as there:
        beside.train(ROWS, BOTH, diverging)
    with pytest.raises(UsageError) as same:
        Here().train(ROWS, BOTH, diverging)
    assert (there.value.message, there.value.hint) == (same.value.message, same.value.hint)
    assert "in train\n" in there.value.__notes__[0]


def test_one_that_is_killed_while_it_trains(beside: Beside) -> None:
    """An error that names the signal."""

    def kill(_: Event) -> None:
        beside.process.kill()

    long = replace(QUICK, max_steps=100_000, max_epochs=10**6, patience=10**6)
    with pytest.raises(EnvironmentProblem, match=r"the process that trains was killed \(signal 9\)") as ended:
        beside.train(ROWS, BOTH, long, on_event=kill)
    assert ended.value.exit_code == 7


@pytest.mark.parametrize("when", ["at once", pytest.param("after the question", marks=pytest.mark.slow)])
def test_one_that_ends_before_it_trains(beside: Beside, here: tuple[Trained, list[Event]], when: str) -> None:
    """This process trains."""
    if when == "at once":
        beside.process.kill()
    assert beside.device("cpu") == "cpu"
    beside.process.kill()
    beside.process.wait()
    assert_same(beside.train(ROWS, BOTH, QUICK), here[0])


def test_many_rows_are_trained_on_here(beside: Beside, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not sent; rows on disk neither. The process is not needed then."""
    on_disk = RowsOnDisk(3, 3, 1)
    assert isinstance(beside.for_rows(on_disk), Here)
    monkeypatch.setattr(module, "MOST_BYTES", ROWS.rows.values.nbytes)
    assert isinstance(beside.for_rows(ROWS), Here)
    assert beside.process.wait() == -signal.SIGKILL


def test_where_another_process_does_not_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one core, with torch loaded, in a program that is one file, or without an interpreter to start."""
    assert "torch" in sys.modules
    assert not module.pays()
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(module, "n_cores", lambda: 2)
    assert module.pays()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "frozen", True, raising=False)
        assert not module.pays()
    with monkeypatch.context() as patch:
        patch.setattr(module, "n_cores", lambda: 1)
        assert not module.pays()
        with trainer_beside() as trainer:
            assert isinstance(trainer, Here)
            assert trainer.meanwhile(lambda: 1) is None
    monkeypatch.setattr(sys, "executable", str(Path("no", "python")))
    with trainer_beside() as trainer:
        assert isinstance(trainer, Here)


class Unsendable(Exception):
    """An error of a library whose arguments are not what it is made of."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"{what} at {where}")


@pytest.mark.parametrize(
    "problem", [Unsendable("no convergence", "step 3"), ValueError(lambda: 0)], ids=["made", "held"]
)
def test_a_problem_that_cannot_be_sent(problem: Exception) -> None:
    """Its type and text arrive, and where it was raised."""
    try:
        raise problem
    except Exception as raised:
        sent = pickle.loads(pickle.dumps(module._sent(raised)))
    assert type(sent) is RuntimeError
    assert str(sent) == f"{type(problem).__name__}: {problem}"
    assert "in test_a_problem_that_cannot_be_sent\n" in sent.__notes__[0]
