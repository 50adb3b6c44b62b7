"""Why a row scored as it did, as a person reads it."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

from vaecli.errors import cut, escaped, quoted

LONGEST_TEXT, LONGEST_SPAN = 80, 40  # characters that a sentence shows
RESPONSIBLE, ALTERNATIVE, MINOR = "responsible", "alternative", "minor"  # roles of a reason
LEAST_SHARE = 0.05  # of a score, from which a reason without a role is named
SURE = 0.5  # probability from which a value counts as expected rather than as the most probable one
UNUSUAL_TOGETHER = ", unusual together with the other columns"


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Characters of a string that are unusual where they stand, and what was expected in their place, if that is known.

    `start` and `stop` count characters from 0, `byte_start` and `byte_stop` bytes of UTF-8; `text` is what stands
    between. Both ends are equal where something is missing, and at the end of the string where it ends too early.
    `nats` is what the span costs beyond the usual.
    """

    start: int
    stop: int
    byte_start: int
    byte_stop: int
    text: str
    expected: str | None
    nats: float

    @property
    def phrase(self) -> str:
        """`unusual at character 6 "O", expected "0"`; characters count from 1."""
        if self.start == self.stop and self.expected is None:
            return "unusual at its end"
        first, last = self.start + 1, self.stop
        if self.start == self.stop:
            return f"{_marked(self.expected or '')} missing at character {first}"
        where = f"character {first}" if last <= first else f"characters {first} to {last}"
        found = f"unusual at {where} {_marked(self.text)}"
        if self.expected is None:
            return found
        return f"{found}, expected {_marked(self.expected) if self.expected else 'nothing there'}"


def _marked(text: str) -> str:
    """The text in double quotation marks, without what could steer a terminal, cut where it is long."""
    return f'"{escaped(cut(text, LONGEST_SPAN))}"'


@dataclass(frozen=True, slots=True)
class Reason:
    """One column's part in a row's score, and what its cell should have been given the rest of the row.

    `value` is what the cell holds, None when it is missing. `expected` is a number, a moment (ISO 8601) or the most
    probable category; `low` and `high` lie one standard deviation to either side of a number. `probability` is that of
    the expected category or of a number that comes often, without `expected` that no value was to be there, or for a
    missing cell how often such a cell is filled in training; `own_probability` is that of what the cell holds, or of no
    value if it is missing, where that explains it. Of a string, `spans` are the characters that make it unusual, the
    worst first; without any, `expected` is a string of the expected class. Where a sensor `is_beyond` the range of its
    levels in training, `low` and `high` are the ends of that range, and `expected` is its middle.

    `role` is RESPONSIBLE where the row is anomalous as long as the cell is what it is, ALTERNATIVE where it could be
    the wrong cell in place of the first one, MINOR where neither holds, and None of series.
    """

    column: str
    nats: float
    value: float | int | str | None
    expected: float | str | None
    low: float | None = None
    high: float | None = None
    probability: float | None = None
    _: KW_ONLY
    own_probability: float | None = None
    is_novel: bool = False  # a value that training never saw
    similar: str | None = None  # the known value that such a word is nearly the same as
    spans: tuple[TextSpan, ...] | None = None  # None of what is no string
    length: int | None = None  # of a string whose length is what is unusual
    is_beyond: bool = False
    role: str | None = None

    @property
    def sentence(self) -> str:
        """`temp_3 = 91.2, expected 64.0 ± 2.1`."""
        if self.value is None:
            return self._of_gap()
        if self.similar is not None:
            return self._mistyped()
        if self.spans is not None:
            return self._of_text()
        found = f"{quoted(self.column, marks=False)} = {self._written(self.value)}"
        if self.is_novel:
            found += ", never seen"
        if self.is_beyond and self.low is not None and self.high is not None:
            ends = f"{self._written(self.low)} to {self._written(self.high)}"
            return f"{found}, its mean of 8 rows is beyond those of training ({ends})"
        if self.expected is None:
            missing = "" if self.probability is None else f", expected to be missing ({_share(self.probability)})"
            return found + missing
        if self.expected == str(self.value) or (self.expected == self.value and self.low is None):
            return f"{found}{UNUSUAL_TOGETHER}"
        if isinstance(self.expected, str):
            return f"{found}{self._most_probable(self._written(self.expected))}"
        if self.own_probability is not None:
            seldom = f"{found} (probability {_seldom(self.own_probability)})"
            return f"{seldom}, expected {self._range()}{self._sure}" if not self._is_within else seldom
        if self._is_within:  # what little it takes away is hardly its own fault
            return f"{found}, within the expected {self._range()}"
        return f"{found}, expected {self._range()}"

    @property
    def before(self) -> str:
        """`or ` before a reason that could stand in place of the first one."""
        return "or " if self.role == ALTERNATIVE else ""

    @property
    def phrase(self) -> str:
        """The sentence in a list of reasons: `or pump = on, expected off (98 %)`."""
        return self.before + self.sentence

    def _of_gap(self) -> str:
        """`flow is missing, usually present (99 %)`, or with what the other columns predict."""
        found = f"{quoted(self.column, marks=False)} is missing"
        if self.own_probability is not None:
            expected = "" if self.expected is None else f", expected {self._range()}"
            return f"{found} (probability {_seldom(self.own_probability)}){expected}"
        if self.probability is None:
            return found
        if self.probability < 0.5:
            return f"{found}{UNUSUAL_TOGETHER}"
        return f"{found}, usually present ({_share(self.probability)})"

    def _of_text(self) -> str:
        """`serial = "SN-20O4-0031", unusual at character 6 "O", expected "0"`."""
        own = str(self.value)
        shown = own if len(own) <= LONGEST_TEXT or not self.spans else around(own, self.spans[0].start)
        found = f'{quoted(self.column, marks=False)} = "{escaped(cut(shown, LONGEST_TEXT))}"'
        if self.length is not None:
            return f"{found}, {self.length:,} characters: an unusual length"
        if self.spans:
            return f"{found}, {self.spans_phrase}"
        if not isinstance(self.expected, str):
            return f"{found}{UNUSUAL_TOGETHER}"
        sure = f" ({_share(self.probability)})" if self.probability is not None else ""
        return f"{found}, expected one like {_marked(self.expected)}{sure}"

    @property
    def spans_phrase(self) -> str:
        """What is unusual about a string, as `unusual at character 6 "O", expected "0"`; empty without spans."""
        spans = self.spans or ()
        if len(spans) == 1 and spans[0].expected is None and 0 < len(str(self.value)) == len(spans[0].text):
            return "unusual from its first character to its last"
        return ", ".join(span.phrase for span in spans)

    def _mistyped(self) -> str:
        """Both words in marks, which show a blank at the end."""
        new = "never seen" if self.is_novel else "rare or never seen"
        found = f"{quoted(self.column, marks=False)} = {quoted(self.value)}, {new}, nearly {quoted(self.similar)}"
        if not isinstance(self.expected, str) or self.expected == self.similar:
            return found
        return f"{found}{self._most_probable(quoted(self.expected), before='; ')}"

    def _most_probable(self, value: str, before: str = ", ") -> str:
        """`, expected eco (93 %)`; of a value that is less probable than all others, `, most probable eco (19 %)`."""
        word = "expected" if self.probability is None or self.probability >= SURE else "most probable"
        return f"{before}{word} {value}{self._sure}"

    @property
    def _sure(self) -> str:
        return f" ({_share(self.probability)})" if self.probability is not None and self.low is None else ""

    @property
    def _is_within(self) -> bool:
        if self.low is None or self.high is None or not isinstance(self.value, int | float):
            return False
        return self.low <= self.value <= self.high

    def _range(self) -> str:
        assert self.expected is not None
        if self.low is None or self.high is None:
            return self._written(self.expected)
        below, above = float(self.expected) - self.low, self.high - float(self.expected)
        if max(below, above) > 1.5 * min(below, above):  # a column bent towards its ranks is not symmetric
            return f"{self._written(self.expected)} ({self._written(self.low)} to {self._written(self.high)})"
        spread = 0.5 * (below + above)
        written = f"{spread:.0f}" if 99.5 <= spread < 1e9 else f"{spread:.2g}"  # 600, not 6e+02
        return f"{self._written(self.expected)} ± {written}"

    def _written(self, value: float | str) -> str:
        """A number with the digits that its spread lets matter, four at least; an integer as it is."""
        if isinstance(value, str | int):
            return quoted(value, marks=False)
        spread = 0.0 if self.low is None or self.high is None else 0.5 * (self.high - self.low)
        if not (math.isfinite(value) and math.isfinite(spread) and 1e-9 * abs(value) < spread):
            return f"{value:.6g}"
        decimals = max(0, 1 - math.floor(math.log10(spread)))
        if abs(value) < 0.1 * spread:  # zero but for rounding
            return "0"
        return f"{value:.{decimals}f}" if decimals <= 3 and abs(value) < 1e9 else f"{value:.4g}"


def around(text: str, place: int) -> str:
    """What stands around a character of a long text."""
    start = max(min(place - LONGEST_TEXT // 2, len(text) - LONGEST_TEXT + 1), 0)
    return f"…{text[start + 1 :]}" if start else text


def field_name(name: str) -> str:
    """The name in a list of `name:nats`; one with `:`, `;`, a quote or the begin of a formula is quoted as in CSV."""
    # a spreadsheet would take a cell that begins with such a name for a formula
    is_special = name[:1] in tuple("=+-@\t\r") or any(special in name for special in ':;"')
    return '"' + name.replace('"', '""') + '"' if is_special else name


def _share(probability: float) -> str:
    """`93 %`, `99.8 %`, `over 99.9 %`."""
    if probability > 0.999:
        return "over 99.9 %"
    return f"{100 * probability:.1f} %" if probability > 0.99 else f"{100 * probability:.0f} %"


def _seldom(probability: float) -> str:
    """`12 %`, `2 %`, `0.03 %`, `under 0.01 %`."""
    if probability < 1e-4:
        return "under 0.01 %"
    return f"{100 * probability:.0f} %" if probability >= 0.01 else f"{100 * probability:.1g} %"


@dataclass(frozen=True, slots=True)
class FlaggedRow:
    """A row and why it scored as it did; `row` counts from 1. The reasons' nats and `rest` add up to `score`, if
    all columns are among them; `rest` is what no single column explains."""

    row: int
    score: float
    p_value: float
    is_anomaly: bool
    reasons: tuple[Reason, ...] = ()
    rest: float = 0.0

    @property
    def named(self) -> tuple[Reason, ...]:
        """The reasons that a page names: columns responsible, alternatives, and of series those with a large part."""
        return tuple(one for one in self.reasons if self._is_named(one))

    def _is_named(self, reason: Reason) -> bool:
        return reason.nats > LEAST_SHARE * self.score if reason.role is None else reason.role != MINOR
