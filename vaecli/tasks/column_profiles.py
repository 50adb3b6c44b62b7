"""What each column holds beside what it held in training: counts on common bins, and how far they have moved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaecli.aggregates.histograms import NumberBins, moved, shares
from vaecli.data.cells import MISSING, NOVEL, PRESENT, Cells
from vaecli.data.kinds import KINDS
from vaecli.detector import Detector
from vaecli.report.data import CategoryProfile, NumberProfile, Profile
from vaecli.schema import Column

N_PROFILES = 24
N_CATEGORIES = 8
OTHER = "(rare values)"


@dataclass(frozen=True, slots=True)
class Profiler:
    """The bins of every feature column, side by side in one vector of counts, two more each: missing and novel."""

    columns: tuple[Column, ...]
    bins: tuple[NumberBins | None, ...]  # (c) None for categories and booleans
    training: tuple[np.ndarray | None, ...]  # (c) shares of the training values in each bin, None where unknown
    missing: np.ndarray  # (c,) share of the training rows
    n_training: int
    starts: np.ndarray  # (c + 1,)

    @classmethod
    def of(cls, detector: Detector) -> Profiler:
        """The bins of the features of a detector; the counts of categories are unknown if it keeps no marginals."""
        preprocessor, columns = detector.preprocessor, detector.schema.features
        presence = detector.ensemble.reference_family.likelihood.presence
        bins: list[NumberBins | None] = [None] * len(columns)
        training: list[np.ndarray | None] = [None] * len(columns)
        for j, (encoder, i) in enumerate(preprocessor.of_columns):
            if KINDS[columns[j].kind].is_ordered:
                bins[j] = found = NumberBins.of(encoder.recalled(i), columns[j].has_whole_numbers)
                training[j] = found.training
        widths = np.zeros(len(columns), np.int64)
        for j, column in enumerate(columns):
            known = bins[j]
            widths[j] = column.n_codes if known is None else known.training.size
        if detector.marginals is not None:
            for j, counts in enumerate(detector.marginals.columns):
                if isinstance(counts, np.ndarray):
                    training[j] = shares(counts.astype(np.float64))
        starts = np.concatenate([[0], np.cumsum(widths + 2)])
        missing = presence.n_missing / presence.n_rows
        return cls(columns, tuple(bins), tuple(training), missing, presence.n_rows, starts)

    @property
    def n_counts(self) -> int:
        """Length of the vector of counts."""
        return int(self.starts[-1])

    def counts(self, cells: Cells) -> np.ndarray:
        """(u,) how many cells of each column lie in each of its bins, are missing, and are novel, side by side."""
        found = np.zeros(self.n_counts, np.int64)
        for j, bins in enumerate(self.bins):
            own, state = found[self.starts[j] : self.starts[j + 1]], cells.state[:, j]
            present = cells.values[state == PRESENT, j]
            if bins is None:
                own[:-2] = np.bincount(present.astype(np.int64), minlength=own.size - 2)
            else:
                own[:-2] = bins.counts(present)
            own[-2], own[-1] = (state == MISSING).sum(), (state == NOVEL).sum()
        return found

    def profiles(self, counts: np.ndarray, n_rows: int) -> tuple[tuple[Profile, ...], int]:
        """The columns that moved most beyond chance, by `counts` (u,) of `n_rows` rows, and the number of others."""
        all_of_them = [self._profile(j, counts[start:stop], n_rows) for j, (start, stop) in enumerate(self._places())]
        order = sorted(range(len(all_of_them)), key=lambda j: all_of_them[j].by_chance - all_of_them[j].moved)
        shown = tuple(all_of_them[j] for j in order[:N_PROFILES])
        return shown, len(all_of_them) - len(shown)

    def _places(self) -> list[tuple[int, int]]:
        return list(zip(self.starts[:-1].tolist(), self.starts[1:].tolist(), strict=True))

    def _profile(self, j: int, counts: np.ndarray, n_rows: int) -> Profile:
        column, bins, training, missing = self.columns[j], self.bins[j], self.training[j], float(self.missing[j])
        scored = shares(counts[:-2])
        missing_scored, novel = (counts[-2:] / max(n_rows, 1)).tolist()
        distance = by_chance = 0.0
        if training is not None and n_rows:
            before = np.array([*(training * (1 - missing)), missing, 0.0])
            distance = moved(before, counts / n_rows)
            # the mean of |N(0, v)| is √(2v/π)
            spread = np.sqrt(before * (1 - before) * (1 / n_rows + 1 / self.n_training))
            by_chance = 0.5 * math.sqrt(2 / math.pi) * float(spread.sum())
        facts = missing, missing_scored, novel, distance, by_chance
        if bins is not None:
            is_whole = column.has_whole_numbers and bins.is_whole
            shown = _as_floats(bins.edges), _as_floats(bins.training), _as_floats(scored)
            return NumberProfile(column.name, column.is_date, is_whole, *shown, *facts)
        names = (*column.categories[: column.n_codes], *([OTHER] if column.has_other else []))
        known = training if training is not None else np.zeros(scored.size)
        order = np.argsort(-np.maximum(known, scored), kind="stable")[:N_CATEGORIES]
        return CategoryProfile(
            column.name,
            tuple(names[i] for i in order),
            None if training is None else _as_floats(training[order]),
            _as_floats(scored[order]),
            len(names) - order.size,
            max(0.0, float(known.sum() - known[order].sum())),
            max(0.0, float(scored.sum() - scored[order].sum())),
            *facts,
        )


def _as_floats(values: np.ndarray) -> tuple[float, ...]:
    return tuple(values.tolist())
