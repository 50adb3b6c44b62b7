"""What stretches of the training series were like: how far a stretch of some length lies from all of training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vaecli.decisions.drift import FAMILY_ERROR, Reference
from vaecli.schema import Column, Kind

PREFIX = "stretches/"
SHORTEST = 8  # rows of a stretch
MOST_EDGES = 32  # quantiles of a sensor between which readings are counted
MOST_PARTS = 8  # of training that count as independent: what changes slowly is the same in stretches near each other
FEWEST = 4  # stretches without a common row, from which on a length is learned
MEAN, DEVIATION, LARGEST = range(3)
UNREACHABLE = 2.0  # a distance that no table has: of a variable with too few readings in stretches of a length
_LARGEST_NUMBER = 1e300


@dataclass(frozen=True, slots=True)
class Events:
    """How often something happened in the n training rows: (c,) int64 `rows` with it, in so many `runs`."""

    rows: np.ndarray
    runs: np.ndarray


@dataclass(frozen=True, slots=True)
class TrainingStretches:
    """The distributions of V variables in training, and how stretches of training differ from the rest of it.

    Variables are the c feature columns, then the companions of the cycle, then the score. `references` (V,) are their
    distributions, None for one without a reading. `length` (k,) are numbers of rows, ascending, and `n_stretches` (k,)
    how many stretches of that length training has. `moved` (3, V, k) are mean, standard deviation and largest of their
    distances from the rest of training (√12 ∫ |F − G| dF or total variation), `missing` (3, c, k) those of the
    difference of the shares of missing cells, `lost` (3, k) those of the share of the time that is without rows.
    `step` (k,) is the largest |log| of the ratio of their median step to that of training.

    `worth` (V,) is how many independent rows training is worth by each variable. `low`, `high` and `margin` (c,) are
    the range of a column and how far readings lie beyond it before they count as out of it; `longest` (c,) is the
    largest number of equal readings that follow each other, and `ties` (c,) the share that equal the one before.
    `absent` are missing cells and `repeated` rows with the time of the row before; `long_steps` are steps after which
    time is lost, and `lost_share` is how much of the time.
    """

    n_rows: int
    references: tuple[Reference | None, ...]
    length: np.ndarray
    n_stretches: np.ndarray
    moved: np.ndarray
    missing: np.ndarray
    lost: np.ndarray
    step: np.ndarray
    worth: np.ndarray
    low: np.ndarray
    high: np.ndarray
    margin: np.ndarray
    longest: np.ndarray
    ties: np.ndarray
    absent: Events
    repeated: Events
    long_steps: int
    lost_share: float

    @property
    def edges(self) -> np.ndarray:
        """(V + 1,) where the bins of each variable begin among those of all, and their number."""
        sizes = [0 if one is None else one.share.size for one in self.references]
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def bins(self, values: np.ndarray) -> np.ndarray:
        """The bin (n, v) among those of all variables of `values` (n, v) of the first v of them, −1 for NaN."""
        first = self.edges
        found = np.full(values.shape, -1, np.int64)
        for j in range(values.shape[1]):
            reference = self.references[j]
            there = np.flatnonzero(~np.isnan(values[:, j]))
            if reference is not None and there.size:
                found[there, j] = first[j] + places(reference, values[there, j])
        return found

    def place(self, n_rows: float) -> int | None:
        """Which of the lengths stands for stretches of `n_rows`: the longest that is no longer; None if all are."""
        found = int(np.searchsorted(self.length, n_rows, side="right")) - 1
        return None if found < 0 else found

    def limit(self, of: np.ndarray, place: int, n_rows: float, family: int) -> float:
        """What one of `family` comparisons exceeds by chance once in `family` / FAMILY_ERROR tables.

        `of` (3,) are mean, deviation and largest of stretches with the length at `place`; these are worth at most
        `n_rows` independent ones, and MOST_PARTS. It is the upper end of a prediction interval by Student's t, or the
        largest if that is more.
        """
        from vaecli.evaluation.intervals import t_quantile  # of a check only; scores need none

        n = max(min(float(self.n_stretches[place]), n_rows, MOST_PARTS), FEWEST)
        t = t_quantile(int(n) - 1, FAMILY_ERROR / family)
        return float(max(of[MEAN] + t * of[DEVIATION] * math.sqrt(1 + 1 / n), of[LARGEST]))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Named arrays for the bundle; `from_arrays` is the inverse."""
        known = [one for one in self.references if one is not None]
        nothing = [np.empty(0)]
        arrays = {
            "n_edges": np.array([_n_edges(one) for one in self.references], np.int64),
            "edges": np.concatenate([*(one.edges for one in known if one.edges is not None), *nothing]),
            "share": np.concatenate([*(one.share for one in known), *nothing]),
            "n_once": np.array([0.0 if one is None else one.n_once for one in self.references]),
            "length": self.length,
            "n_stretches": self.n_stretches,
            "moved": self.moved,
            "missing": self.missing,
            "lost": self.lost,
            "step": self.step,
            "worth": self.worth,
            "range": np.stack([self.low, self.high, self.margin]),
            "longest": self.longest,
            "ties": self.ties,
            "absent": np.stack([self.absent.rows, self.absent.runs]),
            "rows": np.array(
                [self.n_rows, int(self.repeated.rows[0]), int(self.repeated.runs[0]), self.long_steps], np.int64
            ),
            "lost_share": np.array([self.lost_share]),
        }
        return {PREFIX + name: values for name, values in arrays.items()}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], columns: Sequence[Column], n_companions: int
    ) -> TrainingStretches | None:
        """The inverse of `to_arrays`; None where there is none. Raises KeyError or ValueError on foreign arrays."""
        if not any(name.startswith(PREFIX) for name in arrays):
            return None
        of = {name: arrays[PREFIX + name] for name in (*_WHOLE, *_REAL)}
        if any(of[name].dtype != np.int64 for name in _WHOLE) or any(of[name].dtype != np.float64 for name in _REAL):
            raise ValueError("the stretches of training are not of their types")
        c, k = len(columns), of["length"].size
        n_variables = c + n_companions + 1
        shapes = {
            **dict.fromkeys(("n_edges", "n_once", "worth"), (n_variables,)),
            **dict.fromkeys(("length", "n_stretches", "step"), (k,)),
            "moved": (3, n_variables, k),
            "missing": (3, c, k),
            "lost": (3, k),
            "range": (3, c),
            "longest": (c,),
            "ties": (c,),
            "absent": (2, c),
            "edges": (of["edges"].size,),
            "share": (of["share"].size,),
            "rows": (4,),
            "lost_share": (1,),
        }
        if any(of[name].shape != shape for name, shape in shapes.items()):
            raise ValueError("the stretches of training do not fit the columns")
        if any((of[name] < 0).any() for name in _WHOLE if name != "n_edges"):
            raise ValueError("the stretches of training have a negative count")
        for name in _REAL:
            if not (np.abs(of[name]) <= _LARGEST_NUMBER).all():
                raise ValueError(f"{PREFIX}{name} is not finite")
        if (np.diff(of["length"]) <= 0).any() or (of["length"] < 1).any() or (of["n_stretches"] < FEWEST).any():
            raise ValueError("the lengths of the stretches are not ascending, or have too few stretches")
        if any(
            (of[name] < 0).any()
            for name in ("n_once", "moved", "missing", "lost", "step", "worth", "ties", "lost_share")
        ):
            raise ValueError("the stretches of training have a negative distance")
        low, high, margin = of["range"]
        if (low > high).any() or (margin < 0).any():
            raise ValueError("a range of training is not one")
        references = _references(of, columns, n_companions)
        absent, (n_rows, repeated, runs, long_steps) = Events(*of["absent"]), of["rows"]
        if n_rows < 1 or (absent.rows > n_rows).any():
            raise ValueError("the stretches of training have no rows, or fewer than missing cells")
        return cls(
            int(n_rows),
            references,
            of["length"],
            of["n_stretches"],
            of["moved"],
            of["missing"],
            of["lost"],
            of["step"],
            of["worth"],
            low,
            high,
            margin,
            of["longest"],
            of["ties"],
            absent,
            Events(np.array([repeated]), np.array([runs])),
            int(long_steps),
            float(of["lost_share"][0]),
        )


_WHOLE = ("n_edges", "length", "n_stretches", "longest", "absent", "rows")
_REAL = ("edges", "share", "n_once", "moved", "missing", "lost", "step", "worth", "range", "ties", "lost_share")


def places(reference: Reference, values: np.ndarray) -> np.ndarray:
    """The bin (n,) of a reference in which each of `values` (n,), none of them NaN, lies."""
    if reference.edges is None:
        return values.astype(np.int64)
    return reference.edges.searchsorted(values, "left") + reference.edges.searchsorted(values, "right")


def n_codes_of(columns: Sequence[Column], n_companions: int) -> list[int]:
    """How many codes each variable has, 0 where its values are ordered."""
    return [0 if one.kind is Kind.NUMERIC else one.n_codes for one in columns] + [0] * (n_companions + 1)


def _n_edges(reference: Reference | None) -> int:
    """The number of edges of a reference, 0 for one of codes and −1 for none."""
    return -1 if reference is None else 0 if reference.edges is None else reference.edges.size


def _references(
    of: Mapping[str, np.ndarray], columns: Sequence[Column], n_companions: int
) -> tuple[Reference | None, ...]:
    """The references in arrays. Raises ValueError on arrays that are not of these variables."""
    codes, n_edges = n_codes_of(columns, n_companions), of["n_edges"].tolist()
    if any(
        not -1 <= n <= MOST_EDGES or ((n > 0) is (code > 0) and n >= 0) for n, code in zip(n_edges, codes, strict=True)
    ):
        raise ValueError("the distributions of training are not of these columns")
    sizes = [0 if n < 0 else 2 * n + 1 if n else code for n, code in zip(n_edges, codes, strict=True)]
    if of["edges"].size != sum(max(n, 0) for n in n_edges) or of["share"].size != sum(sizes):
        raise ValueError("the distributions of training do not fit their columns")
    if ((of["share"] < 0) | (of["share"] > 1)).any():
        raise ValueError("a distribution of training has an impossible share")
    found: list[Reference | None] = []
    shares = pairwise(np.concatenate([[0], np.cumsum(sizes)]).astype(int).tolist())
    edges = pairwise(np.concatenate([[0], np.cumsum(np.maximum(n_edges, 0))]).astype(int).tolist())
    for n, bins, ends, once, worth in zip(n_edges, shares, edges, of["n_once"], of["worth"], strict=True):
        own = None if n <= 0 else of["edges"][slice(*ends)]
        if own is not None and (np.diff(own) <= 0).any():
            raise ValueError("the edges of a distribution are not ascending")
        share = of["share"][slice(*bins)]
        if n >= 0 and not abs(float(share.sum()) - 1) < 1e-6:
            raise ValueError("the shares of a distribution are not those of a whole")
        found.append(None if n < 0 else Reference(share, max(float(worth), 1.0), own, float(once)))
    return tuple(found)
