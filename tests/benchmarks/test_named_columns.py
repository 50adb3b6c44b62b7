"""The benchmark of named columns: its shares, and that its rules read the roles of an explanation."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from vaecli.data.cells import PRESENT, Cells


def test_rules_count_what_they_name(bench: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row with column 0 wrong: the earlier rule names two more, roles name one more as an alternative."""
    part, role = np.array([[20.0, 10.0, 5.0, 0.5]]), np.array([[1, 2, 0, 0]])
    detector = SimpleNamespace(explain=lambda *_, **__: SimpleNamespace(attribution=part, role=role))
    scored = SimpleNamespace(scored=SimpleNamespace(score=np.array([40.0])), take=lambda _: None)
    monkeypatch.setattr(bench.explain, "scored", lambda *_: (scored, np.array([True])))
    cells = Cells(np.zeros((1, 4)), np.full((1, 4), PRESENT, np.uint8), np.arange(1))
    found = bench.named(detector, cells, np.array([[0]]))
    assert [found[rule] for rule in bench.RULES] == [
        {"named": 3, "wrong": 1, "rows_with_false": 1},
        {"named": 2, "wrong": 1, "rows_with_false": 1},
        {"named": 1, "wrong": 1, "rows_with_false": 0},
    ]
    row = {"table": "t", "fault": "swap", "rows": 40} | found
    times = {"table": "t", "fault": "seconds", "rows": 40, "without": [0.004, 0.004], "with": [0.005, 0.005]}
    text = bench.report([row, times])
    assert "| swap | t | 1 | earlier | 33.3 % | 100.0 % | 100.0 % |" in text
    assert "| t | 4.00 | 5.00 | 1.25 |" in text
