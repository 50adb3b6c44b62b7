"""One definition of the maths for NumPy and torch: the functions of `network` and `likelihoods` take either.

They use only what the two share under one name and with positional axes (`matmul`, `exp`, `log`, `log1p`, `where`,
`clip`, `minimum`, `concatenate`, `.argmin(axis)`, `.sum(axis)`, `.mean(axis)`), so training and scoring run the same
lines. torch is never imported here: if an array is not a NumPy array, torch is loaded already.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import numpy as np

from vaecli.data.per_column import per_column
from vaecli.model import tiles
from vaecli.model.tiles import SMALL_TILE_ROWS, STRIP_ROWS, TILE_ROWS

_SMALL_PRODUCT = 10**6  # multiplications up to which OpenBLAS takes its kernels for small products
_LANES = 16  # numbers of float32 that AVX-512 computes at once

Array = Any  # np.ndarray or torch.Tensor; shapes are in the docstrings


def namespace(array: Array) -> Any:
    """The module whose functions work on `array`, of any shape: numpy or torch."""
    return np if isinstance(array, np.ndarray | np.generic) else sys.modules["torch"]


def softplus(values: Array) -> Array:
    """The elementwise softplus log(1 + exp(v)) of values (…, n), safe from overflow."""
    xp = namespace(values)
    if xp is not np:
        return xp.nn.functional.softplus(values)  # one operation and one derivative, where its parts have ten
    # NumPy's log1p calls the C library cell by cell: five times as slow, for digits that the sum drops
    return np.clip(values, 0.0, None) + np.log(1 + np.exp(-np.abs(values)))


def sigmoid(values: Array) -> Array:
    """The elementwise sigmoid 1 / (1 + exp(−v)) of values (…, n), in [0, 1], safe from overflow."""
    return namespace(values).exp(-softplus(-values))


def affine(inputs: Array, weight: Array, bias: Array) -> Array:
    """The sum `inputs @ weight + bias`, (…, n, h), for (…, n, d), (…, d, h), (…, 1, h); NumPy adds in place."""
    if not isinstance(inputs, np.ndarray) and inputs.ndim == weight.ndim:
        return namespace(inputs).baddbmm(bias, inputs, weight)
    result = product(inputs, weight)
    return per_column(np.add, result, bias, result) if isinstance(result, np.ndarray) else result + bias


def product(inputs: Array, weight: Array, whole: int = TILE_ROWS) -> Array:
    """The product `inputs @ weight`, (…, n, h), for (…, n, d) and (…, d, h); NumPy rounds as in one of `whole` rows.

    The rows of several whole tiles are multiplied tile by tile, in one call that holds no lock of the interpreter.
    The BLAS of NumPy has other kernels for small products, on AVX-512, which round the last h % 16 columns in another
    way. With columns of zeros after them it rounds those as a large product does.
    """
    rows, (d, h) = inputs.shape[-2], weight.shape[-2:]
    if rows > tiles.TILE_ROWS and not rows % tiles.TILE_ROWS and isinstance(inputs, np.ndarray):
        in_tiles = inputs.reshape(*inputs.shape[:-2], -1, tiles.TILE_ROWS, d)
        found = in_tiles @ weight[..., None, :, :]
        return found.reshape(*found.shape[:-3], rows, h)
    is_small = rows * d * h <= _SMALL_PRODUCT < whole * d * h
    if not is_small or not h % _LANES or not isinstance(inputs, np.ndarray) or not _small_products_differ():
        return inputs @ weight
    padded = np.zeros((*weight.shape[:-1], h + -h % _LANES), weight.dtype)
    padded[..., :h] = weight
    return (inputs @ padded)[..., :h]


@cache
def _small_products_differ() -> bool:
    """Whether the BLAS of NumPy rounds some small product in another way than the same rows of a large one."""
    inputs = np.linspace(-1.0, 1.0, TILE_ROWS * 33, dtype=np.float32).reshape(TILE_ROWS, 33) ** 3
    weight = np.linspace(-1.0, 1.0, 33 * 50, dtype=np.float32).reshape(33, 50) ** 5
    small, large = inputs[:SMALL_TILE_ROWS] @ weight, inputs @ weight
    return not np.array_equal(small[:STRIP_ROWS], large[:STRIP_ROWS])


def plus(values: Array, others: Array) -> Array:
    """The sum `values + others`, (…, n, h); in NumPy it overwrites `values`."""
    if isinstance(values, np.ndarray):
        values += others
        return values
    return values + others


def leaky(values: Array, slope: float) -> Array:
    """The activation max(v, slope · v) of values (…, n, h), for a slope below 1; in NumPy it overwrites `values`."""
    if isinstance(values, np.ndarray):
        return np.maximum(values, slope * values, out=values)
    return namespace(values).nn.functional.leaky_relu(values, slope)


def empty_like(reference: Array, shape: tuple[int, ...]) -> Array:
    """An uninitialised array of `shape` (…, n), with the type and device of `reference`."""
    if isinstance(reference, np.ndarray):
        return np.empty(shape, reference.dtype)
    return reference.new_empty(shape)


def like(constant: np.ndarray, reference: Array) -> Array:
    """`constant` (…, n), its shape unchanged, as an array of the library, device and precision of `reference`."""
    if isinstance(reference, np.ndarray | np.generic):
        return constant.astype(reference.dtype, copy=False) if constant.dtype.kind == "f" else constant
    made = namespace(reference).as_tensor(constant, device=reference.device)
    return made.to(reference.dtype) if made.is_floating_point() else made
