"""The verbs as their contract meets them: one row of `VERBS` each, with its words, its outputs and its mistakes.

`Verb.command` makes the words of a command line that succeeds in the folder of the fixture `place`, where `TABLES`
lists what a table may be called.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import sensor_table

FEATURES = ("pressure", "flow", "temperature", "pump_on", "mode", "starts", "built")
N_ROWS = 300
BROKEN_ROW = 150


def machine_table(seed: int) -> pd.DataFrame:
    """N_ROWS rows with every kind of column, gaps, text that has to be quoted, and a label of rows that are anomalous.

    `fault` (0 or 1) marks every twenty-fifth row, whose pressure is too high; neither it nor `note` is a feature.
    """
    rng = np.random.default_rng(seed)
    table = sensor_table(N_ROWS, seed)
    table["starts"] = rng.poisson(20, N_ROWS)
    table["built"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 5000, N_ROWS), "h")
    table["note"] = [f'line\n{i}, "quoted"' if i % 50 == 0 else f"note {i}" for i in range(N_ROWS)]
    table["fault"] = (np.arange(N_ROWS) % 25 == 0).astype(int)
    table.loc[table["fault"] == 1, "pressure"] += 30
    return table


def broken(table: pd.DataFrame) -> pd.DataFrame:
    """A cell in the middle that is not a number."""
    table = table.drop(columns="note").astype({"flow": object})
    table.loc[BROKEN_ROW - 1, "flow"] = "broken"
    return table


TABLES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "new": lambda table: table,
    "broken": broken,
    "empty": lambda table: table[:0],
    "few": lambda table: table[:19],
    "narrow": lambda table: table.drop(columns="flow"),
    "short": lambda table: table[:3].drop(columns="fault"),
    "minus": lambda table: table.assign(fault=-table["fault"]),
    "lists": lambda table: table.assign(lists=[[1]] * len(table)),
    "wide": lambda table: pd.concat([table] * 4).assign(id=np.arange(4 * len(table)).astype(str)),
    "taken": lambda table: table.assign(z1=1, p_value=1, top_columns="mine"),
}


def write_table(table: pd.DataFrame, path: Path) -> None:
    """As CSV, or as Parquet with a dictionary column and row groups that end in the middle of a batch."""
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
        return
    if table["flow"].dtype == object:
        table = table.astype({"flow": str})
    pq.write_table(
        pa.Table.from_pandas(table.astype({"mode": "category"}), preserve_index=False), path, row_group_size=70
    )


@dataclass(frozen=True)
class Mistake:
    """Words that follow a command line that would succeed, or with `whole` all words after the verb.

    With `listed` the problem stands on a line of its own between error and hint."""

    words: str
    code: int
    names: str
    whole: bool = False
    listed: bool = False


@dataclass(frozen=True)
class Verb:
    """A verb and what its contract needs to know of it.

    Each of `lines` holds the words after the verb, with {table} for the input; the first is the usual one. `outputs`
    are the extensions that are written, none for a verb that only prints. `stages` are what --verbose names. `shared`
    is what cannot go to standard output beside --json.
    """

    name: str
    lines: tuple[str, ...]
    outputs: tuple[str, ...]
    stages: tuple[str, ...]
    shared: str
    mistakes: tuple[Mistake, ...] = ()
    reads_rows: bool = True
    fits: bool = False

    @property
    def streams(self) -> bool:
        """Whether it reads a table through a bundle, with workers and batches."""
        return self.reads_rows and not self.fits

    def command(self, line: int = 0, table: str = "new.csv", output: str | None = None) -> list[str]:
        """The words of a command line that succeeds; `output` is by default out. with the first extension."""
        words = [self.name, *shlex.split(self.lines[line].format(table=table))]
        return [*words, "-o", output or f"out.{self.outputs[0]}"] if self.outputs else words

    def all_mistakes(self) -> tuple[Mistake, ...]:
        """Its own, and those that every verb with such an option answers the same."""
        known = [Mistake("--no-such", 2, "--no-such")]
        if self.outputs:
            known += [
                Mistake("--quiet --verbose", 2, "--quiet and --verbose contradict"),
                Mistake("-o new.csv", 2, "new.csv: is the input itself"),
                Mistake("-o ./new.csv", 2, "new.csv: is the input itself"),
                Mistake("-o no/such/out.csv", 2, "no/such/out.csv: no such directory"),
                Mistake("-o folder", 2, "folder: is a directory"),
                Mistake("-o - --json", 2, self.shared),
            ]
        if self.reads_rows:
            known.append(Mistake(self.lines[0].format(table="none.csv"), 4, "none.csv: no such file", whole=True))
        if self.streams:
            known += [
                Mistake("-o ''", 2, "-o names no file: its value is empty"),
                Mistake("-o model.vae", 2, "model.vae: is the bundle itself"),
                Mistake("-m other.vae", 5, "other.vae: there is no such bundle"),
                Mistake("--workers 0", 2, "--workers 0 is not between 1 and 1024"),
                Mistake("--workers -1", 2, "--workers -1 is not between 1 and 1024"),
                Mistake("--workers two", 2, "--workers 'two' is not a whole number"),
                Mistake("--workers 1.5", 2, "--workers '1.5' is not a whole number"),
                Mistake("--batch-rows 0", 2, "--batch-rows 0 is not between 1 and"),
                Mistake(self.lines[0].format(table="narrow.csv"), 4, "'flow'", whole=True, listed=True),
            ]
        return (*known, *self.mistakes)


DECIDING = (
    Mistake("--threshold 99", 2, "--threshold 99"),
    Mistake("--threshold 2", 2, "--threshold 2"),
    Mistake("--threshold 0.9 --min-score 3", 2, "--threshold and --min-score both decide"),
    Mistake("--score-kind magic", 2, "--score-kind 'magic' is not one of"),
)
DRAWING = (
    Mistake("--plot p.pdf", 2, "--plot p.pdf: neither a .png nor a .svg"),
    Mistake("--plot no/such/p.png", 2, "no such directory"),
    Mistake("--plot new.csv", 2, "new.csv: is the input itself"),
    Mistake("--plot model.vae", 2, "model.vae: is the bundle itself"),
    Mistake("--plot out.csv", 2, "out.csv: is the file of -o itself"),
)
NOT_A_TABLE = Mistake("-o out.xlsx", 2, "out.xlsx: .xlsx files are not written")
NO_INPUT = Mistake("", 2, "INPUT", whole=True)
SEED = Mistake("--seed -1", 2, "--seed -1")

VERBS = (
    Verb(
        "fit",
        (f"{{table}} --columns {','.join(FEATURES)} --config quick.toml",),
        outputs=("vae",),
        stages=("reading", "training", "calibrating", "elbo"),
        shared="a bundle cannot go to standard output",
        fits=True,
        mistakes=(
            NO_INPUT,
            SEED,
            *DECIDING[:2],
            DECIDING[3],
            Mistake("new.csv --same-unit flw --config quick.toml", 2, "--same-unit 'flw'", whole=True, listed=True),
        ),
    ),
    Verb(
        "check",
        ("{table} --fail-share 0.2",),
        outputs=("csv", "parquet"),
        stages=("checking",),
        shared="--json and the comparisons cannot share standard output",
        mistakes=(
            NO_INPUT,
            NOT_A_TABLE,
            Mistake("--expect-rows many", 2, "--expect-rows 'many' is not MIN..MAX"),
            Mistake("--expect-rows 9..1", 2, "--expect-rows '9..1' is not MIN..MAX"),
            Mistake("--warn-distance -1", 2, "--warn-distance -1 is not between 0 and 10"),
            Mistake("--fail-distance 0.01", 2, "--warn-distance is above --fail-distance"),
            Mistake("--warn-share 0.5", 2, "--warn-share is above --fail-share"),
            Mistake("--config none.toml", 2, "none.toml"),
        ),
    ),
    Verb(
        "score",
        ("{table}", "{table} --anomalies-only", "{table} --explain 2"),
        outputs=("csv", "parquet"),
        stages=("scoring",),
        shared="--json and the scored table cannot share standard output",
        mistakes=(
            NO_INPUT,
            *DECIDING,
            *DRAWING,
            NOT_A_TABLE,
            *(Mistake(f"--explain {wrong}", 2, f"--explain {wrong} is not ") for wrong in ("-1", "1001")),
            *(Mistake(f"--explain {wrong}", 2, f"--explain '{wrong}' is not ") for wrong in ("two", "1.5")),
            Mistake("taken.csv --explain 2", 2, "already has", whole=True),
        ),
    ),
    Verb(
        "explain",
        ("{table} --threshold 0.95",),
        outputs=("csv", "parquet"),
        stages=("explaining",),
        shared="--json and the reasons cannot share standard output",
        mistakes=(
            NO_INPUT,
            *DECIDING,
            *DRAWING,
            NOT_A_TABLE,
            *(Mistake(f"--row '{wrong}'", 2, "--row") for wrong in ("0", "-3", "x", "1.5", "1,,2", "")),
            Mistake("--row 301", 2, "--row 301: new.csv has 300 rows"),
            Mistake("--row 3,99999999999999999999", 2, "--row 99999999999999999999: new.csv has 300 rows"),
            Mistake("--top 0", 2, "--top 0"),
            Mistake("--top -1", 2, "--top -1"),
            Mistake("--top three", 2, "--top 'three'"),
            Mistake("--most 0", 2, "--most 0"),
            Mistake("--most 1001", 2, "--most 1001"),
        ),
    ),
    Verb(
        "evaluate",
        ("{table} --label fault", "{table} --label fault --group mode"),
        outputs=("csv", "parquet"),
        stages=("scoring",),
        shared="--json and the figures cannot share standard output",
        mistakes=(
            NO_INPUT,
            *DECIDING,
            *DRAWING,
            NOT_A_TABLE,
            SEED,
            Mistake("new.csv", 2, "no column is named that marks the anomalies", whole=True),
            Mistake("new.csv --label falt", 2, "--label 'falt' (did you mean 'fault'?)", whole=True),
            Mistake("new.csv --label pump_on", 2, "--label 'pump_on' is a feature of the model", whole=True),
            Mistake("--group mod", 2, "--group 'mod' (did you mean 'mode'?)"),
            Mistake("--group fault", 2, "named by --label and --group"),
            Mistake("--baselines normal.csv -o normal.csv", 2, "is the table of --baselines itself"),
            Mistake("--baselines new.csv", 2, "is the table to be evaluated"),
            Mistake("--baselines -", 2, "not standard input"),
            Mistake("--baselines none.csv", 4, "none.csv"),
            Mistake("--baselines short.csv", 2, "3 normal rows; at least 8"),
            Mistake("--baselines empty.csv", 4, "there are no normal rows"),
            Mistake("--bootstrap -1", 2, "--bootstrap -1 is not between 0 and 100000"),
            Mistake("--bootstrap many", 2, "--bootstrap 'many' is not a whole number"),
            Mistake("empty.csv --label fault", 4, "there are no rows", whole=True),
            Mistake("minus.csv --label fault", 4, "holds '-1'", whole=True, listed=True),
            Mistake("wide.csv --label fault --group id", 2, "more than 1,000 different values", whole=True),
            Mistake("lists.parquet --label fault --group lists", 2, "--group 'lists' holds list", whole=True),
            Mistake("lists.parquet --label lists", 4, "column 'lists' holds", whole=True, listed=True),
        ),
    ),
    Verb(
        "selftest",
        ("{table} --rows 100",),
        outputs=("csv", "parquet"),
        stages=("drawing rows", "injecting faults"),
        shared="--json and the shares cannot share standard output",
        mistakes=(
            NO_INPUT,
            *DECIDING,
            *DRAWING,
            NOT_A_TABLE,
            SEED,
            Mistake("--faults spike,earthquake", 2, "--faults 'earthquake' is not one of spike, shift"),
            Mistake("--rows 19", 2, "--rows 19 is not between 20 and 100000"),
            Mistake("--rows many", 2, "--rows 'many' is not a whole number"),
            Mistake("empty.csv", 4, "too few normal rows, 0; at least 20 are needed", whole=True),
            Mistake("few.csv", 4, "too few normal rows, 19; at least 20 are needed", whole=True),
            Mistake("--min-score -1000", 4, "too few rows that are not flagged as they are, 0"),
        ),
    ),
    Verb(
        "encode",
        ("{table}", "{table} --keep", "{table} --dims 2 --spreads"),
        outputs=("csv", "parquet"),
        stages=("encoding",),
        shared="--json and the coordinates cannot share standard output",
        mistakes=(
            NO_INPUT,
            *(Mistake(f"--dims 2 {one.words}", one.code, one.names) for one in DRAWING),
            NOT_A_TABLE,
            Mistake("--dims 3", 2, "--dims 3: the codes of this bundle have 2 dimensions"),
            Mistake("--dims 0", 2, "--dims 0 is not between 1 and 512"),
            Mistake("--dims two", 2, "--dims 'two' is not a whole number"),
            Mistake("taken.csv --keep", 2, "already has a column 'z1'", whole=True),
            Mistake("--plot p.png", 2, "--plot draws a map of two dimensions"),
            Mistake("--plot p.png --dims 1", 2, "--plot draws a map of two dimensions"),
            Mistake("--color mode --dims 2", 2, "--color colours a picture"),
            Mistake("--color mod --dims 2 --plot p.png", 2, "has no column 'mod'"),
            Mistake("--map umap", 2, "--map names a kind of map"),
            Mistake("--map tsne --dims 2", 2, "--map 'tsne' is not one of pca, umap"),
            Mistake("--map umap --dims 2 --spreads", 2, "--spreads: a UMAP map has none"),
        ),
    ),
    Verb(
        "reconstruct",
        ("{table}", "{table} --impute"),
        outputs=("csv", "parquet"),
        stages=("reconstructing",),
        shared="--json and the table cannot share standard output",
        mistakes=(NO_INPUT, NOT_A_TABLE),
    ),
    Verb(
        "sample",
        ("--like {table} -n 5", "-n 1000"),
        outputs=("csv", "parquet", "tsv", "csv.gz"),
        stages=("sampling",),
        shared="--json and the rows cannot share standard output",
        mistakes=(
            NOT_A_TABLE,
            SEED,
            Mistake("-n 0", 2, "--rows 0 is not between 1 and"),
            Mistake("-n many", 2, "--rows 'many' is not a whole number"),
            Mistake("-o rows.png", 2, "rows.png: a table is not a picture"),
        ),
    ),
    Verb(
        "report",
        ("{table}",),
        outputs=("html",),
        stages=("scoring", "explaining"),
        shared="--json and the page cannot share standard output",
        mistakes=(NO_INPUT, *DECIDING),
    ),
    Verb(
        "calibrate",
        ("model.vae {table}", "model.vae {table} --by mode"),
        outputs=("vae",),
        stages=("scoring",),
        shared="--json and the bundle cannot share standard output",
        fits=True,
        mistakes=(
            Mistake("model.vae", 2, "INPUT", whole=True),
            *DECIDING[:2],
            Mistake("other.vae new.csv", 5, "other.vae: there is no such bundle", whole=True),
            Mistake("model.vae narrow.csv", 4, "'flow'", whole=True, listed=True),
            Mistake("model.vae empty.csv", 4, "empty.csv: there are no rows", whole=True),
            Mistake("--by mod", 2, "--by 'mod' (did you mean 'mode'?)"),
        ),
    ),
    Verb(
        "inspect",
        ("model.vae",),
        outputs=(),
        stages=(),
        shared="",
        reads_rows=False,
        mistakes=(
            Mistake("other.vae", 5, "other.vae: there is no such bundle", whole=True),
            Mistake("more.vae", 2, "more.vae"),
        ),
    ),
)
