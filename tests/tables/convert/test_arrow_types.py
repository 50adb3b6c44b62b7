"""The Arrow types of a training table, kept as text, and NumPy arrays as Arrow."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from vaecli.tables.convert.arrow_types import arrow_type_from_text, arrow_type_to_text, from_numpy

UNITS = ["s", "ms", "us", "ns"]
PLAIN = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
    *(pa.float16(), pa.float32(), pa.float64(), pa.decimal128(10, 2), pa.decimal256(50, -3)),
    *(pa.bool_(), pa.string(), pa.large_string(), pa.date32(), pa.date64()),
    *(pa.timestamp(unit, tz) for unit in UNITS for tz in (None, "UTC", "+02:00", "America/Argentina/Ushuaia")),
    *(pa.duration(unit) for unit in UNITS),
    *(pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")),
    *(
        pa.dictionary(pa.int8(), kind)
        for kind in (pa.string(), pa.large_string(), pa.int64(), pa.float64(), pa.bool_())
    ),
    pa.dictionary(pa.uint32(), pa.decimal128(5, 1)),
    pa.dictionary(pa.int8(), pa.string(), ordered=True),
    *(pa.decimal32(9, 2), pa.decimal64(18, -3), pa.uuid(), pa.json_()),
]


@pytest.mark.parametrize("kind", PLAIN, ids=str)
def test_every_type_of_a_feature_comes_back(kind: pa.DataType) -> None:
    """What a bundle stores of a column's type is that type."""
    assert arrow_type_from_text(arrow_type_to_text(kind)) == kind


def test_what_cannot_be_written_becomes_what_can() -> None:
    """Views become strings."""
    assert arrow_type_to_text(pa.string_view()) == "large_string"
    assert arrow_type_to_text(pa.dictionary(pa.int8(), pa.string_view())) == arrow_type_to_text(
        pa.dictionary(pa.int8(), pa.large_string())
    )


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int8()), pa.binary(), pa.null(), pa.dictionary(pa.int8(), pa.date32())], ids=str
)
def test_other_types_are_not_kept(kind: pa.DataType) -> None:
    """No feature has them, or nothing reads their values back from text."""
    assert arrow_type_to_text(kind) == ""


NONE = ["", "int", "timestamp[h]", "timestamp[us", "decimal128(99, 2)", "decimal128(0, 0)", "binary", "null", "int8\n"]
NONE += ["decimal128(99999999999999999999, 3)", "decimal128(3, -9999999999)"]
NONE += ["dictionary<values=" * 3000 + "int8" + ", indices=int8, ordered=0>" * 3000]
NONE += ["list<item: int8>", "string_view", "dictionary<values=x, indices=int8, ordered=0>"]


@pytest.mark.parametrize("text", NONE, ids=lambda text: text[:40])
def test_no_text_of_a_bundle_is_trusted(text: str) -> None:
    """What `arrow_type_to_text` does not write is no type."""
    assert arrow_type_from_text(text) is None


@pytest.mark.parametrize("kind", ["f8", "f4", "i8", "i4", "u1", "?"])
@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 1000])
def test_numpy_arrays_are_those_of_pyarrow(kind: str, n: int) -> None:
    """Numbers and booleans become the array that pyarrow makes of them, NaN as null, also of every other element."""
    values = np.random.default_rng(n).normal(size=2 * n) * 100
    if kind[0] == "f":
        values[::3] = np.nan
    typed = (values > 0) if kind == "?" else np.abs(values).astype(kind)
    for one in (typed, typed[::2], typed[1::2]):
        found, expected = from_numpy(one), pa.array(one, from_pandas=True)
        found.validate(full=True)
        assert found.equals(expected)
        assert (found.type, found.null_count) == (expected.type, expected.null_count)
