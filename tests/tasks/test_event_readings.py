"""Flags kept as bits come back as they were."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from vaecli.tables import Batch
from vaecli.tasks.event_readings import FlagBits

PARTS = st.lists(st.lists(st.booleans(), min_size=0, max_size=40), max_size=8)


def kept(parts: list[list[bool]]) -> FlagBits:
    bits, first = FlagBits(), 0
    for part in parts:
        batch = Batch(pa.table({"x": pa.array([0] * len(part))}), first, str)
        bits.append(bits.render(batch, {"is_anomaly": np.array(part, bool)}))
        first += len(part)
    return bits


@given(PARTS, st.data())
def test_any_rows_have_the_flags_that_were_kept(parts: list[list[bool]], data: st.DataObject):
    flags = np.array([flag for part in parts for flag in part], bool)
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, max(flags.size - 1, 0))))), np.int64)
    rows = rows[rows < flags.size]
    np.testing.assert_array_equal(kept(parts).at(rows), flags[rows])


def test_a_batch_of_some_rows_is_refused():
    """Flags of flagged rows only would be those of other rows."""
    batch = Batch(pa.table({"x": [1, 2]}), 0, str)
    with pytest.raises(ValueError, match="all rows"):
        FlagBits().render(batch, {"is_anomaly": np.ones(2, bool)}, np.ones(2, bool))
