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
)
