"""Rows become pictures pixel by pixel, pictures a grid, and a grid a PNG file."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, strategies as st

from vaecli.errors import UsageError
from vaecli.plots.pixel_grid import LARGEST_SCALE, LINE_GREY, MOST_PIXELS, Pixels, grid, png
from vaecli.schema import Column, Kind, Role, Schema

ROWS = np.arange(24.0).reshape(2, 12)


def decoded(data: bytes) -> np.ndarray:
    """The greys of a PNG file, its checksums verified."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    position, chunks = 8, {}
    while position < len(data):
        (length,) = struct.unpack_from(">I", data, position)
        kind, content = data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        assert struct.unpack_from(">I", data, position + 8 + length)[0] == zlib.crc32(kind + content)
        chunks[kind] = content
        position += length + 12
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert kind == [8, 0, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    return lines[:, 1:]


def small(values: np.ndarray, shape: tuple[int, int], low: float, high: float) -> np.ndarray:
    """The grid before its pixels were enlarged."""
    drawn = grid(values, shape, low, high)
    scale = LARGEST_SCALE
    assert (drawn == drawn[::scale, ::scale].repeat(scale, 0).repeat(scale, 1)).all()
    return drawn[::scale, ::scale]


def test_pictures_stand_row_by_row_between_lines():
    """The first pixel of a row is its top left one, the lowest value white, the highest black."""
    drawn = small(ROWS, (3, 4), 0, 23)
    assert drawn.shape == (3 * 1 + 2, 2 * 4 + 3)
    np.testing.assert_array_equal(drawn[[0, -1]], LINE_GREY)
    np.testing.assert_array_equal(drawn[:, [0, 5, 10]], LINE_GREY)
    expected = np.round(255 * (1 - ROWS / 23))
    np.testing.assert_array_equal(drawn[1:4, 1:5], expected[0].reshape(3, 4))
    np.testing.assert_array_equal(drawn[1:4, 6:10], expected[1].reshape(3, 4))
    assert (drawn[1, 1], drawn[3, 9]) == (255, 0)


def test_what_is_beyond_the_range_or_missing_is_drawn_too():
    """Beyond the range stands its end, a missing pixel has the grey of the lines, one value everywhere is white."""
    drawn = small(np.array([[-5.0, 99.0, np.nan, 1.0]]), (2, 2), 0, 2)
    np.testing.assert_array_equal(drawn[1:3, 1:3], [[255, 0], [LINE_GREY, 128]])
    np.testing.assert_array_equal(small(np.full((1, 4), 7.0), (2, 2), 7, 7)[1:3, 1:3], 255)


@given(n=st.integers(1, 60), height=st.integers(1, 9), width=st.integers(1, 9))
def test_every_picture_has_its_place(n: int, height: int, width: int):
    """All pictures are in the grid, in order, which is about as high as wide where they are many."""
    values = np.tile((np.arange(n) % 200)[:, None], height * width)
    drawn = grid(values, (height, width), 0, 255)
    n_columns = (drawn.shape[1] // LARGEST_SCALE - 1) // (width + 1)
    assert 0 <= n_columns * width - np.sqrt(n * height * width) < width
    for i in range(n):
        top, left = (1 + place * (side + 1) for place, side in zip(divmod(i, n_columns), (height, width), strict=True))
        assert drawn[top * LARGEST_SCALE, left * LARGEST_SCALE] == 255 - i % 200
    np.testing.assert_array_equal(decoded(png(drawn)), drawn)
    assert png(drawn) == png(grid(values, (height, width), 0, 255))


def test_many_pictures_are_drawn_smaller():
    """A side is at most about 1,200 pixels as long as a pixel is left for each."""
    assert max(grid(np.zeros((2500, 64)), (8, 8), 0, 1).shape) <= MOST_PIXELS
    assert max(grid(np.zeros((1, 2000 * 10)), (2000, 10), 0, 1).shape) == 2002


def schema(*columns: Column) -> Schema:
    return Schema(columns, 10)


def number(name: str, low: float, high: float, **other) -> Column:
    return Column(name, Kind.NUMERIC, minimum=low, maximum=high, **other)


CONSTANT = number("p1", 2, 2, role=Role.IGNORED, reason="every row has the same value")
SWITCH = Column("p2", Kind.BOOLEAN, categories=("0", "1"))
LABEL = Column("label", Kind.BOOLEAN, Role.LABEL, ("0", "1"))


def test_a_pixel_that_never_varied_comes_back():
    """A column left out as constant is a pixel with its constant; labels and identifiers are not pixels."""
    key = number("serial", 1, 10, role=Role.KEY)
    pixels = Pixels.of(schema(key, number("p0", 0, 9), CONSTANT, SWITCH, number("p3", -1, 4), LABEL))
    assert pixels.names == ("p0", "p1", "p2", "p3")
    assert (pixels.low, pixels.high) == (-1, 9)
    np.testing.assert_array_equal(
        pixels.pictures(np.array([[5.0, 1, -1], [6, 0, np.nan]])), [[5, 2, 1, -1], [6, 2, 0, np.nan]]
    )


def test_a_pixel_that_never_varied_has_no_part():
    """What features have a part in is placed as they are, with nothing where the model does not look."""
    pixels = Pixels.of(schema(number("p0", 0, 9), CONSTANT, SWITCH))
    np.testing.assert_array_equal(pixels.parts(np.array([[5.0, 1.0]])), [[5, 0, 1]])


def test_columns_that_are_no_pixels_are_named():
    """A category or a date among the features is an error that names all of them."""
    when = Column("when", Kind.DATETIME, minimum=0, maximum=1)
    words = Column("mode", Kind.CATEGORICAL, categories=("a", "b"))
    yes = Column("on", Kind.BOOLEAN, categories=("no", "yes"))
    with pytest.raises(UsageError) as caught:
        Pixels.of(schema(number("p0", 0, 9), words, when, yes))
    assert caught.value.message.splitlines()[1:] == [
        "  'mode' is categorical",
        "  'when' is datetime",
        "  'on' is boolean",
    ]


def test_a_shape_of_other_pixels_is_refused():
    """Height times width must be the number of pixels, and the message names that number."""
    pixels = Pixels.of(schema(number("p0", 0, 9), CONSTANT, SWITCH, number("p3", 0, 1)))
    pixels.require((2, 2))
    pixels.require((1, 4))
    with pytest.raises(UsageError, match=r"3x2 means 6 columns; the bundle has 4 .* \(1 of them without change\)"):
        pixels.require((3, 2))
