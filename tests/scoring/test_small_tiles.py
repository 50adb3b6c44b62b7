"""Rows of a stream, computed a few at a time, stand where they stand in a whole tile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vaecli.model.tiles import (
    PART_ROWS,
    REST_ROWS,
    SMALL_TILE_ROWS,
    SMALLEST_TILE_ROWS,
    STRIP_ROWS,
    TILE_ROWS,
    small_tile_places,
)

PLACES = [(0, 1), (11, 1), (11, 2), (24, 12), (47, 2), (1000, 60), (1007, 1), (1008, 1), (1023, 1), (5000, 192)]


@pytest.mark.parametrize(("first", "n"), PLACES)
def test_every_row_has_one_place_in_a_strip_or_in_the_rest(first: int, n: int):
    """Every row stands once in a tile, in the part of a strip, or of the rest, that its number gives."""
    row = np.arange(first, first + n)
    seen = []
    for rows, within, size in small_tile_places(row):
        for number, place in zip(row[rows] % TILE_ROWS, range(within.start, within.stop), strict=True):
            in_rest = number >= TILE_ROWS - REST_ROWS
            if size == SMALLEST_TILE_ROWS:
                assert not in_rest
                assert place == number % PART_ROWS
                continue
            assert size == SMALL_TILE_ROWS
            assert place == (number - TILE_ROWS + SMALL_TILE_ROWS if in_rest else number % STRIP_ROWS)
            assert (place >= STRIP_ROWS) == in_rest
        seen += row[rows].tolist()
    assert seen == row.tolist()


@pytest.mark.parametrize(("first", "n", "sizes"), [(0, 1, {16}), (36, 12, {16}), (11, 2, {64}), (1008, 1, {64})])
def test_rows_within_one_part_take_the_smallest_tile(first: int, n: int, sizes: set[int]):
    """One row costs a tile of 16; rows of two parts, and the rest of a whole tile, one of 64."""
    assert {size for _, _, size in small_tile_places(np.arange(first, first + n))} == sizes


PRODUCTS = """
import numpy as np
import threadpoolctl
from vaecli.model.array_namespace import product
from vaecli.model.tiles import PART_ROWS, REST_ROWS, SMALL_TILE_ROWS, SMALLEST_TILE_ROWS, STRIP_ROWS, TILE_ROWS
rng = np.random.default_rng(0)
with threadpoolctl.threadpool_limits(1):
    for d in (16, 33, 50, 64, 128, 200, 256):
        for h in (5, 16, 34, 50, 60, 98, 100, 130, 200):
            inputs = rng.normal(size=(TILE_ROWS, d)).astype(np.float32)
            weight = rng.normal(size=(d, h)).astype(np.float32)
            whole = product(inputs, weight)
            for strip in (0, 5):
                top = strip * STRIP_ROWS
                small = np.concatenate([inputs[top : top + STRIP_ROWS], inputs[-REST_ROWS:]])
                found = product(small, weight)
                same = np.concatenate([whole[top : top + STRIP_ROWS], whole[-REST_ROWS:]])
                assert found.shape == same.shape == (SMALL_TILE_ROWS, h)
                assert (found == same).all(), (d, h, strip)
                for top in (0, PART_ROWS, 7 * PART_ROWS, TILE_ROWS - REST_ROWS - PART_ROWS):
                    part = slice(top, top + PART_ROWS)
                    smallest = np.zeros((SMALLEST_TILE_ROWS, d), np.float32)
                    smallest[:PART_ROWS] = inputs[part]
                    assert (product(smallest, weight)[:PART_ROWS] == whole[part]).all(), (d, h, top)
print("same", threadpoolctl.threadpool_info()[0].get("architecture"))
"""


@pytest.mark.parametrize("kernels", ["Haswell", "SkylakeX"])
def test_a_product_of_a_small_tile_rounds_as_one_of_a_whole_tile(kernels: str) -> None:
    """Rows of a small tile have the bits that they have in a whole one, with kernels for AVX2 and for AVX-512."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    if ("avx512vl" if kernels == "SkylakeX" else "avx2") not in flags:
        pytest.skip("this processor lacks the instructions")
    environment = os.environ | {"OPENBLAS_CORETYPE": kernels}
    words = [sys.executable, "-c", PRODUCTS]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("same")
