"""Several tiles at once: where they lie, how many they are, and products with the bits of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.model.array_namespace import affine, product
from vaecli.model.tiles import MOST_TILES, TILE_ROWS, block_places, tiles_at_once


@given(first=st.integers(0, 5 * TILE_ROWS), n=st.integers(0, 30 * TILE_ROWS), n_tiles=st.integers(1, MOST_TILES))
def test_blocks_hold_every_row_once_and_whole_tiles(first: int, n: int, n_tiles: int) -> None:
    """A row's place in its block is its place in its tile, some tiles on; no tile is without a row."""
    seen = []
    for rows, within, size in block_places(np.arange(first, first + n), n_tiles):
        assert size % TILE_ROWS == 0
        assert TILE_ROWS <= size <= n_tiles * TILE_ROWS
        assert rows.stop - rows.start == within.stop - within.start > 0
        assert 0 <= within.start < TILE_ROWS
        assert size - TILE_ROWS < within.stop <= size
        assert (first + rows.start) % TILE_ROWS == within.start % TILE_ROWS
        seen += range(rows.start, rows.stop)
    assert seen == list(range(n))


def test_wide_rows_are_few_tiles() -> None:
    """A tile of 1,024 rows of 256 numbers is one megabyte."""
    assert [tiles_at_once(256, n * 2**20) for n in (0, 1, 3, 100)] == [1, 1, 3, MOST_TILES]
    assert tiles_at_once(0, 2**20) == MOST_TILES
    assert tiles_at_once(10**6, 2**20) == 1


@pytest.mark.parametrize("n_tiles", [2, 3, 8])
@pytest.mark.parametrize("lead", [(), (3,), (2, 3)], ids=["shared", "members", "draws"])
@pytest.mark.parametrize(("d", "h"), [(1, 1), (30, 96), (96, 60), (7, 33)])
def test_products_of_several_tiles_have_the_bits_of_each(n_tiles: int, lead: tuple[int, ...], d: int, h: int) -> None:
    """Rows that all members share, rows of each member, and of each draw; from a view too."""
    rng = np.random.default_rng(d)
    wide = rng.normal(size=(*lead, n_tiles * TILE_ROWS, d + 1)).astype(np.float32)
    inputs = wide[..., :d]
    weight = rng.normal(size=(3, d, h)).astype(np.float32)
    bias = rng.normal(size=(3, 1, h)).astype(np.float32)
    found, summed = product(inputs, weight), affine(inputs, weight, bias)
    assert found.shape == (*lead[:-1], 3, n_tiles * TILE_ROWS, h)
    for tile in range(n_tiles):
        rows = slice(tile * TILE_ROWS, (tile + 1) * TILE_ROWS)
        alone = np.ascontiguousarray(inputs[..., rows, :])
        np.testing.assert_array_equal(found[..., rows, :], alone @ weight)
        np.testing.assert_array_equal(summed[..., rows, :], alone @ weight + bias)


def test_a_product_with_one_matrix_for_all_members() -> None:
    """As sums over the categories of a column are."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2, 2 * TILE_ROWS, 5)).astype(np.float32)
    weight = rng.normal(size=(5, 3)).astype(np.float32)
    found = product(inputs, weight)
    for tile in range(2):
        rows = slice(tile * TILE_ROWS, (tile + 1) * TILE_ROWS)
        np.testing.assert_array_equal(found[:, rows], inputs[:, rows] @ weight)
