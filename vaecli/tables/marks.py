"""What a person decided about rows, kept in a file: which are normal after all, and which are faults.

    {"vaecli_marks": 1, "by": "key", "columns": ["machine", "when"]}
    {"fault": ["3", "2026-11-29 10:00"]}
    {"vaecli_marks": 1, "by": "digest", "columns": ["flow", "pressure"]}
    {"normal": "5f0c…"}

A row is named by the texts of its key columns, or by a digest of all cells in the columns of the section. Sections may
stand in any order and number, so that files written after each other are one.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vaecli.errors import MAX_LISTED, InputError, SchemaMismatch, quoted
from vaecli.runtime.atomic_file import write_bytes
from vaecli.tables.row_names import cell_texts, from_hexadecimal, hexadecimal, inexact_rows, row_hashes
from vaecli.tables.source import Batch, Source

NORMAL, FAULT = "normal", "fault"
DECISIONS = (NORMAL, FAULT)
_VERSION = 1


@dataclass(frozen=True, slots=True, order=True)
class RowName:
    """What names a row: texts of its `key` columns, or with an empty key the `digest` of its cells in `columns`."""

    columns: tuple[str, ...]
    key: tuple[str, ...]
    digest: str

    @property
    def shown(self) -> str:
        """The name in messages: `machine=3, when=10:00`, or the beginning of the digest."""
        if not self.key:
            return f"digest {self.digest[:12]}"
        return ", ".join(f"{column}={text}" for column, text in zip(self.columns, self.key, strict=True))


@dataclass(frozen=True, slots=True)
class MarkTally:
    """How many rows of a table are marked, and which marks they met."""

    normal: int = 0
    faults: int = 0
    met: frozenset[RowName] = frozenset()

    def __add__(self, later: MarkTally) -> MarkTally:
        return MarkTally(self.normal + later.normal, self.faults + later.faults, self.met | later.met)


@dataclass(frozen=True, slots=True)
class MarkedRows:
    """Which of n rows are marked normal and which as faults, both (n,) bool, and the tally of both."""

    normal: np.ndarray
    fault: np.ndarray
    tally: MarkTally

    def anomalous(self, labelled: np.ndarray) -> np.ndarray:
        """The labels (n,) bool of the rows, where a mark overrides the label."""
        return (labelled | self.fault) & ~self.normal


@dataclass(frozen=True)  # without slots: sections are found once
class Marks:
    """The decisions in a file, by the names of rows."""

    file: str
    decisions: dict[RowName, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that name rows: a table to be matched must have them."""
        return tuple(dict.fromkeys(name for row in self.decisions for name in row.columns))

    def count(self, decision: str) -> int:
        """How many rows are marked so."""
        return sum(found == decision for found in self.decisions.values())

    @classmethod
    def given(cls, file: str | None, source: Source) -> Marks | None:
        """The marks in `file` for the rows of `source`, None without a file.

        Raises InputError for a damaged file and SchemaMismatch where the table lacks columns that name rows.
        """
        if file is None:
            return None
        marks = read_marks(Path(file))
        marks.require_columns(source)
        return marks

    def unmet(self, tally: MarkTally) -> int:
        """How many marks name no row of the table that the tally is of."""
        return len(self.decisions) - len(tally.met)

    def require_columns(self, source: Source) -> None:
        """Raise SchemaMismatch where `source` lacks columns that name rows."""
        missing = [name for name in self.columns if name not in source.names]
        if missing:
            raise SchemaMismatch(
                f"{source.name}: the columns by which {self.file} names rows are missing: "
                f"{', '.join(map(quoted, missing[:MAX_LISTED]))}",
                "give a table with them, or remove those marks: `vaecli mark --list` shows them",
                path=source.name,
                column=missing[0],
            )

    def of(self, batch: Batch) -> MarkedRows:
        """The marks of the rows of a batch. Raises InputError where a row is marked normal and a fault."""
        n = batch.n_rows
        normal, fault, met = np.zeros(n, bool), np.zeros(n, bool), set[RowName]()
        for columns, (known, by_digest) in self._sections.items():
            hashes = row_hashes(batch.table, columns)
            near = np.flatnonzero(np.isin(hashes[:, 0], known))
            for i, digest in zip(near.tolist(), hexadecimal(hashes[near]), strict=True):
                for name in by_digest.get(digest, ()):
                    met.add(name)
                    (fault if self.decisions[name] == FAULT else normal)[i] = True
        if (both := np.flatnonzero(normal & fault)).size:
            where = "\n".join(f"  {batch.where(int(row))}" for row in both[:MAX_LISTED])
            raise InputError(
                f"{self.file}: one mark names these rows normal and another a fault:\n{where}",
                "take one back: write the rows to a file and `vaecli mark --remove` it, then mark them once",
                path=self.file,
            )
        return MarkedRows(normal, fault, MarkTally(int(normal.sum()), int(fault.sum()), frozenset(met)))

    @cached_property
    def _sections(self) -> dict[tuple[str, ...], tuple[np.ndarray, dict[str, list[RowName]]]]:
        """By columns: the first halves of the digests (k,), and by digest the names that have it.

        A key and a digest of the same columns may have the same one.
        """
        found: dict[tuple[str, ...], dict[str, list[RowName]]] = {}
        for name in self.decisions:
            found.setdefault(tuple(sorted(name.columns)), {}).setdefault(name.digest, []).append(name)
        return {
            columns: (np.array([from_hexadecimal(digest)[0] for digest in by_digest], np.uint64), by_digest)
            for columns, by_digest in found.items()
        }


def row_names(batch: Batch, key: Sequence[str], columns: Sequence[str]) -> list[RowName]:
    """The name (n) of each row of a batch: by the columns `key`, or where there are none by a digest of `columns`.

    Raises InputError listing the rows that the key does not name: where a cell of it is empty, or a number so large
    that another row may have the same.
    """
    if not key:
        ordered = tuple(sorted(columns))
        return [RowName(ordered, (), digest) for digest in hexadecimal(row_hashes(batch.table, ordered))]
    ordered = tuple(key)
    texts = [cell_texts(batch.table, name) for name in ordered]
    for name, cells in zip(ordered, texts, strict=True):
        unnamed = [i for i, text in enumerate(cells) if text is None] or inexact_rows(batch.table, name).tolist()
        if unnamed:
            where = "\n".join(f"  {batch.where(int(row))}: {quoted(cells[row])}" for row in unnamed[:MAX_LISTED])
            raise InputError(
                f"the column {quoted(name)} does not name {len(unnamed):,} rows for certain:\n{where}",
                "name other columns with --key, or leave it out: rows are then known by what their cells hold",
                row=batch.first_row + int(unnamed[0]) + 1,
                column=name,
            )
    digests = hexadecimal(row_hashes(batch.table, ordered))
    return [
        RowName(ordered, tuple(str(text) for text in row), digest)
        for row, digest in zip(zip(*texts, strict=True), digests, strict=True)
    ]


# -- the file -----------------------------------------------------------------------------------


def read_marks(path: Path) -> Marks:
    """The marks in the file at `path`. Raises InputError for one that is missing, damaged, or contradicts itself."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # a name may hold what else ends lines of text
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file", "`vaecli mark` writes one", path=str(path)) from None
    except (OSError, UnicodeDecodeError) as problem:
        raise InputError(f"{path}: cannot be read as marks: {problem}", path=str(path)) from None
    decisions: dict[RowName, str] = {}
    conflicts = []
    for number, name, decision in _parsed(path, lines):
        if decisions.setdefault(name, decision) != decision:
            conflicts.append(f"  line {number}: {name.shown}")
    if conflicts:
        raise InputError(
            f"{path}: rows that are marked normal and a fault:\n" + "\n".join(conflicts[:MAX_LISTED]),
            "delete the line that is wrong",
            path=str(path),
        )
    return Marks(str(path), decisions)


def write_marks(path: Path, marks: Marks) -> None:
    """Replace the file at `path`, in one step; the order of lines depends on the marks alone. Raises as `write_bytes`.

    The file is text, so that version control can merge it.
    """
    lines, section = [], None
    for name in sorted(marks.decisions):
        head = {"vaecli_marks": _VERSION, "by": "key" if name.key else "digest", "columns": list(name.columns)}
        if head != section:
            section = head
            lines.append(head)
        lines.append({marks.decisions[name]: list(name.key) if name.key else name.digest})
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_bytes(path, text.encode("utf-8", "surrogatepass"))


@contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Wait until no other run changes the file at `path`, and keep others waiting within the block.

    The lock is on the folder, so that no file of it is left; on file systems without locks nobody waits.
    """
    descriptor = None
    with suppress(OSError):  # what is wrong with the folder shows when the file is written
        descriptor = os.open(path.resolve().parent, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _parsed(path: Path, lines: Iterable[str]) -> Iterator[tuple[int, RowName, str]]:
    """(line number, name of a row, decision) of each mark. Raises InputError at the first line that is not one."""
    columns: tuple[str, ...] = ()
    by_key = False
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            if "vaecli_marks" in values:
                columns, by_key = _section(values)
                continue
            ((decision, named),) = values.items()
            name = _name(columns, by_key, decision, named)
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise InputError(
                f"{path}, line {number}: is not a mark: {problem}",
                "repair or delete the line; `vaecli mark` writes such files",
                path=str(path),
                line=number,
            ) from None
        yield number, name, decision


def _section(values: Any) -> tuple[tuple[str, ...], bool]:
    """(columns, whether rows are named by key) of the head of a section. Raises ValueError or KeyError."""
    columns = values["columns"]
    if values["vaecli_marks"] != _VERSION:
        raise ValueError(f"version {values['vaecli_marks']} of marks is not known to this vaecli")
    if values["by"] not in ("key", "digest") or not columns or not all(isinstance(name, str) for name in columns):
        raise ValueError("rows are named by neither key nor digest of columns")
    return tuple(columns), values["by"] == "key"


def _name(columns: tuple[str, ...], by_key: bool, decision: str, named: Any) -> RowName:
    if decision not in DECISIONS or not columns:
        raise ValueError(f"{decision!r} is neither {NORMAL} nor {FAULT}, or no columns stand before it")
    if not by_key:
        from_hexadecimal(named)
        return RowName(columns, (), named)
    if len(named) != len(columns) or not all(isinstance(text, str) and text for text in named):
        raise ValueError(f"a key has {len(columns)} texts")
    table = pa.table({name: pa.array([text], pa.large_string()) for name, text in zip(columns, named, strict=True)})
    return RowName(columns, tuple(named), hexadecimal(row_hashes(table, columns))[0])
