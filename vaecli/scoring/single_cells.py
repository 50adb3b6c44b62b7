"""One wrong cell may decide the score of a row: judges of single cells beside the networks.

A score of all cells together hides one that is wrong, where the others vary. So every cell is judged in more ways that
know nothing of the networks: by its conditional given the other cells under a mixture of Gaussians
(`model.cell_mixture`), by its own column alone (`column_tails`), and where it holds a value that comes often, by
whether the other cells predict it (`level_judge`). Each judge's score of a row is that of its most extreme cell; it is
put on the scale of the ensemble's score by what share of held-out normal rows score as much. Where less than one row in
a hundred does, the largest one decides; a judge's milder opinions count four times less, since all share one budget of
false alarms (docs/adr/0025-two-judges-of-cells.md, docs/adr/0057-levels.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vaecli.data.cells import PRESENT
from vaecli.data.named_arrays import arrays_within
from vaecli.data.per_column import per_column
from vaecli.model.cell_mixture import MOST_FEATURES, CellMixture
from vaecli.schema import Layout
from vaecli.scoring.column_tails import ColumnTails
from vaecli.scoring.level_judge import LevelJudge
from vaecli.scoring.max_cell import NEVER_DECIDES
from vaecli.scoring.opinion_scale import OpinionScale, require_limits

TAILS, MIXTURE, LEVELS = range(3)
FAR_BEYOND = float(np.log(100))  # nats: of readings beyond all of training one in a hundred is farther


@dataclass(frozen=True, slots=True)
class Opinions:
    """What the judges think of n rows: a `score` (n,) in the unit of the ensemble's, −inf where they have none.

    `column` (n,) is the most extreme cell, and `judge` (n,) uint8 whose opinion it is: TAILS, MIXTURE or LEVELS.
    """

    score: np.ndarray
    column: np.ndarray
    judge: np.ndarray

    def raised(self, score: np.ndarray, column: np.ndarray, judge: int) -> Opinions:
        """These opinions, or those of another `judge` where it scores (n,) higher, by its `column` (n,)."""
        is_higher = score > self.score
        if not is_higher.any():
            return self
        return Opinions(
            np.where(is_higher, score, self.score),
            np.where(is_higher, column, self.column),
            np.where(is_higher, np.uint8(judge), self.judge),
        )

    @classmethod
    def concatenate(cls, parts: Sequence[Opinions]) -> Opinions:
        """The opinions on the rows of all `parts`, one or more, in their order."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class MixtureJudge:
    """The conditional of each cell, with a `limit` (c,) and a unit `excess` (c,) per column in nats, float64."""

    mixture: CellMixture
    limit: np.ndarray
    excess: np.ndarray
    scale: OpinionScale
    _per_excess: np.ndarray = field(init=False, repr=False, compare=False)  # (2, c) float32: nats · [0] + [1]

    def __post_init__(self) -> None:
        """Compute what does not depend on the rows."""
        with np.errstate(over="ignore"):  # a limit far beyond all nats
            per_excess = np.stack([1 / self.excess, -self.limit / self.excess]).astype(np.float32)
        object.__setattr__(self, "_per_excess", per_excess)

    def largest(self, values: np.ndarray, state: np.ndarray, silent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the most extreme cell of each row lies beyond its limit, in excesses (n,), and its column (n,).

        From features (n, d) and states (n, c); −inf where all cells are `silent` (n, c) or (1, c).
        """
        nats = self.mixture.nats(values, state)
        relative = per_column(np.multiply, nats, self._per_excess[0], nats)
        per_column(np.add, relative, self._per_excess[1], relative)
        np.copyto(relative, np.float32(-np.inf), where=silent)
        column = relative.argmax(1)
        return relative[np.arange(len(nats)), column], column


@dataclass(frozen=True, slots=True)
class SingleCells:
    """The judges of single cells, and which columns (c,) bool may decide the score of a row."""

    tails: ColumnTails
    tails_scale: OpinionScale
    may_decide: np.ndarray
    mixture: MixtureJudge | None = None  # None in a table of very many features
    levels: LevelJudge | None = None  # None where no value comes often
    _limits: np.ndarray = field(init=False, repr=False, compare=False)  # (2, d) of cells that may decide

    def __post_init__(self) -> None:
        """Compute from where on a cell is rare enough for an opinion."""
        at_least = self.tails_scale.judged[0] if self.tails_scale.judged.size else np.inf
        object.__setattr__(self, "_limits", self.tails.limits(float(at_least)))

    @property
    def width(self) -> int:
        """The numbers that a judge looks at in a row, of the judge that looks at most."""
        n_inputs = 0 if self.levels is None else len(self.levels.regression.center)
        return max(len(self.tails.layout.slots), self.tails.layout.n_features, n_inputs)

    def opinions(self, values: np.ndarray, state: np.ndarray, without: np.ndarray | None = None) -> Opinions:
        """The judges' opinions on rows with features (n, d) and states (n, c).

        Cells that `without` (n, c) bool marks are not judged.
        """
        silent = ~self.may_decide[None] if without is None else without | ~self.may_decide
        rarity, column = self.tails.rarest(values, state, self._limits, silent)
        opinions = Opinions(self.tails_scale.of_scores(rarity), column, np.full(len(values), TAILS, np.uint8))
        if self.mixture is not None:
            excess, of_mixture = self.mixture.largest(values, state, silent)
            opinions = opinions.raised(self.mixture.scale.of_scores(excess), of_mixture, MIXTURE)
        if self.levels is not None:
            excess, of_levels = self.levels.largest(values, state, silent, without)
            opinions = opinions.raised(self.levels.scale.of_scores(excess), of_levels, LEVELS)
        return opinions

    def opinions_without(self, values: np.ndarray, state: np.ndarray, replaced: np.ndarray) -> np.ndarray:
        """The opinions (m,) on one row, features (d,) and states (c,), with the cells `replaced` (m, c) bool.

        A replaced cell holds what the mixture expects given the others, and is not judged itself.
        """
        m = len(replaced)
        many, states = np.repeat(values[None], m, axis=0), np.repeat(state[None], m, axis=0)
        if self.mixture is not None:
            many = self.mixture.mixture.expected_features(many, states, replaced)
        return self.opinions(many, states, replaced).score

    def beyond_limit(self, values: np.ndarray, state: np.ndarray) -> np.ndarray:
        """How far the cells (c,) of one row lie beyond their limits given the others, in nats, by the stricter judge.

        From features (d,) and states (c,); −inf of cells that neither mixture nor levels judge.
        """
        beyond = np.full(state.size, -np.inf)
        if self.mixture is not None:
            nats = self.mixture.mixture.nats(values[None], state[None])[0].astype(np.float64)
            judged = (self.mixture.limit < NEVER_DECIDES) & (state == PRESENT) & np.isfinite(nats)
            beyond = np.where(judged, nats - self.mixture.limit, -np.inf)
        if self.levels is not None:
            columns, nats = self.levels.columns, self.levels.regression.nats(values[None], state[None])[0]
            judged = (self.levels.limit < NEVER_DECIDES) & (state[columns] == PRESENT)
            beyond[columns] = np.maximum(beyond[columns], np.where(judged, nats - self.levels.limit, -np.inf))
        return np.where(self.may_decide, beyond, -np.inf)

    def far_beyond(self, values: np.ndarray, state: np.ndarray) -> np.ndarray:
        """How far cells (n, c) that may decide lie beyond all of training, in nats; 0 below FAR_BEYOND.

        From features (n, d) and states (n, c).
        """
        beyond = np.where(self.may_decide, self.tails.beyond(values, state), 0.0)
        return np.where(beyond >= FAR_BEYOND, beyond, 0.0)

    def to_arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        arrays = {f"{prefix}/may_decide": self.may_decide} | self.tails_scale.to_arrays(f"{prefix}/tails_scale")
        arrays |= {f"{prefix}/tails/{name}": array for name, array in self.tails.to_arrays().items()}
        if self.mixture is not None:
            arrays |= {f"{prefix}/limit": self.mixture.limit, f"{prefix}/excess": self.mixture.excess}
            arrays |= self.mixture.scale.to_arrays(f"{prefix}/mixture_scale")
            arrays |= {f"{prefix}/mixture/{name}": array for name, array in self.mixture.mixture.to_arrays().items()}
        if self.levels is not None:
            arrays |= {f"{prefix}/levels/{name}": array for name, array in self.levels.to_arrays().items()}
        return arrays

    @classmethod
    def from_arrays(cls, layout: Layout, arrays: Mapping[str, np.ndarray], prefix: str) -> SingleCells | None:
        """The judges in arrays of `to_arrays`, None where there are none.

        Raises KeyError or ValueError on arrays that no fit gives.
        """
        own = arrays_within(arrays, f"{prefix}/")
        if not own:
            return None
        may_decide = own["may_decide"]
        if may_decide.dtype != np.bool_ or may_decide.shape != (layout.n_columns,):
            raise ValueError(f"{prefix}/may_decide is not one truth per column")
        tails = ColumnTails.from_arrays(layout, arrays_within(own, "tails/"))
        scale = OpinionScale.from_arrays(own, "tails_scale")
        of_levels = arrays_within(own, "levels/")
        levels = LevelJudge.from_arrays(layout, of_levels) if of_levels else None
        return cls(tails, scale, may_decide, _mixture_judge(layout, own, prefix), levels)


def _mixture_judge(layout: Layout, own: Mapping[str, np.ndarray], prefix: str) -> MixtureJudge | None:
    parts = arrays_within(own, "mixture/")
    if not parts or layout.n_features > MOST_FEATURES:
        return None
    limit, excess = own["limit"], own["excess"]
    require_limits(limit, excess, layout.n_columns, prefix)
    return MixtureJudge(
        CellMixture.from_arrays(layout, parts), limit, excess, OpinionScale.from_arrays(own, "mixture_scale")
    )
