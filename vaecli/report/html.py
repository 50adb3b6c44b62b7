"""HTML as values: what is not markup already is escaped when it becomes part of it, in this one place."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

MOST_CHARACTERS = 2_000
_JOINERS = "\u200c\u200d"  # parts of words in Persian, of signs in emoji


class Html(str):
    """Text that is markup already; `escaped` alone turns other text into it."""

    __slots__ = ()


def escaped(text: str, most: int = MOST_CHARACTERS) -> Html:
    """The text as a page shows it: cut after `most` characters, with nothing left that could be markup.

    Control characters, those that turn the direction of writing among them, are shown as their escapes.
    """
    cut = text if len(text) <= most else f"{text[: most - 1]}…"
    visible = "".join(_visible(character) for character in cut)
    return Html(html.escape(visible, quote=True))


def _visible(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    return " " if character.isspace() else character.encode("unicode_escape", "backslashreplace").decode("ascii")


def element(tag: str, *children: str, **attributes: str | float) -> Html:
    """The element `<tag …>children</tag>`. Text is escaped; `class_` is `class`, and `_` in a name is `-`."""
    return Html(f"{_opening(tag, attributes)}{together(*children)}</{tag}>")


def image(png: bytes, alt: str) -> Html:
    """A picture inside the page; `alt` describes it in words."""
    source = Html(f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}")
    return _opening("img", {"src": source, "alt": alt})


def _opening(tag: str, attributes: Mapping[str, str | float]) -> Html:
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_inside(value if isinstance(value, str) else str(value))}"'
        for name, value in attributes.items()
    )
    return Html(f"<{tag}{given}>")


def together(*parts: str) -> Html:
    """The parts one after another; text is escaped."""
    return Html("".join(_inside(part) for part in parts))


def _inside(part: str) -> str:
    return part if isinstance(part, Html) else escaped(part)


def own(text: str, most: int = 60) -> Html:
    """A word of the user's table, which keeps its own direction of writing."""
    return element("bdi", escaped(text, most))
