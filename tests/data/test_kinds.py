"""A kind of column has an entry wherever kinds are asked for something."""

from __future__ import annotations

from vaecli.data.kinds import KINDS
from vaecli.model.likelihoods.likelihood import DISTRIBUTIONS
from vaecli.schema import Column, Kind, Layout
from vaecli.tables.convert.kinds import TABLE_KINDS


def test_every_modelled_kind_has_all_its_entries() -> None:
    """Its science, its distribution, its tables and its place among the features."""
    assert set(KINDS) == set(DISTRIBUTIONS) == set(TABLE_KINDS) == set(Kind)
    columns = [Column(kind, kind, categories=("a", "b")) for kind in Kind]
    assert {slot.kind for slot in Layout.of(columns).slots} == set(Kind)


def test_counts_are_kept_of_codes_alone() -> None:
    """A kind of codes names the array of its counts; one whose values are ordered has none."""
    assert all(bool(kind.counts[0]) is not kind.is_ordered for kind in KINDS.values())
