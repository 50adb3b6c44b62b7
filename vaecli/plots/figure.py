"""What the pictures of all verbs share: how they look, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vaecli.runtime.atomic_file import replacing

BACKGROUND = "0.7"  # what is drawn below the rows themselves: training rows, chance
_INCHES = (10, 4.6)
_ROW_INCHES = 2.0
_DOTS_PER_INCH = 120
_MOST_LETTERS = 28


def new_figure(width_ratios: Sequence[float] = (1,)) -> tuple[Any, list[Any]]:
    """A figure and its axes, side by side. matplotlib is loaded here."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    axes = figure.subplots(1, len(width_ratios), width_ratios=width_ratios, squeeze=False)[0]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def new_rows(n_rows: int) -> tuple[Any, list[Any]]:
    """A figure and its axes, one below the other, each higher than a line of text. matplotlib is loaded here."""
    from matplotlib.figure import Figure

    width, height = _INCHES
    figure = Figure(figsize=(width, max(height, _ROW_INCHES * n_rows)), layout="constrained")
    rows = figure.subplots(n_rows, 1, squeeze=False)[:, 0]
    for one in rows:
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(rows)


def write_figure(path: str, figure: Any) -> None:
    """Write a figure to `path` (.png, .svg), the same bytes each time. Raises UsageError or EnvironmentProblem."""
    from matplotlib import rc_context

    extension = path.lower().rpartition(".")[2]
    # without a date and with identifiers of its own
    with rc_context({"svg.hashsalt": "vaecli"}), replacing(path) as stream:
        metadata = {"Date": None} if extension == "svg" else None
        figure.savefig(stream, format=extension, dpi=_DOTS_PER_INCH, metadata=metadata)


def legible(name: str) -> str:
    """A name of the user's as it is, never as a formula, and cut where it is long."""
    short = name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
    return "".join(letter if letter.isprintable() else "�" for letter in short).replace("$", r"\$")
