"""What a table is: its columns, what kind each one is, and what part it plays.

The schema is inferred once, at fit, over the whole input; it is stored in the bundle and forced
on every table read afterwards.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from vaecli.errors import quoted


class Kind(StrEnum):
    """What the values of a column are; decides preprocessing and likelihood."""

    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    CATEGORICAL = "categorical"
    DATETIME = "datetime"
    TEXT = "text"  # strings; in a column that is no feature, whatever it holds


class Role(StrEnum):
    """The part a column plays. Only features are modelled; every column passes through to the output."""

    FEATURE = "feature"
    GROUP = "group"  # rows of one group stay in one fold
    TIME = "time"  # orders the rows; folds become contiguous blocks
    KEY = "key"  # identifies a row
    LABEL = "label"  # marks anomalous rows, which are left out of training
    IGNORED = "ignored"


MOST_DIGITS = 400  # that numbers are padded to: more than any float has before its point
MOST_COUNTED = 2**53  # rows, cells or values: floats hold every count below it exactly


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the user's table, as it was at fit.

    `categories` holds the kept values of a categorical column, most frequent first, and for a
    boolean column its false and true spellings, in this order. `has_other` means that rarer values
    were folded into one more category, `n_folded` how many different ones. `whole` means that every
    number was an integer. `minimum` and `maximum` are in the column's own units (seconds since the epoch, UTC,
    for a datetime).
    `datetime_format` is the strptime pattern of a datetime kept as text, None for ISO 8601. `zone` is what dates
    are written in: nothing where they named none, an offset (+02:00), Z, or the name of a typed column's zone.
    `width` is how many digits numbers kept as text are padded to with zeros, 0 where they are not. `arrow_type` is
    the type in a typed table (`arrow_type_from_text`), empty for delimited text. Bundles of format 1 and 2 know none of
    these three. `number_spelling` is empty where numbers kept as text are spelled 1234.5, see `number_spellings`; a
    bundle stores it only where it is not. `missing` holds the words and numbers that the user declared
    to mean "missing", `placeholders` (value, count) the numbers far outside the rest that fit left out, and `order` the
    kept categories in the order that a typed column declares; all three are stored only where used. Strings
    are of classes: a text column's `categories` are the most probable string of each, as the model makes it up, and
    `class_shares` how frequent they were in training, stored only there. `spikes` (value,
    count) are numbers that may mean "missing", `doubtful_missing` (word, count) are words that were read as missing and
    may be values, and `doubtful_point` is a cell whose point may stand between thousands: of these only the fit warns,
    no bundle has them.
    """

    name: str
    kind: Kind
    role: Role = Role.FEATURE
    categories: tuple[str, ...] = ()
    has_other: bool = False
    n_folded: int = 0
    whole: bool = False
    minimum: float | None = None
    maximum: float | None = None
    n_missing: int = 0
    n_infinite: int = 0
    datetime_format: str | None = None
    zone: str = ""
    width: int = 0
    arrow_type: str = ""
    number_spelling: str = ""
    missing: tuple[str, ...] = ()
    placeholders: tuple[tuple[float, int], ...] = ()
    order: tuple[str, ...] = ()
    class_shares: tuple[float, ...] = ()
    spikes: tuple[tuple[float, int], ...] = ()
    doubtful_missing: tuple[tuple[str, int], ...] = ()
    doubtful_point: str = ""
    reason: str = ""  # why it is left out, in plain words

    @property
    def n_categories(self) -> int:
        """Classes the likelihood has for this column, the "other" class included."""
        return len(self.categories) + self.has_other

    @property
    def n_codes(self) -> int:
        """Different values that a cell of a boolean, categorical or text column can have, as in `Cells`."""
        return 2 if self.kind is Kind.BOOLEAN else self.n_categories

    @property
    def n_features(self) -> int:
        """Features that the column becomes."""
        return self.n_categories if self.kind in (Kind.CATEGORICAL, Kind.TEXT) else 1

    @property
    def has_whole_numbers(self) -> bool:
        """Whether its values are numbers of which all were integers; dates are not such numbers."""
        return self.whole and self.kind is Kind.NUMERIC

    @property
    def is_date(self) -> bool:
        """Whether its values are moments, in seconds since the epoch."""
        return self.kind is Kind.DATETIME


def _column_to_json(column: Column) -> dict[str, Any]:
    values = asdict(column)
    del values["spikes"], values["doubtful_missing"], values["doubtful_point"]
    for name in ("number_spelling", "missing", "placeholders", "order", "class_shares"):
        if not values[name]:
            del values[name]
    return values


def _column_from_json(entry: Mapping[str, Any]) -> Column:
    lists = {"categories": entry["categories"]}
    lists |= {name: entry.get(name, []) for name in ("missing", "placeholders", "order", "class_shares")}
    if not all(isinstance(values, list) for values in lists.values()):
        raise TypeError(f"one of {', '.join(lists)} of a column is not a list")
    parts = {name: tuple(values) for name, values in lists.items()}
    parts["placeholders"] = tuple(map(tuple, parts["placeholders"]))
    column = Column(**{**entry, **parts, "kind": Kind(entry["kind"]), "role": Role(entry["role"])})
    wrong = [name for name, is_right in _RIGHT.items() if not is_right(getattr(column, name))]
    if wrong:
        raise ValueError(f"a column has an impossible {wrong[0]}: {quoted(getattr(column, wrong[0]))}")
    if column.order and sorted(column.order) != sorted(column.categories):
        raise ValueError(f"the order of column {quoted(column.name)} is not one of its categories")
    return column


def _is_count(value: object, most: int = MOST_COUNTED) -> bool:
    return type(value) is int and 0 <= value <= most  # `isinstance` would take true for 1


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_truth(value: object) -> bool:
    return isinstance(value, bool)


def _is_limit(value: object) -> bool:
    return value is None or (type(value) in (int, float) and abs(value) <= sys.float_info.max)  # type: ignore[arg-type]


def _are_different_texts(value: tuple[object, ...]) -> bool:
    return all(map(_is_text, value)) and len(set(value)) == len(value)


def _are_shares(value: tuple[object, ...]) -> bool:
    return all(type(share) is float and 0 < share <= 1 for share in value)


def _are_counted_numbers(value: tuple[tuple[object, ...], ...]) -> bool:
    return all(len(pair) == 2 and pair[0] is not None and _is_limit(pair[0]) and _is_count(pair[1]) for pair in value)


_RIGHT: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "zone", "arrow_type", "number_spelling", "reason"), _is_text),
    **dict.fromkeys(("has_other", "whole"), _is_truth),
    **dict.fromkeys(("n_folded", "n_missing", "n_infinite"), _is_count),
    **dict.fromkeys(("minimum", "maximum"), _is_limit),
    **dict.fromkeys(("categories", "missing", "order"), _are_different_texts),
    "placeholders": _are_counted_numbers,
    "class_shares": _are_shares,
    "datetime_format": lambda value: value is None or _is_text(value),
    "width": lambda value: _is_count(value, MOST_DIGITS),
}


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table in file order."""

    columns: tuple[Column, ...]
    n_rows: int = 0
    features: tuple[Column, ...] = field(init=False, repr=False, compare=False)  # (c,) that are modelled

    def __post_init__(self) -> None:
        """Find the features."""
        object.__setattr__(self, "features", tuple(one for one in self.columns if one.role is Role.FEATURE))

    def with_role(self, role: Role) -> Column | None:
        """The one column that plays `role`, or None."""
        return next((column for column in self.columns if column.role is role), None)

    @property
    def group(self) -> Column | None:
        """The column whose values keep rows together in one fold."""
        return self.with_role(Role.GROUP)

    @property
    def time(self) -> Column | None:
        """The column that orders the rows."""
        return self.with_role(Role.TIME)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what scoring depends on: names, kinds and categories of the features."""
        essence = [
            (column.name, column.kind, column.categories, column.has_other, column.n_folded) for column in self.features
        ]
        return hashlib.sha256(json.dumps(essence, ensure_ascii=False).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` is the inverse."""
        return {"n_rows": self.n_rows, "columns": [_column_to_json(column) for column in self.columns]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Schema:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError on values that it cannot have written."""
        columns = tuple(map(_column_from_json, values["columns"]))
        if len({column.name for column in columns}) < len(columns):
            raise ValueError("two columns have the same name")
        if not _is_count(values["n_rows"]):
            raise ValueError("n_rows is not a count")
        return cls(columns, values["n_rows"])


@dataclass(frozen=True, slots=True)
class Slot:
    """The features that one column became: `features[:, start:stop]`."""

    column: str
    kind: Kind
    start: int
    stop: int
    n_folded: int = 0  # rare values that share the last feature
    class_shares: tuple[float, ...] = ()  # of the classes of strings that the features are

    @property
    def n_codes(self) -> int:
        """Codes that a cell without order can have: one per feature, two of a boolean."""
        return self.stop - self.start if self.kind is Kind.TEXT else max(self.stop - self.start, 2)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which of the d features belong to which of the c columns."""

    slots: tuple[Slot, ...]

    @classmethod
    def of(cls, columns: Sequence[Column]) -> Layout:
        """Slots in the order of the columns; features in blocks: numbers and dates, booleans, categories, text.

        A categorical column becomes one feature a category, text one a class of strings, every other kind one feature.
        """
        start, where = 0, {}
        for kinds in ((Kind.NUMERIC, Kind.DATETIME), (Kind.BOOLEAN,), (Kind.CATEGORICAL,), (Kind.TEXT,)):
            for column in columns:
                if column.kind in kinds:
                    stop = start + column.n_features
                    where[column.name] = Slot(
                        column.name, column.kind, start, stop, column.n_folded, column.class_shares
                    )
                    start = stop
        return cls(tuple(where[column.name] for column in columns))

    @property
    def n_columns(self) -> int:
        """c, the number of user columns."""
        return len(self.slots)

    @property
    def n_features(self) -> int:
        """d, the number of features."""
        return max((slot.stop for slot in self.slots), default=0)

    @property
    def column_of_feature(self) -> tuple[int, ...]:
        """The index of the column of each feature, (d,): features stand by kind, columns as in the table."""
        found = {i: j for j, slot in enumerate(self.slots) for i in range(slot.start, slot.stop)}
        return tuple(found[i] for i in range(self.n_features))

    def of_kind(self, *kinds: Kind) -> tuple[tuple[int, Slot], ...]:
        """(column index, slot) of every column of these kinds."""
        return tuple((j, slot) for j, slot in enumerate(self.slots) if slot.kind in kinds)
