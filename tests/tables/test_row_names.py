"""Rows named by their cells: the same name in every format, and another for every other row."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, strategies as st

from vaecli.tables.row_names import from_hexadecimal, hexadecimal, row_hashes

cell = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.text(alphabet="ab01.-e ", min_size=0, max_size=4),
)


def hashes(**columns: list[object]) -> np.ndarray:
    """The hashes of the rows of a table."""
    return row_hashes(pa.table(columns), list(columns))


def canonical(text: str | None) -> object:
    """What a cell means: missing, a number that float64 holds exactly enough, or its characters."""
    word = (text or "").strip(" ")
    digits = word.lstrip("+-")
    zero_first = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    try:
        number = float(word)
    except ValueError:
        return word or None
    return word if zero_first or not abs(number) < 2**53 else number + 0.0


@given(st.lists(st.tuples(cell, cell), min_size=1, max_size=12))
def test_equal_names_are_equal_cells(rows: list[tuple[str | None, str | None]]) -> None:
    """Two rows have one hash exactly if their cells mean the same, column by column."""
    found = hexadecimal(hashes(a=[a for a, _ in rows], b=[b for _, b in rows]))
    meant = [(canonical(a), canonical(b)) for a, b in rows]
    for i, name in enumerate(found):
        assert [other == name for other in found] == [one == meant[i] for one in meant]


def test_types_do_not_matter() -> None:
    """Text, integers, floats, dictionaries and their order of columns give one name; whole numbers keep all digits."""
    text = hashes(a=["3", "-0", None], b=["on", "off", ""])
    for a in (pa.array([3, 0, None], pa.int16()), pa.array([3.0, -0.0, None]), pa.array(["3.00", "0", " "])):
        other = pa.table({"b": pa.array(["on", "off", None]).dictionary_encode(), "a": a})
        np.testing.assert_array_equal(row_hashes(other, ["a", "b"]), text)
    large = hashes(a=[2**53, 2**53 + 1])
    np.testing.assert_array_equal(large, hashes(a=[str(2**53), str(2**53 + 1)]))
    assert len(set(hexadecimal(large))) == 2
    assert hexadecimal(hashes(a=["1"])) != hexadecimal(hashes(b=["1"]))
    (name,) = hexadecimal(large[:1])
    assert from_hexadecimal(name) == tuple(large[0].tolist())
