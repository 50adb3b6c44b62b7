"""Scores each batch of a labelled table by all methods, and reads its labels: 20 bytes of each row are kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import pyarrow.compute as pc

from vaecli.aggregates.group_codes import GroupCodes
from vaecli.aggregates.row_sample import smallest
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.base import features_of
from vaecli.errors import InputError, UsageError, quoted
from vaecli.evaluation.baselines import Scorer
from vaecli.evaluation.metrics import Labelled
from vaecli.results import Event, OnEvent
from vaecli.schema import Column, Kind, Role
from vaecli.tables import Batch, ReadRequest, Source, label_mask, numbers_of, to_cells
from vaecli.tables.convert.arrow_types import ArrowFamily, as_text, family, one_array
from vaecli.tables.marks import Marks, MarkTally

OURS = "vaecli"
MOST_GROUPS = 1000
NO_GROUP = "(empty)"


@dataclass(frozen=True, slots=True)
class MarksMet:
    """The marks of some rows, and how many of the marked ones are flagged."""

    tally: MarkTally
    normal_flagged: int = 0
    faults_flagged: int = 0

    def __add__(self, later: MarksMet) -> MarksMet:
        return MarksMet(
            self.tally + later.tally,
            self.normal_flagged + later.normal_flagged,
            self.faults_flagged + later.faults_flagged,
        )


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """What is kept of one batch."""

    is_anomaly: np.ndarray  # (n,) bool
    flagged: np.ndarray  # (n,) bool
    scores: Mapping[str, np.ndarray]  # (n,) by method
    group: tuple[list[str], np.ndarray] | None  # (values, which of them each row has)
    marks: MarksMet


@dataclass(frozen=True, slots=True)
class EvaluateTask:
    """Scores rows by the detector and by all `baselines`, and reads their labels in the column `label`.

    A mark overrides the label; without a label a row is anomalous where it is marked as a fault.
    """

    detector: Detector
    decision: Decision
    label: str | None
    group: str | None
    baselines: Mapping[str, Scorer]
    marks: Marks | None = None

    @property
    def needs(self) -> ReadRequest:
        """The features, the label, the group, and the columns by which marks name rows."""
        others = [name for name in (self.label, self.group) if name is not None]
        of_marks = () if self.marks is None else self.marks.columns
        return features_of(self.detector.schema, (*others, *self.detector.group_columns, *of_marks))

    def process(self, batch: Batch) -> LabelledBatch:
        """Labels, flags, scores and groups. Raises InputError for labels that cannot be read."""
        cells = to_cells(batch, self.detector.schema, self.detector.by_column)
        is_anomaly = np.zeros(len(cells), bool)
        if self.label is not None:
            is_anomaly = label_mask(batch, label_column(self.label))
        decided = self.detector.score(cells, self.decision.score_kind)
        flagged, met = self.decision.flags(decided), MarksMet(MarkTally())
        if self.marks is not None:
            marked = self.marks.of(batch)
            is_anomaly = marked.anomalous(is_anomaly)
            met = MarksMet(marked.tally, int((flagged & marked.normal).sum()), int((flagged & marked.fault).sum()))
        scores = {OURS: decided.scored.score}
        if self.baselines:
            features = self.detector.preprocessor.transform(cells).values
            scores |= {method: scorer(features) for method, scorer in self.baselines.items()}
        group = None if self.group is None else _groups(batch, self.group)
        return LabelledBatch(is_anomaly, flagged, scores, group, met)


@dataclass(frozen=True, slots=True)
class LabelledScores:
    """Every row of a table as its label and the methods see it; vaecli is the first method."""

    rows: Labelled
    unscored: int
    group: np.ndarray  # (n,) index in `groups`; all 0 where nobody asked for groups
    groups: tuple[str, ...]
    marks: MarksMet

    @classmethod
    def of(
        cls, batches: Iterable[LabelledBatch], source: Source, group: str | None, on_event: OnEvent
    ) -> LabelledScores:
        """All batches of `source`. Raises InputError for a table without rows, UsageError for too many groups."""
        parts: list[LabelledBatch] = []
        codes = GroupCodes()
        n_rows = 0
        for part in batches:
            codes.add(*(part.group or ([""], np.zeros(part.is_anomaly.size, np.int32))))
            if len(codes.code) > MOST_GROUPS:
                raise UsageError(
                    f"--group {quoted(group)}: {source.name} has more than {MOST_GROUPS:,} different values there",
                    "name a column that groups rows, such as a device or a site",
                )
            n_rows += part.is_anomaly.size
            parts.append(part)
            on_event(Event("scoring", n_rows, source.n_rows))
        if not n_rows:
            raise InputError(f"{source.name}: there are no rows", "give a table with labelled rows")
        scores = {method: np.concatenate([part.scores[method] for part in parts]) for method in parts[0].scores}
        unscored = int(np.isnan(scores[OURS]).sum())
        for score in scores.values():
            score[np.isnan(score)] = -np.inf
        is_anomaly, flagged = (
            np.concatenate([getattr(part, of) for part in parts]) for of in ("is_anomaly", "flagged")
        )
        groups = () if group is None else tuple(map(str, codes.code))
        marks = reduce(add, [part.marks for part in parts])
        return cls(Labelled(is_anomaly, flagged, scores), unscored, np.concatenate(codes.parts), groups, marks)


def sample_features(
    detector: Detector, source: Source, label: str | None, most: int, seed: int, on_event: OnEvent
) -> np.ndarray:
    """Features (m, d) of at most `most` rows of `source`, a uniform sample; rows that `label` marks are left out.

    Raises InputError where there are no rows.
    """
    names = [column.name for column in detector.schema.features]
    names += [label] if label is not None else []
    rng = np.random.default_rng([seed, 0xBA5E])
    kept, keys = np.empty((0, detector.preprocessor.layout.n_features), np.float32), np.empty(0)
    for batch in source.batches(ReadRequest(names, numbers=numbers_of(detector.schema))):
        key = rng.random(batch.n_rows)
        cells = to_cells(batch, detector.schema)
        if label is not None:
            normal = ~label_mask(batch, label_column(label))
            cells, key = cells[normal], key[normal]
        kept = np.concatenate([kept, detector.preprocessor.transform(cells).values])
        keys = np.concatenate([keys, key])
        if keys.size > most:
            stay = smallest(keys, most)
            kept, keys = kept[stay], keys[stay]
        on_event(Event("reading normal rows", batch.first_row + batch.n_rows, source.n_rows))
    if not keys.size:
        raise InputError(f"{source.name}: there are no normal rows", "give --baselines a table with normal rows")
    return kept


def label_column(name: str) -> Column:
    """A column that marks anomalies."""
    return Column(name, Kind.TEXT, Role.LABEL)


def _groups(batch: Batch, group: str) -> tuple[list[str], np.ndarray]:
    """The values of the batch as text, and the index of each row's among them; an empty cell is a group too."""
    array = one_array(batch.table.column(group))
    if family(array.type) is ArrowFamily.UNSUPPORTED:
        raise UsageError(f"--group {quoted(group)} holds {array.type}", "name a column of words, numbers or dates")
    text = pc.fill_null(as_text(array), NO_GROUP)
    encoded = text.dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
