"""Draws normal rows from a table, injects faults into them, and counts which of them a detector flags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vaecli.aggregates.row_sample import smallest
from vaecli.config import FAULTS, TEXT_FAULTS
from vaecli.data.cells import Cells
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.base import Engine, features_of
from vaecli.evaluation.column_limits import ColumnLimits
from vaecli.evaluation.faults import CATALOGUE, Fault, ReferenceRows, assigned, inject
from vaecli.results import Event, OnEvent
from vaecli.schema import Column, Schema
from vaecli.tables import Batch, ReadRequest, Source, label_mask, to_cells
from vaecli.tasks.known_rows import known_rows


@dataclass(frozen=True, slots=True)
class Drawn:
    """A uniform sample of the normal rows of a table, in its order."""

    cells: Cells
    n_rows: int  # in the table
    n_labelled_out: int


@dataclass(frozen=True, slots=True)
class Case:
    """One fault at one size in n rows that were not flagged before; `column` is empty where no column can have it."""

    fault: Fault
    size: float | None
    column: np.ndarray  # (n,) which column of the row was hit
    changed: np.ndarray  # (n,) bool; the other rows have no fault
    flagged: np.ndarray  # (n,) bool, by the detector
    by_ranges: np.ndarray  # (n,) bool, by limits on each column alone

    @property
    def applies(self) -> bool:
        """Whether the table can have this fault."""
        return self.column.size > 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a detector made of normal rows as they are, and of each case."""

    flagged_before: np.ndarray  # (rows drawn,) bool: false alarms
    ranges_before: np.ndarray  # (rows drawn,) bool: false alarms of the limits on each column
    n_known: int  # rows drawn that are exactly like one that the bundle remembers of its fit
    n_remembered: int  # rows that it remembers
    cases: tuple[Case, ...]

    @property
    def passed_ranges(self) -> np.ndarray:
        """(n,) which rows of the cases the limits let through as they were."""
        passed: np.ndarray = ~self.ranges_before[~self.flagged_before]
        return passed


@dataclass(frozen=True, slots=True)
class NormalRows:
    """The rows of one batch without those that the label marks."""

    cells: Cells
    n_labelled_out: int


@dataclass(frozen=True, slots=True)
class NormalRowsTask:
    """Reads the rows that `label`, if there is one, does not mark."""

    schema: Schema
    label: Column | None
    by: str | None = None  # whose groups are calibrated

    @property
    def needs(self) -> ReadRequest:
        """The features and the label."""
        others = (None if self.label is None else self.label.name, self.by)
        return features_of(self.schema, [name for name in others if name is not None])

    def process(self, batch: Batch) -> NormalRows:
        """The normal rows of one batch. Raises UnreadableCell."""
        cells = to_cells(batch, self.schema, self.by)
        if self.label is None:
            return NormalRows(cells, 0)
        marked = label_mask(batch, self.label)
        return NormalRows(cells[~marked], int(marked.sum()))


def draw_rows(engine: Engine, task: NormalRowsTask, source: Source, most: int, seed: int, on_event: OnEvent) -> Drawn:
    """At most `most` normal rows, each as likely as any other. One pass."""
    rng = np.random.default_rng([seed, 0x5E1F])
    c = len(task.schema.features)
    kept = Cells(np.empty((0, c)), np.empty((0, c), np.uint8), np.empty(0, np.int64))
    keys, n_rows, n_marked = np.empty(0), 0, 0
    for normal in engine.map_batches(task, source, task.needs):
        n = len(normal.cells)
        kept, keys = Cells.concatenate([kept, normal.cells]), np.concatenate([keys, rng.random(n)])
        if keys.size > most:
            stay = smallest(keys, most)
            kept, keys = kept[stay], keys[stay]
        n_rows, n_marked = n_rows + n + normal.n_labelled_out, n_marked + normal.n_labelled_out
        on_event(Event("drawing rows", n_rows, source.n_rows))
    return Drawn(kept, n_rows, n_marked)


@dataclass(frozen=True, slots=True)
class FaultTask:
    """Puts one fault at one size into each of the `rows`, which are not flagged as they are.

    What is random in a case depends on the seed and the case alone, so other cases beside it change nothing.
    """

    detector: Detector
    decision: Decision
    rows: Cells
    normal: ReferenceRows
    limits: ColumnLimits
    seed: int

    def process(self, planned: tuple[str, float | None]) -> Case:
        """The case of a fault by its name, at one of its sizes."""
        name, size = planned
        fault = CATALOGUE[name]
        possible = fault.applies_to(self.normal.columns, size)
        if not possible.size:
            return Case(fault, size, possible, *[np.empty(0, bool)] * 3)
        rng = np.random.default_rng([self.seed, (*FAULTS, *TEXT_FAULTS).index(name), fault.sizes.index(size)])
        column = assigned(len(self.rows), possible, rng)
        broken, changed = inject(fault, size, self.rows, column, self.normal, rng)
        flagged = self.decision.flags(self.detector.score(broken, self.decision.score_kind))
        return Case(fault, size, column, changed, flagged, self.limits.flags(broken))


def run_faults(
    engine: Engine,
    detector: Detector,
    decision: Decision,
    cells: Cells,
    names: Sequence[str],
    seed: int,
    on_event: OnEvent,
) -> Outcome:
    """Every fault in `names` at every size, once in each of the rows that are not flagged as they are."""
    cells = cells.numbered()
    flagged_before = decision.flags(detector.score(cells, decision.score_kind))
    normal = ReferenceRows.of(cells, detector.schema.features, detector.preprocessor)
    limits = ColumnLimits.of(normal, int(flagged_before.sum()))
    task = FaultTask(detector, decision, cells[~flagged_before].numbered(), normal, limits, seed)
    plan = [(name, size) for name in names for size in CATALOGUE[name].sizes] if len(task.rows) else []
    cases: list[Case] = []
    for case in engine.map_items(task, plan):
        cases.append(case)
        on_event(Event("injecting faults", len(cases), len(plan), "faults"))
    return Outcome(
        flagged_before, limits.flags_own(), *known_rows(detector, detector.preprocessor.transform(cells)), tuple(cases)
    )
