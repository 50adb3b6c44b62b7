"""What `check` does once for many columns."""

from __future__ import annotations

import pandas as pd
import pytest

import vaecli
from vaecli.decisions.drift import Reference


def test_columns_without_ties_share_the_blocks_of_chance(
    model: vaecli.Model, fresh_table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    """Ranks without ties have one distribution: blocks are drawn once for pressure and flow, then for each other one.

    A table of thousands of columns is checked in seconds by that.
    """
    drawn: list[Reference] = []
    by_chance = Reference.by_chance

    def counted(self: Reference, *given: float) -> float:
        drawn.append(self)
        return by_chance(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Reference, "by_chance", counted)
    assert model.check(fresh_table).rows == len(fresh_table)
    n_columns_and_scores = len(model.schema.features) + 1
    assert len(drawn) == n_columns_and_scores - 1
