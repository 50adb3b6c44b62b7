"""A schema survives its bundle, and a layout gives every feature to one column."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from vaecli.schema import Column, Kind, Layout, Role, Schema

names = st.text(min_size=1, max_size=8)
columns = st.builds(
    Column,
    name=names,
    kind=st.sampled_from(Kind),
    role=st.sampled_from(Role),
    categories=st.lists(names, max_size=4, unique=True).map(tuple),
    has_other=st.booleans(),
    whole=st.booleans(),
    minimum=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    n_missing=st.integers(0, 10**9),
    datetime_format=st.none() | st.just("%d.%m.%Y"),
    reason=st.text(max_size=10),
)
schemas = st.builds(
    Schema, st.lists(columns, max_size=6, unique_by=lambda column: column.name).map(tuple), st.integers(0, 10**9)
)
TABLE = Schema(
    (
        Column("id", Kind.TEXT, Role.KEY, reason="every value is different"),
        Column("mode", Kind.CATEGORICAL, categories=("eco", "boost"), has_other=True),
        Column("load", Kind.NUMERIC),
        Column("on", Kind.BOOLEAN, categories=("no", "yes")),
        Column("plant", Kind.CATEGORICAL, Role.GROUP, categories=("a",)),
        Column("when", Kind.DATETIME, Role.TIME),
        Column("seen", Kind.DATETIME),
    ),
    100,
)


@given(schemas)
def test_json_is_a_round_trip(schema: Schema) -> None:
    """`from_json` undoes `to_json`, through real JSON text."""
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@given(st.lists(columns.filter(lambda c: c.kind is not Kind.TEXT), max_size=6, unique_by=lambda c: c.name))
def test_the_layout_gives_each_feature_to_one_column(some: list[Column]) -> None:
    """Slots stand in the order of the columns, are disjoint and leave no gap."""
    layout = Layout.of(some)
    taken = [feature for slot in layout.slots for feature in range(slot.start, slot.stop)]
    assert sorted(taken) == list(range(layout.n_features))
    assert [slot.column for slot in layout.slots] == [column.name for column in some]


def test_roles_are_distinguished() -> None:
    """Only features are modelled; each other role is found by its name."""
    assert [column.name for column in TABLE.features] == ["mode", "load", "on", "seen"]
    assert TABLE.group is not None
    assert TABLE.group.name == "plant"
    assert TABLE.time is not None
    assert TABLE.time.name == "when"
    assert TABLE.with_role(Role.LABEL) is None


def test_blocks_of_the_layout() -> None:
    """Numbers and dates, then booleans, then one feature a category with "other" last."""
    layout = Layout.of(TABLE.features)
    where = {slot.column: (slot.start, slot.stop) for slot in layout.slots}
    assert where == {"load": (0, 1), "seen": (1, 2), "on": (2, 3), "mode": (3, 6)}
    assert [j for j, _ in layout.of_kind(Kind.NUMERIC, Kind.DATETIME)] == [1, 3]
    assert (layout.n_columns, layout.n_features) == (4, 6)


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({"name": "pressure"}, True),
        ({"kind": Kind.DATETIME}, True),
        ({"categories": ("x",)}, True),
        ({"has_other": True}, True),
        ({"role": Role.IGNORED}, True),
        ({"n_missing": 3}, False),
        ({"maximum": 9.0}, False),
        ({"reason": "why"}, False),
    ],
)
def test_the_fingerprint_covers_what_scoring_depends_on(change: dict[str, object], moves: bool) -> None:
    """Names, kinds, categories and roles move the fingerprint; statistics do not."""
    changed = replace(TABLE, columns=tuple(replace(c, **change) if c.name == "load" else c for c in TABLE.columns))
    assert (changed.fingerprint != TABLE.fingerprint) is moves


def test_the_order_of_the_columns_moves_the_fingerprint() -> None:
    """Features are numbered by their order, so another order is another schema."""
    assert replace(TABLE, columns=TABLE.columns[::-1]).fingerprint != TABLE.fingerprint


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"n_rows": 3},
        {"columns": 3, "n_rows": 3},
        {"columns": [3], "n_rows": 3},
        {"columns": [{"name": "a"}], "n_rows": 3},
        {"columns": [{"name": "a", "kind": "numeric", "role": "boss", "categories": []}], "n_rows": 3},
        {"columns": [{"name": "a", "kind": "colour", "role": "feature", "categories": []}], "n_rows": 3},
        {"columns": [{"name": "a", "kind": "numeric", "role": "feature", "categories": None}], "n_rows": 3},
        {"columns": [{"name": "a", "kind": "numeric", "role": "feature", "categories": [], "x": 1}], "n_rows": 3},
        {"columns": 2 * [{"name": "a", "kind": "numeric", "role": "feature", "categories": []}], "n_rows": 3},
        *(
            {"columns": [{"name": "a", "kind": "numeric", "role": "feature", "categories": []} | odd], "n_rows": 3}
            for odd in (
                {"zone": 5},
                {"zone": ["a"]},
                {"arrow_type": None},
                {"name": 3},
                *({"width": width} for width in (-5, 2.5, True, [1], 50_000_000)),
            )
        ),
        {"columns": [], "n_rows": "many"},
        {"columns": [], "n_rows": None},
    ],
)
def test_what_was_never_written_is_refused(broken: dict[str, object]) -> None:
    """Missing keys, unknown kinds and roles, unknown fields and doubled names raise one of three errors."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        Schema.from_json(broken)
