"""`vaecli reconstruct` on real tables: what is filled, what stays to the byte, and in which spelling."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vaecli
from vaecli.model import tiles
from vaecli.tables.read import delimited
from vaecli.tables.write import parquet_rows

N = 400
NAMES = ["id", "load", "heat", "count", "on", "site", "when", "note"]
FEATURES = NAMES[1:7]
SETTINGS = {
    "train.max_steps": 250,
    "heteroscedastic.n_hidden": 16,
    "heteroscedastic.n_latent": 3,
    "homoscedastic.n_hidden": 16,
    "homoscedastic.n_latent": 3,
    "model.n_exemplars": 50,
    "columns.columns": tuple(FEATURES),
}


def plant(n_rows: int, seed: int) -> pd.DataFrame:
    """A load that shows in every column: a number, a count, a switch, a site, a day; all of them text as in a file."""
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n_rows)
    day = pd.Timestamp("2024-06-01") + pd.to_timedelta(np.round(100 * load + 3 * rng.normal(size=n_rows)), "D")
    return pd.DataFrame(
        {
            "id": [f"row {i}" for i in range(n_rows)],
            "load": [f"{value:.3f}0" for value in load],
            "heat": [f"{value:.2f}" for value in 20 + 5 * load + 0.2 * rng.normal(size=n_rows)],
            "count": [str(value) for value in rng.poisson(np.exp(3 + 0.5 * load))],
            "on": np.where(load > -0.5, "Yes", "No"),
            "site": np.where(load > 0.5, "north; hall 1", np.where(load < -0.5, 'the "south"', "west")),
            "when": [f"{one:%d/%m/%Y}" for one in day],
            "note": [f'{i}; "noted"' for i in range(n_rows)],
        }
    )


def written(table: pd.DataFrame) -> list[list[str]]:
    """The fields of each line as they stand in the file, quoted where they must be; the names without need."""
    lines = [[f'"{name}"' for name in table.columns]]
    for row in table.itertuples(index=False):
        lines.append([_quoted(value) if ";" in value else value for value in row])
    return lines


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def save(lines: list[list[str]], name: str) -> Path:
    """Semicolons, and line ends as on Windows."""
    path = Path(name)
    path.write_bytes("".join(";".join(fields) + "\r\n" for fields in lines).encode())
    return path


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(name, sep=";", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def own_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plant")
    plant(600, seed=0).to_csv(folder / "normal.csv", index=False, sep=";")
    vaecli.fit(str(folder / "normal.csv"), **SETTINGS).save(folder / "model.vae")
    return folder / "model.vae"


@pytest.fixture
def here(own_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "model.vae").write_bytes(own_bundle.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lines(here: Path) -> list[list[str]]:
    """The lines of new.csv: fresh rows with gaps of three spellings in every feature, and a word never seen."""
    lines = written(plant(N, seed=1))
    rng = np.random.default_rng(2)
    for fields in lines[1:]:
        for j in range(1, 7):
            if rng.random() < 0.12:
                fields[j] = ["", "NA", "?"][rng.integers(3)]
    lines[8][5] = '"moon"'
    save(lines, "new.csv")
    return lines


def is_gap(field: str) -> bool:
    return field in ("", "NA", "?")


# -- impute ---------------------------------------------------------------------------------------


def test_only_the_gaps_change(run, lines):
    """--impute, CSV to CSV: with the filled fields taken out again the output is the input, byte for byte."""
    done = run("reconstruct", "new.csv", "--impute")
    assert (done.code, done.err) == (0, "")
    content = Path("new.imputed.csv").read_bytes().decode()
    after = [line.split(";") for line in content.split("\r\n")]
    table = read("new.imputed.csv")
    n_filled = 0
    for i, fields in enumerate(lines[1:]):
        for j, field in enumerate(fields):
            if is_gap(field):
                value = table.iloc[i, j]
                assert not is_gap(value)
                fields[j] = _quoted(value) if ";" in value or '"' in value else value
                n_filled += 1
    assert n_filled > 200
    assert content == "".join(";".join(fields) + "\r\n" for fields in lines)
    assert len(after) == N + 2  # the header, and the end of the last line


def test_filled_cells_are_in_the_spelling_of_their_column(run, lines):
    """Counts are whole, switches and sites are words of the training table, days are written day/month/year."""
    before = read("new.csv")
    assert run("reconstruct", "new.csv", "--impute").code == 0
    after = read("new.imputed.csv")
    gaps = before.isin(["", "NA", "?"])
    assert after["count"][gaps["count"]].str.fullmatch(r"\d+").all()
    assert set(after["on"][gaps["on"]]) == {"Yes", "No"}
    assert set(after["site"][gaps["site"]]) <= {"north; hall 1", 'the "south"', "west"}
    assert after["when"][gaps["when"]].str.fullmatch(r"\d\d/\d\d/20\d\d").all()
    assert after["heat"][gaps["heat"]].astype(float).between(0, 40).all()
    assert after["site"][7] == "moon"


def test_gaps_are_filled_from_the_rest_of_their_row(run, here):
    """A removed column comes back from the others far better than its mean would."""
    truth = plant(N, seed=3)
    save(written(truth.assign(heat="", on="NA")), "gone.csv")
    assert run("reconstruct", "gone.csv", "--impute").code == 0
    found = read("gone.imputed.csv")
    heat = truth["heat"].astype(float)
    assert np.sqrt(np.mean((found["heat"].astype(float) - heat) ** 2)) < 0.5 * heat.std()
    assert (found["on"] == truth["on"]).mean() > 0.9


def test_the_summary_counts_what_was_filled(run, lines):
    """Cells in all and by column, the new word that was left alone; the page has the same."""
    gaps = read("new.csv")[FEATURES].isin(["", "NA", "?"]).sum()
    summary = json.loads(run("reconstruct", "new.csv", "--impute", "--json").out)
    assert (summary["verb"], summary["impute"], summary["rows"]) == ("reconstruct", True, N)
    assert summary["missing_by_column"] == gaps.to_dict()
    assert (summary["missing_cells"], summary["novel_cells"]) == (gaps.sum(), 1)
    page = re.sub(r" +", " ", run("reconstruct", "new.csv", "--impute").out)
    assert page.startswith("Imputed\n")
    assert f" filled {gaps.sum()} cells: " in page
    assert "1 cell with a value that training never saw, left as they are" in page


def test_a_table_without_gaps_is_copied(run, here):
    """Nothing missing, nothing changed: the same bytes, and the page reports it."""
    save(written(plant(20, seed=4)), "full.csv")
    done = run("reconstruct", "full.csv", "--impute")
    assert Path("full.imputed.csv").read_bytes() == Path("full.csv").read_bytes()
    assert "no cell is missing" in done.out


def test_missing_cells_of_other_columns_stay(run, here):
    """What is not modelled is not filled."""
    save(written(plant(20, seed=4).assign(note="", heat="")), "gaps.csv")
    assert run("reconstruct", "gaps.csv", "--impute").code == 0
    found = read("gaps.imputed.csv")
    assert set(found["note"]) == {""}
    assert "" not in set(found["heat"])


# -- reconstruct ----------------------------------------------------------------------------------


def test_every_feature_becomes_its_expectation(run, lines):
    """Without --impute all features are those of the model, near the true ones; other columns keep their bytes."""
    done = run("reconstruct", "new.csv")
    assert (done.code, done.err) == (0, "")
    before, after = read("new.csv"), read("new.reconstructed.csv")
    assert list(after.columns) == NAMES
    content = Path("new.reconstructed.csv").read_bytes().split(b"\r\n")
    for fields, line in zip(lines, content, strict=False):
        assert line.startswith(fields[0].encode() + b";")
        assert line.endswith(b";" + fields[7].encode())
    there = ~before["heat"].isin(["", "NA", "?"])
    assert not after[FEATURES].isin(["", "NA", "?"]).any(axis=None)
    assert (after["heat"] != before["heat"]).mean() > 0.9
    truth = before["heat"][there].astype(float)
    assert np.corrcoef(after["heat"][there].astype(float), truth)[0, 1] > 0.9
    assert after["site"][7] in {"north; hall 1", 'the "south"', "west"}


def test_text_becomes_parquet_with_types(run, lines):
    """CSV to Parquet: numbers are float64, all else is text."""
    assert run("reconstruct", "new.csv", "--impute", "-o", "out.parquet").code == 0
    table = pq.read_table("out.parquet")
    assert table.schema.names == NAMES
    assert [table.schema.field(name).type for name in ("load", "count", "site")] == [
        pa.float64(),
        pa.float64(),
        pa.string(),
    ]
    assert table.column("heat").null_count == 0
    assert run("reconstruct", "new.csv", "--impute").code == 0
    np.testing.assert_array_equal(table.column("heat").to_numpy(), read("new.imputed.csv")["heat"].astype(float))


# -- typed tables ---------------------------------------------------------------------------------


def typed(table: pd.DataFrame, gaps: bool = True) -> pa.Table:
    """The plant's table as Arrow: integers, a boolean, a dictionary, dates, with gaps."""
    day = pd.to_datetime(table["when"], format="%d/%m/%Y")
    arrow = pa.table(
        {
            "id": pa.array(table["id"]),
            "load": pa.array(table["load"].astype(float), pa.float32()),
            "heat": pa.array(table["heat"].astype(float)),
            "count": pa.array(table["count"].astype(int), pa.int16()),
            "on": pa.array(table["on"] == "Yes"),
            "site": pa.array(table["site"]).dictionary_encode(),
            "when": pa.array(day, pa.timestamp("us")),
            "note": pa.array(table["note"]),
        }
    )
    if not gaps:
        return arrow
    rng = np.random.default_rng(7)
    for j in range(1, 7):
        field, column = arrow.schema.field(j), arrow.column(j).combine_chunks()
        arrow = arrow.set_column(j, field, column.take(pa.array(np.arange(len(column)), mask=rng.random(N) < 0.1)))
    return arrow


def test_a_typed_table_keeps_its_types(run, here):
    """Parquet to Parquet: the same schema, no gap left, and every value that was there."""
    table = typed(plant(N, seed=5))
    pq.write_table(table, "new.parquet")
    assert run("reconstruct", "new.parquet", "--impute").code == 0
    found = pq.read_table("new.imputed.parquet")
    assert found.schema.equals(pq.read_schema("new.parquet"))
    for name in NAMES:
        before, after = table.column(name).to_pylist(), found.column(name).to_pylist()
        assert None not in after
        assert all(b is None or a == b for a, b in zip(after, before, strict=True)), name
    assert set(found.column("site").to_pylist()) <= {"north; hall 1", 'the "south"', "west"}
    assert run("reconstruct", "new.parquet").code == 0
    assert pq.read_schema("new.reconstructed.parquet").equals(found.schema)


def test_a_column_of_nulls_without_a_type_is_refused(run, here):
    """A Parquet column of the type null can hold no value: the message names which, and nothing is written."""
    table = typed(plant(N, seed=5), gaps=False)
    table = table.set_column(2, "heat", pa.nulls(N))
    pq.write_table(table, "new.parquet")
    done = run("reconstruct", "new.parquet", "--impute")
    assert (done.code, done.err.count("\n")) == (4, 2)
    assert "column 'heat' has the type null" in done.err
    assert not Path("new.imputed.parquet").exists()


# -- promises -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["--impute"]], ids=["all", "impute"])
@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_workers_and_batches_change_no_byte(
    run, here, extension: str, words: list[str], monkeypatch: pytest.MonkeyPatch
):
    """The same output for 1, 2 and 4 workers, and however many rows they hold at a time."""
    monkeypatch.setattr(delimited, "SMALLEST_BLOCK_BYTES", 4_000)
    monkeypatch.setattr(tiles, "TILE_ROWS", 128)
    monkeypatch.setattr(parquet_rows, "_SECTION_ROWS", 64)
    table = typed(plant(N, seed=6))
    pq.write_table(table, "new.parquet", row_group_size=90)
    plain = table.to_pandas()
    plain["when"] = plain["when"].dt.strftime("%d/%m/%Y")
    plain["count"] = plain["count"].astype("Int64")
    plain.to_csv("new.csv", index=False)
    found = set()
    for workers, batch_rows in ((1, 16_384), (2, 100), (4, 33)):
        running = ["--workers", str(workers), "--batch-rows", str(batch_rows)]
        done = run("reconstruct", f"new.{extension}", *words, *running, "-o", f"out.{extension}", "--quiet")
        assert (done.code, done.err) == (0, "")
        found.add(Path(f"out.{extension}").read_bytes())
    assert len(found) == 1


def test_an_imputed_table_can_be_scored(run, lines):
    """What comes out is a table of the same kind: `score` reads it, and imputing again changes nothing."""
    assert run("reconstruct", "new.csv", "--impute").code == 0
    assert run("score", "new.imputed.csv").code == 0
    assert run("reconstruct", "new.imputed.csv", "--impute", "-o", "again.csv").code == 0
    assert Path("again.csv").read_bytes() == Path("new.imputed.csv").read_bytes()


def test_rows_on_standard_output(run, lines):
    """-o - writes the table to standard output and the summary to standard error."""
    assert run("reconstruct", "new.csv", "--impute", "--quiet").code == 0
    done = run("reconstruct", "new.csv", "--impute", "-o", "-")
    assert done.code == 0
    assert done.out.splitlines() == Path("new.imputed.csv").read_text().splitlines()
    assert done.err.startswith("Imputed")


def test_a_gap_in_a_table_of_one_column_is_an_empty_line(run, here, tmp_path: Path):
    """Where a line is one field, a blank line is filled too."""
    rng = np.random.default_rng(0)
    values = rng.normal(5, 1, 300)
    pd.DataFrame({"x": values}).to_csv("one.csv", index=False)
    vaecli.fit("one.csv", **{**SETTINGS, "columns.columns": ("x",), "train.max_steps": 20}).save(Path("one.vae"))
    Path("gap.csv").write_text("x\n5.25\n\n4.75\n")
    assert run("reconstruct", "gap.csv", "-m", "one.vae", "--impute").code == 0
    first, filled, last = Path("gap.imputed.csv").read_text().splitlines()[1:]
    assert (first, last) == ("5.25", "4.75")
    assert 3 < float(filled) < 7


def test_the_stage_is_named(run, lines):
    """--verbose reports each stage on standard error."""
    assert "imputing" in run("reconstruct", "new.csv", "--impute", "--verbose").err
    assert "reconstructing" in run("reconstruct", "new.csv", "--verbose").err
