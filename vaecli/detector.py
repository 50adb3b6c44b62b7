"""The fitted whole: schema, preprocessing, ensemble, noise and calibration. Cells in, scores out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.calibration.conformal import Calibration
from vaecli.calibration.novelty_offset import add_novelty_offset
from vaecli.data.cells import MISSING, NOVEL, Cells
from vaecli.data.marginals import Marginals
from vaecli.data.preprocessor import NUMBERS, FeatureBatch, Preprocessor
from vaecli.decisions.threshold import ScoredRows
from vaecli.latent.encoding import coordinates, exemplars, places
from vaecli.latent.knn_map import KnnMap
from vaecli.latent.reconstruction import as_cells, imputation, reconstruction
from vaecli.latent.sampling import Sampler
from vaecli.model.ensemble import Family
from vaecli.model.exemplar_prior import ExemplarPrior
from vaecli.model.families import FAMILIES, likelihoods_of
from vaecli.model.likelihoods.likelihood import Likelihood
from vaecli.model.network import check_shapes
from vaecli.schema import Kind, Layout, Schema
from vaecli.scoring.attribution import ONE_SIGMA, Explanation, attribute, extend_grid, imputed_feature, instead
from vaecli.scoring.scores import Ensemble, score_batch, score_owners
from vaecli.scoring.surprisal import SurprisalScale


@dataclass(frozen=True, slots=True)
class Detector:
    """Everything that scoring needs, and nothing that only training did."""

    schema: Schema
    preprocessor: Preprocessor
    ensemble: Ensemble
    calibrations: Mapping[str, Calibration]  # one a score kind
    score_kind: str  # the default kind
    threshold: float  # the default level
    marginals: Marginals | None = None  # what new rows repeat; None in a bundle that was fitted before there were any

    def score(self, cells: Cells, kind: str | None = None) -> ScoredRows:
        """Score rows by `kind` (default: the detector's own)."""
        kind = kind or self.score_kind
        scored = score_batch(self.ensemble, self.preprocessor.transform(cells), kind)
        scored = add_novelty_offset(scored, self._is_unexpected(cells), self.calibrations[kind])
        return ScoredRows(scored, self.calibrations[kind].p_value(scored.score), int((cells.state == NOVEL).sum()))

    def explain(self, cells: Cells, decided: ScoredRows, kind: str | None = None, most: int = 3) -> Explanation:
        """Why these rows scored as `decided` says, with expectations for the `most` columns to blame. On the CPU."""
        kind = kind or self.score_kind
        layout, batch, scored = self.preprocessor.layout, self.preprocessor.transform(cells), decided.scored
        novelty_offset = self.calibrations[kind].novelty_offset * self._is_unexpected(cells)
        expected, low, high, probability = np.full((4, *scored.column_score.shape), np.nan)
        with threadpool_limits(1, "blas"):
            part, rest = attribute(self.ensemble, layout, batch, kind, scored, novelty_offset)
            for i in range(len(cells)):
                for j in np.argsort(-part[i], kind="stable")[:most]:
                    if part[i, j] > 0:
                        expected[i, j], low[i, j], high[i, j], probability[i, j] = self._expected(batch, i, int(j))
        likelihood = self.ensemble.families[0].likelihood
        filled = (likelihood.presence.n_rows - likelihood.presence.n_missing + 1) / (likelihood.presence.n_rows + 2)
        probability = np.where(cells.state == MISSING, filled, probability)
        return Explanation(part, rest, expected, low, high, probability)

    @property
    def n_latent(self) -> int:
        """k of the codes that `encode` gives."""
        return int(self.ensemble.families[0].noise.shape[-1])

    def encode(self, cells: Cells, dims: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates of each row's code, and their standard deviations: (n, k), or with `dims` (n, dims) of a map."""
        with threadpool_limits(1, "blas"):
            return coordinates(self.ensemble.families[0], self.preprocessor.transform(cells), dims)

    def placed(self, cells: Cells, on: KnnMap) -> np.ndarray:
        """Where each row's code lies on a map of this detector's exemplars: (n, dims)."""
        with threadpool_limits(1, "blas"):
            return places(self.ensemble.families[0], self.preprocessor.transform(cells), on)

    def exemplar_map(self, dims: int) -> np.ndarray:
        """(N, dims) where the training rows that the bundle remembers lie on the map of `encode`."""
        return exemplars(self.ensemble.families[0], dims)

    def reconstruct(self, cells: Cells, *, impute: bool = False) -> np.ndarray:
        """The cells (n, c), as in `Cells`, that the model expects of each row given its code.

        With `impute` only missing cells are expected ones, given the others, which stay: a novel one NaN.
        """
        batch, layout = self.preprocessor.transform(cells), self.preprocessor.layout
        which = cells.state == MISSING if impute else np.ones(cells.state.shape, bool)
        with threadpool_limits(1, "blas"):
            if impute:
                features = imputation(self.ensemble.families[0], layout, batch)
            else:
                features = reconstruction(self.ensemble, batch)
        return np.where(which, as_cells(self.preprocessor, self.schema.features, features, which), cells.values)

    def sampler(self, seed: int) -> Sampler:
        """What makes new rows. The same seed makes the same ones."""
        columns, preprocessor = self.schema.features, self.preprocessor
        marginals = self.marginals or Marginals.from_quantiles(preprocessor, columns)
        with threadpool_limits(1, "blas"):
            return Sampler.of(self.ensemble.families[0], preprocessor.layout, columns, marginals, seed)

    def _expected(self, batch: FeatureBatch, i: int, j: int) -> tuple[float, float, float, float]:
        """(expected, low, high, probability) of one cell given the rest of its row, as in `Explanation`."""
        layout, slot = self.preprocessor.layout, self.preprocessor.layout.slots[j]
        if slot.kind in (Kind.BOOLEAN, Kind.CATEGORICAL):
            n = max(slot.stop - slot.start, 2)
            values = np.eye(n, dtype=np.float32) if slot.kind is Kind.CATEGORICAL else np.arange(2.0)[:, None]
            share = instead(self.ensemble, layout, batch, i, j, values, np.ones(n))
            return float(share.argmax()), math.nan, math.nan, float(share.max())
        place = [number for number, _ in layout.of_kind(*NUMBERS)].index(j)
        grid, numbers = self.preprocessor.grid(place)
        middle, low, high = self._middle(batch, i, j, grid, numbers)
        if low == numbers[0] or high == numbers[-1]:  # of what training held: the rest of the row may point beyond it
            wider = extend_grid(grid, imputed_feature(self.ensemble, layout, batch, i, j))
            if wider.size > grid.size:
                middle, low, high = self._middle(batch, i, j, wider, self.preprocessor.numbers(place, wider))
        return middle, low, high, math.nan

    def _middle(
        self, batch: FeatureBatch, i: int, j: int, grid: np.ndarray, numbers: np.ndarray
    ) -> tuple[float, float, float]:
        """Median and middle 68 % of the `numbers` (g,), features `grid` (g,), by how probable the row is with each."""
        weight = np.gradient(grid) if grid.size > 1 else grid
        share = instead(self.ensemble, self.preprocessor.layout, batch, i, j, grid[:, None], weight)
        middle, low, high = np.interp((0.5, ONE_SIGMA, 1 - ONE_SIGMA), np.cumsum(share) - 0.5 * share, numbers)
        return float(middle), float(low), float(high)

    def _is_unexpected(self, cells: Cells) -> np.ndarray:
        """(n, c) cells of which training met none of their like: a value never seen, a gap where none was."""
        never_missing = self.ensemble.families[0].likelihood.presence.unexpected_missing_nats > 0
        return (cells.state == NOVEL) | ((cells.state == MISSING) & never_missing)

    def on(self, device: str) -> Detector:
        """The same detector computing on a torch device."""
        return Detector(
            self.schema,
            self.preprocessor,
            self.ensemble.on(device),
            self.calibrations,
            self.score_kind,
            self.threshold,
            self.marginals,
        )

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(settings as JSON values, arrays); `from_parts` is the inverse."""
        likelihood = self.ensemble.families[0].likelihood
        settings = {
            "score_kind": self.score_kind,
            "score_kinds": sorted(self.calibrations),
            "threshold": self.threshold,
            "min_log_variance": likelihood.min_log_variance,
        }
        arrays = {
            **{f"preprocess/{name}": value for name, value in self.preprocessor.to_arrays().items()},
            "likelihood/n_missing": likelihood.presence.n_missing,
            "likelihood/n_rows": np.array([likelihood.presence.n_rows], np.int64),
        }
        for name, family in zip(FAMILIES, self.ensemble.families, strict=True):
            arrays |= _within_family(name, family)
        for kind, calibration in self.calibrations.items():
            arrays |= calibration.to_arrays(f"calibration/{kind}")
            arrays |= self.ensemble.surprisal_scales[kind].to_arrays(f"surprise/{kind}")
        if self.marginals is not None:
            arrays |= {f"marginals/{name}": value for name, value in self.marginals.to_arrays().items()}
        return settings, arrays

    @classmethod
    def from_parts(cls, schema: Schema, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Detector:
        """Raises KeyError, TypeError or ValueError on parts that `to_parts` cannot have written."""
        layout = Layout.of(schema.features)
        preprocessor = Preprocessor.from_arrays(layout, _within(arrays, "preprocess/"))
        n_missing = _of_shape(arrays["likelihood/n_missing"], (layout.n_columns,), "likelihood/n_missing")
        n_rows = int(_of_shape(arrays["likelihood/n_rows"], (1,), "likelihood/n_rows")[0])
        min_log_variance = float(settings["min_log_variance"])
        if n_rows < 1 or (n_missing < 0).any() or (n_missing > n_rows).any() or not abs(min_log_variance) < 100:
            raise ValueError("likelihood/n_missing, likelihood/n_rows or min_log_variance cannot be")
        likelihoods = likelihoods_of(layout, preprocessor, n_missing, n_rows, min_log_variance)
        families = tuple(
            _family(name, likelihood, layout.n_features, arrays)
            for name, likelihood in zip(FAMILIES, likelihoods, strict=True)
        )
        surprisal_scales, calibrations = {}, {}
        for kind in map(str, settings["score_kinds"]):
            member, _ = score_owners(families, kind)
            surprisal_scales[kind] = SurprisalScale.from_arrays(arrays, f"surprise/{kind}", member, layout.n_columns)
            calibrations[kind] = Calibration.from_arrays(arrays, f"calibration/{kind}")
        if settings["score_kind"] not in calibrations:
            raise ValueError(f"no calibration for the default score kind {settings['score_kind']!r}")
        threshold = float(settings["threshold"])
        if not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold} is not strictly between 0 and 1")
        ensemble, kept = Ensemble(families, surprisal_scales), _within(arrays, "marginals/")
        marginals = Marginals.from_arrays(layout, kept) if kept else None
        return cls(schema, preprocessor, ensemble, calibrations, settings["score_kind"], threshold, marginals)


def _within_family(name: str, family: Family) -> dict[str, np.ndarray]:
    return {
        f"{name}/held_out": np.array(family.held_out, np.int64),
        f"{name}/noise": family.noise,
        **{f"{name}/codes/{part}": value for part, value in family.codes.to_arrays().items()},
        **{f"{name}/network/{part}": value for part, value in family.parameters.items()},
    }


def _family(name: str, likelihood: Likelihood, n_features: int, arrays: Mapping[str, np.ndarray]) -> Family:
    held_out, noise = arrays[f"{name}/held_out"], _float32(arrays[f"{name}/noise"], f"{name}/noise")
    if held_out.dtype != np.int64 or held_out.ndim != 1 or not held_out.size:
        raise ValueError(f"{name}/held_out is no list of folds")
    e = held_out.size
    if noise.ndim != 4 or noise.shape[1:3] != (e, 1) or not noise.size:
        raise ValueError(f"{name}/noise has shape {noise.shape}, not (samples, {e}, 1, latent)")
    k = noise.shape[3]
    network = _within(arrays, f"{name}/network/")
    parameters = {part: _float32(value, f"{name}/network/{part}") for part, value in network.items()}
    check_shapes(parameters, likelihood, n_features, n_members=e, n_latent=k)
    weight = arrays[f"{name}/codes/weight"]
    n_codes = weight.shape[-1] if weight.ndim == 3 and weight.shape[-1] else 1
    shapes = {"center": (e, 1, k), "scale": (e, 1, k), "weight": (e, k, n_codes), "offset": (e, 1, n_codes)}
    codes = {}
    for part, shape in shapes.items():
        label = f"{name}/codes/{part}"
        codes[part] = _of_shape(_float32(arrays[label], label), shape, label)
    return Family(
        likelihood, parameters, noise, ExemplarPrior.stored(**codes), tuple(held_out.tolist()), FAMILIES[name]
    )


def _within(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _of_shape(array: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, not {shape}")
    return _finite(array, name)


def _finite(array: np.ndarray, name: str) -> np.ndarray:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds values that are not finite")
    return array


def _float32(array: np.ndarray, name: str) -> np.ndarray:
    if array.dtype != np.float32:
        raise ValueError(f"{name} is {array.dtype}, not float32")
    return _finite(array, name)
