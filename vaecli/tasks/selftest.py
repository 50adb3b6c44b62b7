"""Draws normal rows from a table, puts faults into them, and asks a detector which ones it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from vaecli.config import FAULTS
from vaecli.data.cells import Cells
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.engines.local import map_batches
from vaecli.evaluation.column_limits import ColumnLimits
from vaecli.evaluation.faults import CATALOGUE, Fault, ReferenceRows, assigned, inject
from vaecli.model.ensemble import Ensemble
from vaecli.results import Event, OnEvent
from vaecli.runtime.parallel import map_in_order
from vaecli.schema import Column
from vaecli.scoring.scores import member_scores
from vaecli.tables import Batch, Source, label_mask, to_cells

SAME_CODE = 1e-8  # nats: a row's code differs from what the fit made of it by 1e-10, from other rows' by far more


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


def draw_rows(
    detector: Detector,
    source: Source,
    label: Column | None,
    most: int,
    *,
    seed: int,
    batch_rows: int,
    workers: int,
    on_event: OnEvent,
) -> Drawn:
    """At most `most` rows, each as likely as any other; rows that `label` marks are left out. One pass."""

    def one(batch: Batch) -> tuple[Cells, int]:
        cells = to_cells(batch, detector.schema)
        if label is None:
            return cells, 0
        marked = label_mask(batch, label)
        return cells[~marked], int(marked.sum())

    rng = np.random.default_rng([seed, 0x5E1F])
    others = () if label is None else (label.name,)
    c = len(detector.schema.features)
    kept = Cells(np.empty((0, c)), np.empty((0, c), np.uint8), np.empty(0, np.int64))
    keys, n_rows, n_marked = np.empty(0), 0, 0
    for found in map_batches(one, source, detector.schema, others=others, batch_rows=batch_rows, workers=workers):
        for cells, marked in found:
            # the rows with the smallest keys are a uniform sample, wherever batches end
            kept, keys = Cells.concatenate([kept, cells]), np.concatenate([keys, rng.random(len(cells))])
            if keys.size > most:
                chosen = np.sort(np.argpartition(keys, most)[:most])
                kept, keys = kept[chosen], keys[chosen]
            n_rows, n_marked = n_rows + len(cells) + marked, n_marked + marked
        on_event(Event("drawing rows", n_rows, source.n_rows))
    return Drawn(kept, n_rows, n_marked)


def run_faults(
    detector: Detector,
    decide: Decision,
    cells: Cells,
    names: Sequence[str],
    *,
    kind: str,
    seed: int,
    workers: int,
    on_event: OnEvent,
) -> Outcome:
    """Every fault in `names` at every size, once in each of the rows that are not flagged as they are.

    What is random in a case depends on the seed and the case alone, so other cases beside it change nothing.
    """
    cells = _numbered(cells)
    flagged_before = decide.flags(detector.score(cells, kind))
    normal = ReferenceRows.of(cells, detector.schema.features, detector.preprocessor)
    ranges = ColumnLimits.of(normal, int(flagged_before.sum()))
    rows = _numbered(cells[~flagged_before])

    def case(planned: tuple[Fault, float | None]) -> Case:
        fault, size = planned
        possible = fault.applies_to(normal.columns, size)
        if not possible.size:
            return Case(fault, size, possible, *[np.empty(0, bool)] * 3)
        rng = np.random.default_rng([seed, FAULTS.index(fault.name), fault.sizes.index(size)])
        column = assigned(len(rows), possible, rng)
        broken, changed = inject(fault, size, rows, column, normal, rng)
        flagged = decide.flags(detector.score(broken, kind))
        return Case(fault, size, column, changed, flagged, ranges.flags(broken))

    plan = [(CATALOGUE[name], size) for name in names for size in CATALOGUE[name].sizes]
    cases: list[Case] = []
    with threadpool_limits(1, "blas"):  # set here, for all workers: only one thread of a process can
        for found in map_in_order(case, plan if len(rows) else [], workers):
            cases.append(found)
            on_event(Event("injecting faults", len(cases), len(plan), "faults"))
    return Outcome(flagged_before, ranges.flags_own(), *_known(detector, cells), tuple(cases))


def _known(detector: Detector, cells: Cells) -> tuple[int, int]:
    """(how many rows have exactly the code of a row of the fit, how many such codes a member keeps)."""
    family = detector.ensemble.reference_family
    distance, _ = member_scores(Ensemble((family,)), detector.preprocessor.transform(cells), "latent")
    return int((distance[:, 0] < SAME_CODE).sum()), int(family.exemplar_prior.codes.shape[1])


def _numbered(cells: Cells) -> Cells:
    """The rows numbered one after the other, as scores ask for."""
    return Cells(cells.values, cells.state, np.arange(len(cells)))
