"""Products in tiles: the numbers are those of plain products, and no bit depends on where a column stands."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.model.readout_tiles import GUARD, INNER, TILE, ReadoutTiles
from vaecli.runtime.blas import one_blas_thread

sizes = st.sampled_from([1, 3, 13, 14, 29, 50, 120, 140, 280])


def triangular(size: int, seed: int = 0) -> np.ndarray:
    return np.tril(np.random.default_rng(seed).normal(size=(size, size))).astype(np.float32)


def of_all(whitening: np.ndarray, columns: np.ndarray) -> np.ndarray:
    tiles = ReadoutTiles(columns.shape[1])
    z, out = tiles.empty(len(whitening), 1), np.empty(columns.shape[1], np.float32)
    tiles.rows(z)[:, 0] = columns
    tiles.mean_squares_of_all(whitening, z, out)
    return out


def of_each(whitening: np.ndarray, columns: np.ndarray) -> np.ndarray:
    tiles = ReadoutTiles(columns.shape[2])
    z, out = tiles.empty(*columns.shape[:2]), np.empty((len(columns), columns.shape[2]), np.float32)
    tiles.rows(z)[...] = columns
    tiles.mean_squares(whitening, z, out)
    return out


@given(size=sizes, n=st.integers(1, 3 * TILE), seed=st.integers(0, 99))
def test_mean_squares_are_those_of_plain_products(size: int, n: int, seed: int):
    """In float64, whose sums agree to the rounding of float32."""
    rng = np.random.default_rng(seed)
    columns, whitening = rng.normal(size=(size, n)).astype(np.float32), triangular(size, seed)
    with one_blas_thread():
        wanted = np.square(whitening.astype(np.float64) @ columns).mean(0)
        np.testing.assert_allclose(of_all(whitening, columns), wanted, rtol=2e-4)
        alone = of_each(whitening[None], columns[None])[0]
    np.testing.assert_allclose(alone, wanted, rtol=2e-4)


def different_bits(seed: int = 0) -> int:
    """How many of many columns have other bits in other company, of matrices of several sizes."""
    rng, n_different = np.random.default_rng(seed), 0
    with one_blas_thread():
        for size in (1, 7, 14, 29, 77, 120, 280):
            whitening, columns = triangular(size), rng.normal(size=(size, 2 * TILE)).astype(np.float32)
            together = of_all(whitening, columns), of_each(whitening[None], columns[None])[0]
            for chosen in ([0], [2 * TILE - 1], rng.permutation(2 * TILE), np.arange(5, INNER + 9)):
                some = np.ascontiguousarray(columns[:, chosen])
                apart = of_all(whitening, some), of_each(whitening[None], some[None])[0]
                n_different += sum(int((a != b[chosen]).sum()) for a, b in zip(apart, together, strict=True))
    return n_different


def test_no_bit_depends_on_the_place_or_the_company_of_a_column():
    """So a row of a series has the same score in a batch of its own, among others, and with other workers."""
    assert different_bits() == 0


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels of another processor")
@pytest.mark.parametrize("kernels", ["Haswell", "Sandybridge"])
def test_nor_with_the_kernels_of_older_processors(kernels: str):
    """The kernels for AVX2 round the first and the last 8 columns of a product in another way than those between."""
    code = "import json, test_readout_tiles; print(json.dumps(test_readout_tiles.different_bits()))"
    environment = os.environ | {"OPENBLAS_CORETYPE": kernels, "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == 0


def test_tiles_cover_each_column_once():
    for n in (1, INNER - 1, INNER, INNER + 1, 3 * INNER):
        covered = [column for columns, _ in ReadoutTiles(n).each() for column in range(n)[columns]]
        assert covered == list(range(n))
        assert ReadoutTiles(n).empty(2).shape == (2, -(-n // INNER) * INNER + 2 * GUARD)
