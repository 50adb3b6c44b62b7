"""`--contamination`: which share of the training rows is distrusted."""

from __future__ import annotations

import re

from vaecli.errors import UsageError

AUTO_SHARE = 0.05  # what is lost on clean tables and won on contaminated ones: docs/adr/0030-distrusted-rows.md
LARGEST_SHARE = 0.5


def contamination_share(text: str) -> float:
    """The share that `auto`, or a percentage such as `2.5%` up to 50 %, describes. Raises UsageError for others."""
    if text == "auto":
        return AUTO_SHARE
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s?%", text)
    if not match or float(match[1]) > 100 * LARGEST_SHARE:
        raise UsageError(f"--contamination {text!r} is not auto or a share up to 50%", "for example: auto or 2.5%")
    return float(match[1]) / 100
