"""Which process trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from vaecli.config import FitConfig
from vaecli.runtime import program
from vaecli.tables import frame_source
from vaecli.training.trainer import Here
from vaecli.workflows import fit as module


@contextmanager
def beside() -> Iterator[str]:
    yield "another"


def test_another_process_trains_small_tables_of_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not those of a Python session, of torchrun, or of large files; what lies elsewhere counts as small."""
    small, large = tmp_path / "small.csv", tmp_path / "large.csv"
    small.write_text("x\n1\n")
    large.write_bytes(b"")
    with large.open("r+b") as file:
        file.truncate(module.MOST_BYTES_OF_FILES)
    monkeypatch.setattr(module, "trainer_beside", beside)

    def chosen(*files: object, ranks: object = None) -> object:
        source = SimpleNamespace(files=tuple(map(str, files)))
        with module._trainer(source, ranks) as trainer:  # type: ignore[arg-type]
            return trainer

    monkeypatch.setattr(program, "is_running", lambda: False)
    assert chosen(small) == Here()
    monkeypatch.setattr(program, "is_running", lambda: True)
    assert [chosen(), chosen(small), chosen(large), chosen("s3://lake/day.parquet")] == ["another"] * 4
    assert chosen(small, large) == Here()
    ranks = object()
    assert chosen(small, ranks=ranks) == Here(ranks)  # type: ignore[arg-type]


def test_the_program_notes_that_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `run` does, which ends the process; `main` may be called again and again."""
    monkeypatch.setattr(program, "_begun", [])
    assert not program.is_running()
    program.begin()
    assert program.is_running()


def test_judges_begin_after_the_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """They limit the threads of BLAS in the whole process; start parameters have other bits with another number."""
    order: list[str] = []

    class Noted(Exception):
        pass

    class Noting:
        """A trainer that notes when work begins."""

        def for_rows(self, _rows: object) -> Noting:
            return self

        def meanwhile(self, _work: object) -> None:
            order.append("judges")

        def device(self, _device: str) -> str:
            raise Noted

    def plans_of(*_given: object) -> tuple[()]:
        order.append("plans")
        return ()

    monkeypatch.setattr(module, "_trainer", lambda _source, _ranks: nullcontext(Noting()))
    monkeypatch.setattr(module, "plans_of", plans_of)
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 3)), columns=["a", "b", "c"])
    with pytest.raises(Noted):
        module.fit_source(frame_source(table), FitConfig())
    assert order == ["plans", "judges"]
