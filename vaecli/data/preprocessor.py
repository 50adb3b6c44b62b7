"""Cells → features and back: fitted with scikit-learn, kept as plain arrays, applied with NumPy.

| kind              | scikit-learn, at fit                                                    | features of a column |
|-------------------|-------------------------------------------------------------------------|----------------------|
| numeric, datetime | within ±1e150 → StandardScaler → bent towards its QuantileTransformer   | 1: the bent, scaled  |
|                   | rank where that helps → StandardScaler → soft clip → SimpleImputer(0)   | value                |
| boolean           | SimpleImputer(constant 0)                                               | 1: 0 or 1            |
| categorical       | OneHotEncoder(categories=0…K−1, handle_unknown="ignore")                | K: one-hot           |

A column shaped like a bell enters as it is. One that is not is bent by the share `rank_share` gives it: b = (1 − w)·v +
w·r(v), where r is the normal score of v's rank within the training range and goes on beyond it with slope 1.
So a column of byte counts, where one reading in a thousand is a million times the median, keeps both its tail and
its bulk. The map is strictly increasing. The soft clip keeps a reading of 10⁹ from drowning all others, yet keeps
larger readings larger: sign(v)·(10 + 10·log1p((|v| − 10)/10)) beyond |v| = 10.

Columns that measure the same thing in one unit (pixels, bins of a spectrum) may be told to share one scale: each keeps
its own mean, all are divided by the root of their mean variance, and none is bent. Otherwise a pixel that is nearly
always blank would count as much as one in the middle of the picture, and its rare grey as an outlier.

A missing or novel cell becomes 0 everywhere: the mean of a number, no category at all, and False, unless booleans
are taken as numbers (`Likelihood.view`). That it is missing or novel travels beside the features, in
`FeatureBatch.state`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vaecli.data.cells import PRESENT, Cells
from vaecli.data.transforms import (
    NORMAL_LIMIT,
    bend,
    rank_share,
    rank_to_normal,
    soft_clip,
    undo_soft_clip,
    within_largest,
)
from vaecli.schema import Column, Kind, Layout

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

N_QUANTILES = 256
N_BISECTIONS = 64
N_GRID = 64  # values of a number that are compared when its cell is explained
NUMBERS = (Kind.NUMERIC, Kind.DATETIME)


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """What the networks see of n rows.

    `values` (n, d) float32 in the feature order of `Layout`; `state` (n, c) uint8 as in `Cells`;
    `row` (n,) int64.
    """

    values: np.ndarray
    state: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return self.values.shape[0]


@dataclass(frozen=True, slots=True)
class Preprocessor:
    """Fitted preprocessing of m numeric columns (dates included), float64; other kinds need no numbers.

    A number x becomes soft_clip((((1 − w)·v + w·r(v)) − center) / spread) with v = (x − mean) / scale.
    """

    layout: Layout
    mean: np.ndarray  # (m,)
    scale: np.ndarray  # (m,)
    share: np.ndarray  # (m,) w
    quantiles: np.ndarray  # (m, q) of the standardised values, ascending
    center: np.ndarray  # (m,)
    spread: np.ndarray  # (m,)
    boolean_values: np.ndarray  # (b, 2) what False and True would be as standardised numbers

    @classmethod
    def fit(cls, cells: Cells, columns: tuple[Column, ...], same_unit: Collection[str] = ()) -> Preprocessor:
        """Learn from `cells`, whose columns are `columns`; those named in `same_unit` share one scale, unbent."""
        layout = Layout.of(columns)
        booleans = _boolean_values(cells.values[:, [j for j, _ in layout.of_kind(Kind.BOOLEAN)]])
        numbers = [j for j, _ in layout.of_kind(*NUMBERS)]
        if not numbers:
            nothing = np.zeros(0)
            return cls(layout, nothing, nothing, nothing, np.zeros((0, 2)), nothing, nothing, booleans)
        values = cells.values
        if (empty := np.isnan(values).all(0)).any():  # a sample may have missed all values of a column
            values = np.where(empty & (np.arange(len(cells)) == 0)[:, None], 0.0, values)
        share = rank_share(values[:, numbers])
        together = np.array([columns[j].name in same_unit for j in numbers])
        share[together] = 0.0
        steps = pipeline(layout, values, share).fit(values).named_transformers_["numeric"].named_steps
        ranks = dict(steps["views"].transformer_list)["rank"].named_steps["normal"]
        quantiles = np.ascontiguousarray(ranks.quantiles_.T)
        standard, again = steps["scale"], steps["rescale"]
        fitted = cls(layout, standard.mean_, standard.scale_, share, quantiles, again.mean_, again.scale_, booleans)
        return fitted._on_one_scale(together, standard.var_) if together.any() else fitted

    def _on_one_scale(self, together: np.ndarray, variance: np.ndarray) -> Preprocessor:
        """The same, with the numbers that `together` (m,) marks in units of the root of their mean `variance` (m,)."""
        common = float(np.sqrt(variance[together].mean())) or 1.0
        scale, center, spread = (
            np.where(together, one, own) for one, own in ((common, self.scale), (0.0, self.center), (1.0, self.spread))
        )
        quantiles = self.quantiles * (self.scale / scale)[:, None]
        return replace(self, scale=scale, quantiles=quantiles, center=center, spread=spread)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The fitted numbers by name; `from_arrays` is the inverse."""
        return {name: getattr(self, name) for name in _FITTED}

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray]) -> Preprocessor:
        """Raises KeyError or ValueError on arrays that `to_arrays` cannot have written for this layout."""
        m, b, fitted = len(layout.of_kind(*NUMBERS)), len(layout.of_kind(Kind.BOOLEAN)), {}
        for name in _FITTED:
            array = arrays[name]
            shape: tuple[int, ...] = (b, 2) if name == "boolean_values" else (m,)
            if name == "quantiles" and array.ndim:
                shape = (m, max(2, array.shape[-1]))
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"preprocess/{name} has shape {array.shape}, not {shape}, or is not finite")
            fitted[name] = array
        if not ((fitted["scale"] > 0).all() and (fitted["spread"] > 0).all()):
            raise ValueError("preprocess/scale and preprocess/spread are not positive")
        if not ((fitted["share"] >= 0).all() and (fitted["share"] < 1).all()):
            raise ValueError("preprocess/share is not in [0, 1)")
        if (np.diff(fitted["quantiles"], axis=1) < 0).any():
            raise ValueError("preprocess/quantiles is not ascending")
        return cls(layout, **fitted)

    def transform(self, cells: Cells) -> FeatureBatch:
        """Features of the cells; the same numbers as the fitted `pipeline` gives, to 1e-6."""
        values = np.zeros((len(cells), self.layout.n_features), np.float32)
        for i, (j, slot) in enumerate(self.layout.of_kind(*NUMBERS)):
            bent = self._bend(i, self._standardised(i, cells.values[:, j]))
            values[:, slot.start] = np.nan_to_num(soft_clip(bent), nan=0.0)
        for j, slot in self.layout.of_kind(Kind.BOOLEAN):
            values[:, slot.start] = np.nan_to_num(cells.values[:, j], nan=0.0)
        for j, slot in self.layout.of_kind(Kind.CATEGORICAL):
            known = np.flatnonzero(cells.state[:, j] == PRESENT)
            values[known, slot.start + cells.values[known, j].astype(np.int64)] = 1.0
        return FeatureBatch(values, cells.state, cells.row)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Features (n, d) back to cell values (n, c) float64: own units, 0 or 1, the most probable category."""
        values = np.asarray(values, np.float64)
        cells = np.empty((values.shape[0], self.layout.n_columns))
        for i, (j, slot) in enumerate(self.layout.of_kind(*NUMBERS)):
            cells[:, j] = self.numbers(i, values[:, slot.start])
        for j, slot in self.layout.of_kind(Kind.BOOLEAN):
            cells[:, j] = values[:, slot.start] >= 0.5
        for j, slot in self.layout.of_kind(Kind.CATEGORICAL):
            cells[:, j] = values[:, slot.start : slot.stop].argmax(1)
        return cells

    def numbers(self, i: int, features: np.ndarray) -> np.ndarray:
        """Features of the i-th number or date back in its own units."""
        found: np.ndarray = self._unbend(i, undo_soft_clip(features)) * self.scale[i] + self.mean[i]
        return found

    def grid(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Features (g,) over the training range of the i-th number, ascending, distinct, and the numbers they are.

        Half of them stand at quantiles, half about evenly: what is frequent is met exactly, what is between not missed.
        """
        known = self.quantiles[i][np.linspace(0, self.quantiles.shape[1] - 1, N_GRID // 2).round().astype(int)]
        place = soft_clip(self._bend(i, known))
        even = np.interp(np.linspace(place[0], place[-1], N_GRID // 2), place, known)
        standardised = np.union1d(known, even)
        features, first = np.unique(soft_clip(self._bend(i, standardised)), return_index=True)
        return features, standardised[first] * self.scale[i] + self.mean[i]

    def _standardised(self, i: int, numbers: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # a small unit may take a large number beyond the floats
            return within_largest((within_largest(numbers) - self.mean[i]) / self.scale[i])

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


_FITTED = ("mean", "scale", "share", "quantiles", "center", "spread", "boolean_values")


def _boolean_values(values: np.ndarray) -> np.ndarray:
    """(b, 2) from booleans (n, b), NaN where missing: 0 and 1 standardised, and softly clipped as numbers are."""
    n_present = np.maximum((~np.isnan(values)).sum(0), 1)
    share = np.clip(np.nan_to_num(values).sum(0) / n_present, 0.5 / n_present, 1 - 0.5 / n_present)
    spread = np.sqrt(share * (1 - share))
    return soft_clip(np.stack([-share / spread, (1 - share) / spread], axis=-1))


def pipeline(layout: Layout, values: np.ndarray, share: np.ndarray) -> ColumnTransformer:
    """The scikit-learn transformer that defines the preprocessing of `values` (n, c), as in `Cells`.

    `share` (m,) says how far each number is bent.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import FeatureUnion, Pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, QuantileTransformer, StandardScaler

    normal = QuantileTransformer(
        n_quantiles=max(2, min(N_QUANTILES, len(values))), output_distribution="normal", subsample=None
    )
    numbers = [j for j, _ in layout.of_kind(*NUMBERS)]
    standardised = StandardScaler().fit_transform(within_largest(values[:, numbers])) if numbers else values[:, numbers]
    low, high = (np.nanmin(standardised, 0), np.nanmax(standardised, 0)) if numbers else (0.0, 0.0)
    limit = FunctionTransformer(np.clip, kw_args={"a_min": -NORMAL_LIMIT, "a_max": NORMAL_LIMIT})
    numeric = Pipeline(
        [
            ("finite", FunctionTransformer(within_largest)),
            ("scale", StandardScaler()),
            (
                "views",
                FeatureUnion([("size", "passthrough"), ("rank", Pipeline([("normal", normal), ("limit", limit)]))]),
            ),
            ("bend", FunctionTransformer(_bent_views, kw_args={"share": share, "low": low, "high": high})),
            ("rescale", StandardScaler()),
            ("clip", FunctionTransformer(soft_clip)),
            ("fill", SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)),
        ]
    )
    boolean = SimpleImputer(strategy="constant", fill_value=0.0, keep_empty_features=True)
    categorical = layout.of_kind(Kind.CATEGORICAL)
    one_hot = OneHotEncoder(
        categories=[np.arange(slot.stop - slot.start, dtype=float) for _, slot in categorical] or "auto",
        handle_unknown="ignore",
        sparse_output=False,
    )
    return ColumnTransformer(
        [
            ("numeric", numeric, numbers),
            ("boolean", boolean, [j for j, _ in layout.of_kind(Kind.BOOLEAN)]),
            ("categorical", one_hot, [j for j, _ in categorical]),
        ]
    )


def _bent_views(both: np.ndarray, share: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """(n, 2m) sizes and ranks side by side → (n, m)."""
    m = both.shape[1] // 2
    return bend(both[:, :m], both[:, m:], share, low, high)


# fmt: on
