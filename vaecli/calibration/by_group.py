"""Calibrations of groups whose normal level differs: each group large enough is compared with its own normal rows.

Conformal p-values hold for the rows that a calibration stands for, all together. A group that is noisier than the
others is then flagged more often than promised, a calm one less; with a calibration of its own each is promised the
same (group-conditional, or Mondrian, conformal prediction: Vovk et al. 2003).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.calibration.conformal import Calibration

MOST_GROUPS = 10_000
_NO_TAIL = (-1.0, 0.0, 0.0, 0.0)
_PREFIX = "by"


@dataclass(frozen=True, slots=True)
class GroupCalibrations:
    """The calibrations of the groups that have one of their own: `by_kind[kind][i]` is that of `names[i]`.

    `column` is the name of the column whose text names the group of a row.
    """

    column: str
    names: tuple[str, ...]
    by_kind: Mapping[str, tuple[Calibration, ...]]

    def p_value(self, kind: str, score: np.ndarray, group: Sequence[str | None], everyone: Calibration) -> np.ndarray:
        """The p-values (n,) of scores (n,) whose rows belong to `group` (n,); rows of other groups by `everyone`."""
        index = self.index(group)
        p_value = everyone.p_value(score)
        for i in np.unique(index[index >= 0]):
            p_value[index == i] = self.by_kind[kind][i].p_value(score[index == i])
        return p_value

    def smallest_p(self, kind: str, group: Sequence[str | None], everyone: Calibration) -> np.ndarray:
        """The smallest p-value (n,) that the calibration of each row's group gives without a tail model."""
        smallest = np.array([1 / (one.n_independent + 1) for one in (*self.by_kind[kind], everyone)])
        return np.asarray(smallest[self.index(group)])

    def index(self, group: Sequence[str | None]) -> np.ndarray:
        """The position (n,) of each row's group among `names`, −1 where it has no calibration of its own."""
        position = {name: i for i, name in enumerate(self.names)}
        return np.array([position.get(name, -1) if name is not None else -1 for name in group], np.int64)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle: all groups one after the other, and how many scores each has."""
        arrays: dict[str, np.ndarray] = {}
        for kind, calibrations in self.by_kind.items():
            tails = [one.tail.to_numbers() if one.tail is not None else _NO_TAIL for one in calibrations]
            worth = [(0, 0) if one.effective is None else one.effective.to_array() for one in calibrations]
            arrays |= {
                f"{_PREFIX}/{kind}.size": np.array([one.scores.size for one in calibrations], np.int64),
                f"{_PREFIX}/{kind}.scores": _joined([one.scores for one in calibrations], np.float64),
                f"{_PREFIX}/{kind}.ranks": _joined([one.ranks for one in calibrations], np.int64),
                f"{_PREFIX}/{kind}.tails": np.array(tails, np.float64).reshape(-1, 4),
                f"{_PREFIX}/{kind}.effective": np.array(worth, np.int64).reshape(-1, 2),
            }
        return arrays

    @classmethod
    def from_arrays(
        cls, column: str, names: Sequence[str], kinds: Sequence[str], arrays: Mapping[str, np.ndarray]
    ) -> GroupCalibrations:
        """The calibrations in arrays of `to_arrays`. Raises KeyError or ValueError on what it cannot have written."""
        if len(set(names)) < len(names) or len(names) > MOST_GROUPS:
            raise ValueError("the groups with a calibration of their own are not different texts, 10,000 at most")
        by_kind = {kind: _of_groups(kind, len(names), arrays) for kind in kinds}
        return cls(column, tuple(names), by_kind)


def _joined(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.empty(0, dtype), *parts])


def _of_groups(kind: str, n_groups: int, arrays: Mapping[str, np.ndarray]) -> tuple[Calibration, ...]:
    prefix = f"{_PREFIX}/{kind}"
    size, scores, ranks, tails, worth = (
        arrays[f"{prefix}.{name}"] for name in ("size", "scores", "ranks", "tails", "effective")
    )
    shapes = size.shape == (n_groups,) and tails.shape == (n_groups, 4) and worth.shape == (n_groups, 2)
    if not shapes or size.dtype != np.int64 or worth.dtype != np.int64 or tails.dtype != np.float64:
        raise ValueError(f"{prefix}: the sizes, tails or numbers of rows are not those of {n_groups} groups")
    # a forged size could wrap the sum around
    if (size < 1).any() or (size > scores.size).any() or size.sum() != scores.size or scores.shape != ranks.shape:
        raise ValueError(f"{prefix}: the sizes do not add up to the scores")
    found, ends = [], np.cumsum(size)
    for i, (start, end) in enumerate(zip(ends - size, ends, strict=True)):
        parts = {"g.scores": scores[start:end], "g.ranks": ranks[start:end]}
        parts["g.tail"] = np.empty(0) if tuple(tails[i]) == _NO_TAIL else tails[i]
        if worth[i].any():
            parts["g.effective"] = worth[i]
        found.append(Calibration.from_arrays(parts, "g"))
    return tuple(found)
