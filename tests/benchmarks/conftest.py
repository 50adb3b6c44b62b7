"""The benchmark scripts as modules, short fits, and how a script refuses to run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
QUICK = {"train.max_steps": 20, "model.n_exemplars": 40, "heteroscedastic.n_hidden": 8, "homoscedastic.n_hidden": 8}
FACTS = {
    "date_utc": "today",
    "cores": 2,
    "processor": "some",
    "system": "some",
    "threads": "1",
    "python": "3",
    "versions": {},
    "commit": "abc",
}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Imports a script of the benchmarks folder by its name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def bench(script: Callable[[str], ModuleType], request: pytest.FixtureRequest) -> ModuleType:
    """The script that a test file is named after: benchmarks/digits.py in test_digits.py."""
    return script(request.path.stem.removeprefix("test_"))


def refusal(main: Callable[[], None], words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a benchmark prints on standard error before it ends with exit code 2."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["benchmark.py", *words])
        with pytest.raises(SystemExit) as stopped:
            main()
    assert stopped.value.code == 2
    return capsys.readouterr().err


def refusal_without_data(main: Callable[[], None], words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line about --data that a benchmark prints before it ends with exit code 2."""
    printed = refusal(main, words, capsys)
    assert printed.startswith("--data")
    assert len(printed.splitlines()) == 1
    return printed
