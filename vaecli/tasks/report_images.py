"""Draws rows that are pictures beside what the model makes of them, small enough for a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaecli.data.cells import Cells
from vaecli.detector import Detector
from vaecli.errors import UsageError
from vaecli.plots.pixel_grid import Pixels, greys, png
from vaecli.report.data import Picture, Pictures

MOST_ODD, MOST_NORMAL = 40, 12
MOST_PIXELS = 256 * 256  # of one picture
# Of all pictures of a page, if they are noise, which is not compressed; base64 makes a third more of it: 0.9 MB.
MOST_BYTES = 680_000


@dataclass(frozen=True, slots=True)
class ImageRows:
    """Rows to draw, with their scores (n,) and each column's part in them (n, c), as in `Explanation`."""

    cells: Cells
    score: np.ndarray
    part: np.ndarray


@dataclass(frozen=True, slots=True)
class ImageLayout:
    """How each row of a table is a picture."""

    pixels: Pixels
    shape: tuple[int, int]

    @classmethod
    def of(cls, detector: Detector, shape: tuple[int, int]) -> ImageLayout:
        """The layout of pictures. Raises UsageError unless the columns are the pixels of one picture, small enough."""
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
        """How many anomalous rows a page has room for; large pictures are fewer."""
        return min(MOST_ODD, max(1, self._room * 3 // 4))

    @property
    def n_normal(self) -> int:
        """How many rows a page shows that are not flagged."""
        return min(MOST_NORMAL, self._room - self.n_odd)

    @property
    def _room(self) -> int:
        height, width = self.shape
        return max(1, MOST_BYTES // (3 * height * (width + 1)))

    def draw(self, shown: ImageRows, redrawn: np.ndarray, most_nats: float) -> tuple[Picture, ...]:
        """The rows in their order, each beside its reconstruction (n, c) and attribution, black from `most_nats`."""
        low, high = self.pixels.low, self.pixels.high
        drawn = (
            greys(self.pixels.pictures(shown.cells.values), low, high),
            greys(self.pixels.pictures(redrawn), low, high),
            greys(self.pixels.parts(shown.part), 0.0, most_nats),
        )
        return tuple(
            Picture(int(row) + 1, float(score), *(png(part[i].reshape(self.shape)) for part in drawn))
            for i, (row, score) in enumerate(zip(shown.cells.row, shown.score, strict=True))
        )


def pictures(detector: Detector, layout: ImageLayout, odd: ImageRows, normal: ImageRows) -> Pictures:
    """The pictures of both groups on one scale: black is the attribution to the first pixel of a row (median)."""
    rows = Cells.concatenate([odd.cells, normal.cells])
    # reconstructed in one go, and so numbered anew
    redrawn = detector.reconstruct(Cells(rows.values, rows.state, np.arange(len(rows))))
    first = (odd if len(odd.score) else normal).part.max(1)
    most_nats = float(np.median(first)) if first.size else 0.0
    return Pictures(
        layout.shape,
        layout.pixels.low,
        layout.pixels.high,
        most_nats,
        int((layout.pixels.feature < 0).sum()),
        bool(np.isnan(rows.values).any()),
        layout.draw(odd, redrawn[: len(odd.cells)], most_nats),
        layout.draw(normal, redrawn[len(odd.cells) :], most_nats),
    )
