"""Whether a table fits a model: missing, mistyped and extra columns."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import pyarrow as pa
import pytest

from vaecli.errors import InputError
from vaecli.schema import Column, Kind, Role, Schema
from vaecli.tables.needed_columns import check_schema
from vaecli.tables.read.frames import FrameSource

SCHEMA = Schema(
    (
        Column("id", Kind.NUMERIC, Role.KEY),
        Column("flow", Kind.NUMERIC),
        Column("site", Kind.CATEGORICAL, categories=("north", "south")),
        Column("open", Kind.BOOLEAN, categories=("f", "t")),
        Column("since", Kind.DATETIME, datetime_format="%d/%m/%Y"),
    )
)
GOOD = {
    "flow": [1.5, 2.0],
    "site": ["north", "south"],
    "open": [True, None],
    "since": [dt.datetime(2024, 1, 1), None],
}


@dataclass(frozen=True)
class Csv:
    """A source of delimited text whose cells nobody may look at yet."""

    names: tuple[str, ...]
    name: str = "new.csv"
    format: str = "csv"
    n_rows: int | None = None

    def batches(self, request):
        raise AssertionError("matching delimited text needs the header only")


def test_extra_columns_pass_and_order_is_free():
    """What is no feature is returned, in the order of the table; a missing identifier is no matter."""
    assert check_schema(Csv(("note", "since", "open", "x", "site", "flow")), SCHEMA) == ("note", "x")
    assert check_schema(Csv(("flow", "site", "id", "open", "since")), SCHEMA) == ("id",)


def test_all_missing_columns_are_listed():
    """Every missing feature is named, with a similar name that the table has and the model does not know."""
    with pytest.raises(InputError) as caught:
        check_schema(Csv(("Flow ", "sites", "id", "since")), SCHEMA)
    assert caught.value.message.splitlines() == [
        "new.csv: 3 columns are missing:",
        "  'flow' (did you mean 'Flow '?)",
        "  'site' (did you mean 'sites'?)",
        "  'open'",
    ]


def test_a_column_of_the_model_is_not_suggested_for_another():
    """Only names that the model does not know can be meant by a missing one."""
    schema = Schema((Column("temp_1", Kind.NUMERIC), Column("temp_2", Kind.NUMERIC)))
    with pytest.raises(InputError) as caught:
        check_schema(Csv(("temp_1",)), schema)
    assert caught.value.message == "new.csv: a column is missing:\n  'temp_2'"


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"flow": pa.array([1, None], pa.int8()), "open": pa.array([1, 0]), "since": [dt.date(2024, 1, 1), None]},
        {"flow": ["1.5", "NA"], "open": ["yes", "no"], "since": ["31/12/2024", None]},
        {"flow": pa.nulls(2), "site": pa.nulls(2), "open": pa.nulls(2), "since": pa.nulls(2)},
        {"site": pa.array(["north", None]).dictionary_encode()},
        {"site": pa.array([1, 2])},
        {name: [*values] * 2 for name, values in GOOD.items()} | {"flow": ["1", "2", "oops", "3"]},
    ],
)
def test_types_that_can_hold_the_values_match(change):
    """Any number type, text that reads as what is wanted, and columns without values are welcome."""
    assert check_schema(FrameSource(pa.table(GOOD | change)), SCHEMA) == ()


def test_all_mistyped_columns_are_listed():
    """Every feature whose type cannot hold its values is named with both types."""
    bad = {
        "flow": ["high", "low"],
        "site": [[1], [2]],
        "open": [dt.date(2024, 1, 1)] * 2,
        "since": ["2024-12-31", "2024-12-30"],
    }
    with pytest.raises(InputError) as caught:
        check_schema(FrameSource(pa.table(bad)), SCHEMA)
    assert caught.value.message.splitlines() == [
        "frame: 4 columns have the wrong type:",
        "  'flow' holds string; the model was trained on numbers",
        "  'site' holds list<item: int64>; the model was trained on categories",
        "  'open' holds date32[day]; the model was trained on true or false",
        "  'since' holds string; the model was trained on dates",
    ]


def test_moments_are_not_numbers():
    """A timestamp where numbers were trained is no longer in the same unit, nor the other way round."""
    swapped = GOOD | {"flow": GOOD["since"], "since": [1.5, 2.5]}
    with pytest.raises(InputError, match=r"2 columns[^\0]*'flow' holds timestamp[^\0]*'since' holds double"):
        check_schema(FrameSource(pa.table(swapped)), SCHEMA)


def test_a_table_without_rows_matches_by_its_names():
    """No rows hold no wrong values."""
    assert check_schema(FrameSource(pa.table(GOOD).slice(0, 0)), SCHEMA) == ()
