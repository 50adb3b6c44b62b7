"""One number per column, applied to many rows in long loops: the same numbers as NumPy's broadcasting, sooner.

NumPy runs a loop per row, which for a hundred numbers takes longer to begin than to run. Rows side by side, as one
long row of numbers for it and as many copies of the constants, take half the time.
"""

from __future__ import annotations

import numpy as np

_LONG = 6_144  # numbers of a loop: with NumPy 2.4 those of 4,096 and fewer take up to twice as long per number
_FEWEST_LOOPS = 2  # of fewer, laying out the constants takes longer than it saves


def per_column(
    operation: np.ufunc, values: np.ndarray, constants: np.ndarray, out: np.ndarray | None = None
) -> np.ndarray:
    """`operation(values, constants, out=out)` for rows `values` (…, n, h) and constants (…, 1, h) or (h,), to the bit.

    `out` (…, n, h) may be `values`. A single column (n,) has one constant.
    """
    if values.size < _FEWEST_LOOPS * _LONG or values.ndim < 2:  # first, as one row takes some thirty such operations
        return operation(values, constants, out=out)
    n, h = values.shape[-2:]
    side_by_side = 1 << max((_LONG - 1) // max(h, 1), 1).bit_length()
    contiguous = values.flags.c_contiguous and (out is None or (out.flags.c_contiguous and out.shape == values.shape))
    several = constants.ndim > 1 and constants.shape[-2] != 1  # numbers per column
    if h >= _LONG or n < _FEWEST_LOOPS * side_by_side or n % side_by_side or not contiguous or several:
        return np.asarray(operation(values, constants, out=out))
    repeated = np.empty((*constants.shape[:-2], side_by_side, h), constants.dtype)
    repeated[...] = constants
    repeated = repeated.reshape(*constants.shape[:-2], 1, side_by_side * h)
    shape = (*values.shape[:-2], n // side_by_side, side_by_side * h)
    found = operation(values.reshape(shape), repeated, out=None if out is None else out.reshape(shape))
    return np.asarray(found.reshape(*found.shape[:-2], n, h))
