"""Rows are computed in tiles of a fixed size, so that a score does not depend on the batch a row is in."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vaecli.data.preprocessor import FeatureBatch

# On the CPU rows are computed in tiles of this fixed size, each by one thread, and a row stands in its tile where its
# number in the whole input puts it: a matrix product rounds differently for another number of rows or threads, or
# another place among them (about 1e-6 nats). So batches may be cut anywhere and computed by anyone, to the same bits.
TILE_ROWS = 1024
# Several tiles are computed in one go, each by products of its own: NumPy gives back the interpreter's lock in every
# operation, and a thread that waits for it is woken tens of microseconds after it is free.
MOST_TILES = 8
# A few rows that cannot wait for others stand in a small tile. Matrix products take rows in strips of up to 48 and
# treat what remains, the last 16 of 1,024, in another way; so do strips and a remainder of these sizes. Kernels for
# small products need `array_namespace.product` for the same bits; where a layer is 512 numbers or wider, a score is the
# same to a few millionths.
STRIP_ROWS, REST_ROWS = 48, 16
SMALL_TILE_ROWS = STRIP_ROWS + REST_ROWS
# Kernels divide a strip into parts. Rows that fit into one part need no more of it: of the smallest tile the last rows
# are a remainder and hold no row.
PART_ROWS, SMALLEST_TILE_ROWS = 12, 16
MOST_IN_SMALL_TILES = 4 * STRIP_ROWS  # rows of a batch; more are computed faster in a whole tile


def tiled(batch: FeatureBatch) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
    """The tiles on the CPU: for each its rows in the batch, their positions in it, features (t, d), states (t, c).

    Rows of a tile that are not in the batch are zeros, so results for a row do not depend on the batch.
    """
    for rows, within in tile_places(batch.row, TILE_ROWS):
        features, state = (padded_tile(part[rows], within, TILE_ROWS, 0) for part in (batch.values, batch.state))
        yield rows, within, features, state


def tile_places(row: np.ndarray, size: int) -> Iterator[tuple[slice, slice]]:
    """For each tile: its rows in the batch, whose consecutive numbers are `row` (n,), and their positions in it."""
    first = -(int(row[0]) % size) if row.size else 0
    for start in range(first, row.size, size):
        rows = slice(max(start, 0), min(start + size, row.size))
        yield rows, slice(rows.start - start, rows.stop - start)


def block_places(row: np.ndarray, n_tiles: int) -> Iterator[tuple[slice, slice, int]]:
    """Yield for each block of up to `n_tiles` tiles its rows in the batch, their positions in it, and its size.

    The batch's rows have consecutive numbers `row` (n,). A block begins and ends where tiles do.
    """
    first = -(int(row[0]) % TILE_ROWS) if row.size else 0
    for start in range(first, row.size, n_tiles * TILE_ROWS):
        rows = slice(max(start, 0), min(start + n_tiles * TILE_ROWS, row.size))
        within = slice(rows.start - start, rows.stop - start)
        yield rows, within, -(-within.stop // TILE_ROWS) * TILE_ROWS


def tiles_at_once(width: int, n_bytes: int) -> int:
    """How many tiles of rows with `width` float32 numbers each take `n_bytes`: 1 to MOST_TILES."""
    return min(max(n_bytes // (4 * TILE_ROWS * max(width, 1)), 1), MOST_TILES)


def small_tile_places(row: np.ndarray) -> Iterator[tuple[slice, slice, int]]:
    """Yield for each small tile its rows in the batch, whose consecutive numbers are `row` (n,), their positions, size.

    A small tile of SMALL_TILE_ROWS holds rows of one strip, or of the rest, of a whole tile; one of SMALLEST_TILE_ROWS
    rows of one part of a strip.
    """
    first, in_strips = 0, TILE_ROWS - REST_ROWS
    while first < row.size:
        place = int(row[first]) % TILE_ROWS
        is_rest = place >= in_strips
        within = place - in_strips + STRIP_ROWS if is_rest else place % STRIP_ROWS
        n = min((SMALL_TILE_ROWS if is_rest else STRIP_ROWS) - within, row.size - first)
        of_part, is_part = within % PART_ROWS, not is_rest and within % PART_ROWS + n <= PART_ROWS
        start, size = (of_part, SMALLEST_TILE_ROWS) if is_part else (within, SMALL_TILE_ROWS)
        yield slice(first, first + n), slice(start, start + n), size
        first += n


def padded_tile(rows: np.ndarray, within: slice, size: int, padding: int) -> np.ndarray:
    """A tile (size, …) with `rows` (n, …) at their positions `within` it; the others are filled with `padding`."""
    if len(rows) == size:
        return rows
    tile = np.full((size, *rows.shape[1:]), padding, rows.dtype)
    tile[within] = rows
    return tile
