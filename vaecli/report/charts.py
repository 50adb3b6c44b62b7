"""Charts: marks in SVG that stretch with the page, words around them in HTML that do not.

An SVG that scales its letters is unreadable on a phone. So a plot is a grid: marks in a box of 1000 × 1000 units of no
fixed aspect, whose strokes and dots keep their width, and ticks beside it as text at a percentage of its width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from vaecli.report.data import Point
from vaecli.report.html import Html, element, together

Tick = tuple[float, str]  # place in 0…1, text

SIDE = 1000
_SMALLEST = 1e-300  # of an axis whose steps can be divided


def plot(
    marks: Sequence[Html], *, alt: str, x: Sequence[Tick], y: Sequence[Tick] = (), unit: str = "", kind: str = ""
) -> Html:
    """Marks with ticks below and, with their `unit` on top, beside them; `alt` describes it in words."""
    lines = [stroke([(0, 1 - place), (1, 1 - place)], "grid") for place, _ in y]
    box = element(
        "svg", *lines, *marks, viewBox=f"0 0 {SIDE} {SIDE}", preserveAspectRatio="none", role="img", aria_label=alt
    )
    beside = [element("span", text, style=f"bottom:{100 * place:.2f}%") for place, text in y]
    below = [
        element("span", text, style=f"left:{100 * place:.2f}%", class_=_side(place, spare=i % 2 == 1 and len(x) > 3))
        for i, (place, text) in enumerate(x)
    ]
    return element(
        "div",
        element("div", unit, class_="unit"),
        element("div", *beside, class_="beside", aria_hidden="true"),
        element("div", box, class_="box"),
        element("div", *below, class_="below", aria_hidden="true"),
        class_=f"plot {kind}".strip(),
    )


def _side(place: float, *, spare: bool) -> str:
    """The alignment of a tick's text, which keeps it inside the plot; spare ticks are hidden on a phone."""
    if place < 0.04 or place > 0.96:
        return "first" if place < 0.5 else "last"
    return "spare" if spare else "middle"


def bar(left: float, right: float, height: float, kind: str, title: str = "") -> Html:
    """A bar from the ground, all in 0…1."""
    inside = [element("title", title)] if title else []
    return element(
        "rect",
        *inside,
        x=_units(left),
        y=_units(1 - height),
        width=_units(right - left),
        height=_units(height),
        class_=kind,
    )


def stroke(points: Sequence[Point], kind: str) -> Html:
    """A line through points in 0…1, y downwards."""
    if not points:
        return Html("")
    return element("path", d=Html("M" + "L".join(f"{_units(x)} {_units(y)}" for x, y in points)), class_=kind)


def steps(edges: Sequence[float], heights: Sequence[float], kind: str) -> Html:
    """The outline of bars between neighbouring edges."""
    points = [(edges[0], 1.0)]
    for left, right, height in zip(edges, edges[1:], heights, strict=False):
        points += [(left, 1 - height), (right, 1 - height)]
    return stroke([*points, (edges[-1], 1.0)], kind)


def dots(points: Sequence[Point], kind: str) -> Html:
    """Dots at points in 0…1, y downwards: lines of no length with round ends, which stay round in any aspect."""
    if not points:
        return Html("")
    return element("path", d=Html("".join(f"M{_units(x)} {_units(y)}h0" for x, y in points)), class_=f"dots {kind}")


def ribbon(places: Sequence[float], low: Sequence[float], high: Sequence[float], kind: str) -> Html:
    """The band from `low` to `high` along `places`, all in 0…1 and upwards; where both are equal, a line."""
    upper = [f"{_units(x)} {_units(1 - y)}" for x, y in zip(places, high, strict=True)]
    lower = [f"{_units(x)} {_units(1 - y)}" for x, y in zip(places, low, strict=True)]
    return element("path", d=Html("M" + "L".join([*upper, *reversed(lower)]) + "Z"), class_=f"ribbon {kind}")


def uprights(spans: Sequence[tuple[float, float, float]], kind: str) -> Html:
    """Upright marks with round ends at (place, low, high), all in 0…1 and upwards."""
    if not spans:
        return Html("")
    lines = (f"M{_units(x)} {_units(1 - low)}V{_units(1 - high)}" for x, low, high in spans)
    return element("path", d=Html("".join(lines)), class_=f"uprights {kind}")


def meter(share: float, kind: str) -> Html:
    """A lying bar, as long as `share` of its place."""
    inside = element("rect", x=0, y=0, width=_units(min(max(share, 0.0), 1.0)), height=SIDE, class_=kind)
    return element("svg", inside, viewBox=f"0 0 {SIDE} {SIDE}", preserveAspectRatio="none", class_="meter")


def legend(*entries: tuple[str, str]) -> Html:
    """(kind of mark, what it is) in a line."""
    told = [element("span", element("i", class_=f"key {kind}"), text) for kind, text in entries]
    return element("div", *told, class_="legend")


def round_steps(low: float, high: float, most: int = 5) -> list[float]:
    """At most about `most` round numbers between the two, also where floats are hardly finer than the step."""
    span = high - low
    if not _SMALLEST < span < math.inf:
        return [low] if math.isfinite(low) else []
    size = 10.0 ** math.floor(math.log10(span / most))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor * most >= span)
    slack = 1e-9 * span
    first = math.ceil(low / step - 1e-9)
    ticks = [i * step for i in range(first, first + most + 2) if low - slack <= i * step <= high + slack]
    return list(dict.fromkeys(ticks))


def figure(*parts: str, caption: str) -> Html:
    """A chart above its caption."""
    return element("figure", *parts, element("figcaption", together(caption)))


def _units(place: float) -> str:
    return f"{SIDE * place:.4g}" if abs(place) < 1 else f"{SIDE * place:.0f}"
