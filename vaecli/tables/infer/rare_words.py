"""Folds the words that training saw once into "other", where fresh normal rows bring words that it never saw.

How probable is a word that n rows did not show? About N1 / n, where N1 words came once (Good 1953, after Turing): each
of them was such a word to the other n - 1 rows. A row with an unseen word is flagged, so that this share is what it
adds to the false alarms, over all columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vaecli.schema import Column, Kind, Role
from vaecli.tables.infer.evidence import Evidence, TextEvidence

MOST_UNSEEN = 0.005  # share of normal rows that may be flagged because of an unseen word, half of what 0.99 flags


def with_rare_words_folded(
    columns: Sequence[Column], evidence: Mapping[str, Evidence], n_rows: int
) -> tuple[Column, ...]:
    """The columns, and those of categories with the words that came once as "other", where too many did.

    Columns with the fewest of them stay as they are while no more than `MOST_UNSEEN` of the rows would have an unseen
    word in one of them.
    """
    once = {column.name: _n_once(column, evidence) for column in columns}
    expected = 0
    for name in sorted(once, key=lambda name: once[name]):
        expected += once[name]
        if expected <= MOST_UNSEEN * n_rows:
            del once[name]
    return tuple(_folded(column, evidence[column.name]) if column.name in once else column for column in columns)


def _n_once(column: Column, evidence: Mapping[str, Evidence]) -> int:
    """How many words of a modelled column came once, 0 where these are "other" already or no word came twice."""
    found = evidence.get(column.name)
    if column.role is not Role.FEATURE or column.kind is not Kind.CATEGORICAL or column.has_other:
        return 0
    assert isinstance(found, TextEvidence)
    n_once = sum(count == 1 for _, count in found.counts.ranked())
    return n_once if n_once < len(column.categories) else 0


def _folded(column: Column, evidence: Evidence) -> Column:
    assert isinstance(evidence, TextEvidence)
    kept = {text for text, count in evidence.counts.ranked() if count > 1}
    return replace(
        column,
        categories=tuple(text for text in column.categories if text in kept),
        order=tuple(text for text in column.order if text in kept),
        has_other=True,
        n_folded=len(column.categories) - len(kept),
    )
