"""What becomes markup and what stays text, and how numbers are written."""

from __future__ import annotations

import html

import pytest
from hypothesis import example, given, strategies as st

from vaecli.report.charts import round_steps
from vaecli.report.html import Html, element, escaped, image, own, together
from vaecli.results.number_format import bin_width, counted, moment, number, per_cent


@given(st.text(max_size=60))
def test_any_text_stays_text(text: str):
    """Nothing of it is markup, it can be written as UTF-8, and a reader gets it back unless it could steer the page."""
    shown = escaped(text)
    assert not set("<>\"'") & set(shown)
    shown.encode()
    assert not [character for character in shown if not (character.isprintable() or character in "\u200c\u200d")]
    if text.isprintable():
        assert html.unescape(shown) == text


@pytest.mark.parametrize(
    "made",
    [
        element("p", "<b>"),
        element("p", title='"><b>'),
        together("<b>", "&"),
        own("<b>"),
        element("p", element("i", "<b>"), data_says="<b>"),
        image(b"<b>", '"><b>'),
    ],
)
def test_text_is_escaped_wherever_it_enters(made: Html):
    """As a child, as an attribute, beside markup, in a word of the user's."""
    assert "<b>" not in made


def test_markup_is_escaped_once():
    """What is markup already stays as it is."""
    assert element("p", element("b", "&")) == "<p><b>&amp;</b></p>"


def test_an_image_is_whole_and_never_closed():
    """However long: its address is never cut, and as an element without content it has no end."""
    made = image(b"\x89PNG" * 5_000, "what is on it")
    assert made.startswith('<img src="data:image/png;base64,iVBOR')
    assert made.endswith('" alt="what is on it">')
    assert len(made) > 4 / 3 * 20_000


def test_long_text_is_cut():
    """At so many characters, and one sees that it was."""
    assert escaped("x" * 99, 10) == "x" * 9 + "…"
    assert escaped("x" * 10, 10) == "x" * 10


def test_a_lone_surrogate_can_be_written():
    """It is no character, and is shown as its escape."""
    assert escaped("\ud800") == "\\ud800"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (number(12345.6), "12,346"),
        (number(-0.5), "-0.5"),
        (number(float("inf")), "∞"),
        (number(float("nan")), "–"),
        (number(1e12), "1e+12"),
        (per_cent(0.141), "14 %"),
        (per_cent(0.0123), "1.2 %"),
        (per_cent(0.0003), "0.03 %"),
        (per_cent(0), "0 %"),
        (counted(1, "row"), "1 row"),
        (bin_width(900), "15 minutes"),
        (bin_width(604_800), "1 week"),
        (moment(0, 1e7), "1970-01-01"),
        (moment(3600, 7200), "01-01 01:00"),
        (moment(1e300, 1), "1e+300 s"),
    ],
)
def test_numbers_are_written_for_people(said: str, expected: str):
    """Few digits, thousands apart, a true minus; what is not a number or date does not stop a page."""
    assert said == expected


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
@example(900719925.7753906, 1e-06)  # eight floats wide: a rounded multiple of the step fell off its left end
@example(1e16, 4.0)
@example(0.0, 5e-324)
def test_ticks_are_few_and_inside(low: float, span: float):
    """Round numbers within the axis, no two the same, never more than seven."""
    ticks = round_steps(low, low + span)
    assert len(set(ticks)) == len(ticks) <= 7
    assert all(low - 1e-6 * span <= tick <= low + span * (1 + 1e-6) for tick in ticks)
