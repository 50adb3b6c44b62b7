"""What `fit` accepts `score` accepts: a table that was learned from is read again without a new problem."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.conftest import of_a_hundred
from vaecli.config import ColumnsConfig
from vaecli.data.cells import MISSING
from vaecli.errors import InputError, UsageError
from vaecli.tables import ReadRequest, check_schema, collect_sink, exact_types, numbers_of, open_source, to_cells
from vaecli.tables.convert.missing_tokens import MISSING_TOKENS
from vaecli.tables.infer.infer_schema import infer_schema

ROWS = st.integers(12, 60)
NUMBERS = st.one_of(
    st.integers(-1000, 1000).map(str),
    st.integers(-(2**64), 2**64).map(str),
    st.floats(allow_nan=False, width=32).map(repr),
    st.decimals(-(10**6), 10**6, places=2).map(str),
)
SPELLINGS = {
    "plain": lambda text: text,
    "blanks": lambda text: f" {text}  ",
    "comma": lambda text: text.replace(".", ","),
    "thousands": lambda text: f"{float(text):,.2f}",
    "minus": lambda text: text.replace("-", "\N{MINUS SIGN}"),
    "thin": lambda text: f"{float(text):,.1f}".replace(",", "\N{NARROW NO-BREAK SPACE}"),
    "percent": lambda text: f"{text} %",
    "plus": lambda text: f"+{text}".replace("+-", "-"),
    "quoted": lambda text: f"'{text}",
    "padded": lambda text: text.zfill(9),
}
MOMENTS = st.datetimes().map(lambda moment: moment.replace(microsecond=0))
DATES = (
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%m/%d/%y",
    "%d-%b-%y %H:%M:%S",
    "%Y%m%dT%H%M%S",
    "%H:%M:%S",
    "%H:%M",
    "%Y-%m-%d %H:%M",
)
WORDS = st.sampled_from(["a", "run", "Bad", "yes", "no", "True", "false", "1", "0", "1.0", "-9999", "007", "é ü", "n"])


@st.composite
def columns(draw: st.DrawFn, n: int) -> list[str]:
    """Cells of one kind, of which some are missing, and now and then a few of another kind."""
    kind = draw(st.sampled_from(["numbers", "numbers", "dates", "words", "few", "one"]))
    if kind == "numbers":
        spell = SPELLINGS[draw(st.sampled_from(sorted(SPELLINGS)))]
        one = NUMBERS.map(spell)
    elif kind == "dates":
        pattern = draw(st.sampled_from(DATES))
        one = MOMENTS.map(lambda moment: moment.strftime(pattern))
    elif kind == "words":
        one = WORDS
    else:
        one = st.sampled_from(draw(st.lists(st.one_of(NUMBERS, WORDS), min_size=1, max_size=1 if kind == "one" else 3)))
    cells = draw(st.lists(one, min_size=n, max_size=n))
    for row in draw(st.lists(st.integers(0, n - 1), max_size=n // 2)):
        cells[row] = draw(st.sampled_from([*MISSING_TOKENS, " ", "Bad", "No Data"]))
    return cells


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[str]]:
    """One to four columns of as many rows."""
    n = draw(ROWS)
    return {f"c{i}": draw(columns(n)) for i in range(draw(st.integers(1, 4)))}


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "missing": st.sampled_from([("Bad",), ("Bad", "No Data"), ("c0=Bad", "-9999"), ("n/a",)]),
        "decimal": st.sampled_from([",", "."]),
        "max_categories": st.sampled_from([2, 1000]),
    },
)


@settings(of_a_hundred(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("format", ["csv", "csv;", "parquet"])
@given(table=tables(), options=OPTIONS, batch_rows=st.integers(1, 70))
def test_a_table_that_was_learned_from_is_read_again(
    format: str, table: dict[str, list[str]], options: dict, batch_rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every feature of every row: no cell fails, none of a number or date is new, and the rows can be written typed."""
    path = tmp_path_factory.mktemp("law") / f"t.{format.strip(';')}"
    write(table, path, ";" if format == "csv;" else ",")
    try:
        source = open_source([str(path)])
        schema = infer_schema(source, ColumnsConfig(**options))
    except (InputError, UsageError):
        return  # what fit refuses, with a reason
    if not schema.features:
        return
    again = open_source([str(path)])
    check_schema(again, schema)
    names = [column.name for column in schema.features]
    request = ReadRequest(names, numbers=numbers_of(schema), keep=True, batch_rows=batch_rows)
    read = [(to_cells(batch, schema), batch) for batch in again.batches(request)]
    assert sum(len(cells) for cells, _ in read) == schema.n_rows
    state = np.concatenate([cells.state for cells, _ in read])
    for j, column in enumerate(schema.features):
        assert (state[:, j] == MISSING).sum() == column.n_missing, column
        assert (state[:, j] > MISSING).sum() == column.n_infinite, column
    try:
        sink = collect_sink(again, [("score", pa.float64())], types=exact_types(schema))
        for cells, batch in read:
            sink.append(sink.render(batch, {"score": np.zeros(len(cells))}))
    except InputError as problem:
        assert "cannot hold in Parquet" in str(problem)  # noqa: PT017  the one reason, and it names CSV
        return
    assert sink.table().num_rows == schema.n_rows


def write(table: dict[str, list[str]], path: Path, delimiter: str) -> None:
    """The cells as text, in Parquet with null for an empty one."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table({name: [cell or None for cell in cells] for name, cells in table.items()}), path)
        return
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))
