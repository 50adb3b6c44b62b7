"""Warnings about columns that every kind of fit gives: how numbers were read, and placeholders among them."""

from __future__ import annotations

from vaecli.errors import quoted
from vaecli.schema import Schema
from vaecli.tables.convert.declared_missing import option_value
from vaecli.tables.convert.number_spellings import DECIMAL_COMMA, OTHER

LARGEST_PLAIN = 1e15  # whole numbers below it are written without an exponent


def column_warnings(schema: Schema) -> list[str]:
    """How numbers were read where they are not spelled 1234.5, and which values look like placeholders."""
    warnings = []
    by_hand = sorted({one.number_spelling for one in schema.features} - {"", DECIMAL_COMMA, OTHER})
    for spelling, how in (
        *((one, "with the marks that you named") for one in by_hand),
        (DECIMAL_COMMA, "with a decimal comma"),
        (OTHER, "in other spellings than 1234.5"),
    ):
        if names := [column.name for column in schema.features if column.number_spelling == spelling]:
            warnings.append(f"numbers {how} were read as numbers: {', '.join(names)}")
    for column in schema.features:
        if column.doubtful_point:
            warnings.append(
                f"{quoted(column.name)}: {column.doubtful_point} was read with a decimal point, though other columns "
                "have decimal commas; if points stand between thousands: --thousands ."
            )
        for word, n in column.doubtful_missing:
            cells = "1 cell holds" if n == 1 else f"{n:,} cells hold"
            warnings.append(
                f"{quoted(column.name)}: {cells} {word}, which was read as missing; if it is a value, write it in "
                f"another way; if it means missing: --missing {option_value([f'{column.name}={word}'])}"
            )
        for value, n in column.placeholders:
            where = "far outside all others: a placeholder for missing? Set aside in training, anomalous in new rows"
            warnings.append(_proposal(column.name, value, n, where))
        for value, n in column.spikes:
            where = "apart from all others, which hardly repeat: a placeholder for missing? Learned as a number"
            warnings.append(_proposal(column.name, value, n, where))
    return warnings


def _proposal(name: str, value: float, n: int, where: str) -> str:
    text = f"{value:.0f}" if value == round(value) and abs(value) < LARGEST_PLAIN else repr(value)
    cells = "1 cell holds" if n == 1 else f"{n:,} cells hold"
    return f"{quoted(name)}: {cells} {text}, {where}; --missing {option_value([f'{name}={text}'])} takes it as missing"
