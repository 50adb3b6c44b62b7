"""Draws rows that are pictures beside what the model expects instead, small enough for a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.cells import Cells
from vaecli.detector import Detector
from vaecli.errors import UsageError
from vaecli.images import Pixels, greys, png
from vaecli.report import Picture

MOST_ODD, MOST_NORMAL = 40, 12
MOST_PIXELS = 256 * 256  # of one picture
# Of all pictures of a page: noise is not compressed, and base64 makes a third more of it: 0.9 MB.
MOST_BYTES = 680_000


@dataclass(frozen=True, slots=True)
class Frame:
    """How each row of a table is a picture."""

    pixels: Pixels
    shape: tuple[int, int]

    @classmethod
    def of(cls, detector: Detector, shape: tuple[int, int]) -> Frame:
        """Raises UsageError unless the columns of the detector are the pixels of one picture, small enough."""
        height, width = shape
        pixels = Pixels.of(detector.schema)
        pixels.require(shape)
        if height * width > MOST_PIXELS:
            raise UsageError(
                f"--image-shape {height}x{width} means {height * width:,} pixels; a page shows pictures of at most "
                f"{MOST_PIXELS:,}",
                "leave out --image-shape: the rest of the page needs no pictures",
            )
        return cls(pixels, shape)

    @property
    def n_odd(self) -> int:
        """How many odd rows a page has room for; large pictures are fewer."""
        return min(MOST_ODD, self._room * 3 // 4)

    @property
    def n_normal(self) -> int:
        """How many rows that are not flagged."""
        return min(MOST_NORMAL, self._room - self.n_odd)

    @property
    def _room(self) -> int:
        return MOST_BYTES // (3 * self.pixels.feature.size)

    def draw(self, detector: Detector, cells: Cells, score: np.ndarray) -> tuple[Picture, ...]:
        """The rows in their order, each beside its reconstruction and the difference of the two."""
        if not len(cells):
            return ()
        # reconstructed in one go, and so numbered anew
        alike = Cells(cells.values, cells.state, np.arange(len(cells)))
        found, expected = (self.pixels.pictures(values) for values in (cells.values, detector.reconstruct(alike)))
        low, high = self.pixels.low, self.pixels.high
        drawn = (
            greys(found, low, high),
            greys(expected, low, high),
            greys(np.abs(found - expected), 0.0, high - low),
        )
        return tuple(
            Picture(int(row) + 1, float(one), *(png(part[i].reshape(self.shape)) for part in drawn))
            for i, (row, one) in enumerate(zip(cells.row, score, strict=True))
        )
