"""Scores each batch of fresh normal rows by every kind of score, for a new calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from vaecli.calibration.effective_rows import MOST_COLUMNS
from vaecli.detector import Detector
from vaecli.engines.base import features_of
from vaecli.schema import Column
from vaecli.tables import Batch, ReadRequest, group_texts, label_mask, time_values, to_cells
from vaecli.tables.marks import Marks, MarkTally
from vaecli.tasks.known_rows import known_rows


@dataclass(frozen=True, slots=True)
class FreshRows:
    """Normal rows as a calibration needs them."""

    scores: Mapping[str, np.ndarray]  # (n,) by kind, NaN where a row cannot be scored
    p_value: np.ndarray  # (n,) of the default kind, by the earlier calibration
    time: np.ndarray | None  # (n,) where the model was fitted with a clock
    group: np.ndarray | None  # (n,) object: the text of the group column of the fit
    by: np.ndarray | None  # (n,) object: the text of the column to calibrate by
    features: np.ndarray  # (n, k) of some features, where there is a clock; else (n, 0)
    n_labelled_out: int  # by the label or a mark
    marked: MarkTally
    n_known: int  # rows that are exactly like one that the bundle remembers of its fit
    n_remembered: int  # rows that it remembers

    @classmethod
    def concatenate(cls, parts: list[FreshRows]) -> FreshRows:
        """The rows of all parts, in order."""

        def joined(name: str) -> np.ndarray | None:
            arrays = [getattr(part, name) for part in parts]
            return None if arrays[0] is None else np.concatenate(arrays)

        return cls(
            {kind: np.concatenate([part.scores[kind] for part in parts]) for kind in parts[0].scores},
            np.concatenate([part.p_value for part in parts]),
            joined("time"),
            joined("group"),
            joined("by"),
            np.concatenate([part.features for part in parts]),
            sum(part.n_labelled_out for part in parts),
            reduce(add, [part.marked for part in parts]),
            sum(part.n_known for part in parts),
            parts[0].n_remembered,
        )


@dataclass(frozen=True, slots=True)
class CalibrateTask:
    """Scores rows by all kinds; those that a mark or else the `label` of the fit calls anomalous are left out."""

    detector: Detector
    label: Column | None  # None where the table does not have it
    by: str | None
    marks: Marks | None = None

    @property
    def needs(self) -> ReadRequest:
        """The features, and the columns of times, groups and labels."""
        schema = self.detector.schema
        named = [column.name for column in (schema.time, schema.group, self.label) if column is not None]
        others = [*named, *self.detector.group_columns, *([] if self.by is None else [self.by])]
        return features_of(schema, [*others, *(() if self.marks is None else self.marks.columns)])

    def process(self, batch: Batch) -> FreshRows:
        """The normal rows of one batch. Raises InputError for cells that cannot be read."""
        schema = self.detector.schema
        cells = to_cells(batch, schema, self.detector.by_column)
        marked = np.zeros(len(cells), bool) if self.label is None else label_mask(batch, self.label)
        tally = MarkTally()
        if self.marks is not None:
            by_person = self.marks.of(batch)
            marked, tally = by_person.anomalous(marked), by_person.tally
        decided = {kind: self.detector.score(cells, kind) for kind in self.detector.calibrations}
        transformed = self.detector.preprocessor.transform(cells)
        features = np.empty((len(cells), 0), np.float32)
        if schema.time is not None:
            features = transformed.values
            features = features[:, np.unique(np.linspace(0, features.shape[1] - 1, MOST_COLUMNS).round().astype(int))]
        time = None if schema.time is None else time_values(batch, schema.time)[~marked]
        group = None if schema.group is None else group_texts(batch, schema.group.name)[~marked]
        by = None if self.by is None else group_texts(batch, self.by)[~marked]
        return FreshRows(
            {kind: rows.scored.score[~marked] for kind, rows in decided.items()},
            decided[self.detector.score_kind].p_value[~marked],
            time,
            group,
            by,
            features[~marked],
            int(marked.sum()),
            tally,
            *known_rows(self.detector, transformed),
        )
