"""Batches of interleaved series: large enough that histories cost little, and no larger."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vaecli.tasks import sensors
from vaecli.tasks.sensors import GROUPED_ROWS, JOINED_BYTES, ROWS_PER_SERIES, joined

ROWS = 4_096


def parts(n: int, n_series: int, n_bytes: int = 0) -> list[Any]:
    """Read batches of ROWS rows, each of so many series."""
    batch = SimpleNamespace(n_rows=ROWS, table=SimpleNamespace(nbytes=n_bytes), lines=None, whole=None)
    keys = tuple(str(number) for number in range(n_series))
    return [SimpleNamespace(batch=batch, scaled=np.empty(0), keys=keys) for _ in range(n)]


@pytest.fixture(autouse=True)
def _counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sensors, "_one", len)


@pytest.mark.parametrize(
    ("n_series", "rows"),
    [(1, ROWS_PER_SERIES), (10, 10 * ROWS_PER_SERIES), (1_000, GROUPED_ROWS), (ROWS, GROUPED_ROWS)],
)
def test_batches_grow_with_the_number_of_series(n_series: int, rows: int) -> None:
    """Up to a limit, for the sake of memory."""
    found = list(joined(parts(100, n_series), GROUPED_ROWS))
    assert sum(found) == 100  # type: ignore[arg-type]
    assert set(found[:-1]) == {rows // ROWS}
    assert found[-1] <= rows // ROWS  # type: ignore[operator]


def test_wide_batches_are_not_joined_beyond_their_bytes() -> None:
    assert list(joined(parts(6, 1_000, JOINED_BYTES // 2), GROUPED_ROWS)) == [2, 2, 2]
