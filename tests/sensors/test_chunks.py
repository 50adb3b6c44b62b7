"""Stretches side by side, and the columns around some of their rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, strategies as st

from vaecli.data.series import Stretch, chunk_of, chunks_of

HISTORY = 5
lengths = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def stretches_of(sizes: list[int]) -> list[Stretch]:
    """Stretches of one sensor whose readings are 1,000 times the number of their stretch, plus the row."""
    found, first = [], 0
    for number, size in enumerate(sizes):
        time = np.arange(-HISTORY, size, dtype=np.float32)[:, None] + 1000 * number
        found.append(Stretch(time[:HISTORY], time[HISTORY:], first + np.arange(size), HISTORY))
        first += size
    return found


@given(sizes=lengths, most=st.integers(1, 60))
def test_each_row_stands_in_one_chunk_after_its_history(sizes: list[int], most: int):
    stretches = stretches_of(sizes)
    wanted = np.concatenate([stretch.readings[:, 0] for stretch in stretches])
    found = np.full(sum(sizes), np.nan)
    for chunk in chunks_of(stretches, most):
        assert np.isnan(found[chunk.row]).all()
        found[chunk.row] = chunk.x[0, chunk.column]
        before = chunk.x[0, chunk.column[:, None] - np.arange(HISTORY + 1)]
        np.testing.assert_array_equal(before, found[chunk.row][:, None] - np.arange(HISTORY + 1))
        assert chunk.x.shape[1] <= max(most, HISTORY + 1)
    np.testing.assert_array_equal(found, wanted)


@given(sizes=lengths, most=st.integers(1, 60), data=st.data())
def test_columns_around_rows_hold_their_history(sizes: list[int], most: int, data: st.DataObject):
    chunk = chunk_of(stretches_of(sizes))
    which = np.array(sorted(data.draw(st.sets(st.integers(0, sum(sizes) - 1), min_size=1))))
    found = []
    for x, column in chunk.around(which, HISTORY, most):
        found.append(x[0, column[:, None] - np.arange(HISTORY + 1)])
    wanted = chunk.x[0, chunk.column[which]][:, None] - np.arange(HISTORY + 1)
    np.testing.assert_array_equal(np.concatenate(found), wanted)
