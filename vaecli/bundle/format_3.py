"""Translates what formats 2 and 3 store to format 4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def detector_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a detector as format 4 has them.

    Up to format 3 the columns of a table of numbers and booleans, without categories, stayed in the order of the
    features (booleans last) in the second family. Its scores were calibrated so, and are computed so.
    """
    return {**settings, "schema_order": False}
