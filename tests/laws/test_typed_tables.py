"""For every Arrow type that Parquet can hold: cells come out as they went in, and CSV gives the scores of Parquet.

Tables are drawn with a seed that a failure names: each feature in one of the types that can hold its values, beside
columns of any type that only pass through, written with the options that writers differ in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import vaecli
from tests.conftest import QUICK
from vaecli.config import ScoreConfig
from vaecli.errors import InputError
from vaecli.tables.write.csv_fields import can_be_spelled
from vaecli.workflows.score import score

Draw = np.random.Generator
FEW = {"calibration.n_folds": 2, "model.full_crossfit_below": 0}  # members, of which a score is fast
UNITS = ("s", "ms", "us", "ns")
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
EPOCH = dt.datetime(1970, 1, 1)
WORDS = ["eco", "normal", 'bo"ost, ü']

# -- features: one list of values each, in any type that holds them -------------------------------

DECIMALS = [pa.decimal32(7, 3), pa.decimal64(15, 4), pa.decimal128(15, 3), pa.decimal128(38, 9), pa.decimal256(50, 5)]
WHOLE = [*(pa.int8(), pa.int16(), pa.int32(), pa.int64()), *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())]
FLOATS = [pa.float16(), pa.float32(), pa.float64()]
TEXTS = [pa.string(), pa.large_string(), pa.string_view()]
DICTIONARIES = [pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int32(), pa.string(), ordered=True)]


CODED = pa.dictionary(pa.int8(), pa.int32())
MOMENTS = [pa.timestamp(unit, zone) for unit in UNITS for zone in (None, "UTC", "Europe/Berlin", "+02:00")]


@dataclass(frozen=True)
class Feature:
    """How values are drawn, the type of training, and all types that hold them; texts are `text` of the values."""

    draw: Callable[[Draw, int], np.ndarray]
    trained: pa.DataType
    kinds: list[pa.DataType]
    text: Callable[[Any], str] = str


FEATURES = {
    # multiples of 1/8, which every float and decimal holds
    "load": Feature(
        lambda rng, n: (rng.normal(size=n) * 16).round() / 8, pa.float64(), [*FLOATS, *DECIMALS, *TEXTS, *DICTIONARIES]
    ),
    "count": Feature(lambda rng, n: rng.integers(100, size=n), pa.int64(), [*WHOLE, *FLOATS, *DECIMALS, *TEXTS, CODED]),
    "switch": Feature(
        lambda rng, n: rng.random(n) < 0.5,
        pa.bool_(),
        [pa.bool_(), pa.bool8(), *WHOLE, *FLOATS, *TEXTS, *DICTIONARIES],
        lambda value: str(value).lower(),
    ),
    "mode": Feature(lambda rng, n: rng.choice(WORDS, n), pa.string(), [*TEXTS, *DICTIONARIES]),
    "code": Feature(
        lambda rng, n: rng.choice([10, 20, 30], n),
        pa.dictionary(pa.int32(), pa.int64()),
        [*WHOLE, *FLOATS, *DECIMALS, *TEXTS, *DICTIONARIES, CODED],
    ),
    "at": Feature(
        lambda rng, n: rng.integers(10**9, 2 * 10**9, n),
        pa.timestamp("us"),
        [*MOMENTS, pa.string()],
        lambda value: f"{EPOCH + dt.timedelta(seconds=value)}",
    ),
    "took": Feature(
        lambda rng, n: rng.integers(-500, 5000, n),
        pa.duration("ms"),
        [*map(pa.duration, UNITS), pa.float64(), pa.int16()],
    ),
    "clock": Feature(
        lambda rng, n: rng.integers(86_400, size=n),
        pa.time32("ms"),
        [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"), pa.int32()],
    ),
}


def feature_column(feature: Feature, kind: pa.DataType, rng: Draw, n: int) -> pa.Array:
    """Values of the feature with a few gaps, in a type that holds them."""
    values = feature.draw(rng, n).tolist()
    if kind in TEXTS or kind in DICTIONARIES:
        values = [feature.text(value) for value in values]
    elif pa.types.is_floating(kind) or pa.types.is_integer(kind) or isinstance(kind, pa.BaseExtensionType):
        values = [float(value) if pa.types.is_floating(kind) else int(value) for value in values]
    return in_type(with_gaps(values, rng, 0.05), kind)


def in_type(values: list[Any], kind: pa.DataType) -> pa.Array:
    """The values as an array; numbers of clocks are seconds."""
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.timestamp("s")).cast(kind)
    if pa.types.is_duration(kind):
        return pa.array(values, pa.duration("s")).cast(kind)
    if pa.types.is_time(kind):
        return pa.array(values, pa.time32("s")).cast(kind)
    if pa.types.is_decimal(kind):
        return pa.array([None if value is None else Decimal(str(value)) for value in values], kind)
    if pa.types.is_dictionary(kind):
        encoded = pa.array(values, kind.value_type).dictionary_encode()
        return pa.DictionaryArray.from_arrays(
            encoded.indices.cast(kind.index_type), encoded.dictionary, ordered=kind.ordered
        )
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, pa.array(values, kind.storage_type))
    if pa.types.is_string_view(kind):
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)


def with_gaps(values: list[Any], rng: Draw, share: float) -> list[Any]:
    return [None if gap else value for value, gap in zip(values, rng.random(len(values)) < share, strict=True)]


# -- columns that pass through: any bits ----------------------------------------------------------

FIXED = [*WHOLE, *FLOATS, *map(pa.duration, UNITS), pa.date32(), pa.uuid(), pa.bool8(), pa.binary(16), pa.binary(3)]
FIXED += [pa.timestamp(unit, zone) for unit in UNITS[1:] for zone in (None, "UTC", "Asia/Kolkata", "-03:30")]
TEXT_LIKE = [*TEXTS, pa.json_(), pa.binary(), pa.large_binary(), pa.binary_view(), *DICTIONARIES]
CLOCKS = [pa.time32("ms"), pa.time64("us"), pa.time64("ns")]
OTHERS = [pa.null(), pa.bool_(), pa.dictionary(pa.uint16(), pa.binary()), pa.dictionary(pa.int8(), pa.float64())]


def can_be_nested(kind: Any) -> bool:
    """Whether pyarrow writes and reads the type inside lists and structs, in row groups and batches."""
    is_view = kind in (pa.string_view(), pa.binary_view())
    return not (kind in ("list", "struct") or is_view or pa.types.is_dictionary(kind))


ANY_WORDS = ["", "a", '"quoted"', "ü\n", "NA", "12", "{}", "a text that is longer than a view holds"]


def any_column(rng: Draw, n: int, depth: int = 0) -> pa.Array:
    """A column of any type, with gaps."""
    groups = [FIXED, FIXED, DECIMALS, TEXT_LIKE, CLOCKS, OTHERS, ["list", "struct"]]
    group = groups[rng.integers(len(groups))]
    kind: Any = group[rng.integers(len(group))]
    if depth and not can_be_nested(kind):
        return any_column(rng, n, depth)
    gaps = rng.random(n) < rng.choice([0.0, 0.3])
    if kind == "list":
        ends = np.concatenate([[0], np.cumsum(rng.integers(3, size=n))]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), any_column(rng, int(ends[-1]), 1))
    if kind == "struct":
        return pa.StructArray.from_arrays([any_column(rng, n, 1) for _ in range(2)], names=["a", "b"])
    if kind in DECIMALS:
        digits = ["".join(map(str, rng.integers(10, size=kind.precision))) for _ in range(n)]
        return pa.array([f"{text[: -kind.scale]}.{text[-kind.scale :]}" for text in digits], mask=gaps).cast(kind)
    if kind in TEXT_LIKE:
        words = rng.choice(
            ["", "a", '"quoted"', "ü\n", "NA", "12", "{}", "a text longer than twelve bytes"], n
        ).tolist()
        words = [None if gap else word for word, gap in zip(words, gaps, strict=True)]
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or kind == pa.binary_view():
            return pa.array(words, pa.string()).cast(pa.binary()).cast(kind)
        return pa.array(words, pa.string()).cast(kind) if kind in TEXTS else in_type(words, kind)
    if kind in CLOCKS:
        most = 86_400 * {"ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit]
        width = pa.int32() if pa.types.is_time32(kind) else pa.int64()
        return pa.array(rng.integers(most, size=n), width, mask=gaps).cast(kind)
    if kind == pa.null():
        return pa.nulls(n)
    if kind == pa.bool_():
        return pa.array(rng.random(n) < 0.5, mask=gaps)
    if pa.types.is_dictionary(kind):
        numbers = rng.integers(3, size=n)
        values = [str(one).encode() for one in numbers] if kind.value_type == pa.binary() else (numbers / 2).tolist()
        return in_type(with_gaps(values, rng, 0.2), kind)
    return any_bits(rng, n, kind, gaps)


def any_bits(rng: Draw, n: int, kind: pa.DataType, gaps: np.ndarray) -> pa.Array:
    storage = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
    content = rng.bytes(n * storage.bit_width // 8)
    if rng.random() < 0.5 and pa.types.is_integer(storage):  # the ends, where floats and signs give out
        info = np.iinfo(storage.to_pandas_dtype())
        content = rng.choice(np.array([info.min, info.max, info.max // 2 + 1, 0], info.dtype), n).tobytes()
    array = pa.Array.from_buffers(storage, n, [pa.array(~gaps).buffers()[1], pa.py_buffer(content)])
    return pa.ExtensionArray.from_storage(kind, array) if kind is not storage else array


# -- one table ------------------------------------------------------------------------------------


def typed_table(rng: Draw, n: int) -> pa.Table:
    """The features in types drawn from all that hold them, and up to five columns of any type."""
    columns = {}
    for name, feature in FEATURES.items():
        kind = feature.kinds[rng.integers(len(feature.kinds))]
        columns[name] = feature_column(feature, kind, rng, n)
    columns |= {f"extra {i}": any_column(rng, n) for i in range(rng.integers(6))}
    return pa.table(columns).select(rng.permutation(list(columns)).tolist())


def written(table: pa.Table, path: Path, rng: Draw) -> None:
    """Write Parquet with one of the ways in which writers differ."""
    extras = "".join(str(field.type) for field in table.schema if field.name not in FEATURES)
    pq.write_table(
        table,
        path,
        row_group_size=int(rng.integers(5, 60)),
        compression=str(rng.choice(["none", "snappy", "zstd"])),
        use_dictionary=bool(rng.random() < 0.5),
        # durations are numbers without it
        store_schema=bool(rng.random() < 0.8) or pa.types.is_duration(table.schema.field("took").type),
        # days of any bits are more than INT96 has
        use_deprecated_int96_timestamps=bool(rng.random() < 0.3) and "timestamp" not in extras,
        store_decimal_as_integer=bool(rng.random() < 0.5),
        data_page_version=str(rng.choice(["1.0", "2.0"])),
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of 400 rows of the features."""
    rng = np.random.default_rng(0)
    columns = {name: feature_column(each, each.trained, rng, 400) for name, each in FEATURES.items()}
    folder = tmp_path_factory.mktemp("typed")
    pq.write_table(pa.table(columns), folder / "normal.parquet")
    vaecli.fit(folder / "normal.parquet", **QUICK, **FEW).save(folder / "m.vae")
    return folder / "m.vae"


def bits(array: pa.Array) -> Any:
    """What two equal arrays have in common, NaN and dates beyond Python's calendar included."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return bits(array.storage)
    if pa.types.is_dictionary(kind):
        return bits(array.dictionary.take(array.indices))
    if pa.types.is_struct(kind):
        return [bits(child) for child in array.flatten()], array.is_valid().to_pylist()
    if pa.types.is_list(kind):
        return bits(array.flatten()), pc.list_value_length(array).to_pylist()
    if pa.types.is_timestamp(kind):
        return [None if one is None else one * NANOSECONDS[kind.unit] for one in array.cast(pa.int64()).to_pylist()]
    if pa.types.is_temporal(kind):
        return array.cast(pa.int32() if kind.bit_width == 32 else pa.int64()).to_pylist()
    return [repr(value) for value in array.to_pylist()]


def check(seed: int, bundle: Path, folder: Path) -> int:
    """Draw a table, score it in each format, compare; returns its number of columns that pass through."""
    rng = np.random.default_rng(seed)
    table = typed_table(rng, int(rng.integers(1, 60)))
    written(table, folder / "new.parquet", rng)
    config = ScoreConfig(batch_rows=int(rng.choice([7, 16_384])), workers=1)
    again = ScoreConfig(prefix="b_", workers=1)

    def scored(source: str, target: str, config: ScoreConfig) -> None:
        score([str(folder / source)], bundle, str(folder / target), config, with_worst=False)

    scored("new.parquet", "out.parquet", config)
    before, after = (pq.read_table(folder / name) for name in ("new.parquet", "out.parquet"))
    for name in table.column_names:
        found = after[name].combine_chunks()
        if not pa.types.is_timestamp(found.type):  # INT96 comes out in a type of its own
            assert found.type == before[name].type, name
        assert bits(found) == bits(before[name].combine_chunks()), name

    spelled = [name for name in table.column_names if name in FEATURES or can_be_spelled(table[name].type)]
    pq.write_table(pq.read_table(folder / "new.parquet").select(spelled), folder / "spelled.parquet")
    try:
        scored("spelled.parquet", "once.csv", config)
    except InputError as problem:  # bytes, or a date beyond the calendar
        if "column 'extra" not in problem.message:
            raise
        pq.write_table(pq.read_table(folder / "new.parquet").select(list(FEATURES)), folder / "spelled.parquet")
        scored("spelled.parquet", "once.csv", config)
    scored("once.csv", "twice.csv", again)
    twice = pa_csv.read_csv(folder / "twice.csv", parse_options=pa_csv.ParseOptions(newlines_in_values=True))
    np.testing.assert_array_equal(np.asarray(twice["anomaly_score"]), np.asarray(after["anomaly_score"]))
    np.testing.assert_allclose(np.asarray(twice["b_anomaly_score"]), np.asarray(twice["anomaly_score"]), rtol=1e-9)
    return table.num_columns - len(FEATURES)


@pytest.mark.parametrize("tens", [*range(3), *(pytest.param(tens, marks=pytest.mark.slow) for tens in range(3, 6))])
def test_typed_tables(tens: int, bundle: Path, tmp_path: Path) -> None:
    """Thirty drawn tables, and with `-m slow` sixty."""
    for seed in range(10 * tens, 10 * tens + 10):
        try:
            check(seed, bundle, tmp_path)
        except BaseException as problem:
            problem.add_note(f"seed {seed}")
            raise


@pytest.mark.slow
def test_two_thousand_typed_tables(bundle: Path, tmp_path: Path) -> None:
    """Two thousand more: 4,937 columns that pass through, 640,000 cells, in ten minutes on two busy cores."""
    wrong = {}
    n_columns = 0
    for seed in range(1_000, 3_000):
        try:
            n_columns += check(seed, bundle, tmp_path)
        except Exception as problem:  # all seeds of a fault help to find it
            wrong[seed] = f"{type(problem).__name__}: {problem}"
    assert not wrong
    assert n_columns > 4_000
