"""The spellings of a missing cell in delimited text, kept in one place."""

from __future__ import annotations

MISSING_TOKENS = (
    "",
    "NA",
    "N/A",
    "n/a",
    "na",
    "null",
    "NULL",
    "Null",
    "None",
    "none",
    "nan",
    "NaN",
    "NAN",
    "-nan",
    "?",
    "<NA>",
    "NaT",
    "#N/A",
    "1.#IND",
    "-1.#IND",
    "1.#IND00",
    "-1.#IND00",
    "1.#QNAN",
    "-1.#QNAN",
    "1.#QNAN0",
    "-1.#QNAN0",
    "nan(ind)",
    "-nan(ind)",
)
