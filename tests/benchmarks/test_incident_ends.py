"""The benchmark of ends: what it counts, on a made-up pool whose chance rows are like the fault."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture
def pool(bench: ModuleType, monkeypatch: pytest.MonkeyPatch):
    """One row of 1,000 is flagged by chance, and deviates as the fault does."""
    monkeypatch.setattr(bench.incident_sketch, "N_SAMPLED", 10**9)
    rows = np.full((20, 2), 48) + np.arange(20)[:, None] % 2
    return bench.Pool(rows, 0.001, [rows], ("temp", "flow"))


def test_the_earlier_rule_keeps_open_what_the_new_one_ends(bench: ModuleType, pool, tmp_path: Path) -> None:
    """A fault of six runs is announced once by both; chance rows then keep it open by the earlier rule alone."""
    scenario = bench.SCENARIOS["40 of 1,500 rows"]
    assert bench.played(pool, scenario, "evidence", 0, tmp_path) == (1, 0)
    announced, open_after = bench.played(pool, scenario, "earlier", 0, tmp_path)
    assert (announced, open_after > 0) == (1, True)


def test_what_chance_brings_is_the_share_of_rows_that_would_go_on(bench: ModuleType, pool) -> None:
    """All of them here; none of those that deviate the other way."""
    assert bench.share_alike(pool, pool.faults[0]) == 1
    assert bench.share_alike(pool, -pool.faults[0]) == 0


def test_a_report_has_both_rules_of_each_scenario(bench: ModuleType) -> None:
    """Means over the faults that were announced, and the most runs that one stayed open."""
    row = {"what": "runs", "table": "t", "scenario": "12 of 500 rows", "faults": 3, "notifications": [1, 2]}
    rows = [row | {"rule": "earlier", "open_after": [0, 6]}, row | {"rule": "evidence", "open_after": [0, 1]}]
    chance = {"what": "chance", "table": "t", "scenario": "", "rule": "", "flagged": 0.01, "alike": [0.0, 0.2]}
    text = bench.report([*rows, chance])
    assert "| 12 of 500 rows | 2 of 3 | earlier | 1.50 | 3.00 | 50 % | 6 |" in text
    assert "| 12 of 500 rows | 2 of 3 | evidence | 1.50 | 0.50 | 0 % | 1 |" in text
    assert "| t | 1.00 % | 2 | 10.0 % | 18.0 % | 20.0 % |" in text
