"""Reads a labelled table once and keeps 20 bytes a row: labels, flags, scores, groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.local import map_batches
from vaecli.errors import InputError, UsageError
from vaecli.evaluation.baselines import Scorer
from vaecli.evaluation.metrics import Labelled
from vaecli.results import Event, OnEvent
from vaecli.schema import Column, Kind, Role
from vaecli.tables import Batch, ReadRequest, Source, label_mask, numbers_of, to_cells
from vaecli.tables.convert.arrow_types import ArrowFamily, as_text, family, one_array

OURS = "vaecli"
MOST_GROUPS = 1000
NO_GROUP = "(empty)"


@dataclass(frozen=True, slots=True)
class LabelledScores:
    """Every row of a table as its label and the methods see it; vaecli is the first method."""

    rows: Labelled
    unscored: int
    group: np.ndarray  # (n,) place in `groups`; all 0 where nobody asked for groups
    groups: tuple[str, ...]


def score_labelled(
    detector: Detector,
    source: Source,
    decide: Decision,
    *,
    kind: str,
    label: str,
    group: str | None,
    baselines: Mapping[str, Scorer],
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
) -> LabelledScores:
    """Score every row of `source` by all methods, and read what its label says.

    Raises InputError for labels that say nothing and for a table without rows, UsageError for too many groups.
    """
    marks = label_column(label)
    others = [label] if group is None else [label, group]

    def judged(batch: Batch) -> _Part:
        cells = to_cells(batch, detector.schema)
        is_anomaly = label_mask(batch, marks)
        decided = detector.score(cells, kind)
        scores = {OURS: decided.scored.score}
        if baselines:
            features = detector.preprocessor.transform(cells).values
            scores |= {method: scored(features) for method, scored in baselines.items()}
        return _Part(is_anomaly, decide.flags(decided), scores, None if group is None else _groups(batch, group))

    parts: list[_Part] = []
    codes = _Codes(source.name, group)
    n_rows = 0
    for found in map_batches(judged, source, detector.schema, others=others, batch_rows=batch_rows, workers=workers):
        for part in found:
            codes.add(part)
            n_rows += part.is_anomaly.size
        parts += found
        on_event(Event("scoring", n_rows, source.n_rows))
    if not n_rows:
        raise InputError(f"{source.name}: there are no rows", "give a table with labelled rows")
    return _whole(parts, codes)


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
        key = rng.random(batch.n_rows)  # the rows with the smallest keys are a uniform sample, however long the table
        cells = to_cells(batch, detector.schema)
        if label is not None:
            normal = ~label_mask(batch, label_column(label))
            cells, key = cells[normal], key[normal]
        kept = np.concatenate([kept, detector.preprocessor.transform(cells).values])
        keys = np.concatenate([keys, key])
        if keys.size > most:
            chosen = np.sort(np.argpartition(keys, most)[:most])
            kept, keys = kept[chosen], keys[chosen]
        on_event(Event("reading normal rows", batch.first_row + batch.n_rows, source.n_rows))
    if not keys.size:
        raise InputError(f"{source.name}: there are no normal rows", "give --baselines a table with normal rows")
    return kept


def label_column(name: str) -> Column:
    """A column that marks anomalies."""
    return Column(name, Kind.TEXT, Role.LABEL)


@dataclass(frozen=True, slots=True)
class _Part:
    """What is kept of one batch."""

    is_anomaly: np.ndarray
    flagged: np.ndarray
    scores: dict[str, np.ndarray]
    group: tuple[list[str], np.ndarray] | None  # (values, which of them each row has)


def _groups(batch: Batch, group: str) -> tuple[list[str], np.ndarray]:
    """The values of the batch as text, and the place of each row's among them; an empty cell is a group too."""
    array = one_array(batch.table.column(group))
    if family(array.type) is ArrowFamily.UNSUPPORTED:
        raise UsageError(f"--group {group!r} holds {array.type}", "name a column of words, numbers or dates")
    text = pc.fill_null(as_text(array), NO_GROUP)
    encoded = text.dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)


class _Codes:
    """Group values → 0, 1, … in the order they are first met."""

    def __init__(self, table: str, column: str | None) -> None:
        self.code: dict[str, int] = {}
        self.parts: list[np.ndarray] = []
        self._table, self._column = table, column

    def add(self, part: _Part) -> None:
        """Code one batch; without groups all rows are 0. Raises UsageError for too many values."""
        if part.group is None:
            self.parts.append(np.zeros(part.is_anomaly.size, np.int32))
            return
        values, which = part.group
        known = np.array([self.code.setdefault(value, len(self.code)) for value in values], np.int32)
        if len(self.code) > MOST_GROUPS:
            raise UsageError(
                f"--group {self._column!r}: {self._table} has more than {MOST_GROUPS:,} different values there",
                "name a column that groups rows, such as a device or a site",
            )
        self.parts.append(known[which])


def _whole(parts: list[_Part], codes: _Codes) -> LabelledScores:
    scores = {method: np.concatenate([part.scores[method] for part in parts]) for method in parts[0].scores}
    unscored = int(np.isnan(scores[OURS]).sum())
    for score in scores.values():
        score[np.isnan(score)] = -np.inf
    rows = Labelled(
        np.concatenate([part.is_anomaly for part in parts]), np.concatenate([part.flagged for part in parts]), scores
    )
    return LabelledScores(rows, unscored, np.concatenate(codes.parts), tuple(codes.code))
