"""Rows whose columns are the pixels of a picture, as one picture: a grid of all of them, and its PNG.

NumPy and the standard library only: eight-bit greys need no imaging package. Shapes: n rows, h × w pixels of one.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np

from vaecli.errors import UsageError, listed, quoted
from vaecli.schema import Column, Kind, Role, Schema

MOST_PICTURES = 10_000  # in one grid
MOST_PIXELS = 1200  # of a side of the grid, up to which pixels are drawn larger
LARGEST_SCALE = 12
LINE = 1  # pixels between pictures
LINE_GREY, BLANK_GREY = 160, 255


@dataclass(frozen=True, slots=True)
class Pixels:
    """The p columns of a table that are pixels, in its order: features, and columns left out because they never vary.

    A picture needs those too: a margin that is blank in every row is still a margin.
    """

    names: tuple[str, ...]
    feature: np.ndarray  # (p,) which of the c features, −1 for a constant
    constant: np.ndarray  # (p,) its value
    low: float  # over all of them, in training
    high: float

    @classmethod
    def of(cls, schema: Schema) -> Pixels:
        """The pixels of a table. Raises UsageError naming the features that are not numbers."""
        others = [f"{quoted(one.name)} is {one.kind}" for one in schema.features if not _is_number(one)]
        if others:
            raise UsageError(
                f"columns that are no pixels:\n{listed(others)}", "leave them out when you fit: --exclude, or --columns"
            )
        place = {column.name: j for j, column in enumerate(schema.features)}
        columns = [column for column in schema.columns if column.name in place or _is_constant(column)]
        ends = [end for column in columns for end in _range(column)]
        return cls(
            tuple(column.name for column in columns),
            np.array([place.get(column.name, -1) for column in columns], np.int64),
            np.array([_range(column)[0] for column in columns]),
            min(ends),
            max(ends),
        )

    def require(self, shape: tuple[int, int]) -> None:
        """Raise UsageError unless these are the pixels of one picture of `shape`."""
        height, width = shape
        if height * width == len(self.names):
            return
        n_constant = int((self.feature < 0).sum())
        raise UsageError(
            f"--image-shape {height}x{width} means {height * width:,} columns; the bundle has {len(self.names):,} that "
            f"are numbers ({n_constant:,} of them without change), "
            f"from {quoted(self.names[0])} to {quoted(self.names[-1])}",
            "give the height and width of the training pictures; other columns are left out when you fit: --exclude",
        )

    def pictures(self, values: np.ndarray) -> np.ndarray:
        """Pixels (n, p) of rows, whose features are `values` (n, c), as in `Cells`."""
        return self._placed(values, self.constant)

    def parts(self, part: np.ndarray) -> np.ndarray:
        """Pixels (n, p) of what features have a `part` (n, c) in: none for those that never vary."""
        return self._placed(part, np.zeros(len(self.names)))

    def _placed(self, values: np.ndarray, elsewhere: np.ndarray) -> np.ndarray:
        placed: np.ndarray = np.where(self.feature < 0, elsewhere, values[:, self.feature])
        return placed


def _is_number(column: Column) -> bool:
    """Numbers that are only 0 and 1 are booleans to the model, and ink or none in a picture."""
    zeros_and_ones = all(text.replace(".", "", 1).isdecimal() for text in column.categories)
    return column.kind is Kind.NUMERIC or (column.kind is Kind.BOOLEAN and zeros_and_ones)


def _is_constant(column: Column) -> bool:
    never_varies = column.minimum is not None and column.minimum == column.maximum
    return column.role is Role.IGNORED and column.kind is Kind.NUMERIC and never_varies


def _range(column: Column) -> tuple[float, float]:
    if column.minimum is None or column.maximum is None:
        return 0.0, 1.0  # a boolean
    return column.minimum, column.maximum


def grid(values: np.ndarray, shape: tuple[int, int], low: float, high: float) -> np.ndarray:
    """Pictures (n, h·w), pixels row by row, as one picture (H, W) of 8-bit greys: `low` is white, `high` black.

    About as many pictures beside each other as below; pixels are enlarged whole, never smoothed. Values beyond the
    range are drawn as its ends, NaN in the grey of the lines between pictures.
    """
    n, (height, width) = len(values), shape
    n_columns = max(1, math.ceil(math.sqrt(n * height / width)))
    n_rows = max(1, math.ceil(n / n_columns))
    places = np.full((n_rows * n_columns, height, width), BLANK_GREY, np.uint8)
    places[:n] = greys(values, low, high).reshape(n, height, width)
    with_line = np.pad(places, ((0, 0), (LINE, 0), (LINE, 0)), constant_values=LINE_GREY)
    beside = with_line.reshape(n_rows, n_columns, height + LINE, width + LINE).transpose(0, 2, 1, 3)
    drawn = np.pad(
        beside.reshape(n_rows * (height + LINE), n_columns * (width + LINE)),
        ((0, LINE), (0, LINE)),
        constant_values=LINE_GREY,
    )
    scale = int(np.clip(MOST_PIXELS // max(drawn.shape), 1, LARGEST_SCALE))
    return drawn.repeat(scale, axis=0).repeat(scale, axis=1)


def greys(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Greys 0 … 255 for values (…, n) of any shape, as in `grid`; one value everywhere is white."""
    ink = np.clip((values - low) / (high - low if high > low else 1.0), 0.0, 1.0)
    return np.where(np.isnan(ink), LINE_GREY, np.round(255 * (1 - np.nan_to_num(ink)))).astype(np.uint8)


def png(picture: np.ndarray) -> bytes:
    """A picture of 8-bit greys (h, w), 0 black, as the bytes of a PNG file (ISO/IEC 15948)."""
    height, width = picture.shape
    lines = np.pad(picture, ((0, 0), (1, 0)))  # each line begins with the number of its filter: none
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
