"""The fitted whole: schema, preprocessing, ensemble, noise and calibration. Cells in, scores out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vaecli.calibration.by_group import GroupCalibrations
from vaecli.calibration.conformal import Calibration
from vaecli.calibration.novelty_offset import add_novelty_offset, novelty_offset
from vaecli.data.cells import MISSING, NOVEL, Cells
from vaecli.data.marginals import Marginals
from vaecli.data.named_arrays import arrays_within
from vaecli.data.preprocessor import Preprocessor
from vaecli.data.string_features import OF_LENGTH, READOUTS, Strings
from vaecli.decisions.threshold import ScoredRows
from vaecli.model.ensemble import Ensemble
from vaecli.model.families import likelihoods_of
from vaecli.runtime.blas import one_blas_thread
from vaecli.schema import MOST_COUNTED, Kind, Layout, Schema
from vaecli.scoring.max_cell import KIND_WITH_MAX_CELL
from vaecli.scoring.neighbour_judge import NeighbourJudge
from vaecli.scoring.scores import Scorer, score_batch, score_index
from vaecli.scoring.single_cells import SingleCells
from vaecli.scoring.surprisal import SurprisalScale

if TYPE_CHECKING:  # what scoring does not need is loaded by the method that does
    from vaecli.latent.knn_map import KnnMap
    from vaecli.latent.sampling import Sampler
    from vaecli.scoring.attribution import Explanation
    from vaecli.scoring.string_judge import StringJudge
    from vaecli.scoring.unusual_spans import UnusualString


@dataclass(frozen=True, slots=True)
class Detector:
    """Everything that scoring needs, and nothing that only training did."""

    schema: Schema
    preprocessor: Preprocessor
    ensemble: Ensemble
    surprisal_scales: Mapping[str, SurprisalScale]  # by score kind
    calibrations: Mapping[str, Calibration]  # by score kind
    score_kind: str  # the default kind
    threshold: float  # the default level
    marginals: Marginals | None = None  # of the training rows; None in bundles fitted before these were stored
    cells: SingleCells | None = None  # the judges of single cells; None in bundles fitted before, and in small tables
    neighbours: NeighbourJudge | None = None  # of small tables; None in bundles fitted before
    novelty_offsets: Mapping[str, float] | None = None  # by score kind, where rows after the fit have calibrated
    groups: GroupCalibrations | None = None  # where they have by group
    strings: StringJudge | None = None  # of tables with text
    lines: tuple[str, ...] | None = None  # of logs: the columns that their lines are read as
    _offsets: dict[str, float] = field(default_factory=dict, init=False, repr=False, compare=False)  # found, by kind

    def score(self, cells: Cells, kind: str | None = None, *, small_tiles: bool = False) -> ScoredRows:
        """Score rows by `kind` (default: the detector's own), in nats, higher is more anomalous, with p-values.

        `small_tiles` as in `score_batch`.
        """
        kind = kind or self.score_kind
        scored = score_batch(self._scorer(kind), self.preprocessor.transform(cells), small_tiles=small_tiles)
        scored = add_novelty_offset(scored, self._is_unexpected(cells), self.novelty_offset(kind))
        return ScoredRows(scored, self._p_value(kind, scored.score, cells), int(np.count_nonzero(cells.state == NOVEL)))

    def novelty_offset(self, kind: str) -> float:
        """What an unexpected cell adds to a score of `kind`, in nats: a fresh calibration leaves it as it was."""
        if self.novelty_offsets is not None:
            return self.novelty_offsets[kind]
        if kind not in self._offsets:  # finding it takes as long as the p-value of a row
            self._offsets[kind] = novelty_offset(self.calibrations[kind])
        return self._offsets[kind]

    @property
    def by_column(self) -> str | None:
        """The column whose groups have calibrations of their own, which a table to be scored must have; or None."""
        return None if self.groups is None else self.groups.column

    @property
    def group_columns(self) -> tuple[str, ...]:
        """That column, if there is one."""
        return () if self.groups is None else (self.groups.column,)

    def _p_value(self, kind: str, score: np.ndarray, cells: Cells) -> np.ndarray:
        calibration = self.calibrations[kind]
        if self.groups is None or cells.group is None:
            return calibration.p_value(score)
        return self.groups.p_value(kind, score, cells.group.tolist(), calibration)

    def explain(self, cells: Cells, decided: ScoredRows, kind: str | None = None, most: int = 3) -> Explanation:
        """Why these rows scored as `decided`, in nats, on the CPU; expectations for the `most` largest attributions."""
        from vaecli.scoring.attribution import explain

        kind = kind or self.score_kind
        offset = self.novelty_offset(kind) * self._is_unexpected(cells)
        batch = self.preprocessor.transform(cells)
        with one_blas_thread(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            flagged_from = self.calibrations[kind].threshold(self.threshold)
            return explain(self._scorer(kind), self.preprocessor, batch, decided.scored, offset, most, flagged_from)

    def with_classes(self, cells: Cells) -> Cells:
        """The cells (n, c) with the class of each string as its number; the same cells in a table without text."""
        if cells.texts is None:
            return cells
        return self.preprocessor.with_classes(cells, self.preprocessor.transform(cells).values)

    def unusual_string(self, cells: Cells, i: int, j: int) -> UnusualString:
        """What is unusual about the string in row `i` and text column `j` by itself."""
        from vaecli.scoring.unusual_spans import UNUSUAL, UnusualString, unusual_spans

        t = [column for column, _ in self.preprocessor.layout.of_kind(Kind.TEXT)].index(j)
        assert cells.texts is not None
        texts = cells.texts[i : i + 1, t]
        read = self.preprocessor.encoder(Strings).read(t, texts)
        own_class = int(read.features[0].argmax())
        if self.strings is None:
            return UnusualString((), False, own_class)
        surprisals = dict(zip(READOUTS, self.strings.of_column(t, read.readouts[0]).tolist(), strict=True))
        by_length = max(surprisals.pop(name) for name in OF_LENGTH) >= UNUSUAL
        if max(surprisals.values()) < UNUSUAL:
            return UnusualString((), by_length, own_class)
        strings = self.preprocessor.encoder(Strings)
        spans = unusual_spans(strings.models[t], float(strings.high[t]), bytes(texts[0]))
        return UnusualString(spans, False, own_class)

    @property
    def n_latent(self) -> int:
        """The number k of latent dimensions of the codes that `encode` gives."""
        return int(self.ensemble.reference_family.noise.shape[-1])

    def encode(self, cells: Cells, dims: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each row's code: both (n, k), or with `dims` (n, dims) on the PCA map."""
        from vaecli.latent.encoding import latent_coordinates

        with one_blas_thread():
            return latent_coordinates(self.ensemble.reference_family, self.preprocessor.transform(cells), dims)

    def map_coordinates(self, cells: Cells, on: KnnMap) -> np.ndarray:
        """Where each row's code lies on a map of this detector's exemplars: (n, dims)."""
        from vaecli.latent.encoding import map_coordinates

        with one_blas_thread():
            return map_coordinates(self.ensemble.reference_family, self.preprocessor.transform(cells), on)

    def exemplar_coordinates(self, dims: int) -> np.ndarray:
        """Where the exemplars of the first member lie on the PCA map of `encode`: (N, dims)."""
        from vaecli.latent.encoding import exemplar_coordinates

        return exemplar_coordinates(self.ensemble.reference_family.exemplar_prior, dims)

    def reconstruct(self, cells: Cells, *, impute: bool = False) -> np.ndarray:
        """The cells (n, c), as in `Cells`, that the model expects of each row given its code.

        With `impute` only missing cells are replaced, by what is expected given the others; a novel cell stays NaN. A
        string is that of `Column.categories` of the expected class; a missing one is not imputed, since the model would
        make it up.
        """
        from vaecli.latent.reconstruction import as_cells, imputation, reconstruction

        batch, layout = self.preprocessor.transform(cells), self.preprocessor.layout
        which = cells.state == MISSING if impute else np.ones(cells.state.shape, bool)
        if impute:
            which[:, [j for j, _ in layout.of_kind(Kind.TEXT)]] = False
            cells = self.with_classes(cells)
        with one_blas_thread():
            if impute:
                features = imputation(self.ensemble.reference_family, layout, batch)
            else:
                features = reconstruction(self.ensemble, batch)
        return np.where(which, as_cells(self.preprocessor, self.schema.features, features, which), cells.values)

    def sampler(self, seed: int) -> Sampler:
        """The sampler of new rows; the same seed gives the same rows."""
        from vaecli.latent.sampling import Sampler

        columns, preprocessor = self.schema.features, self.preprocessor
        marginals = self.marginals or Marginals.from_quantiles(preprocessor, columns)
        with one_blas_thread():
            sampler = Sampler.of(self.ensemble.reference_family, preprocessor.layout, columns, marginals, seed)
        return replace(sampler, strings=preprocessor.encoder(Strings).models)

    def _scorer(self, kind: str) -> Scorer:
        judges = (self.cells, self.neighbours, self.strings) if kind == KIND_WITH_MAX_CELL else (None, None, None)
        return Scorer(self.ensemble, kind, self.surprisal_scales[kind], *judges)

    def _is_unexpected(self, cells: Cells) -> np.ndarray:
        """(n, c) bool: novel cells, and missing cells of columns that had none in training."""
        never_missing = self.ensemble.reference_family.likelihood.presence.unexpected_missing_nats > 0
        return (cells.state == NOVEL) | ((cells.state == MISSING) & never_missing)

    def on(self, device: str) -> Detector:
        """The same detector computing on a torch device."""
        return replace(self, ensemble=self.ensemble.on(device))

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """(settings as JSON values, arrays); `from_parts` is the inverse."""
        likelihood = self.ensemble.reference_family.likelihood
        settings = {
            "score_kind": self.score_kind,
            "score_kinds": sorted(self.calibrations),
            "threshold": self.threshold,
            "min_log_variance": likelihood.min_log_variance,
            "schema_order": all(family.likelihood.schema_order for family in self.ensemble.families),
        }
        arrays = {
            **{f"preprocess/{name}": value for name, value in self.preprocessor.to_arrays().items()},
            "likelihood/n_missing": likelihood.presence.n_missing,
            "likelihood/n_rows": np.array([likelihood.presence.n_rows], np.int64),
        }
        arrays |= self.ensemble.to_arrays()
        for kind, calibration in self.calibrations.items():
            arrays |= calibration.to_arrays(f"calibration/{kind}")
            arrays |= self.surprisal_scales[kind].to_arrays(f"surprise/{kind}")
        if self.novelty_offsets is not None:
            settings["novelty_offsets"] = dict(self.novelty_offsets)
        if self.groups is not None:
            settings["by"] = {"column": self.groups.column, "groups": list(self.groups.names)}
            arrays |= self.groups.to_arrays()
        if self.marginals is not None:
            arrays |= {f"marginals/{name}": value for name, value in self.marginals.to_arrays().items()}
        if self.cells is not None:
            arrays |= self.cells.to_arrays("cells")
        if self.neighbours is not None:
            arrays |= self.neighbours.to_arrays("neighbours")
        if self.lines is not None:
            settings["lines"] = list(self.lines)
        if self.strings is not None:
            arrays |= self.strings.to_arrays("strings")
        return settings, arrays

    @classmethod
    def from_parts(cls, schema: Schema, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Detector:
        """The detector in parts of `to_parts`. Raises KeyError, TypeError or ValueError on parts not written by it."""
        layout = Layout.of(schema.features)
        preprocessor = Preprocessor.from_arrays(layout, arrays_within(arrays, "preprocess/"))
        n_missing, n_rows = arrays["likelihood/n_missing"], arrays["likelihood/n_rows"]
        shapes_fit = n_missing.shape == (layout.n_columns,) and n_rows.shape == (1,)
        if not shapes_fit or not n_missing.dtype == n_rows.dtype == np.int64 or not 1 <= n_rows[0] <= MOST_COUNTED:
            raise ValueError("likelihood/n_missing or likelihood/n_rows is not of this table")
        min_log_variance = float(settings["min_log_variance"])
        if not ((n_missing >= 0) & (n_missing <= n_rows)).all() or not abs(min_log_variance) < 100:
            raise ValueError("likelihood/n_missing or min_log_variance is out of range")
        in_order = bool(settings["schema_order"])
        likelihoods = likelihoods_of(
            layout, preprocessor, n_missing, int(n_rows[0]), min_log_variance, schema_order=in_order
        )
        ensemble = Ensemble.from_arrays(arrays, likelihoods, layout.n_features)
        surprisal_scales, calibrations = {}, {}
        for kind in map(str, settings["score_kinds"]):
            member, _ = score_index(ensemble, kind)
            surprisal_scales[kind] = SurprisalScale.from_arrays(arrays, f"surprise/{kind}", member, layout.n_columns)
            calibrations[kind] = Calibration.from_arrays(arrays, f"calibration/{kind}")
        if settings["score_kind"] not in calibrations:
            raise ValueError(f"no calibration for the default score kind {settings['score_kind']!r}")
        threshold = float(settings["threshold"])
        if not 0 < threshold < 1:
            raise ValueError(f"threshold {threshold} is not strictly between 0 and 1")
        of_marginals = arrays_within(arrays, "marginals/")
        return cls(
            schema,
            preprocessor,
            ensemble,
            surprisal_scales,
            calibrations,
            settings["score_kind"],
            threshold,
            Marginals.from_arrays(layout, of_marginals) if of_marginals else None,
            SingleCells.from_arrays(layout, arrays, "cells"),
            NeighbourJudge.from_arrays(preprocessor, arrays, "neighbours"),
            _novelty_offsets(settings, calibrations),
            _groups(settings, sorted(calibrations), arrays),
            _string_judge(layout, arrays),
            _lines(settings),
        )


def _string_judge(layout: Layout, arrays: Mapping[str, np.ndarray]) -> StringJudge | None:
    if not layout.of_kind(Kind.TEXT):
        return None
    from vaecli.scoring.string_judge import StringJudge

    return StringJudge.from_arrays(layout, arrays, "strings")


def _lines(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    if "lines" not in settings:
        return None
    if settings["lines"] not in (["line"], ["time", "line"]):
        raise ValueError("the columns of lines are not those of a log")
    return tuple(settings["lines"])


def _novelty_offsets(settings: Mapping[str, Any], kinds: Iterable[str]) -> dict[str, float] | None:
    if "novelty_offsets" not in settings:
        return None
    offsets = {kind: float(settings["novelty_offsets"][kind]) for kind in kinds}
    if not all(0 <= offset < math.inf for offset in offsets.values()):
        raise ValueError("the novelty offsets are not numbers of nats")
    return offsets


def _groups(
    settings: Mapping[str, Any], kinds: Sequence[str], arrays: Mapping[str, np.ndarray]
) -> GroupCalibrations | None:
    if "by" not in settings:
        return None
    column, names = settings["by"]["column"], settings["by"]["groups"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in [column, *names]):
        raise ValueError("the groups with a calibration of their own are not texts")
    return GroupCalibrations.from_arrays(column, names, kinds, arrays)
