"""Tables and bundles that many tests share; every fit here takes seconds."""

from __future__ import annotations

import gc
import signal
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

import vaecli
from vaecli.errors import MissingPackage

# a test run in the background of a script, or under nohup, would hand these down to every program as ignored
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

# the same examples on every run, so that a red test means a change; `--hypothesis-profile search` draws new ones
settings.register_profile("steady", max_examples=60, derandomize=True, deadline=None)
settings.register_profile("search", max_examples=500, deadline=None)
settings.load_profile("steady")


def of_a_hundred(n: int) -> settings:
    """For a law whose examples are costly: `n` of them on every run, and five times as many in a search of 500."""
    return settings(max_examples=n * max(1, settings.default.max_examples // 100))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests first, so that no worker is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("walk") is None)


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: half a million objects that no collection looks at again."""
    gc.freeze()


if find_spec("torch") is None:
    # `make pythons`: where torch cannot be had, what needs it is skipped and the rest runs
    collect_ignore = [
        str(path)
        for path in Path(__file__).parent.rglob("test_*.py")
        if any(line.startswith(("import torch", "from vaecli.training")) for line in path.read_text().splitlines())
    ]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup() -> Generator[None]:
        try:
            yield
        except MissingPackage as problem:
            pytest.skip(problem.message)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call() -> Generator[None]:
        try:
            yield
        except MissingPackage as problem:
            pytest.skip(problem.message)


QUICK = {
    "train.max_steps": 120,
    "heteroscedastic.n_hidden": 16,
    "heteroscedastic.n_latent": 3,
    "homoscedastic.n_hidden": 16,
    "homoscedastic.n_latent": 3,
    "model.n_exemplars": 50,
}


def sensor_table(n_rows: int, seed: int) -> pd.DataFrame:
    """Rows of a small machine: three numbers that move together, a switch, a mode, gaps in one column."""
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            "pressure": 5 + load + 0.1 * rng.normal(size=n_rows),
            "flow": 100 + 20 * load + 3 * rng.normal(size=n_rows),
            "temperature": 60 + 4 * rng.normal(size=n_rows),
            "pump_on": np.where(load > -1, "yes", "no"),
            "mode": rng.choice(["eco", "normal", "boost"], n_rows, p=[0.3, 0.6, 0.1]),
        }
    )
    frame.loc[rng.random(n_rows) < 0.1, "temperature"] = np.nan
    return frame


@pytest.fixture(scope="session")
def normal_table() -> pd.DataFrame:
    """600 normal rows."""
    return sensor_table(600, seed=0)


@pytest.fixture(scope="session")
def fresh_table() -> pd.DataFrame:
    """500 more rows of the same machine."""
    return sensor_table(500, seed=1)


@pytest.fixture(scope="session")
def model(normal_table: pd.DataFrame) -> vaecli.Model:
    """A model of the normal rows, fitted in about two seconds."""
    return vaecli.fit(normal_table, **QUICK)


@pytest.fixture(scope="session")
def bundle(model: vaecli.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That model as a file. Tests must not change it."""
    path = tmp_path_factory.mktemp("bundle") / "model.vae"
    model.save(path)
    return path


@pytest.fixture(scope="session")
def normal_csv(normal_table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The normal rows as CSV. Tests must not change it."""
    path = tmp_path_factory.mktemp("tables") / "normal.csv"
    normal_table.to_csv(path, index=False)
    return path
