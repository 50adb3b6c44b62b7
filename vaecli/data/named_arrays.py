"""Arrays by name, as a bundle holds them: the part under one prefix."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def arrays_within(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays, of any shape (…), whose names begin with `prefix`, by their names without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
