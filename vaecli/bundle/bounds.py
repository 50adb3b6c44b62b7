"""What a bundle may claim: checked before memory is taken for it, and between its parts where types leave it open."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vaecli.config.choices import SCORE_KINDS
from vaecli.errors import quoted
from vaecli.schema import Column, Kind, Schema

MAX_JSON_DEPTH = 32
MAX_JSON_MARKS = 2**21  # commas, colons and opening brackets: some 100 bytes of memory each at worst
MAX_HEADER_BYTES = 2**20
MAX_ARRAYS = 1024
MAX_CATEGORIES = 10_001  # what `columns.max_categories` allows, and the rarer ones together


def json_problem(text: bytes) -> str:
    """Why JSON would take more memory than its bytes suggest, or be nested too deeply; empty where it does not."""
    # with pairs of backslashes gone, a quote inside a text is one that a backslash precedes
    plain = np.frombuffer(text.replace(b"\\\\", b"  ").replace(b'\\"', b"  "), np.uint8)
    is_text = np.bitwise_xor.accumulate((plain == ord('"')).view(np.uint8)).astype(bool)
    outside = plain[~is_text]
    opening, closing = (np.isin(outside, list(brackets)) for brackets in (b"[{", b"]}"))
    n_marks = int(opening.sum() + np.isin(outside, list(b",:")).sum())
    if n_marks > MAX_JSON_MARKS:
        return f"holds more than {MAX_JSON_MARKS // 2:,} values"
    ends = opening | closing
    depth = np.cumsum(np.where(opening[ends], 1, -1))
    return "is nested too deeply" if depth.max(initial=0) > MAX_JSON_DEPTH else ""


def require_feature_columns(schema: Schema) -> None:
    """Raise ValueError for a column that no fit writes, whatever the types of its parts are."""
    for column in schema.features:
        if (problem := _problem(column)) is not None:
            raise ValueError(f"column {quoted(column.name)} {problem}")
    with_format = [column for column in schema.columns if column.datetime_format is not None]
    if with_format:
        from vaecli.tables.convert.dates import is_date_format  # brings pyarrow, which `inspect` does without

        for column in with_format:
            if not is_date_format(str(column.datetime_format)):
                raise ValueError(f"column {quoted(column.name)} has dates of a format that is not read")


def _problem(column: Column) -> str | None:
    if (column.kind is Kind.TEXT) != bool(column.class_shares):
        return f"is {column.kind} and has {len(column.class_shares):,} classes of strings"
    if column.kind is Kind.TEXT and len(column.categories) != len(column.class_shares):
        return f"has {len(column.categories):,} strings for {len(column.class_shares):,} classes"
    if column.has_other and column.kind is not Kind.CATEGORICAL:
        return f"is {column.kind} and has rarer values that count as one"
    if column.kind is Kind.BOOLEAN and len(column.categories) != 2:
        return f"has {len(column.categories):,} values, not 2"
    if column.kind is Kind.CATEGORICAL and not 1 <= column.n_categories <= MAX_CATEGORIES:
        return f"has {column.n_categories:,} categories, not 1 to {MAX_CATEGORIES:,}"
    return None


def require_settings(settings: Mapping[str, object]) -> None:
    """Raise KeyError or ValueError unless the settings of a detector are of their types."""
    kinds = settings["score_kinds"]
    if not isinstance(kinds, list) or not kinds or any(kind not in SCORE_KINDS for kind in kinds):
        raise ValueError("score_kinds are not kinds of score")
    if len(set(kinds)) < len(kinds):
        raise ValueError("a kind of score stands twice")
    numbers = (settings["threshold"], settings["min_log_variance"])
    if any(type(number) not in (int, float) for number in numbers) or type(settings["schema_order"]) is not bool:
        raise ValueError("threshold, min_log_variance or schema_order is not of its type")
