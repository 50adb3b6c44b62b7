"""Counts what a table holds, batch by batch, on the bins of training: sums of integers, whatever the order of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import MISSING, NOVEL, PRESENT
from vaecli.data.marginals import Marginal, Marginals
from vaecli.decisions.drift import Reference
from vaecli.detector import Detector
from vaecli.engines.base import features_of
from vaecli.schema import Column
from vaecli.tables import Batch, ReadRequest, time_values, to_cells
from vaecli.tasks.constants import Constants

LEARNED_ROWS = 200_000  # marginals are of a uniform sample of so many rows at most


@dataclass(frozen=True, slots=True)
class CheckCounts:
    """What was counted of some rows."""

    rows: int
    unscored: int
    flagged: int
    missing: np.ndarray  # (c,) int64
    novel: np.ndarray  # (c,) int64
    columns: tuple[np.ndarray, ...]  # (b,) int64 of each column with a reference
    p_values: np.ndarray  # (b,) int64
    moved: np.ndarray  # int64, of each constant
    times: tuple[np.ndarray, ...]  # of each batch, without gaps

    def __add__(self, later: CheckCounts) -> CheckCounts:
        """The counts of these rows and the `later` ones."""
        return CheckCounts(
            self.rows + later.rows,
            self.unscored + later.unscored,
            self.flagged + later.flagged,
            self.missing + later.missing,
            self.novel + later.novel,
            tuple(one + other for one, other in zip(self.columns, later.columns, strict=True)),
            self.p_values + later.p_values,
            self.moved + later.moved,
            self.times + later.times,
        )


@dataclass(frozen=True, slots=True)
class CheckTask:
    """Counts cells on the bins of training, and p-values of the scores."""

    detector: Detector
    references: tuple[Reference | None, ...]  # (c) None where training is not known
    p_values: Reference
    constants: Constants
    clock: Column | None

    @classmethod
    def of(cls, detector: Detector, names: tuple[str, ...]) -> CheckTask:
        """The task for a table with columns `names`."""
        clock = detector.schema.time
        calibration = detector.calibrations[detector.score_kind]
        return cls(
            detector,
            _references(detector),
            Reference.of_p_values(calibration.n_independent),
            Constants.of(detector.schema, names),
            clock if clock is not None and clock.name in names else None,
        )

    @property
    def needs(self) -> ReadRequest:
        """The features, the constants and the clock."""
        others = [*self.constants.names, *([self.clock.name] if self.clock else [])]
        return features_of(self.detector.schema, [*others, *self.detector.group_columns])

    def nothing(self) -> CheckCounts:
        """The counts of no rows."""
        none = np.zeros(len(self.references), np.int64)
        bins = tuple(np.zeros(0 if one is None else one.share.size, np.int64) for one in self.references)
        n_scores, n_constants = self.p_values.share.size, len(self.constants.columns)
        return CheckCounts(0, 0, 0, none, none, bins, np.zeros(n_scores, np.int64), np.zeros(n_constants, np.int64), ())

    def process(self, batch: Batch) -> CheckCounts:
        """The counts of a batch. Raises UnreadableCell."""
        cells = to_cells(batch, self.detector.schema, self.detector.by_column)
        p_value = self.detector.score(cells).p_value
        cells = self.detector.with_classes(cells)
        scored = p_value[~np.isnan(p_value)]
        n_bins = [np.zeros(0, np.int64)] * len(self.references)
        for j, reference in enumerate(self.references):
            if reference is not None:
                n_bins[j] = reference.counts(cells.values[cells.state[:, j] == PRESENT, j])
        moments = [] if self.clock is None else [time_values(batch, self.clock)]
        return CheckCounts(
            len(cells),
            p_value.size - scored.size,
            int((scored <= 1 - self.detector.threshold).sum()),
            (cells.state == MISSING).sum(0),
            (cells.state == NOVEL).sum(0),
            tuple(n_bins),
            self.p_values.counts(scored),
            self.constants.moved(batch),
            tuple(one[~np.isnan(one)] for one in moments),
        )


def _references(detector: Detector) -> tuple[Reference | None, ...]:
    columns, presence = detector.schema.features, detector.ensemble.reference_family.likelihood.presence
    marginals = detector.marginals or Marginals.from_quantiles(detector.preprocessor, columns)
    effective = share_worth(detector)
    found: list[Reference | None] = []
    for of_column, n_missing in zip(marginals.columns, presence.n_missing.tolist(), strict=True):
        n_present = max(presence.n_rows - n_missing, 1)
        worth = effective * min(n_present, LEARNED_ROWS * n_present / presence.n_rows)
        if isinstance(of_column, Marginal):
            found.append(Reference.of_numbers(of_column, worth) if of_column.values.size else None)
        else:
            found.append(Reference.of_codes(of_column, worth) if of_column.sum() else None)
    return tuple(found)


def share_worth(detector: Detector) -> float:
    """How many independent rows a row is worth, in (0, 1]: by the calibration rows of the detector."""
    calibration = detector.calibrations[detector.score_kind]
    return calibration.n_independent / calibration.n_rows
