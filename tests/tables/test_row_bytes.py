"""The bytes of rows, of every type that Parquet hands over."""

from __future__ import annotations

import pyarrow as pa
import pytest

from vaecli.tables.row_bytes import row_bytes

TEXTS = pa.array(["a", None, "a longer text than is kept in a view", "a"])
LENGTHS = [1, 0, 36, 1]


@pytest.mark.parametrize(
    "column",
    [
        TEXTS,
        TEXTS.cast(pa.string_view()),
        TEXTS.cast(pa.binary_view()),
        TEXTS.dictionary_encode(),
        TEXTS.cast(pa.dictionary(pa.uint8(), pa.string())),
        TEXTS.cast(pa.dictionary(pa.uint64(), pa.string())),
    ],
    ids=lambda column: str(column.type),
)
def test_text_has_the_bytes_of_its_characters(column: pa.Array):
    """Views, and dictionaries whose codes have no sign, are measured like plain text."""
    assert row_bytes(pa.table({"x": column}), as_text=True).tolist() == LENGTHS
