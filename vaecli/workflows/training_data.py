"""The rows that a detector learns from: read from a table without labelled anomalies, and divided into folds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vaecli.aggregates.group_codes import GroupCodes
from vaecli.calibration.effective_rows import Dependence
from vaecli.config import FitConfig
from vaecli.data import folds
from vaecli.data.cells import MISSING, Cells
from vaecli.data.fit_strings import N_FOLDS, FittedStrings
from vaecli.data.marginals import Marginals
from vaecli.data.preprocessor import Preprocessor
from vaecli.data.training_rows import Rows, RowsInMemory, RowsOnDisk, TrainingRows
from vaecli.errors import InputError, quoted
from vaecli.results import Event, OnEvent
from vaecli.schema import Kind, Layout, Schema
from vaecli.tables import (
    Batch,
    BlankRows,
    ReadRequest,
    Source,
    blank_rows,
    label_mask,
    numbers_of,
    time_values,
    to_cells,
)
from vaecli.tables.convert.arrow_types import one_array
from vaecli.tables.convert.declared_missing import without
from vaecli.tables.infer.infer_schema import same_unit_columns
from vaecli.tables.marks import MarkedRows, Marks, MarkTally

FEWEST_ROWS = 8
SMALLEST_SHARE = 0.01  # share of the rows that must be left to learn from when the largest group is held out
BYTES_PER_STRING = 512
PREPROCESSING_ROWS = 200_000  # scales and quantiles are learned from a uniform sample of this many rows


@dataclass(frozen=True, slots=True)
class NormalRows:
    """Features and folds of the normal rows, the preprocessor that made them, and counts of cells and rows.

    `digest` is a SHA-256 over all cells as they were read, the labels, times and groups included.
    """

    schema: Schema  # with the classes of text columns
    rows: TrainingRows
    preprocessor: Preprocessor
    marginals: Marginals
    n_missing: np.ndarray  # (c,) number of missing cells per feature column
    n_infinite: int
    n_folds: int
    n_labelled_out: int
    blank: BlankRows
    digest: str
    marked: MarkTally
    trusted: np.ndarray | None  # (n,) bool, marked normal by a person; None without marks
    dependence: Dependence | None  # which rows resemble each other, where a clock or a group column is named


def read_normal_rows(
    source: Source, schema: Schema, config: FitConfig, on_event: OnEvent, marks: Marks | None = None
) -> NormalRows:
    """Read the normal rows of a table, in one pass if their features fit into `config.train.memory_bytes`.

    A row is normal by its mark where it has one, else by its label. Without enough memory a second pass writes the
    features to disk. Raises InputError when too few normal rows are left, or when too few are left while the largest
    group is held out.
    """
    fits = schema.n_rows * _bytes_per_row(schema) <= config.train.memory_bytes
    survey = _survey(source, schema, config, on_event, marks, keep_rows=schema.n_rows if fits else PREPROCESSING_ROWS)
    fold, n_folds = _folds(survey, source.name, schema, config)

    strings, unread = None, fold  # rows of which a model of strings knows nothing
    if survey.cells.texts is not None:
        if survey.order is None and survey.group is None:
            unread = folds.assign_folds(survey.n_rows, N_FOLDS, config.seed)
        strings = FittedStrings.of(survey.cells.texts, unread[survey.kept], config.seed)
    if strings is not None:
        schema = replace(schema, columns=strings.described(schema.columns))
    layout = Layout.of(schema.features)
    same_unit = same_unit_columns(schema, config.columns)
    encoder = None if strings is None else strings.encoder
    preprocessor = Preprocessor.fit(survey.cells, schema.features, same_unit, encoder)
    rows: TrainingRows
    if fits:
        kept = prepared(preprocessor, strings, survey.cells, fold, unread)
        rows, features = RowsInMemory(kept), kept.values
    else:
        n_texts = 0 if encoder is None else len(encoder.models)
        rows = RowsOnDisk(layout.n_features, layout.n_columns, config.train.memory_bytes // 4, n_texts)
        start = 0
        for cells, _, _, _ in normal_batches(source, schema, on_event, "preparing", marks):
            now = slice(start, start + len(cells))
            rows.add(prepared(preprocessor, strings, cells, fold[now], unread[now]))
            start += len(cells)
        features = np.empty((0, 0)) if strings is None else preprocessor.transform(survey.cells).values
    marginals = Marginals.of(preprocessor.with_classes(survey.cells, features), layout)
    return NormalRows(
        schema,
        rows,
        preprocessor,
        marginals,
        survey.n_missing,
        survey.n_infinite,
        n_folds,
        survey.n_labelled_out,
        survey.blank,
        survey.digest,
        survey.marked,
        survey.trusted,
        None if survey.order is None and survey.group is None else Dependence(survey.order, survey.group),
    )


def prepared(
    preprocessor: Preprocessor, strings: FittedStrings | None, cells: Cells, fold: np.ndarray, unread: np.ndarray
) -> Rows:
    """The training rows `cells` in folds `fold` (n,); read-outs by string models without the folds `unread` (n,)."""
    batch = preprocessor.transform(cells)
    readouts = None
    if strings is not None and cells.texts is not None:
        readouts = strings.held_out_readouts(cells.texts, unread)
    return Rows(batch.values, batch.state, fold, readouts)


def _bytes_per_row(schema: Schema) -> int:
    """What a row of training takes in memory, about: for a string, the most that its classes and read-outs do."""
    n_texts = sum(column.kind is Kind.TEXT for column in schema.features)
    layout = Layout.of(schema.features)
    return 4 * layout.n_features + layout.n_columns + n_texts * BYTES_PER_STRING


@dataclass(frozen=True, slots=True)
class _Survey:
    """What one pass over the table collects about its normal rows."""

    cells: Cells  # all normal rows, or a uniform sample of them
    kept: np.ndarray  # which of the normal rows these are
    n_rows: int
    n_missing: np.ndarray
    n_infinite: int
    n_labelled_out: int
    order: np.ndarray | None  # (n,) time of each normal row
    group: np.ndarray | None  # (n,) group code of each normal row
    blank: BlankRows
    digest: str
    marked: MarkTally
    trusted: np.ndarray | None


def _survey(
    source: Source, schema: Schema, config: FitConfig, on_event: OnEvent, marks: Marks | None, keep_rows: int
) -> _Survey:
    sampled = _uniform(schema.n_rows, keep_rows, config.seed)
    n_missing = np.zeros(len(schema.features), np.int64)
    parts: list[Cells] = []
    orders: list[np.ndarray] = []
    groups = GroupCodes()
    digests = [hashlib.sha256() for _ in range(3)]  # one each, so that the size of the batches does not matter
    kept: list[np.ndarray] = []
    n_rows = n_infinite = 0
    blank, marked = BlankRows(), MarkTally()
    trusted: list[np.ndarray] = []
    for cells, batch, normal, found in normal_batches(source, schema, on_event, "reading", marks):
        n_rows += len(cells)
        if found is not None:
            marked += found.tally
            trusted.append(found.normal[normal])
        n_missing += (cells.state == MISSING).sum(0)
        if len(schema.features) > 1:  # gaps of a single column are no empty rows
            blank += blank_rows(batch, cells)
        n_infinite += int((cells.state > MISSING).sum())
        for digest, array in zip(digests, (cells.values, cells.state, normal), strict=True):
            digest.update(np.ascontiguousarray(array).data)
        if cells.texts is not None:
            for text in cells.texts.ravel():
                digests[0].update(b"" if text is None else len(text).to_bytes(8, "little") + text)
        which = np.arange(len(cells)) if sampled is None else np.flatnonzero(np.isin(cells.row, sampled))
        kept.append(n_rows - len(cells) + which)
        parts.append(cells if sampled is None else cells[which])
        if schema.time is not None:
            orders.append(time_values(batch, schema.time)[normal])
        if schema.group is not None:
            values = without(one_array(batch.table.column(schema.group.name)), schema.group.missing)
            groups.add(*_distinct(values.filter(pa.array(normal))))
    if n_rows < FEWEST_ROWS:
        left_out = schema.n_rows - n_rows
        by = "--label and --marks name" if marked.faults else "--label marks"
        left = f" ({by} {left_out:,} of {schema.n_rows:,} as anomalies)" if left_out else ""
        raise InputError(
            f"{source.name}: {_count(n_rows, 'normal row')}{left}; at least {FEWEST_ROWS} are needed to learn from",
            "give more rows; a few hundred make a usable threshold, see docs/calibration.md",
        )
    order = np.concatenate(orders) if orders else None
    group = np.concatenate(groups.parts) if groups.parts else None
    digest = hashlib.sha256(b"".join(digest.digest() for digest in digests))
    for times_or_codes in (order, group):
        digest.update(b"" if times_or_codes is None else np.ascontiguousarray(times_or_codes).data)
    return _Survey(
        Cells.concatenate(parts),
        np.concatenate(kept),
        n_rows,
        n_missing,
        n_infinite,
        schema.n_rows - n_rows,
        order,
        group,
        blank,
        digest.hexdigest(),
        marked,
        np.concatenate(trusted) if trusted else None,
    )


def normal_batches(
    source: Source, schema: Schema, on_event: OnEvent, stage: str, marks: Marks | None = None
) -> Iterator[tuple[Cells, Batch, np.ndarray, MarkedRows | None]]:
    """Yield per batch the cells of its normal rows, the batch, (n,) bool, which rows are normal, and marked rows."""
    label = next((column for column in schema.columns if column.role == "label"), None)
    others = [column.name for column in (schema.time, schema.group, label) if column is not None]
    of_marks = () if marks is None else marks.columns
    names = list(dict.fromkeys([*(column.name for column in schema.features), *others, *of_marks]))
    numbers = numbers_of(schema)
    for batch in source.batches(ReadRequest(names, numbers=numbers)):
        anomalous = np.zeros(batch.n_rows, bool) if label is None else label_mask(batch, label)
        marked = None if marks is None else marks.of(batch)
        normal = ~(anomalous if marked is None else marked.anomalous(anomalous))
        cells = _without_placeholders(to_cells(batch, schema), schema)
        yield (cells if normal.all() else cells[normal]), batch, normal, marked
        on_event(Event(stage, batch.first_row + batch.n_rows, schema.n_rows))


def _without_placeholders(cells: Cells, schema: Schema) -> Cells:
    """Placeholders set aside, as if missing: one would set the scale of its column. In new rows they are numbers."""
    for j, column in enumerate(schema.features):
        if column.placeholders:
            rows = np.isin(cells.values[:, j], [value for value, _ in column.placeholders])
            cells.values[rows, j], cells.state[rows, j] = np.nan, MISSING
    return cells


def _folds(survey: _Survey, table: str, schema: Schema, config: FitConfig) -> tuple[np.ndarray, int]:
    """(fold of each normal row, number of folds): by group, in blocks of time, or at random.

    Raises InputError when too few rows are left while the largest group is held out.
    """
    n_folds, seed = min(config.calibration.n_folds, survey.n_rows // 4), config.seed
    if survey.group is not None:
        n_groups = int(survey.group.max()) + 1
        fold = folds.assign_groups(survey.group, n_folds, seed)
        n_others = survey.n_rows - int(np.bincount(fold).max())
        if n_others < max(FEWEST_ROWS, survey.n_rows * SMALLEST_SHARE):
            name = schema.group.name if schema.group else ""
            why = "has one value only" if n_groups < 2 else f"has one value in all but {_count(n_others, 'row')}"
            raise InputError(
                f"{table}: group column {quoted(name)} {why}: "
                "it cannot be held out, as too few rows are left to learn from",
                "leave out --group, or give more rows of other groups",
            )
        return fold, min(n_folds, n_groups)
    if survey.order is not None:
        rank = np.empty(survey.n_rows, np.int64)
        rank[np.argsort(survey.order, kind="stable")] = folds.assign_blocks(survey.n_rows, n_folds)
        return rank, n_folds
    return folds.assign_folds(survey.n_rows, n_folds, seed), n_folds


def _distinct(values: pa.Array) -> tuple[list[object], np.ndarray]:
    """(the different values, a missing one among them; the index among them of each row)."""
    if pa.types.is_dictionary(values.type):  # encoded already, but not what is missing
        values = values.dictionary.take(values.indices)
    encoded = pc.dictionary_encode(values, null_encoding="encode")
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)


def _uniform(n_rows: int, n_wanted: int, seed: int) -> np.ndarray | None:
    """Numbers of `n_wanted` rows, drawn without replacement, ascending; None means all rows."""
    if n_wanted >= n_rows:
        return None
    return np.sort(np.random.default_rng([seed, 0xCE11]).choice(n_rows, n_wanted, replace=False))


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}" + ("" if n == 1 else "s")
