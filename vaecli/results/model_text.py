"""A model of Python in one line, as a notebook and a debugger show it."""

from __future__ import annotations

from typing import Any

from vaecli.results.number_format import counted


def model_text(model: Any) -> str:
    """Name the columns, threshold level and score of a `vaecli.Model`, and not the arrays that it holds."""
    detector = model.detector
    columns = counted(len(model.schema.features), "column")
    return f"<vaecli.Model of {columns}: threshold {model.threshold:g}, {detector.score_kind} score>"
