"""Numbers and dates ↔ features: fitted with scikit-learn, kept as plain arrays, applied with NumPy.

A column shaped like a bell enters as it is. One that is not is bent by the share `rank_share` gives it: b = (1 − w)·v +
w·r(v), where r is the normal score of v's rank within the training range and goes on beyond it with slope 1.
So a column of byte counts, where one reading in a thousand is a million times the median, keeps both its tail and
its bulk. The map is strictly increasing. The soft clip keeps a reading of 10⁹ from drowning all others, yet keeps
larger readings larger: sign(v)·(10 + 10·log1p((|v| − 10)/10)) beyond |v| = 10.

Columns that measure the same thing in one unit (pixels, bins of a spectrum) share one scale on request: each keeps
its own mean, all are divided by the root of their mean variance, and none is bent. Otherwise a pixel that is nearly
always blank would count as much as one in the middle of the picture, and its rare grey as an outlier.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from vaecli.data.per_column import per_column
from vaecli.data.transforms import (
    CLIP,
    NORMAL_LIMIT,
    bend,
    distinct,
    rank_share,
    rank_to_normal,
    soft_clip,
    undo_soft_clip,
    within_largest,
)
from vaecli.schema import Column, Slot

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

N_QUANTILES = 256
N_BISECTIONS = 64
LEAST_SPREAD = 1e-100  # of standardised numbers, far below any that a fit gives: what is divided by it is finite
FARTHEST = 1e5  # standard deviations beyond the training range: plain numbers end there
N_GRID = 64  # values of a number that are compared when its cell is explained


@dataclass(frozen=True, slots=True)
class Numbers:
    """m columns of one feature each, float64: an `Encoder`.

    A number x becomes soft_clip((((1 − w)·v + w·r(v)) − center) / spread) with v = (x − mean) / scale.
    """

    mean: np.ndarray  # (m,)
    scale: np.ndarray  # (m,)
    share: np.ndarray  # (m,) w
    quantiles: np.ndarray  # (m, q) of the standardised values, ascending
    center: np.ndarray  # (m,)
    spread: np.ndarray  # (m,)

    @classmethod
    def fit(cls, values: np.ndarray, columns: Sequence[Column], same_unit: Collection[str]) -> Numbers:
        """Learn from `values` (n, m), NaN where missing; columns named in `same_unit` share one scale, unbent."""
        if not columns:
            nothing = np.zeros(0)
            return cls(nothing, nothing, nothing, np.zeros((0, 2)), nothing, nothing)
        share = rank_share(values)
        together = np.array([column.name in same_unit for column in columns])
        share[together] = 0.0
        steps = number_pipeline(values, share).fit(values).named_steps
        ranks = dict(steps["views"].transformer_list)["rank"].named_steps["normal"]
        quantiles = np.ascontiguousarray(ranks.quantiles_.T)
        standard, again = steps["scale"], steps["rescale"]
        fitted = cls(standard.mean_, standard.scale_, share, quantiles, again.mean_, again.scale_)
        return fitted._on_one_scale(together, standard.var_) if together.any() else fitted

    def _on_one_scale(self, together: np.ndarray, variance: np.ndarray) -> Numbers:
        """A copy with the numbers that `together` (m,) marks in units of the root of their mean `variance` (m,)."""
        common = float(np.sqrt(variance[together].mean())) or 1.0
        scale, center, spread = (
            np.where(together, one, own) for one, own in ((common, self.scale), (0.0, self.center), (1.0, self.spread))
        )
        quantiles = self.quantiles * (self.scale / scale)[:, None]
        return replace(self, scale=scale, quantiles=quantiles, center=center, spread=spread)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The fitted numbers by name, (m,) or (m, q); `from_arrays` is the inverse."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], slots: Sequence[Slot]) -> Numbers:
        """The encoder in arrays (m,) and (m, q) of `to_arrays`. Raises KeyError or ValueError on other arrays."""
        m, fitted = len(slots), {}
        for name in (field.name for field in fields(cls)):
            array = arrays[name]
            shape = (m, max(2, array.shape[-1])) if name == "quantiles" and array.ndim else (m,)
            fitted[name] = of_shape(name, array, shape)
        if not ((fitted["scale"] > 0).all() and (fitted["spread"] >= LEAST_SPREAD).all()):
            raise ValueError(f"preprocess/scale is not above 0, or preprocess/spread is below {LEAST_SPREAD}")
        if not ((fitted["share"] >= 0).all() and (fitted["share"] < 1).all()):
            raise ValueError("preprocess/share is not in [0, 1)")
        if (np.diff(fitted["quantiles"], axis=1) < 0).any():
            raise ValueError("preprocess/quantiles is not ascending")
        return cls(**fitted)

    def encode(self, i: int, values: np.ndarray, _state: np.ndarray, features: np.ndarray) -> None:
        """Write the feature of each of `values` (n,) of the i-th column into `features` (n, 1); 0 for NaN."""
        bent = self._bend(i, self._standardised(i, values))
        features[:, 0] = np.nan_to_num(soft_clip(bent), nan=0.0)

    @property
    def unbent(self) -> np.ndarray:
        """Which columns (u,) are not bent."""
        return np.flatnonzero(self.share == 0)

    def encode_unbent(self, which: np.ndarray, values: np.ndarray) -> np.ndarray:
        """The features (n, u) of `values` (n, u) of the columns `which` (u,), the same as `encode` gives to the bit."""
        standardised = self._standardised(which, values)
        per_column(np.subtract, standardised, self.center[which], standardised)
        per_column(np.divide, standardised, self.spread[which], standardised)
        if np.abs(standardised).max(initial=0.0) <= CLIP:  # no NaN either
            return standardised
        return np.nan_to_num(soft_clip(standardised), copy=False, nan=0.0)

    def decode(self, i: int, features: np.ndarray) -> np.ndarray:
        """Features (n, 1) of the i-th column back in its own units, (n,)."""
        found: np.ndarray = self._unbend(i, undo_soft_clip(features[:, 0])) * self.scale[i] + self.mean[i]
        return found

    def recalled(self, i: int) -> np.ndarray:
        """Evenly spaced quantiles (q,) of the training values of the i-th column, in its own units."""
        found: np.ndarray = self.quantiles[i] * self.scale[i] + self.mean[i]
        return found

    def moments(self, i: int) -> tuple[float, float]:
        """Mean and scale of the i-th column."""
        return self.mean[i], self.scale[i]

    def plain_knots(self, i: int) -> np.ndarray:
        """Features (k,) before the soft clip, ascending, and the standardised numbers (k,) they are: (2, k).

        Lines between them are off by less than a hundredth where the column is bent, and exact beyond its range.
        """
        known = self.quantiles[i]
        between = np.interp(np.linspace(0, known.size - 1, 4 * known.size), np.arange(known.size), known)
        numbers = distinct(np.concatenate([between, [known[0] - FARTHEST, known[-1] + FARTHEST]]))
        features, first = np.unique(self._bend(i, numbers), return_index=True)
        return np.stack([features, numbers[first]])

    def grid(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Features (g, 1) over the training range of the i-th number, ascending, distinct, and the numbers they are.

        Half of them stand at quantiles, half about evenly: what is frequent is met exactly, what is between not missed.
        """
        known = self.quantiles[i][np.linspace(0, self.quantiles.shape[1] - 1, N_GRID // 2).round().astype(int)]
        place = soft_clip(self._bend(i, known))
        even = np.interp(np.linspace(place[0], place[-1], N_GRID // 2), place, known)
        standardised = distinct(np.concatenate([known, even]))
        features, first = np.unique(soft_clip(self._bend(i, standardised)), return_index=True)
        return features[:, None], standardised[first] * self.scale[i] + self.mean[i]

    def _standardised(self, i: int | np.ndarray, numbers: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # a small unit may take a large number beyond the floats
            standardised = within_largest(numbers)
            per_column(np.subtract, standardised, self.mean[i], standardised)
            per_column(np.divide, standardised, self.scale[i], standardised)
            return within_largest(standardised)

    def _bend(self, i: int, standardised: np.ndarray) -> np.ndarray:
        quantiles, share = self.quantiles[i], self.share[i]
        if not share:
            return (standardised - self.center[i]) / self.spread[i]
        rank = rank_to_normal(standardised, quantiles)
        bent = bend(standardised, rank, share, quantiles[0], quantiles[-1])
        return (bent - self.center[i]) / self.spread[i]

    def _unbend(self, i: int, bent: np.ndarray) -> np.ndarray:
        """By bisection: `_bend` is strictly increasing and never further from its argument than the range is wide."""
        middle = bent * self.spread[i] + self.center[i]
        if not self.share[i]:
            return middle
        reach = NORMAL_LIMIT + float(np.abs(self.quantiles[i]).max())
        low, high = middle - reach, middle + reach
        for _ in range(N_BISECTIONS):
            middle = 0.5 * (low + high)
            too_low = self._bend(i, middle) < bent
            low, high = np.where(too_low, middle, low), np.where(too_low, high, middle)
        return high


def of_shape(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The array of the preprocessing unchanged, of `shape` (n, …). Raises ValueError unless it has it and is finite.

    It also raises it for an array that is not float64.
    """
    if array.dtype != np.float64 or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"preprocess/{name} is {array.dtype} {array.shape}, not float64 {shape}, or is not finite")
    return array


def number_pipeline(values: np.ndarray, share: np.ndarray) -> Pipeline:
    """The scikit-learn transformer that defines the features of `values` (n, m); `share` (m,) is how far each is bent.

    Within ±1e150 → StandardScaler → bent towards its QuantileTransformer rank → StandardScaler → soft clip →
    SimpleImputer(0).
    """
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import FeatureUnion, Pipeline
    from sklearn.preprocessing import FunctionTransformer, QuantileTransformer, StandardScaler

    normal = QuantileTransformer(
        n_quantiles=max(2, min(N_QUANTILES, len(values))), output_distribution="normal", subsample=None
    )
    standardised = StandardScaler().fit_transform(within_largest(values))
    low, high = np.nanmin(standardised, 0), np.nanmax(standardised, 0)
    limit = FunctionTransformer(np.clip, kw_args={"a_min": -NORMAL_LIMIT, "a_max": NORMAL_LIMIT})
    rank = Pipeline([("normal", normal), ("limit", limit)])
    return Pipeline(
        [
            ("finite", FunctionTransformer(within_largest)),
            ("scale", StandardScaler()),
            ("views", FeatureUnion([("size", "passthrough"), ("rank", rank)])),
            ("bend", FunctionTransformer(_bent_views, kw_args={"share": share, "low": low, "high": high})),
            ("rescale", StandardScaler()),
            ("clip", FunctionTransformer(soft_clip)),
            ("fill", SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)),
        ]
    )


def _bent_views(both: np.ndarray, share: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(n, 2m) sizes and ranks side by side → (n, m)."""
    m = both.shape[1] // 2
    return bend(both[:, :m], both[:, m:], share, low, high)


# fmt: on
