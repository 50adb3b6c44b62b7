"""Inputs that nobody meant, as strategies of Hypothesis, and what a command line must do with each of them.

Bundles, CSV and Parquet are made of the small files of tests/golden: damaged bytes, values of wrong types with digests
that are right all the same, cells and lines in odd places, columns of every Arrow type.
"""

from __future__ import annotations

import contextlib
import copy
import io
import json
import resource
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from tests.faults import forge
from vaecli.bundle import manifest as limits
from vaecli.cli.app import main

GOLDEN = Path(__file__).parents[1] / "golden" / "bundle_v4"
ROWS = (GOLDEN / "rows.csv").read_bytes()
BUNDLE = (GOLDEN / "model.vae").read_bytes()
EARLIER = b"an earlier output\n"
CPU_SECONDS, MEGABYTES = 10, 300  # of one command, beyond what the process has already
TOKENS = (
    *(b'"', b'""', b"'", b",", b";", b"\t", b"|", b"\r", b"\n", b"\r\n", b"\n\n", b"\0", b"\\", b"#", b" "),
    *(b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b\x08", b"PAR1", b"PK\x03\x04", b"\xff", b"\xc3"),
    *(b"1e999", b"-1e-999", b"nan", b"inf", b"-0", b"0x10", b"1_000", b"1,5", b"1.5.5", b"9" * 40, b"?", b"=1+1"),
    *(b"2024-02-30", b"0000-00-00", b"99999-01-01", b"2024-01-01T00:00:00+25:00", b"24:61"),
    *(b"\x1b[31m", b"true", b"x" * 5000),
)
VERBS = {
    "bundle": ("inspect {F}", "inspect {F} --json --schema", "score {R} -m {F} -o {O}"),
    "csv": ("score {F} -m {M} -o {O}", "fit {F} -o {O} --dry-run", "score {F} -m {M} -o {O} --explain 2"),
    "parquet": ("score {F} -m {M} -o {O}", "fit {F} -o {O} --dry-run", "encode {F} -m {M} -o {O}"),
}
# a table may lack what a fit needs, which is a matter of usage or of the input; no reader may need more memory
CODES = {"bundle": (0, 5), "csv": (0, 2, 4), "parquet": (0, 2, 4)}
SUFFIXES = {"bundle": "vae", "csv": "csv", "parquet": "parquet"}


@dataclass(frozen=True, repr=False)
class Whole:
    """The bytes of a whole input, which Hypothesis does not print."""

    content: bytes


@st.composite
def damaged(draw: st.DrawFn, whole: Whole, tokens: tuple[bytes, ...] = ()) -> bytes:
    """Bytes after up to five flips, cuts, repeats, insertions; half of them near the end, where footers stand."""
    content = bytearray(whole.content)
    for _ in range(draw(st.integers(1, 5))):
        low = max(0, len(content) - 600) if draw(st.booleans()) else 0
        at = draw(st.integers(low, max(low, len(content) - 1)))
        piece = draw(st.binary(min_size=1, max_size=9) | (st.sampled_from(tokens) if tokens else st.nothing()))
        n = draw(st.integers(1, 60))
        kind = draw(st.sampled_from(["flip", "set", "insert", "delete", "repeat", "move", "cut"]))
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "set":
            content[at : at + len(piece)] = piece
        elif kind == "insert":
            content[at:at] = piece
        elif kind == "delete":
            del content[at : at + n]
        elif kind == "repeat":
            content[at:at] = content[at : at + n] * draw(st.integers(1, 4))
        elif kind == "move":
            moved = content[at : at + n]
            del content[at : at + n]
            where = draw(st.integers(0, len(content)))
            content[where:where] = moved
        elif kind == "cut":
            del content[at:]
    return bytes(content)


# ------------------------------------------------------------------------------------ bundles

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def _parts(bundle: bytes) -> tuple[dict[str, Any], bytes]:
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return json.loads(archive.read(limits.MANIFEST)), archive.read(limits.ARRAYS)


_VALUES, _PACKED = _parts(BUNDLE)
_PLACES = [place for place in forge._places(_VALUES) if "digests" not in place]


@st.composite
def forged_bundles(draw: st.DrawFn) -> bytes:
    """A bundle whose digests are right, with other values in its manifest, its arrays, or both."""
    values, packed = copy.deepcopy(_VALUES), _PACKED
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.sampled_from(_PLACES))
        with contextlib.suppress(KeyError, IndexError, TypeError):  # an earlier change took its place away
            owner = forge._at(values, place[:-1])
            old, key = owner[place[-1]], place[-1]
            change = draw(st.sampled_from(["any", "same", "gone", "nearby", "twice"]))
            if change == "any":
                owner[key] = draw(JSON)
            elif change == "same":
                owner[key] = copy.deepcopy(forge._at(values, draw(st.sampled_from(_PLACES))))
            elif change == "gone":
                del owner[key]
            elif change == "nearby" and type(old) in (int, float):
                owner[key] = old + draw(st.sampled_from([-1, 1, 0.5, -old, 2**31, 2**63, 1e300]))
            elif change == "twice" and isinstance(old, list | str):
                owner[key] = old * draw(st.integers(0, 40))
    if draw(st.booleans()):
        packed = draw(damaged(Whole(packed)))
    path = io.BytesIO()
    forge.write_parts(path, values, packed)  # type: ignore[arg-type]
    return path.getvalue()


BUNDLES = damaged(Whole(BUNDLE)) | forged_bundles()

# ------------------------------------------------------------------------------------ text

_LINES = ROWS.splitlines(keepends=True)
_CELLS = st.sampled_from(TOKENS) | st.text(max_size=12).map(str.encode) | st.floats().map(lambda x: repr(x).encode())


@st.composite
def odd_text(draw: st.DrawFn) -> bytes:
    """A table whose cells, lines, encoding or line ends are others than those of the fit."""
    lines = [line.rstrip(b"\n").split(b",") for line in _LINES[: draw(st.integers(1, 8))]]
    for _ in range(draw(st.integers(1, 4))):
        row = draw(st.sampled_from(lines))
        at = draw(st.integers(0, max(0, len(row) - 1)))
        row[at : at + draw(st.integers(0, 2))] = draw(st.lists(_CELLS, max_size=3))
    between, end = draw(st.sampled_from([b",", b";", b"\t", b"|"])), draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    content = end.join(between.join(row) for row in lines) + draw(st.sampled_from([b"", end, end * 3]))
    encoding = draw(st.sampled_from(["utf-8"] * 6 + ["utf-16", "utf-8-sig", "utf-32", "latin-1"]))
    return content if encoding == "utf-8" else content.decode("utf-8", "replace").encode(encoding, "replace")


TEXTS = damaged(Whole(b"".join(_LINES[:20])), TOKENS) | odd_text()

# ------------------------------------------------------------------------------------ Parquet

_SCALARS = [
    *(pa.int8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.null()),
    *(pa.string(), pa.large_string(), pa.binary(), pa.binary(4), pa.date32(), pa.date64(), pa.time64("ns")),
    *(pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("us", "UTC"), pa.timestamp("ms", "+05:30")),
    *(pa.decimal128(38, 10), pa.decimal256(60, 3), pa.dictionary(pa.int8(), pa.string()), pa.duration("ms")),
]
TYPES = st.recursive(
    st.sampled_from(_SCALARS),
    lambda inner: inner.map(pa.list_) | inner.map(lambda one: pa.struct([("a", one)])),
    max_leaves=2,
)


def _golden_table() -> pa.Table:
    return pa.Table.from_pandas(pd.read_csv(io.BytesIO(ROWS), parse_dates=["seen"])[:30], preserve_index=False)


_TABLE = _golden_table()


def written(table: pa.Table, **settings: Any) -> bytes:
    """A table as Parquet."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **settings)
    return sink.getvalue()


_WHOLE = [
    written(_TABLE),
    written(_TABLE, compression="none", use_dictionary=False, data_page_version="2.0"),
    written(_TABLE, compression="zstd", row_group_size=7, use_deprecated_int96_timestamps=True),
    written(_TABLE, compression="gzip", write_statistics=False, store_schema=False),
]


@st.composite
def odd_columns(draw: st.DrawFn) -> bytes:
    """A whole file with columns of other types, names and numbers than those of the fit."""
    table = _TABLE.slice(0, draw(st.integers(0, 5)))
    for _ in range(draw(st.integers(1, 3))):
        name, kind = draw(st.sampled_from(_TABLE.column_names)), draw(TYPES)
        raw = draw(st.lists(st.none() | st.integers(-(2**40), 2**40), min_size=table.num_rows, max_size=table.num_rows))
        with contextlib.suppress(pa.ArrowException, OverflowError, ValueError, TypeError):
            column = _as_type(raw, kind)
            others = draw(st.sampled_from(["replace", "append", "rename"]))
            if others == "replace" and name in table.column_names:
                table = table.set_column(table.column_names.index(name), name, column)
            elif others == "append":
                table = table.append_column(draw(st.text(max_size=6)), column)
            else:
                table = table.rename_columns([draw(st.text(max_size=4)), *table.column_names[1:]])
    try:
        return written(table)
    except (pa.ArrowException, ValueError):  # Parquet has no such type
        return _WHOLE[0]


def _as_type(raw: list[int | None], kind: pa.DataType) -> pa.Array:
    if pa.types.is_list(kind):
        inner = _as_type([one for one in raw for _ in range(2)], kind.value_type)
        return pa.ListArray.from_arrays(pa.array(range(0, 2 * len(raw) + 1, 2), pa.int32()), inner)
    if pa.types.is_struct(kind):
        return pa.StructArray.from_arrays([_as_type(raw, kind.field(0).type)], names=["a"])
    if pa.types.is_null(kind):
        return pa.nulls(len(raw))
    if pa.types.is_dictionary(kind):
        return pa.array([one and str(one) for one in raw]).dictionary_encode()
    numbers = pa.array(raw, pa.int64())
    if pa.types.is_fixed_size_binary(kind):
        return pa.array([None if one is None else one.to_bytes(8, "little", signed=True)[:4] for one in raw], kind)
    if pa.types.is_binary(kind):
        return numbers.cast(pa.string()).cast(kind)
    if pa.types.is_temporal(kind):
        return pa.array(np.array([0 if one is None else one for one in raw], np.int64)).view(pa.int64()).cast(kind)
    return numbers.cast(kind)


PARQUET = st.sampled_from(tuple(map(Whole, _WHOLE))).flatmap(damaged) | odd_columns()
INPUTS: dict[str, st.SearchStrategy[bytes]] = {"bundle": BUNDLES, "csv": TEXTS, "parquet": PARQUET}

# ------------------------------------------------------------------------------------ a command line


@dataclass
class Bench:
    """Runs command lines on inputs of one reader in a folder; counts how they ended."""

    reader: str
    folder: Path
    codes: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        (self.folder / "rows.csv").write_bytes(b"".join(_LINES[:6]))

    def attempt(self, content: bytes, verb: str) -> None:
        """Run a verb on an input. Raises AssertionError where it does not end as is promised."""
        source = self.folder / f"input.{SUFFIXES[self.reader]}"
        source.write_bytes(content)
        target = self.folder / "out.csv"
        target.write_bytes(EARLIER)
        words = verb.format(F=source, M=GOLDEN / "model.vae", R=self.folder / "rows.csv", O=target).split()
        code, shown, cpu_seconds, megabytes = in_this_process(main, words)
        self.codes[code] += 1
        where = f"{words[0]}: exit {code}, {cpu_seconds:.1f} CPU s, {megabytes:.0f} MB\n{shown}"
        # a bundle may have been forged into one of other columns, which the table lacks
        lacks_columns = self.reader == "bundle" and code == 4 and "missing" in shown
        assert code in CODES[self.reader] or lacks_columns, where
        assert "Traceback" not in shown, where
        assert "Warning" not in shown, where
        if code:
            lines = [line for line in shown.splitlines() if not line.startswith(("  ", "warning: "))]
            assert [line.partition(":")[0] for line in lines] == ["error", "hint"], where
        assert "\x1b" not in shown, where
        writes = code == 0 and words[0] in ("score", "encode")
        assert (target.read_bytes() == EARLIER) != writes, where
        assert cpu_seconds < CPU_SECONDS, where
        assert megabytes < MEGABYTES, where
        left = [path.name for path in self.folder.iterdir() if path.name.endswith(".part")]
        assert not left, where


def in_this_process(run: Callable[[list[str]], Any], words: list[str]) -> tuple[int, str, float, float]:
    """The exit code of a command line, its standard error, CPU seconds, and MB beyond the peak before it."""
    shown, before, started = io.StringIO(), _peak_megabytes(), time.process_time()
    code = 0
    with contextlib.redirect_stderr(shown), contextlib.redirect_stdout(io.StringIO()):
        try:
            run(words)
        except SystemExit as left:
            code = int(left.code or 0)
    return code, shown.getvalue(), time.process_time() - started, _peak_megabytes() - before


def _peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
