"""Faults to put into normal rows, one kind at a time, so that a detector can be asked which of them it sees.

x is a cell, σ the standard deviation of its column in the rows of the fit, μ the mean there:

| fault      | what becomes of a row                                                      | sizes s      | columns    |
|------------|----------------------------------------------------------------------------|--------------|------------|
| `spike`    | x + s·σ·sign(x − μ): one reading jumps away from the middle                | 2, 4, 8      | numbers    |
| `shift`    | x ± s·σ: all readings are off by the same; up in half of the rows          | ½, 1, 2, 4   | numbers    |
| `scale`    | s·x: dead, a wrong gain, a wrong unit                                      | 0 … 1000     | no dates   |
| `swap`     | x and the cell of another column change places                             |              | no dates   |
| `stuck`    | the median of the column; of words the most frequent                       |              | all        |
| `missing`  | the cell and s − 1 others are empty                                        | 1, 3         | all        |
| `unseen`   | a word that the fit never saw                                              |              | categories |
| `wrong`    | another known word, all of them equally often; yes for no                  |              | words      |
| `borrowed` | what another normal row has there: normal by itself, not always in company |              | no text    |
| `mistyped` | a character is left out, doubled, swapped, or becomes one that looks like it |             | text       |
| `truncated`| the first 30 to 90 % of the string                                         |              | text       |

What every fault keeps: the cells that it does not name, and whole numbers where the column has whole numbers only (an
offset is then at least 1). A row that the fault would leave as it is, such as one that stood at the median when its
sensor got stuck, has no fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaecli.config import TEXT_FAULTS
from vaecli.data.cells import MISSING, NOVEL, PRESENT, Cells
from vaecli.data.kinds import KINDS
from vaecli.data.preprocessor import Preprocessor
from vaecli.schema import Column, Kind

LOOKALIKES = ("O0", "l1I", "S5", "B8", "Z2", "G6", "-_", ".,")
CONFIDENCE = 1.959963984540054  # standard deviations on each side of a 95 % interval


@dataclass(frozen=True, slots=True)
class ReferenceRows:
    """n normal rows, and what faults need to know of their c columns."""

    cells: Cells
    columns: tuple[Column, ...]
    mean: np.ndarray  # (c,) of numbers and dates at fit, else NaN
    spread: np.ndarray  # (c,) their standard deviation at fit, else NaN
    typical: np.ndarray  # (c,) median of a number, most frequent value of a word; NaN where all are missing

    @classmethod
    def of(cls, cells: Cells, columns: tuple[Column, ...], preprocessor: Preprocessor) -> ReferenceRows:
        """The reference with means and spreads of the fit, so that a size means the same for every table."""
        mean, spread = np.array([encoder.moments(i) for encoder, i in preprocessor.of_columns]).T
        typical = np.array([_typical(cells.values[:, j], column) for j, column in enumerate(columns)])
        return cls(cells, columns, mean, spread, typical)

    def present(self, j: int) -> np.ndarray:
        """The values (p,) of column j in the p rows that have one."""
        return self.cells.values[self.cells.state[:, j] == PRESENT, j]


def _typical(values: np.ndarray, column: Column) -> float:
    present = values[~np.isnan(values)]
    return KINDS[column.kind].typical(present) if present.size else math.nan


def _can_have(fault: str, columns: Sequence[Column]) -> list[int]:
    return [j for j, column in enumerate(columns) if fault in KINDS[column.kind].faults]


@dataclass(frozen=True, slots=True)
class FaultTargets:
    """The cells that a fault hits, one per row, within copies of all cells."""

    values: np.ndarray  # (n, c), changed in place
    state: np.ndarray  # (n, c), changed in place
    row: np.ndarray  # (h,)
    column: np.ndarray  # (h,)
    texts: np.ndarray | None = None  # (n, t) strings, changed in place
    text_of: np.ndarray | None = None  # (c,) which of the t columns of strings a column is

    @property
    def now(self) -> np.ndarray:
        """(h,) the values that the cells hold."""
        return self.values[self.row, self.column]

    def become(self, numbers: np.ndarray) -> None:
        """Write `numbers` (h,) into the cells that are hit."""
        self.values[self.row, self.column] = numbers

    def lose(self, state: int, where: np.ndarray) -> None:
        """Empty the cells that `where` (h,) bool marks, and set their state."""
        self.values[self.row[where], self.column[where]] = np.nan
        self.state[self.row[where], self.column[where]] = state

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Change the strings that are hit."""
        if self.texts is None or self.text_of is None:
            return
        for row, text in zip(self.row.tolist(), self.text_of[self.column].tolist(), strict=True):
            self.texts[row, text] = change(self.texts[row, text].decode("utf-8", "replace")).encode()

    def by_column(self) -> list[tuple[int, np.ndarray]]:
        """(column, which of the hits are in it) of each column that is hit."""
        return [(int(j), np.flatnonzero(self.column == j)) for j in np.unique(self.column)]


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault and the sizes to try; `data.kinds` lists the columns that can have it."""

    name: str
    sizes: tuple[float | None, ...]
    change: Callable[[FaultTargets, float, ReferenceRows, np.random.Generator], None]

    def applies_to(self, columns: Sequence[Column], size: float | None) -> np.ndarray:
        """(k,) numbers of the columns that can have this fault at `size`, ascending; none if the table cannot."""
        found = _can_have(self.name, columns)
        if self.name == "wrong":
            found = [j for j in found if len(columns[j].categories) > 1]
        fewest = {"swap": 2, "missing": int(size or 1)}.get(self.name, 1)
        return np.array(found if len(found) >= fewest else [], np.int64)

    def why_not(self, size: float | None) -> str:
        """What a table lacks that cannot have this fault."""
        if self.name == "missing":
            return f"there are fewer than {size:g} columns"
        if self.name == "wrong":
            return "there is no column of words with two known values"
        if self.name in TEXT_FAULTS:
            return "there is no column of text"
        needs = {"swap": "two columns of numbers", "scale": "a column of numbers", "unseen": "a categorical column"}
        return f"it takes {needs.get(self.name, 'a column of numbers or dates')}"


def inject(
    fault: Fault, size: float | None, cells: Cells, column: np.ndarray, normal: ReferenceRows, rng: np.random.Generator
) -> tuple[Cells, np.ndarray]:
    """(the rows with the fault, (n,) bool which of them it changed); `column` (n,) is where each row is hit.

    A cell that is empty or novel has no fault to show.
    """
    values, state = cells.values.copy(), cells.state.copy()
    hit = np.flatnonzero(state[np.arange(len(cells)), column] == PRESENT)
    with np.errstate(over="ignore", invalid="ignore"):  # a thousand times the largest float is infinite, and anomalous
        texts = None if cells.texts is None else cells.texts.copy()
        text_of = np.cumsum([one.kind is Kind.TEXT for one in normal.columns]) - 1
        targets = FaultTargets(values, state, hit, column[hit], texts, text_of)
        fault.change(targets, 0.0 if size is None else size, normal, rng)
    moved = (values != cells.values) & ~(np.isnan(values) & np.isnan(cells.values))
    changed = (moved | (state != cells.state)).any(1)
    if texts is not None:
        changed |= (texts != cells.texts).any(1)
        for t in range(texts.shape[1]):
            texts[state[:, np.flatnonzero(text_of == t)[0]] != PRESENT, t] = None
    return replace(cells, values=values, state=state, texts=texts), changed


def assigned(n_rows: int, columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) which of the `columns` (k,) is hit in each row: at random, each equally often to within one row."""
    return columns[rng.permutation(n_rows) % columns.size]


def wilson(n_found: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share of which `n_found` of `n` were counted (Wilson 1927); NaN where n is 0."""
    if n == 0:
        return math.nan, math.nan
    share, z = n_found / n, CONFIDENCE
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # rounding must not move the ends that are known exactly
    return (0.0 if n_found == 0 else middle - half), (1.0 if n_found == n else middle + half)


# -- what each fault does -----------------------------------------------------------------------


def _spike(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:
    outwards = np.sign(hits.now - normal.mean[hits.column])
    either = rng.choice((-1.0, 1.0), hits.row.size)
    hits.become(hits.now + np.where(outwards == 0, either, outwards) * _offset(hits, size, normal))


def _shift(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:
    hits.become(hits.now + rng.choice((-1.0, 1.0), hits.row.size) * _offset(hits, size, normal))


def _scale(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:  # noqa: ARG001
    hits.become(_as_in(hits.column, size * hits.now, normal) + 0.0)  # no −0


def _swap(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:  # noqa: ARG001
    numeric = np.array(_can_have("swap", normal.columns))
    step = rng.integers(1, numeric.size, hits.row.size)
    other = numeric[(np.searchsorted(numeric, hits.column) + step) % numeric.size]
    both = hits.state[hits.row, other] == PRESENT
    row, one, two = hits.row[both], hits.column[both], other[both]
    here, there = hits.values[row, one], hits.values[row, two]
    hits.values[row, one], hits.values[row, two] = _as_in(one, there, normal), _as_in(two, here, normal)


def _stuck(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:  # noqa: ARG001
    hits.become(normal.typical[hits.column])


def _missing(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:
    order = rng.random((hits.row.size, len(normal.columns)))
    order[np.arange(hits.row.size), hits.column] = -1.0  # the cell itself is the first
    for column in np.argsort(order, axis=1)[:, : int(size)].T:
        FaultTargets(hits.values, hits.state, hits.row, column).lose(MISSING, np.ones(hits.row.size, bool))


def _unseen(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:  # noqa: ARG001
    folded = np.array([column.has_other for column in normal.columns])[hits.column]
    n_known = np.array([len(column.categories) for column in normal.columns])[hits.column]
    hits.become(n_known.astype(np.float64))  # as a table is read: "other", where the column has it
    hits.lose(NOVEL, ~folded)


def _wrong_category(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:  # noqa: ARG001
    n_known = np.array([max(len(column.categories), 2) for column in normal.columns])[hits.column]
    others, any_word = rng.integers(1, n_known), rng.integers(0, n_known)
    # "other" stands one past the known words
    hits.become(np.where(hits.now < n_known, (hits.now + others) % n_known, any_word))


def _resampled(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:  # noqa: ARG001
    found = hits.now
    for j, here in hits.by_column():
        found[here] = rng.choice(normal.present(j), here.size)
    hits.become(found)


def _mistyped(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:  # noqa: ARG001
    hits.rewrite(lambda text: _with_slip(text, rng) if text else text)


def _with_slip(text: str, rng: np.random.Generator) -> str:
    i, way = int(rng.integers(len(text))), rng.integers(4)
    if way == 0:
        return text[:i] + text[i + 1 :]
    if way == 1:
        return text[:i] + text[i] + text[i:]
    if way == 2:
        return text[:i] + text[i : i + 2][::-1] + text[i + 2 :]
    group = next((group for group in LOOKALIKES if text[i] in group), None)
    other = text[i].swapcase() if group is None else group[(group.index(text[i]) + 1) % len(group)]
    return text[:i] + other + text[i + 1 :]


def _truncated(hits: FaultTargets, size: float, normal: ReferenceRows, rng: np.random.Generator) -> None:  # noqa: ARG001
    hits.rewrite(lambda text: text[: max(int(len(text) * rng.uniform(0.3, 0.9)), 1)])


def _offset(hits: FaultTargets, size: float, normal: ReferenceRows) -> np.ndarray:
    """(h,) size · σ, in a whole column whole and at least 1."""
    offset = size * normal.spread[hits.column]
    return np.where(_is_whole(hits.column, normal), np.maximum(np.rint(offset), 1.0), offset)


def _as_in(column: np.ndarray, numbers: np.ndarray, normal: ReferenceRows) -> np.ndarray:
    """The numbers as their columns write them."""
    return np.where(_is_whole(column, normal), np.rint(numbers), numbers)


def _is_whole(column: np.ndarray, normal: ReferenceRows) -> np.ndarray:
    return np.array([one.has_whole_numbers for one in normal.columns], bool)[column]


CATALOGUE: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("spike", (2.0, 4.0, 8.0), _spike),
        Fault("shift", (0.5, 1.0, 2.0, 4.0), _shift),
        Fault("scale", (0.0, 0.5, 2.0, 10.0, 1000.0), _scale),
        Fault("swap", (None,), _swap),
        Fault("stuck", (None,), _stuck),
        Fault("missing", (1.0, 3.0), _missing),
        Fault("unseen", (None,), _unseen),
        Fault("wrong", (None,), _wrong_category),
        Fault("borrowed", (None,), _resampled),
        Fault("mistyped", (None,), _mistyped),
        Fault("truncated", (None,), _truncated),
    )
}
