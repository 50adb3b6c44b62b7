"""Rows that are pictures: each beside what the model makes of it, and the attribution to pixels."""

from __future__ import annotations

from vaecli.report.data import Picture, Pictures, ReportData
from vaecli.report.html import Html, element, image
from vaecli.results.number_format import counted, number

SIDE = 72  # pixels of the screen that the longer side of a picture has, or a few more or less
LEAST_SIDE = 8


def pictures(data: ReportData, found: Pictures) -> list[Html]:
    """The most anomalous flagged rows, then some that are not flagged."""
    height, width = found.shape
    said = (
        f"Rows as pictures of {height} × {width} pixels. From the left: the row; the row as the model draws it, which "
        "learned to draw from normal ones; and the responsible pixels, the darker the more."
    )
    parts = [element("p", said)]
    if found.odd:
        shown, flagged = len(found.odd), data.facts.flagged
        heading = "All flagged rows" if shown == flagged else f"The {shown} most anomalous of {flagged:,} flagged rows"
        parts += [element("h3", heading), _wall(found.odd, found.shape)]
    else:
        parts.append(element("p", "No row is flagged."))
    if found.normal:
        heading = f"For comparison: {counted(len(found.normal), 'row')} picked at random among those not flagged"
        parts += [element("h3", heading), _wall(found.normal, found.shape)]
    return [*parts, element("p", _note(found), class_="from")]


def _note(found: Pictures) -> str:
    told = (
        f"In the first two, blank is {number(found.low)} and black {number(found.high)}, the lowest and the highest "
        f"pixel of training. In the third, black is a part of {number(found.most_nats, 3)} nats in the score, or more; "
        "where all of an anomalous row is pale, no single pixel explains its score."
    )
    if found.n_constant:
        never = "pixel that never varied in training is" if found.n_constant == 1 else "pixels that never varied are"
        told += f" {found.n_constant:,} {never} drawn as in training: the model does not look there."
    if found.has_gaps:
        told += " Even grey: an empty cell, or a value that is not a number."
    return told


def _wall(shown: tuple[Picture, ...], shape: tuple[int, int]) -> Html:
    width, height = _size(shape)
    pictures = [
        element(
            "figure",
            *(
                image(png, f"Row {one.row:,}: {what}")
                for png, what in (
                    (one.found, "as it is"),
                    (one.redrawn, "how the model draws it"),
                    (one.attribute, "responsible pixels"),
                )
            ),
            element("figcaption", element("b", f"row {one.row:,}"), f" score {number(one.score)}"),
        )
        for one in shown
    ]
    return element("div", *pictures, class_="wall", style=f"--w:{width};--h:{height}")


def _size(shape: tuple[int, int]) -> tuple[int, int]:
    """(width, height) on the screen: each pixel a whole square, but for large pictures and very narrow ones."""
    longer = max(shape)
    scale = max(1, round(SIDE / longer)) if longer <= 1.25 * SIDE else SIDE / longer
    height, width = (max(LEAST_SIDE, round(side * scale)) for side in shape)
    return width, height
