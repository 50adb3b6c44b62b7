"""Columns that are modelled as text: those that the user names, and those whose characters are predictable."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaecli.data.strings.string_model import StringModel
from vaecli.data.strings.texts import Texts
from vaecli.schema import Column, Kind, Role
from vaecli.tables.convert.arrow_types import ArrowFamily
from vaecli.tables.infer.classify import Classification, is_named_like_a_key, same_value
from vaecli.tables.infer.evidence import Evidence, TextEvidence

FEWEST_STRINGS = 200  # different ones, below which nothing is taken for text that was not named
MOSTLY_DISTINCT = 0.5  # different strings per cell
MOST_COMPARED = 2000
PREDICTABLE = 0.8  # of the nats of characters that are drawn by how often they occur
SEED = 0
_HELD = {ArrowFamily.NUMBER: "numbers", ArrowFamily.BOOLEAN: "true and false", ArrowFamily.DATETIME: "dates"}


def named_text(name: str, evidence: Evidence) -> Classification:
    """A column that the user names as text: a feature of strings, unless its type has none or there is but one."""
    column = Column(name, Kind.TEXT, n_missing=evidence.n_missing)
    if evidence.family is ArrowFamily.UNSUPPORTED:
        return Classification(column, impossible=getattr(evidence, "reason", ""), is_unsupported=True, typed=True)
    if evidence.n == 0:
        return Classification(column, impossible="no row has a value")
    if not isinstance(evidence, TextEvidence):
        return Classification(column, impossible=f"it holds {_HELD[evidence.family]}, not text", typed=True)
    if evidence.counts.n_distinct() == 1:
        return Classification(column, impossible=same_value(evidence.n_missing))
    return Classification(column)


def found_text(classification: Classification, evidence: Evidence) -> Classification:
    """The column as text if it is of words that hardly repeat, names no rows, and is predictable."""
    column, advice = classification.column, classification.advice
    names_rows = (advice is not None and advice[0] is not Role.IGNORED) or is_named_like_a_key(column.name)
    if column.kind is not Kind.CATEGORICAL or names_rows or classification.mixed:
        return classification
    if not isinstance(evidence, TextEvidence) or evidence.counts.distinct_share() < MOSTLY_DISTINCT:
        return classification
    texts = [text for text, _ in evidence.counts.ranked()]
    if len(texts) < FEWEST_STRINGS or not are_predictable(texts):
        return classification
    return Classification(Column(column.name, Kind.TEXT, n_missing=column.n_missing))


def are_predictable(texts: Sequence[str]) -> bool:
    """Whether a model of one half of different `texts` predicts the characters of the other from each other.

    It must take clearly fewer nats than characters that are drawn by how often they occur.
    """
    chosen = np.random.default_rng(SEED).permutation(len(texts))[:MOST_COMPARED]
    learned, judged = (Texts.of([texts[i].encode() for i in half]) for half in np.array_split(chosen, 2))
    nats = StringModel.fit(learned, SEED, 1).read(judged).nats.sum()
    counts = np.bincount(judged.data, minlength=256)
    share = counts[counts > 0] / counts.sum()
    return bool(nats < PREDICTABLE * -(share * np.log(share)).sum() * counts.sum())
