"""Which characters make a string unusual: the stretches that cost most, and the change of one that would repair each.

As a row is explained by what its score would be with another cell (`attribution`), a stretch is explained by what the
string would cost with one character replaced, left out, inserted or swapped with the next. If the best of these takes
away most of what the stretch costs beyond the usual, that character is named, and what was expected there.

NumPy only. Shapes: m symbols of a string, its bytes and its end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vaecli.data.string_features import worst_stretch
from vaecli.data.strings.string_model import StringModel
from vaecli.data.strings.texts import Texts
from vaecli.results.reasons import TextSpan

UNUSUAL = 3.0  # nats of surprisal from which on a string is unusual by itself: one normal string in twenty
MOST_SPANS = 3
LEAST_OF_FIRST = 0.4  # of the excess of the first stretch, below which another one is not named
REPAIRED = 0.5  # of the excess of a stretch, which a change of one character must take away
MOST_PLACES = 12  # in a stretch, where such a change is tried
MOST_ASKED = 3  # of them, those that cost most, where the model is asked for a character
LEAST_GAIN = 0.1  # nats by which a change must be better than one that was tried before it
LOOKALIKES = ("O0oQD", "l1I|", "S5", "B8", "Z2", "G6", ",.", "-_", ";:", "'`")  # characters that people take for others
ALIKE_GAIN = 2.0  # nats by which another change must be better than one to a character that looks like it
_ASCII = 0x80


@dataclass(frozen=True, slots=True)
class UnusualString:
    """What is unusual about a string by itself: the `spans`, or its length; `own_class` is the class that it is of."""

    spans: tuple[TextSpan, ...]
    by_length: bool
    own_class: int


def unusual_spans(model: StringModel, high: float, text: bytes) -> tuple[TextSpan, ...]:
    """The stretches of `text` with the largest sums of excess over `high`, the worst first; one at least."""
    readings = model.read(Texts.of([text]))
    excess = readings.per_symbol - readings.expected
    found: list[TextSpan] = []
    least = 0.0
    for _ in range(MOST_SPANS):
        begin, end = worst_stretch(excess, high)
        nats = float(excess[begin:end].sum())
        if found and not nats > least:
            break
        least = least or LEAST_OF_FIRST * nats
        found.append(_span(model, text, excess, (begin, end), float(readings.nats[0])))
        excess[begin:end] = -np.inf  # other stretches do not cross it
        if not np.isfinite(excess).any():
            break
    return tuple(found)


def _span(model: StringModel, text: bytes, excess: np.ndarray, stretch: tuple[int, int], nats: float) -> TextSpan:
    begin, end = stretch
    cost = float(excess[begin:end].sum())
    changes = list(_changes(model, text, excess, stretch))
    if changes:
        repaired = model.read(Texts.of([one.changed for one in changes])).nats
        judged = repaired - np.array([one.bonus for one in changes])
        best = 0
        for i, after in enumerate(judged):
            best = i if after < judged[best] - LEAST_GAIN else best
        if nats - repaired[best] >= REPAIRED * cost:
            one = changes[best]
            return _described(text, one.start, one.stop, cost, one.expected.decode("utf-8", "replace"))
    return _described(text, min(begin, len(text)), min(end, len(text)), cost, None)


@dataclass(frozen=True, slots=True)
class _Change:
    """Bytes `start` to `stop` of a string replaced by `expected`, which gives `changed`; `bonus` nats in its favour."""

    start: int
    stop: int
    expected: bytes
    changed: bytes
    bonus: float = 0.0

    @classmethod
    def of(cls, text: bytes, start: int, stop: int, expected: bytes, bonus: float = 0.0) -> _Change:
        return cls(start, stop, expected, text[:start] + expected + text[stop:], bonus)


def _changes(model: StringModel, text: bytes, excess: np.ndarray, stretch: tuple[int, int]) -> Iterator[_Change]:
    """Changes of one character that may repair a stretch.

    Only bytes that are characters are changed: letters of other alphabets take several.
    """
    begin, end = stretch
    places = [place for place in range(max(begin - 1, 0), min(end, begin + MOST_PLACES)) if place < excess.size]
    asked = sorted(places, key=lambda place: -excess[place])[:MOST_ASKED]
    for place in sorted({begin, *asked}):
        if place < len(text) and text[place] < _ASCII:
            own = text[place : place + 1]
            for other in (other for group in LOOKALIKES if own.decode() in group for other in group):
                if other.encode() != own:
                    yield _Change.of(text, place, place + 1, other.encode(), ALIKE_GAIN)
            wanted = model.expected(text, place)
            if wanted and wanted[0] < _ASCII and wanted != own:
                yield _Change.of(text, place, place + 1, wanted)
    for place in places:
        if place < len(text) and text[place] < _ASCII:
            yield _Change.of(text, place, place + 1, b"")
        pair = text[place : place + 2]
        if len(pair) > 1 and max(pair) < _ASCII and pair[0] != pair[1]:
            yield _Change.of(text, place, place + 2, pair[::-1])
    for place in sorted({begin, *asked}):
        if place <= len(text) and (place == len(text) or text[place] < _ASCII):
            wanted = model.expected(text[:place] + b" " + text[place:], place)
            if wanted and wanted[0] < _ASCII:
                yield _Change.of(text, place, place, wanted)


def _described(text: bytes, start: int, stop: int, nats: float, expected: str | None) -> TextSpan:
    """The span of bytes `start` to `stop`, whole characters."""
    while start > 0 and _continues(text, start):
        start -= 1
    while _continues(text, stop):
        stop += 1
    before, inside = (text[part].decode("utf-8", "replace") for part in (slice(start), slice(start, stop)))
    return TextSpan(len(before), len(before) + len(inside), start, stop, inside, expected, nats)


def _continues(text: bytes, place: int) -> bool:
    """Whether a byte is not the first of its character."""
    return place < len(text) and text[place] & 0xC0 == 0x80
