"""Bad inputs through the real command line: the right code, a message that names the place, and no files left over."""

from __future__ import annotations

import gzip
import io
import json
import os
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vaecli
from tests.cli.messages import assert_is_a_message, contents
from vaecli.bundle import FORMAT, read_bundle, write_bundle

HEADER = "pressure,flow,temperature,pump_on,mode"
EARLIER = b"an earlier output\n"
N_HALF = 100_000

unless_root = pytest.mark.skipif(os.geteuid() == 0, reason="root may do anything")
unless_gpu = pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there may be a CUDA device")

Content = bytes | Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A command line in a folder of `files` (beside a good table and a good bundle), and how it must fail."""

    words: str
    code: int
    says: tuple[str, ...]
    files: Mapping[str, Content]


def fails(
    id: str, words: str, code: int, *says: str, marks: tuple[pytest.MarkDecorator, ...] = (), **files: Content
) -> object:
    """`files` are named as keywords, `bad_csv` for bad.csv."""
    named = {name.replace("_", "."): content for name, content in files.items()}
    return pytest.param(Case(words, code, says, named), id=id, marks=marks)


# -- tables ---------------------------------------------------------------------------------------


def line(i: int) -> str:
    mode = ("eco", "normal", "boost")[i % 4 % 3]
    return f"{5 + i % 7 / 10},{100 + i % 11},{60 + i % 5},{'yes' if i % 3 else 'no'},{mode}"


def csv(n_rows: int = 40, changed: Mapping[int, str] | None = None, header: str = HEADER) -> bytes:
    """A table of `n_rows` rows; `changed` replaces whole lines, numbered as in the file."""
    lines = [header, *(line(i) for i in range(n_rows))]
    for number, text in (changed or {}).items():
        lines[number - 1] = text
    return ("\n".join(lines) + "\n").encode()


def with_column(name: str, values: Callable[[int], object], n_rows: int = 40) -> bytes:
    """The table with one more column."""
    rows = [f"{line(i)},{values(i)}" for i in range(n_rows)]
    return "\n".join([f"{HEADER},{name}", *rows, ""]).encode()


def columns(n_rows: int = 40, **values: Callable[[int], object]) -> bytes:
    """A table of these columns only."""
    rows = [",".join(str(value(i)) for value in values.values()) for i in range(n_rows)]
    return "\n".join([",".join(values), *rows, ""]).encode()


def parquet(**changed: pa.Array) -> Callable[[Path], None]:
    """The table as Parquet, with columns replaced."""

    def write(path: Path) -> None:
        table = {
            "pressure": pa.array([5 + i % 7 / 10 for i in range(40)]),
            "flow": pa.array([100.0 + i % 11 for i in range(40)]),
            "temperature": pa.array([60.0 + i % 5 for i in range(40)]),
            "pump_on": pa.array(["yes" if i % 3 else "no" for i in range(40)]),
            "mode": pa.array(["eco" if i % 2 else "normal" for i in range(40)]),
        }
        pq.write_table(pa.table(table | changed), path)

    return write


def cut(write: Callable[[Path], None], share: float) -> Callable[[Path], None]:
    """What `write` writes, cut short."""

    def write_part(path: Path) -> None:
        write(path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])

    return write_part


def nested(path: Path) -> None:
    pq.write_table(pa.table({"tags": [["a"], ["b", "c"]] * 20, "place": [{"x": 1}, {"x": 2}] * 20}), path)


def folder(path: Path) -> None:
    path.mkdir()


def folder_of_csv(path: Path) -> None:
    path.mkdir()
    (path / "a.csv").write_bytes(csv())


def unreadable(path: Path) -> None:
    path.write_bytes(csv())
    path.chmod(0)


def locked(path: Path) -> None:
    path.mkdir(mode=0o500)


def link(path: Path) -> None:
    path.symlink_to("normal.csv")


def scribbled(write: Callable[[Path], None]) -> Callable[[Path], None]:
    """What `write` writes, its first pages overwritten."""

    def write_over(path: Path) -> None:
        write(path)
        whole = path.read_bytes()
        path.write_bytes(whole[:4] + b"\xff" * 400 + whole[404:])

    return write_over


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "content")
    return file.getvalue()


# -- bundles --------------------------------------------------------------------------------------

Damage = Callable[[Path], None]


def damaged(change: Callable[[bytes], bytes]) -> Damage:
    """The good bundle, with its bytes changed."""
    return lambda path: void(path.write_bytes(change(good_bundle(path).read_bytes())))


def replace_cells(change: Callable[[dict[str, np.ndarray]], None], **manifest: object) -> Damage:
    """The good bundle, written again with other arrays or another manifest: every digest is right."""

    def write(path: Path) -> None:
        told, arrays = read_bundle(good_bundle(path))
        change(arrays)
        write_bundle(path, replace(told, **manifest), arrays)  # type: ignore[arg-type]

    return write


def good_bundle(path: Path) -> Path:
    return path.with_name("model.vae")


def void(_: object) -> None:
    return None


def keep(arrays: dict[str, np.ndarray]) -> None:
    """Change nothing."""


def drop_noise(arrays: dict[str, np.ndarray]) -> None:
    del arrays["homoscedastic/noise"]


def cut_weights(arrays: dict[str, np.ndarray]) -> None:
    name = next(name for name in arrays if "/network/" in name and arrays[name].ndim == 3)
    arrays[name] = arrays[name][:, :-1]


def poison_weights(arrays: dict[str, np.ndarray]) -> None:
    name = next(name for name in arrays if "/network/" in name)
    arrays[name] = np.full_like(arrays[name], np.nan)


def shuffle_calibration(arrays: dict[str, np.ndarray]) -> None:
    arrays["calibration/elbo.scores"] = arrays["calibration/elbo.scores"][::-1].copy()


def flip_middle(whole: bytes) -> bytes:
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


# -- the table of bad inputs ----------------------------------------------------------------------

FIT = [
    fails("empty-file", "fit bad.csv -o out.vae", 4, "bad.csv: the file is empty", bad_csv=b""),
    fails("blank-file", "fit bad.csv -o out.vae", 4, "bad.csv: the file is empty", bad_csv=b"\n \n"),
    fails("header-only", "fit bad.csv -o out.vae", 4, "bad.csv: there are no rows", bad_csv=csv(0)),
    fails(
        "too-many-fields",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 17: 6 fields, the header has 5",
        "quote fields that hold the delimiter",
        bad_csv=csv(changed={17: line(3) + ",surplus"}),
    ),
    fails(
        "too-few-fields",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 17: 2 fields, the header has 5",
        bad_csv=csv(changed={17: "5,100"}),
    ),
    fails(
        "ragged-rows-all-listed",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv: 2 rows",
        "line 17: 2 fields, the header has 5",
        "line 30: 3 fields, the header has 5",
        bad_csv=csv(changed={17: "5,100", 30: "5,100,60"}),
    ),
    fails(
        "nul-byte",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 9: a NUL byte",
        bad_csv=csv(changed={9: "5\0,1,2,no,eco"}),
    ),
    fails(
        "invalid-utf-8",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 9",
        "0xe9",
        "not UTF-8",
        "iconv -f WINDOWS-1252",
        bad_csv=csv(changed={9: "5,100,60,no,X"}).replace(b"X", b"\xe9co"),
    ),
    fails(
        "invalid-utf-8-in-the-header",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 1: byte 0xe9 in the header is not UTF-8",
        bad_csv=b"temp\xe9rature,b\n1,2\n",
    ),
    fails(
        "utf-16",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv: UTF-16 text, not UTF-8",
        "iconv -f UTF-16",
        bad_csv=csv().decode().encode("utf-16"),
    ),
    fails(
        "duplicate-header",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 1: 'flow' is given 2 times",
        bad_csv=csv(header="pressure,flow,flow,pump_on,mode"),
    ),
    fails(
        "header-without-a-name",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 1: column 1 has no name",
        "to_csv(index=False)",
        bad_csv=csv(header=",flow,temperature,pump_on,mode"),
    ),
    fails(
        "unclosed-quote",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 9: a quote opens here and does not close",
        bad_csv=csv(changed={9: '5,100,60,no,"eco'}),
    ),
    fails(
        "old-macintosh-line-ends",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 1: a carriage return without a line feed",
        bad_csv=csv().replace(b"\n", b"\r"),
    ),
    fails(
        "wrong-type-half-way",
        "fit bad.csv -o out.vae",
        4,
        f"bad.csv, line {N_HALF}: column 'flow' holds numbers, not 'lots'",
        "--exclude flow",
        bad_csv=lambda path: void(path.write_bytes(csv(2 * N_HALF, {N_HALF: "5,lots,60,no,eco"}))),
    ),
    fails(
        "wrong-type-half-way-through-a-million-rows",
        "fit bad.csv -o out.vae",
        4,
        f"bad.csv, line {5 * N_HALF}: column 'flow' holds numbers, not 'lots'",
        bad_csv=lambda path: void(path.write_bytes(csv(10 * N_HALF, {5 * N_HALF: "5,lots,60,no,eco"}))),
        marks=(pytest.mark.slow,),
    ),
    fails(
        "all-missing-column-only",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv: no column is left to learn from",
        "'a': no row has a value",
        bad_csv=columns(a=lambda i: "NA"),
    ),
    fails(
        "all-columns-constant",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv: no column is left to learn from",
        "'a': every row has the same value",
        "'b': every row has the same value",
        "columns that vary",
        bad_csv=columns(a=lambda i: 1, b=lambda i: "x"),
    ),
    fails(
        "only-identifiers",
        "fit bad.csv -o out.vae",
        4,
        "'serial': every value is different, so it names the row",
        "'n': it counts the rows",
        bad_csv=columns(60, serial=lambda i: f"pump-{i}", n=lambda i: i),
    ),
    fails("one-row", "fit bad.csv -o out.vae", 4, "bad.csv: there is one row only", bad_csv=csv(1)),
    fails("two-rows", "fit bad.csv -o out.vae", 4, "bad.csv: 2 normal rows; at least 8 are needed", bad_csv=csv(2)),
    fails("seven-rows", "fit bad.csv -o out.vae", 4, "bad.csv: 7 normal rows; at least 8 are needed", bad_csv=csv(7)),
    *(
        fails(
            f"unknown-column-in{option}",
            f"fit normal.csv {option} presure -o out.vae",
            2,
            "normal.csv has no such columns",
            f"{option} 'presure' (did you mean 'pressure'?)",
            "its columns are pressure, flow",
        )
        for option in ("--columns", "--exclude", "--label", "--id", "--time", "--group")
    ),
    fails(
        "unknown-columns-all-listed",
        "fit normal.csv --exclude flw,nothing --id mod -o out.vae",
        2,
        "--exclude 'flw' (did you mean 'flow'?)",
        "--exclude 'nothing'\n",
        "--id 'mod' (did you mean 'mode'?)",
    ),
    fails(
        "label-marks-every-row",
        "fit bad.csv --label failed -o out.vae",
        4,
        "bad.csv: 0 normal rows (--label marks 40 of 40 as anomalies); at least 8 are needed",
        bad_csv=with_column("failed", lambda i: 1),
    ),
    fails(
        "label-of-unclear-words",
        "fit bad.csv --label state -o out.vae",
        4,
        "bad.csv, line 2: column 'state' holds 'green'",
        "bad.csv, line 3: column 'state' holds 'red'",
        "write 0 and 1",
        bad_csv=with_column("state", lambda i: ("green", "red")[i % 2]),
    ),
    fails(
        "label-of-minus-one",
        "fit bad.csv --label state -o out.vae",
        4,
        "bad.csv, line 3: column 'state' holds",
        "-1",
        bad_csv=with_column("state", lambda i: (1, -1)[i % 2]),
    ),
    fails(
        "group-of-one-value",
        "fit bad.csv --group site -o out.vae",
        4,
        "bad.csv: group column 'site' has one value only",
        "leave out --group",
        bad_csv=with_column("site", lambda i: "north"),
    ),
    fails(
        "time-that-is-text",
        "fit normal.csv --time mode -o out.vae",
        4,
        "normal.csv",
        "--time 'mode': it holds neither dates nor numbers",
    ),
    fails(
        "one-column-in-two-parts",
        "fit normal.csv --id mode --group mode --columns flow --exclude flow -o out.vae",
        2,
        "column 'mode' is named by --group and --id",
        "column 'flow' is named by --columns and --exclude",
    ),
    fails(
        "bad-date-among-dates",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv, line 17: column 'day' holds dates, not 'tomorrow'",
        bad_csv=columns(
            40, flow=lambda i: i % 7, day=lambda i: "tomorrow" if i == 15 else f"2026-05-{i * 7 % 28 + 1:02}"
        ),
    ),
    fails(
        "bad-date-in-time",
        "fit bad.csv --time day -o out.vae",
        4,
        "bad.csv, line 17: column 'day' holds dates, not 'tomorrow'",
        bad_csv=columns(
            40, flow=lambda i: i % 7, day=lambda i: "tomorrow" if i == 15 else f"2026-05-{i * 7 % 28 + 1:02}"
        ),
    ),
    fails("missing-file", "fit nowhere.csv -o out.vae", 4, "nowhere.csv: no such file"),
    fails(
        "directory-as-file",
        "fit data -o out.vae",
        4,
        "data: a directory without Parquet files",
        "'data/*.csv'",
        data=folder_of_csv,
    ),
    fails("file-as-directory", "fit normal.csv/x.csv -o out.vae", 4, "normal.csv/x.csv"),
    fails("glob-of-nothing", "fit 2026-*.csv -o out.vae", 4, "2026-*.csv: the pattern matches no file"),
    fails(
        "unreadable-file",
        "fit bad.csv -o out.vae",
        4,
        "bad.csv: permission denied",
        bad_csv=unreadable,
        marks=(unless_root,),
    ),
    fails("input-without-a-name", "fit '' -o out.vae", 2, "an input has an empty name"),
    fails("unknown-url-scheme", "fit gopher://host/a.csv -o out.vae", 2, "gopher://host/a.csv", "s3://"),
    fails(
        "excel-workbook",
        "fit bad.xlsx -o out.vae",
        4,
        "bad.xlsx: a zip archive or an Excel workbook",
        "save the sheet as CSV",
        bad_xlsx=zipped("[Content_Types].xml"),
    ),
    fails("zip-archive", "fit bad.zip -o out.vae", 4, "bad.zip: a zip archive", bad_zip=zipped("a.csv")),
    fails(
        "picture",
        "fit bad.png -o out.vae",
        4,
        "bad.png: a picture",
        bad_png=b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40),
    ),
    fails(
        "json-lines",
        "fit bad.json -o out.vae",
        4,
        "bad.json: JSON is not read",
        "convert it to CSV or Parquet",
        bad_json=b'{"a": 1, "b": 2}\n' * 30,
    ),
    fails(
        "truncated-gzip",
        "fit bad.csv.gz -o out.vae",
        4,
        "bad.csv.gz: cannot be read",
        "check that the file is whole",
        bad_csv_gz=gzip.compress(csv(5000), mtime=0)[:-2000],
    ),
    fails(
        "gzip-of-nothing-gzipped",
        "fit bad.csv.gz -o out.vae",
        4,
        "bad.csv.gz",
        bad_csv_gz=b"\x1f\x8bnot gzip at all, only its first two bytes",
    ),
    fails(
        "truncated-parquet",
        "fit bad.parquet -o out.vae",
        4,
        "bad.parquet: damaged, or not Parquet",
        bad_parquet=cut(parquet(), 0.6),
    ),
    fails(
        "scribbled-parquet",
        "fit bad.parquet -o out.vae",
        4,
        "bad.parquet: damaged, or not Parquet",
        bad_parquet=scribbled(parquet()),
    ),
    fails(
        "csv-called-parquet",
        "fit bad.parquet -o out.vae",
        4,
        "bad.parquet: damaged, or not Parquet: it does not begin as such a file",
        bad_parquet=csv(),
    ),
    fails(
        "parquet-of-nested-columns",
        "fit bad.parquet -o out.vae",
        4,
        "bad.parquet: no column is left to learn from",
        "'tags': values of type list<",
        "'place': values of type struct<",
        bad_parquet=nested,
    ),
    fails(
        "files-with-different-columns",
        "fit normal.csv bad.csv -o out.vae",
        4,
        "the files do not have the columns of normal.csv",
        "bad.csv: missing 'mode'; has also 'state'",
        bad_csv=csv(header="pressure,flow,temperature,pump_on,state"),
    ),
    fails(
        "csv-with-parquet",
        "fit normal.csv good.parquet -o out.vae",
        4,
        "the files are of different formats",
        "normal.csv: text",
        "good.parquet: Parquet",
        good_parquet=parquet(),
    ),
    fails("standard-input-with-files", "fit - normal.csv -o out.vae", 2, "standard input"),
    *(
        fails(f"threshold-{value}", f"fit normal.csv --threshold {value} -o out.vae", 2, f"--threshold {said}")
        for value, said in {
            "0": "0 is not strictly between 0 and 1",
            "1": "1 is not strictly between 0 and 1",
            "2": "2 is not strictly between 0 and 1",
            "99": "99 is not strictly between 0 and 1; did you mean 0.99?",
            "nan": "nan is not strictly between 0 and 1",
            "abc": "'abc' is not a number",
        }.items()
    ),
    fails(
        "unknown-choices-all-listed",
        "fit normal.csv --preset quick --score-kind lof --device tpu --seed -1 --max-epochs 0 -o out.vae",
        2,
        "--preset 'quick' is not one of fast, default, best",
        "--score-kind 'lof' is not one of",
        "--device 'tpu' is not one of auto, cpu, cuda",
        "--seed -1 is not between 0 and",
        "--max-epochs 0 is not between 1 and",
        "vaecli fit --help",
    ),
    fails(
        "bad-time-budget",
        "fit normal.csv --time-budget soon -o out.vae",
        2,
        "--time-budget 'soon' is not a duration such as 90s, 10m or 1.5h",
    ),
    fails("no-time-budget", "fit normal.csv --time-budget 0s -o out.vae", 2, "--time-budget 0 is not above 0"),
    fails("bad-toml", "fit normal.csv --config c.toml -o out.vae", 2, "c.toml: not TOML", "line 1", c_toml=b"[train\n"),
    fails(
        "unknown-toml-keys",
        "fit normal.csv --config c.toml -o out.vae",
        2,
        "c.toml: unknown setting 'colour'",
        "c.toml: train.epochs: unknown setting; train has",
        "c.toml: heteroscedastic.n_latent = 0 is not between 1 and 512",
        c_toml=b"colour = 1\n[train]\nepochs = 3\n[heteroscedastic]\nn_latent = 0\n",
    ),
    fails("missing-config", "fit normal.csv --config no.toml -o out.vae", 2, "no.toml", "--config takes a TOML file"),
    fails("output-is-the-input", "fit normal.csv -o normal.csv", 2, "normal.csv: is the input itself", "-o"),
    fails(
        "output-is-the-input-by-a-link",
        "fit link.csv -o normal.csv",
        2,
        "normal.csv: is the input itself",
        link_csv=link,
    ),
    fails("output-in-a-missing-directory", "fit normal.csv -o no/out.vae", 2, "no/out.vae: no such directory", "mkdir"),
    fails("output-is-a-directory", "fit normal.csv -o data", 2, "data: is a directory", data=folder),
    fails("output-is-a-device", "fit normal.csv -o /dev/null", 2, "/dev/null: is not a regular file"),
    fails(
        "output-in-a-locked-directory",
        "fit normal.csv -o data/out.vae",
        7,
        "data/out.vae: permission denied",
        data=locked,
        marks=(unless_root,),
    ),
    fails("bundle-to-standard-output", "fit normal.csv -o -", 2, "a bundle cannot go to standard output"),
    fails(
        "resume-of-a-damaged-checkpoint",
        "fit normal.csv -o out.vae --resume",
        5,
        "out.vae.checkpoint: damaged checkpoint",
        "without --resume",
        out_vae_checkpoint=b"?",
    ),
    fails(
        "no-gpu", "fit normal.csv -o out.vae --device cuda", 7, "no CUDA device", "--device cpu", marks=(unless_gpu,)
    ),
    fails("quiet-and-verbose", "fit normal.csv -o out.vae --quiet --verbose", 2, "--quiet and --verbose contradict"),
    fails("no-input", "fit -o out.vae", 2, "INPUT", "vaecli fit --help"),
    fails("unknown-option", "fit normal.csv --epochs 3", 2, "--epochs", "vaecli fit --help"),
    fails("unknown-verb", "learn normal.csv", 2, "learn", "vaecli --help"),
]

SCORE = [
    fails("empty-file", "score bad.csv -o out.csv", 4, "bad.csv: the file is empty", bad_csv=b""),
    fails(
        "ragged-row-far-down",
        "score bad.csv -o out.csv",
        4,
        f"bad.csv, line {N_HALF}: 6 fields, the header has 5",
        bad_csv=lambda path: void(path.write_bytes(csv(N_HALF + 10, {N_HALF: line(0) + ",x"}))),
    ),
    fails(
        "invalid-utf-8",
        "score bad.csv -o out.csv",
        4,
        "bad.csv, line 9",
        "0xe9",
        bad_csv=csv(changed={9: "5,100,60,no,X"}).replace(b"X", b"\xe9co"),
    ),
    fails(
        "missing-columns-all-listed",
        "score bad.csv -o out.csv",
        4,
        "bad.csv: 2 columns are missing",
        "'pressure' (did you mean 'presure'?)",
        "'mode'",
        "in any order",
        bad_csv=csv(header="presure,flow,temperature,pump_on,state"),
    ),
    fails(
        "text-in-a-number",
        "score bad.csv -o out.csv",
        4,
        "bad.csv: 2 cells are not numbers",
        'line 9, column flow: "lots" is not a number',
        'line 12, column temperature: "3,5" is not a number',
        "leave it empty",
        bad_csv=csv(changed={9: "5,lots,60,no,eco", 12: '5,100,"3,5",no,eco'}),
    ),
    fails(
        "parquet-text-for-numbers",
        "score bad.parquet -o out.csv",
        4,
        "bad.parquet: a column has the wrong type",
        "'flow' holds string; the model was trained on numbers",
        bad_parquet=parquet(flow=pa.array(["lots"] * 40)),
    ),
    fails(
        "parquet-dates-for-numbers",
        "score bad.parquet -o out.csv",
        4,
        "'flow' holds timestamp[us]; the model was trained on numbers",
        bad_parquet=parquet(flow=pa.array([0] * 40, pa.timestamp("us"))),
    ),
    fails(
        "parquet-bad-cell-in-text-of-numbers",
        "score bad.parquet -o out.csv",
        4,
        "bad.parquet, row 7: column 'flow' wants a number, not 'lots'",
        bad_parquet=parquet(flow=pa.array(["100"] * 6 + ["lots"] + ["100"] * 33)),
    ),
    fails(
        "unknown-word-for-a-boolean",
        "score bad.csv -o out.csv",
        4,
        "bad.csv, line 9: column 'pump_on' wants no or yes, not 'perhaps'",
        bad_csv=csv(changed={9: "5,100,60,perhaps,eco"}),
    ),
    fails(
        "bad-date",
        "score bad.csv -m dated.vae -o out.csv",
        4,
        "bad.csv, line 3: column 'day' wants a date like YYYY-MM-DD, not '31.02.2026'",
        bad_csv=columns(9, flow=lambda i: i, day=lambda i: "31.02.2026" if i == 1 else "2026-05-01"),
    ),
    fails(
        "dates-that-are-numbers",
        "score bad.parquet -m dated.vae -o out.csv",
        4,
        "'day' holds int64; the model was trained on dates",
        bad_parquet=parquet(day=pa.array([1] * 40)),
    ),
    fails("bundle-as-table", "score model.vae -o out.csv", 4, "model.vae: a vaecli bundle, not a table", "with -m"),
    fails("missing-file", "score nowhere.csv -o out.csv", 4, "nowhere.csv: no such file"),
    fails(
        "directory-as-file", "score data -o out.csv", 4, "data: a directory without Parquet files", data=folder_of_csv
    ),
    fails("glob-of-nothing", "score 2026-*.csv -o out.csv", 4, "2026-*.csv: the pattern matches no file"),
    fails(
        "truncated-gzip",
        "score bad.csv.gz",
        4,
        "bad.csv.gz: cannot be read",
        bad_csv_gz=gzip.compress(csv(5000), mtime=0)[:-9],
    ),
    fails(
        "truncated-parquet",
        "score bad.parquet",
        4,
        "bad.parquet: damaged, or not Parquet",
        bad_parquet=cut(parquet(), 0.9),
    ),
    fails(
        "files-with-different-columns",
        "score normal.csv bad.csv -o out.csv",
        4,
        "bad.csv: a column is missing: 'mode'; has also 'state'",
        bad_csv=csv(header="pressure,flow,temperature,pump_on,state"),
    ),
    *(
        fails(f"threshold-{value}", f"score normal.csv --threshold {value} -o out.csv", 2, f"--threshold {said}")
        for value, said in {
            "0": "0 is not strictly between 0 and 1",
            "1": "1 is not strictly between 0 and 1",
            "2": "2 is not strictly between 0 and 1",
            "99": "99 is not strictly between 0 and 1; did you mean 0.99?",
            "abc": "'abc' is not a number",
        }.items()
    ),
    fails(
        "threshold-and-min-score",
        "score normal.csv --threshold 0.9 --min-score 3 -o out.csv",
        2,
        "--threshold and --min-score both decide which rows are flagged",
    ),
    fails("min-score-of-text", "score normal.csv --min-score high -o out.csv", 2, "--min-score 'high' is not a number"),
    *(
        fails(
            f"fail-on-{value}", f"score normal.csv --fail-on {value} -o out.csv", 2, f"--fail-on '{value}' is not any"
        )
        for value in ("some", "-1", "2.5", "101%")
    ),
    fails("unknown-score-kind", "score normal.csv --score-kind lof -o out.csv", 2, "--score-kind 'lof' is not one of"),
    fails("no-batch-rows", "score normal.csv --batch-rows 0 -o out.csv", 2, "--batch-rows 0 is not between 1 and"),
    fails("output-is-the-input", "score normal.csv -o normal.csv", 2, "normal.csv: is the input itself"),
    fails(
        "output-is-the-input-by-another-name",
        "score normal.csv -o ./normal.csv",
        2,
        "./normal.csv: is the input itself",
    ),
    fails("output-is-the-bundle", "score normal.csv -o model.vae", 2, "model.vae: is the bundle itself"),
    fails(
        "output-in-a-missing-directory",
        "score normal.csv -o no/out.csv",
        2,
        "no/out.csv: no such directory",
        "mkdir -p no",
    ),
    fails("output-is-a-directory", "score normal.csv -o data", 2, "data: is a directory", data=folder),
    fails("output-without-a-name", "score normal.csv -o ''", 2, "-o names no file: its value is empty"),
    fails("output-of-no-table", "score normal.csv -o out.xlsx", 2, "out.xlsx: .xlsx files are not written", ".parquet"),
    fails(
        "output-in-a-locked-directory",
        "score normal.csv -o data/out.csv",
        7,
        "data/out.csv: permission denied",
        data=locked,
        marks=(unless_root,),
    ),
    fails("no-name-for-two-inputs", "score normal.csv normal.csv", 2, "2 inputs have no common name", "-o FILE"),
    fails("parquet-packed-again", "score normal.csv -o out.parquet.gz", 2, "out.parquet.gz: Parquet is not compressed"),
    fails(
        "added-names-taken",
        "score bad.csv -o out.csv",
        2,
        "bad.csv already has a column 'p_value'",
        "--prefix vae_",
        bad_csv=with_column("p_value", lambda i: i % 3),
    ),
    fails("json-with-rows", "score normal.csv -o - --json", 2, "--json and the scored table cannot share"),
    fails(
        "no-gpu", "score normal.csv -o out.csv --device cuda", 7, "no CUDA device", "--device cpu", marks=(unless_gpu,)
    ),
    fails("quiet-and-verbose", "score normal.csv -q -v -o out.csv", 2, "--quiet and --verbose contradict"),
    fails("no-input", "score -o out.csv", 2, "INPUT", "name a table, or - for standard input; see `vaecli score"),
    fails("verb-after-table", "normal.csv score", 2, "No such command", "the verb comes first: `vaecli score INPUT`"),
]

BUNDLES = [
    fails("missing", "no.vae", 5, "no.vae: there is no such bundle", "(its folder has 'dated.vae', 'model.vae', "),
    fails("directory", "bad.vae", 5, "bad.vae: is a directory, not a bundle", bad_vae=folder),
    fails("empty", "bad.vae", 5, "bad.vae: is empty", bad_vae=b""),
    fails("csv", "bad.vae", 5, "bad.vae: is not a bundle: it looks like a text table such as CSV", bad_vae=csv()),
    fails("parquet", "bad.vae", 5, "bad.vae: is not a bundle: it looks like a Parquet table", bad_vae=parquet()),
    fails("pickle", "bad.vae", 5, "a pickle, which vaecli never opens", bad_vae=b"\x80\x04\x95" + bytes(50)),
    fails(
        "truncated", "bad.vae", 5, "bad.vae: is truncated", "copy it again", bad_vae=damaged(lambda whole: whole[:-500])
    ),
    fails("cut-to-a-few-bytes", "bad.vae", 5, "bad.vae: is truncated", bad_vae=damaged(lambda whole: whole[:20])),
    fails("grown", "bad.vae", 5, "bad.vae: is damaged", bad_vae=damaged(lambda whole: whole + b"more")),
    fails("flipped-bit", "bad.vae", 5, "bad.vae: is damaged", "copy it again", bad_vae=damaged(flip_middle)),
    fails(
        "newer-format",
        "bad.vae",
        5,
        f"bad.vae: written by vaecli 9.9, format {FORMAT + 1}; this one reads up to {FORMAT}",
        "pip install -U vaecli",
        bad_vae=replace_cells(keep, format=FORMAT + 1, version="9.9"),
    ),
    fails(
        "wrong-shape",
        "bad.vae",
        5,
        "bad.vae: its parts do not make a detector",
        "shape",
        bad_vae=replace_cells(cut_weights),
    ),
    fails(
        "missing-array",
        "bad.vae",
        5,
        "bad.vae: its parts do not make a detector",
        "noise",
        bad_vae=replace_cells(drop_noise),
    ),
    fails("nan-weights", "bad.vae", 5, "values that are not finite", bad_vae=replace_cells(poison_weights)),
    fails("shuffled-calibration", "bad.vae", 5, "scores are not ascending", bad_vae=replace_cells(shuffle_calibration)),
    fails("other-fingerprint", "bad.vae", 5, "fingerprint", bad_vae=replace_cells(keep, schema_fingerprint="0" * 64)),
]


@pytest.mark.parametrize("case", FIT)
def test_fit_refuses(case: Case, run, place: Path):
    """`fit` names what is wrong and where, and leaves the folder as it was."""
    refused(case, case.words, run, place)


@pytest.mark.parametrize("case", SCORE)
def test_score_refuses(case: Case, run, place: Path):
    """`score` names what is wrong and where, and leaves the folder as it was."""
    refused(case, case.words, run, place)


@pytest.mark.parametrize("case", BUNDLES)
@pytest.mark.parametrize("verb", ["score normal.csv -o out.csv -m", "inspect"], ids=["score", "inspect"])
def test_a_bad_bundle_is_refused(case: Case, verb: str, run, place: Path):
    """A bundle that is missing, damaged, foreign or newer is 5, whoever reads it."""
    refused(case, f"{verb} {case.words}", run, place)


def refused(case: Case, words: str, run, place: Path) -> None:
    for name, content in case.files.items():
        content(place / name) if callable(content) else (place / name).write_bytes(content)
    before = contents(place)
    done = run(*shlex.split(words))
    assert done.code == case.code, done.err
    assert contents(place) == before
    assert not done.out or ("--json" in words and json.loads(done.out)["exit_code"] == case.code)
    assert_is_a_message(done.err)
    for said in case.says:
        assert said in done.err


IN_EARNEST = {param.id: param for param in (*FIT, *SCORE)}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "id",
    [
        "seven-rows",
        "added-names-taken",
        *(pytest.param(id, marks=pytest.mark.slow) for id in ("ragged-row-far-down", "unknown-choices-all-listed")),
    ],
)
def test_a_process_refuses(id: str, place: Path):
    """A process of its own prints the same, and no library adds a word."""
    case = IN_EARNEST[id].values[0]  # type: ignore[attr-defined]
    refused(case, case.words, in_a_process, place)


def in_a_process(*words: str) -> SimpleNamespace:
    done = subprocess.run([sys.executable, "-m", "vaecli", *words], capture_output=True, text=True, check=False)
    return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.mark.parametrize("verb", ["fit - -o out.vae", "score - -o out.csv"])
@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", "standard input: the file is empty"),
        (csv(changed={9: "1,2"}), "standard input, line 9: 2 fields, the header has 5"),
        (gzip.compress(csv(5000), mtime=0)[:-2000], "standard input: cannot be read"),
    ],
    ids=["empty", "ragged", "truncated-gzip"],
)
def test_a_bad_pipe_is_refused(verb: str, sent: bytes, said: str, run, place: Path, monkeypatch: pytest.MonkeyPatch):
    """What comes through a pipe is looked at as closely as a file."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(sent)))
    refused(Case(verb, 4, (said,), {}), verb, run, place)


@pytest.mark.parametrize(
    ("variable", "value"), [("SEED", "x"), ("THRESHOLD", "99"), ("DEVICE", "tpu"), ("PRESET", "quick")]
)
def test_a_bad_variable_is_named(variable: str, value: str, run, place: Path, monkeypatch: pytest.MonkeyPatch):
    """A setting that comes from the environment is refused under the name of its variable."""
    monkeypatch.setenv(f"VAECLI_{variable}", value)
    refused(Case("fit normal.csv", 2, (f"VAECLI_{variable}", value), {}), "fit normal.csv -o out.vae", run, place)


@pytest.fixture(scope="session")
def dated_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with a column of dates."""
    table = columns(60, flow=lambda i: i % 7, day=lambda i: f"2026-05-{i * 7 % 28 + 1:02}")
    path = tmp_path_factory.mktemp("dated") / "dated.csv"
    path.write_bytes(table)
    vaecli.fit(
        path,
        **{
            "train.max_steps": 10,
            "heteroscedastic.n_hidden": 4,
            "homoscedastic.n_hidden": 4,
            "heteroscedastic.n_latent": 1,
            "homoscedastic.n_latent": 1,
        },
    ).save(path.with_suffix(".vae"))
    return path.with_suffix(".vae")


@pytest.fixture
def place(tmp_path: Path, bundle: Path, dated_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a good table, a good bundle, and earlier outputs."""
    (tmp_path / "normal.csv").write_bytes(csv())
    (tmp_path / "model.vae").write_bytes(bundle.read_bytes())
    (tmp_path / "dated.vae").write_bytes(dated_bundle.read_bytes())
    (tmp_path / "out.vae").write_bytes(EARLIER)
    (tmp_path / "out.csv").write_bytes(EARLIER)
    monkeypatch.chdir(tmp_path)
    return tmp_path
