"""What the science asks of a kind of column beside its likelihood: one entry per kind, in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vaecli.schema import Kind


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """One kind of column. The fields are the only thing that faults and column limits know of it."""

    is_ordered: bool  # values are numbers: a cell can lie beyond all that training held
    typical: Callable[[np.ndarray], float]  # of (n,) values, n at least 1: a middle or frequent one
    faults: frozenset[str]  # the names in `evaluation.faults.CATALOGUE` that its cells can have


def median_reading(values: np.ndarray) -> float:
    """The lower median: a reading that there was, not a mean of two."""
    return float(np.quantile(values, 0.5, method="lower"))


def most_frequent(codes: np.ndarray) -> float:
    """The most frequent code, the smallest of several."""
    return float(np.bincount(codes.astype(np.int64)).argmax())


_ANY = frozenset({"stuck", "missing", "borrowed"})

KINDS: dict[Kind, ColumnKind] = {
    Kind.NUMERIC: ColumnKind(
        is_ordered=True, typical=median_reading, faults=_ANY | {"spike", "shift", "scale", "swap"}
    ),
    Kind.DATETIME: ColumnKind(is_ordered=True, typical=median_reading, faults=_ANY | {"spike", "shift"}),
    Kind.BOOLEAN: ColumnKind(is_ordered=False, typical=most_frequent, faults=_ANY | {"wrong"}),
    Kind.CATEGORICAL: ColumnKind(is_ordered=False, typical=most_frequent, faults=_ANY | {"unseen", "wrong"}),
}
