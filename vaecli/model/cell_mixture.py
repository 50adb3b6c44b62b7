"""How improbable each cell is given the other cells of its row, in closed form: a mixture of Gaussians on the features.

With K components of weight π_k, mean m_k and precision P_k (the inverse of the covariance), and g_k = P_k (z − m_k),

    −log p(z_j | the rest) = log Σ_k exp(a_k + n_kj) − log Σ_k exp(a_k)
    a_k = log π_k N(z; m_k, P_k⁻¹),   n_kj = −log N(z_j | the rest; k) = ½ g_kj² / P_kjj − ½ log P_kjj + ½ log 2π

since the conditional of a Gaussian needs no other matrix than its precision. For the block B of a category of several
features n_kB = ½ g_kBᵀ (P_kBB)⁻¹ g_kB − ½ log |P_kBB| + ½ |B| log 2π. A column takes no part in predicting itself, as
it does in a reconstruction, so one wrong cell cannot hide by moving the code.

NumPy only. Shapes: n rows, c columns, d features, K components.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vaecli.data.cells import PRESENT
from vaecli.data.per_column import per_column
from vaecli.model.array_namespace import product
from vaecli.model.tiles import MOST_TILES, TILE_ROWS
from vaecli.schema import Layout

LOG_2PI = float(np.log(2 * np.pi))
MOST_COMPONENTS = 32
BLOCK_ROWS = 128
FILLING_STEPS, DAMPING = 4, 0.8  # of absent cells
MOST_FEATURES = 200  # K d² numbers in a bundle, and K d² multiplications per row
LARGEST_NUMBER = 1e12  # of any array of a bundle: products of such numbers are finite
_ARRAYS = ("center", "spread", "log_weight", "mean", "precision")


@dataclass(frozen=True, slots=True)
class _Constants:
    """What does not depend on the rows: parts of a_k (K,) and n_kj (K, c), and the inverse blocks of categories."""

    precisions: np.ndarray  # (d, K d), side by side
    pulled_means: np.ndarray  # (K, d) P_k m_k
    starts: np.ndarray | None  # (c,) the first feature of each column, None where each has one, in this order
    of_joint: np.ndarray  # (K,)
    factor: np.ndarray  # (K, c) of g², 0 where a column has several features
    of_cells: np.ndarray  # (K, c)
    inverse_blocks: tuple[tuple[int, slice, np.ndarray], ...]  # column, its features, (K, w, w)


@dataclass(frozen=True, slots=True)
class CellMixture:
    """A mixture of K Gaussians over standardised features, float32.

    `center` (d,) and `spread` (d,) standardise features; `log_weight` (K,), `mean` (K, d) and `precision` (K, d, d) are
    those of the components.
    """

    layout: Layout
    center: np.ndarray
    spread: np.ndarray
    log_weight: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    _constants: _Constants = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compute what does not depend on the rows. Raises ValueError unless the precisions are positive definite."""
        object.__setattr__(self, "_constants", _constants(self))

    def nats(self, values: np.ndarray, state: np.ndarray) -> np.ndarray:
        """−log p(cell | other cells) (n, c) in nats, float32, from features (n, d) and states (n, c).

        A missing or novel cell has 0; when others are predicted, it holds what they lead one to expect.
        """
        z, absent = self.standardised(values, state), state != PRESENT
        nats, is_full = np.empty(state.shape, np.float32), not absent.any()
        n_rows = MOST_TILES * TILE_ROWS if len(self.mean) == 1 else BLOCK_ROWS
        for start in range(0, len(z), n_rows):  # what a block needs stays in the processor's cache
            block = slice(start, start + n_rows)
            # whole blocks, filled or not: a matrix product rounds differently for another number of rows
            filled = z[block] if is_full or not absent[block].any() else self._filled(z[block], absent[block])
            nats[block] = self._nats(filled)
        return nats if is_full else np.where(absent, np.float32(0.0), nats)

    def _nats(self, z: np.ndarray) -> np.ndarray:
        """The nats (n, c) of cells that are all there, of standardised features z (n, d)."""
        if len(self.mean) == 1:
            return self._of_cells(self._pull(z, z[:, None] - self.mean))[:, 0]
        log_joint, of_cells, _ = self._terms(z)
        log_joint -= log_joint.max(1, keepdims=True)
        of_cells += log_joint[..., None]
        largest = of_cells.max(1)
        of_cells -= largest[:, None]
        np.exp(of_cells, out=of_cells)
        return np.asarray(np.log(of_cells.sum(1)) + largest - np.log(np.exp(log_joint).sum(1))[:, None])

    def expected_features(self, values: np.ndarray, state: np.ndarray, replaced: np.ndarray) -> np.ndarray:
        """Features (n, d) in which the cells `replaced` (n, c) bool hold their mean given the other cells of the row.

        From features (n, d) and states (n, c). The other features stay as they are.
        """
        absent = replaced | (state != PRESENT)
        filled = self._filled(self.standardised(values, state), absent) * self.spread + self.center
        return np.where(replaced[:, list(self.layout.column_of_feature)], filled, values)

    def standardised(self, values: np.ndarray, state: np.ndarray) -> np.ndarray:
        """Features (n, d) in standard deviations, float32; those of a missing or novel cell are 0."""
        z = per_column(np.subtract, values, self.center)
        per_column(np.divide, z, self.spread, z)
        if state.any():
            z[(state != PRESENT)[:, list(self.layout.column_of_feature)]] = 0.0
        return np.asarray(z, np.float32)

    def _filled(self, z: np.ndarray, absent: np.ndarray) -> np.ndarray:
        """Features z (n, d) in which `absent` cells (n, c) hold their mean given the others, nearly.

        One absent cell of a row is exact after the first step; several are in a few damped ones. What a row becomes
        does not depend on the others.
        """
        several = absent.sum(1, keepdims=True) > 1
        replaced = absent[:, list(self.layout.column_of_feature)]
        z = np.where(replaced & several, np.float32(0.0), z)  # one alone takes no part in what is expected of it
        damping = np.where(several, np.float32(DAMPING), np.float32(1.0))
        for _ in range(FILLING_STEPS):
            z = np.where(replaced, z + damping * (self._expected(z) - z), z)
            if not several.any():
                break
            replaced = replaced & several
        return np.asarray(z, np.float32)

    def _expected(self, z: np.ndarray) -> np.ndarray:
        """The mean of each feature (n, d) given those of the other columns, from z (n, d)."""
        log_joint, of_cells, pull = self._terms(z)
        share = of_cells + log_joint[..., None]
        share = np.exp(share - share.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        step = pull / np.diagonal(self.precision, axis1=1, axis2=2)
        for _, block, inverses in self._constants.inverse_blocks:
            step[..., block] = np.einsum("nki,kij->nkj", pull[..., block], inverses)
        share = share[..., list(self.layout.column_of_feature)]
        return np.asarray((share * (z[:, None] - step)).sum(1))

    def _terms(self, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """a_k (n, K), n_kj (n, K, c) and g_k (n, K, d) as in the head of this file, of standardised features (n, d)."""
        centred = z[:, None] - self.mean
        pull = self._pull(z, centred)
        log_joint = self._constants.of_joint - 0.5 * np.einsum("nkd,nkd->nk", pull, centred)
        return log_joint, self._of_cells(pull), pull

    def _pull(self, z: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """g_k (n, K, d) of standardised features (n, d), and less the means (n, K, d)."""
        known, (n_components, d) = self._constants, self.mean.shape
        if n_components == 1:
            return np.asarray(product(centred[:, 0], self.precision[0], TILE_ROWS))[:, None]
        pull = product(z, known.precisions, BLOCK_ROWS).reshape(len(z), n_components, d)
        pull -= known.pulled_means
        return pull

    def _of_cells(self, pull: np.ndarray) -> np.ndarray:
        """n_kj (n, K, c) by g_k (n, K, d)."""
        known = self._constants
        single = pull if known.starts is None else pull[..., known.starts]
        of_cells, rows = np.square(single, order="C"), (len(single), known.factor.size)
        per_column(np.multiply, of_cells.reshape(rows), known.factor.ravel(), of_cells.reshape(rows))
        for j, block, inverses in known.inverse_blocks:
            part = pull[..., block]
            of_cells[..., j] = 0.5 * np.einsum("nki,nki->nk", np.einsum("nki,kij->nkj", part, inverses), part)
        per_column(np.add, of_cells.reshape(rows), known.of_cells.ravel(), of_cells.reshape(rows))
        return of_cells

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle, of shapes as in this class; `from_arrays` is the inverse."""
        return {name: getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray]) -> CellMixture:
        """The mixture in arrays of `to_arrays`. Raises KeyError or ValueError on arrays that no fit gives."""
        found = {name: arrays[name] for name in _ARRAYS}
        n_components, d = found["log_weight"].size, layout.n_features
        shapes = {
            "center": (d,),
            "spread": (d,),
            "log_weight": (n_components,),
            "mean": (n_components, d),
            "precision": (n_components, d, d),
        }
        if not 1 <= n_components <= MOST_COMPONENTS or d > MOST_FEATURES:
            raise ValueError(f"a mixture of {n_components} components over {d} features")
        for name, array in found.items():
            if array.dtype != np.float32 or array.shape != shapes[name]:
                raise ValueError(f"{name} of the mixture is not {shapes[name]} of float32")
            if not (np.abs(array) <= LARGEST_NUMBER).all():
                raise ValueError(f"{name} of the mixture holds numbers beyond {LARGEST_NUMBER:g}")
        if (found["spread"] < 1 / LARGEST_NUMBER).any():
            raise ValueError("spread of the mixture is not positive")
        return cls(layout, **found)


def _constants(mixture: CellMixture) -> _Constants:
    layout, precision = mixture.layout, mixture.precision.astype(np.float64)
    starts, widths = np.array([(slot.start, slot.stop - slot.start) for slot in layout.slots]).T
    diagonal = np.diagonal(precision, axis1=1, axis2=2)[:, starts]
    sign, log_det = np.linalg.slogdet(precision)
    if (diagonal <= 0).any() or (sign <= 0).any():
        raise ValueError("a precision of the mixture is not positive definite")
    factor, of_cells, blocks = 0.5 / diagonal, 0.5 * (LOG_2PI - np.log(diagonal)), []
    for j in np.flatnonzero(widths > 1):
        block = slice(int(starts[j]), int(starts[j] + widths[j]))
        inner = precision[:, block, block]
        sign, log_det_inner = np.linalg.slogdet(inner)
        if (sign <= 0).any():
            raise ValueError("a precision of the mixture is not positive definite")
        factor[:, j], of_cells[:, j] = 0.0, 0.5 * (widths[j] * LOG_2PI - log_det_inner)
        blocks.append((int(j), block, np.linalg.inv(inner).astype(np.float32)))
    of_joint = mixture.log_weight + 0.5 * (log_det - layout.n_features * LOG_2PI)
    return _Constants(
        np.ascontiguousarray(mixture.precision.transpose(1, 0, 2)).reshape(layout.n_features, -1),
        np.einsum("kd,kde->ke", mixture.mean, precision).astype(np.float32),
        None if np.array_equal(starts, np.arange(layout.n_features)) else starts,
        of_joint.astype(np.float32),
        factor.astype(np.float32),
        of_cells.astype(np.float32),
        tuple(blocks),
    )
