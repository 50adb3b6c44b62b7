"""How the engine of this machine cuts its input."""

from __future__ import annotations

import pytest

from vaecli.config import ScoreConfig
from vaecli.engines.local import MOST_AT_ONCE, LocalEngine
from vaecli.model.tiles import TILE_ROWS


@pytest.mark.parametrize(("asked", "taken"), [(100, 100), (16_384, MOST_AT_ONCE), (1_000_000, MOST_AT_ONCE)])
def test_a_batch_on_the_cpu_has_at_most_so_many_rows(asked: int, taken: int) -> None:
    """What a worker holds in memory has a limit, a whole number of tiles; a batch for a GPU is as large as asked."""
    config = ScoreConfig(batch_rows=asked, workers=3)
    assert LocalEngine.of(config) == LocalEngine(taken, 3)
    assert LocalEngine.of(config, most_workers=2) == LocalEngine(asked, 2)
    assert MOST_AT_ONCE % TILE_ROWS == 0
