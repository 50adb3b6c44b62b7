"""Rows of a stream, computed a few at a time, stand where they stand in a whole tile."""

from __future__ import annotations

import numpy as np
import pytest

from vaecli.model.tiles import REST_ROWS, SMALL_TILE_ROWS, STRIP_ROWS, TILE_ROWS, small_tile_places


@pytest.mark.parametrize(("first", "n"), [(0, 1), (47, 2), (1000, 60), (1023, 1), (5000, 192)])
def test_every_row_has_one_place_in_a_strip_or_in_the_rest(first: int, n: int):
    row = np.arange(first, first + n)
    seen = []
    for rows, within in small_tile_places(row):
        for number, place in zip(row[rows] % TILE_ROWS, range(within.start, within.stop), strict=True):
            in_rest = number >= TILE_ROWS - REST_ROWS
            assert place == (number - TILE_ROWS + SMALL_TILE_ROWS if in_rest else number % STRIP_ROWS)
            assert (place >= STRIP_ROWS) == in_rest
        seen += row[rows].tolist()
    assert seen == row.tolist()
