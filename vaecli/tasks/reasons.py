"""Explanations in the words of the user's table: its columns, its values, its units."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from vaecli.data.cells import MISSING, NOVEL, PRESENT, Cells
from vaecli.decisions.threshold import ScoredRows
from vaecli.detector import Detector
from vaecli.results import FlaggedRow, Reason
from vaecli.results.reasons import ALTERNATIVE, MINOR, RESPONSIBLE, field_name
from vaecli.schema import Column, Kind
from vaecli.tables import Batch
from vaecli.tables.convert.kinds import TABLE_KINDS

if TYPE_CHECKING:
    from vaecli.scoring.attribution import Explanation

ROLES = (MINOR, RESPONSIBLE, ALTERNATIVE)  # by the codes of `scoring.roles`
LONGEST_WORD = 64  # that is compared letter by letter
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class RowsToExplain:
    """Rows of one batch that may be explained: their cells, scores and own values, column by column."""

    cells: Cells
    decided: ScoredRows
    flagged: np.ndarray  # (n,) bool
    values: tuple[tuple[object, ...], ...]  # (c) of (n)

    @classmethod
    def of(
        cls, detector: Detector, batch: Batch, cells: Cells, decided: ScoredRows, flagged: np.ndarray, which: np.ndarray
    ) -> RowsToExplain:
        """The rows `which` (k,) of a batch of n rows, of which `flagged` (n,) bool are flagged."""
        columns = [batch.table.column(column.name).take(which) for column in detector.schema.features]
        values = tuple(own_values(column) for column in columns)
        return cls(cells[which], decided.take(which), flagged[which], values)

    def __len__(self) -> int:
        return len(self.cells)

    @classmethod
    def concatenate(cls, parts: Sequence[RowsToExplain]) -> RowsToExplain:
        """The rows of all parts, in order."""
        return cls(
            Cells.concatenate([part.cells for part in parts]),
            ScoredRows.concatenate([part.decided for part in parts]),
            np.concatenate([part.flagged for part in parts]),
            tuple(tuple(chain.from_iterable(column)) for column in zip(*(part.values for part in parts), strict=True)),
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may be one of the highest-scoring ones."""

    score: float
    batch_rows: RowsToExplain  # rows of its batch
    index: int  # among them

    def alone(self) -> RowsToExplain:
        """The row as a selection of one row."""
        rows, which = self.batch_rows, np.array([self.index])
        values = tuple((column[self.index],) for column in rows.values)
        return RowsToExplain(rows.cells[which], rows.decided.take(which), rows.flagged[which], values)


def candidates(rows: RowsToExplain) -> tuple[Candidate, ...]:
    """Each of the rows, in their order."""
    return tuple(Candidate(float(score), rows, i) for i, score in enumerate(rows.decided.scored.score))


def worst_of(earlier: Sequence[Candidate], later: Sequence[Candidate], most: int) -> tuple[Candidate, ...]:
    """At most `most` candidates, the highest score first, of equal ones the earlier row."""
    return tuple(sorted((*earlier, *later), key=lambda candidate: -candidate.score)[:most])


def explained_candidates(
    detector: Detector, worst: Sequence[Candidate], kind: str, most: int
) -> tuple[FlaggedRow, ...]:
    """Each candidate with its `most` strongest reasons, in their order."""
    if not worst:
        return ()
    return tuple(explained(detector, RowsToExplain.concatenate([row.alone() for row in worst]), kind, most))


def own_values(column: pa.ChunkedArray) -> tuple[object, ...]:
    """The values as Python objects, or as text where Python has none: dates beyond its calendar."""
    try:
        return tuple(column.to_pylist())
    except (OverflowError, ValueError):
        kind = pa.int64() if pa.types.is_temporal(column.type) else pa.string()
        return tuple(str(value) for value in column.cast(kind).to_pylist())


def explained(detector: Detector, rows_to_explain: RowsToExplain, kind: str, most: int) -> list[FlaggedRow]:
    """Each row with its `most` strongest reasons, strongest first."""
    if not len(rows_to_explain):
        return []
    explanation = detector.explain(rows_to_explain.cells, rows_to_explain.decided, kind, most)
    scored, rows = rows_to_explain.decided.scored, []
    for i in range(len(rows_to_explain)):
        order = np.argsort(-explanation.attribution[i], kind="stable")[:most]
        reasons = [
            _reason(detector, detector.schema.features[j], rows_to_explain, explanation, i, j)
            for j in order
            if explanation.attribution[i, j] > 0
        ]
        rows.append(
            FlaggedRow(
                int(scored.row[i]) + 1,
                float(scored.score[i]),
                float(rows_to_explain.decided.p_value[i]),
                bool(rows_to_explain.flagged[i]),
                tuple(reasons),
                float(explanation.joint_part[i]),
            )
        )
    return rows


def top_columns(row: FlaggedRow) -> str:
    """`name:nats` separated by `;`, largest first; a name that these could be part of is quoted as in CSV."""
    return ";".join(f"{field_name(reason.column)}:{reason.nats:.1f}" for reason in row.reasons)


def _reason(
    detector: Detector, column: Column, rows_to_explain: RowsToExplain, explanation: Explanation, i: int, j: int
) -> Reason:
    cells, own = rows_to_explain.cells, rows_to_explain.values[j][i]
    if column.kind is Kind.TEXT and cells.state[i, j] == PRESENT:
        return _text_reason(detector, column, rows_to_explain, explanation, i, j)
    state, cell = cells.state[i, j], cells.values[i, j]
    low, high = _number(explanation.low[i, j]), _number(explanation.high[i, j])
    return Reason(
        column.name,
        float(explanation.attribution[i, j]),
        None if state == MISSING else value_of(column, cell, own),
        _expected(column, explanation.expected[i, j]),
        None if column.is_date else low,
        None if column.is_date else high,
        _number(explanation.probability[i, j]),
        own_probability=_number(explanation.own_probability[i, j]),
        is_novel=bool(state == NOVEL),
        similar=None if state == MISSING else _similar(column, cell, str(own)),
        role=ROLES[explanation.role[i, j]],
    )


def _text_reason(
    detector: Detector, column: Column, rows_to_explain: RowsToExplain, explanation: Explanation, i: int, j: int
) -> Reason:
    found = detector.unusual_string(rows_to_explain.cells, i, j)
    expected = explanation.expected[i, j]
    suits = not found.spans and not np.isnan(expected) and int(expected) != found.own_class
    own = rows_to_explain.values[j][i]
    return Reason(
        column.name,
        float(explanation.attribution[i, j]),
        str(own),
        column.categories[int(expected)] if suits else None,
        probability=_number(explanation.probability[i, j]) if suits else None,
        spans=found.spans,
        length=len(str(own)) if found.by_length else None,
        role=ROLES[explanation.role[i, j]],
    )


def _similar(column: Column, cell: float, word: str) -> str | None:
    """The category that a word that is none of them is nearly the same as; None where there is none."""
    if column.kind is not Kind.CATEGORICAL or cell < len(column.categories):
        return None
    return similar_word(word, column.categories)


@lru_cache(maxsize=4096)
def similar_word(word: str, known: tuple[str, ...]) -> str | None:
    """The one of `known` that `word` is but for case and blanks, or else a slip of the pen."""
    folded = "".join(word.casefold().split())
    for one in known:
        if "".join(one.casefold().split()) == folded:
            return one
    if len(word) > LONGEST_WORD:
        return None
    # of three letters two the same are 0.67; numbers and codes that differ in one digit are other codes
    near = difflib.get_close_matches(word, [one for one in known if not _DIGIT.search(one)], n=1, cutoff=0.65)
    return near[0] if near and not _DIGIT.search(word) else None


def value_of(column: Column, cell: float, own: object) -> float | int | str:
    """Numbers as numbers, words as the model spells them; what it does not know as it is written in the table."""
    found = None if np.isnan(cell) else TABLE_KINDS[column.kind].value(column, cell)
    return str(own) if found is None else found


def _expected(column: Column, cell: float) -> float | str | None:
    if np.isnan(cell):
        return None
    found = TABLE_KINDS[column.kind].value(column, cell)
    return "a rare value" if found is None else float(found) if isinstance(found, int) else found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
