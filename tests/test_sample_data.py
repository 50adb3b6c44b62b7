"""The committed sample tables: complete, small, disjoint, labelled as in their READMEs."""

from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parent.parent / "sample_data"
TABLES = {
    # folder: rows to fit, normal rows to score, anomalies, columns, missing cells
    "shuttle": (22_793, 22_793, 3_511, 9, 0),
    "cars": (111, 74, 20, 24, 59),
    "digits": (808, 807, 182, 64, 0),
    "agents": (420, 419, 105, 1, 0),
    "daphnet": (3_200, 2_537, 663, 10, 0),
}
SHUFFLED = ("shuttle", "cars", "digits", "agents")
OTHER_LICENCES = {"agents": "Apache-2.0"}
MAX_BYTES = 1_000_000

Rows = list[tuple[str, ...]]


def load(module: str):
    """A script of the sample_data folder, as a module."""
    spec = importlib.util.spec_from_file_location(f"sample_data_{module}", SAMPLES / f"{module}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def table(path: Path) -> tuple[list[str], Rows]:
    """The header and the rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return header, [tuple(row) for row in rows]


def contents(folder: Path) -> tuple[Rows, Rows, list[str]]:
    """Rows to fit, rows to score without their label, and the labels."""
    _, fit = table(folder / "normal.csv")
    _, mixed = table(folder / "mixed.csv")
    return fit, [row[:-1] for row in mixed], [row[-1] for row in mixed]


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_small_and_have_a_provenance(name):
    """Every table is under a megabyte and names its origin and licence."""
    for path in (SAMPLES / name).glob("*.csv"):
        assert path.stat().st_size < MAX_BYTES
    told = (SAMPLES / name / "README.md").read_text(encoding="utf-8")
    licence = OTHER_LICENCES.get(name, "CC BY 4.0")
    for word in (licence, "DOI", "pypi.org/project", "Changed here", "seed 0" if name in SHUFFLED else "no seed"):
        assert word in told


@pytest.mark.parametrize(("name", "expected"), TABLES.items())
def test_counts_are_those_of_the_readme(name, expected):
    """Rows, columns, anomalies and missing cells are as documented."""
    fit, mixed, labels = contents(SAMPLES / name)
    n_missing = sum(row.count("?") + row.count("") for row in fit + mixed)
    assert set(labels) == {"0", "1"}
    assert (len(fit), labels.count("0"), labels.count("1"), len(fit[0]), n_missing) == expected


@pytest.mark.parametrize("name", TABLES)
def test_the_label_is_only_in_the_table_to_score(name):
    """Both tables have the same columns in the same order; only mixed.csv has `label`, last."""
    fit, _ = table(SAMPLES / name / "normal.csv")
    mixed, _ = table(SAMPLES / name / "mixed.csv")
    assert mixed == [*fit, "label"]
    assert len(set(mixed)) == len(mixed)


@pytest.mark.parametrize("name", TABLES)
def test_no_row_is_both_fitted_and_scored(name):
    """normal.csv and mixed.csv share no row, and neither repeats one."""
    fit, mixed, _ = contents(SAMPLES / name)
    assert len(set(fit) | set(mixed)) == len(fit) + len(mixed)


@pytest.mark.parametrize("name", SHUFFLED)
def test_anomalies_are_spread_over_the_table(name):
    """The rows to score are shuffled: neither half holds most of the anomalies."""
    *_, labels = contents(SAMPLES / name)
    first = labels[: len(labels) // 2].count("1") / labels.count("1")
    assert 0.25 < first < 0.75


def test_a_diesel_is_what_its_label_names():
    """The label of a car follows its compression ratio, although the fuel is not in the table."""
    header, mixed = table(SAMPLES / "cars" / "mixed.csv")
    assert not {"fuel-type", "fuel-system"} & set(header)
    ratio, label = header.index("compression-ratio"), header.index("label")
    assert all((float(row[ratio]) > 20) == (row[label] == "1") for row in mixed)


def test_the_rarer_readings_of_the_shuttle_are_its_anomalies():
    """Anomalous shuttle rows differ from normal ones: their sensor_1 is far higher on average."""
    _, rows, labels = contents(SAMPLES / "shuttle")
    means = []
    for wanted in ("0", "1"):
        values = [int(row[0]) for row, label in zip(rows, labels, strict=True) if label == wanted]
        means.append(sum(values) / len(values))
    assert means[1] > means[0] + 20


def test_make_rebuilds_the_shuttle_table_from_a_wheel(tmp_path):
    """`make.py` reads the table out of a wheel and deals its rows again, losing none."""
    make = load("make")
    fit, mixed, labels = contents(SAMPLES / "shuttle")
    lines = ["f1,f2,f3,f4,f5,f6,f7,f8,f9,anomaly"]
    lines += [",".join([*row, "0"]) for row in fit]
    lines += [",".join([*row, label]) for row, label in zip(mixed, labels, strict=True)]
    with zipfile.ZipFile(tmp_path / "river.whl", "w") as wheel:
        wheel.writestr(make.SHUTTLE, gzip.compress("\n".join(lines).encode()))

    make.make_shuttle(make.packaged(make.SHUTTLE, tmp_path / "river.whl"), tmp_path / "shuttle")

    again, rest, dealt = contents(tmp_path / "shuttle")
    assert (len(again), dealt.count("0"), dealt.count("1")) == TABLES["shuttle"][:3]
    assert set(again) | set(rest) == set(fit) | set(mixed)


def test_pixels_are_inked_dots_of_four_by_four():
    """Every pixel is a whole number from 0 to 16, named by its row and column in the picture."""
    header, fit = table(SAMPLES / "digits" / "normal.csv")
    assert header == [f"pixel_{i}_{j}" for i in range(8) for j in range(8)]
    assert {cell for row in fit for cell in row} == {str(ink) for ink in range(17)}


def test_make_rebuilds_the_digits_byte_for_byte(tmp_path):
    """The committed files are what `make.py` makes of the installed scikit-learn."""
    make = load("make")
    make.make_digits(make.packaged(make.DIGITS, None), tmp_path)
    for name in ("normal.csv", "mixed.csv"):
        assert (tmp_path / name).read_bytes() == (SAMPLES / "digits" / name).read_bytes()


def test_make_deals_browsers_and_crawlers(tmp_path):
    """Again the strings of the committed tables, from files as the two packages have them."""
    make = load("make")
    fit, mixed, labels = contents(SAMPLES / "agents")
    browsers = fit + [row for row, label in zip(mixed, labels, strict=True) if label == "0"]
    crawlers = sorted(row for row, label in zip(mixed, labels, strict=True) if label == "1")
    lines = "\n".join(json.dumps({"useragent": agent}) for (agent,) in browsers * 2)
    entries = [{"instances": [agent]} for (agent,) in crawlers for _ in range(make.EVERY_CRAWLER)]
    spread = [{"instances": [entry["instances"][0] + "\x7f" * (i % 14)]} for i, entry in enumerate(entries)]
    make.make_agents(lines.encode(), json.dumps([*spread, {"instances": []}]).encode(), tmp_path)
    for name in ("normal.csv", "mixed.csv"):
        assert (tmp_path / name).read_bytes() == (SAMPLES / "agents" / name).read_bytes()


def test_the_walk_is_one_series_with_four_freezes():
    """The rows to score follow those to fit, one row for three readings; four runs of rows are freezes."""
    fit, mixed, labels = contents(SAMPLES / "daphnet")
    time = [int(row[0]) for row in fit + mixed]
    assert {later - earlier for earlier, later in pairwise(time)} == {46, 47}
    assert (time[len(fit) - 1] - time[0]) / 1000 == pytest.approx(150, abs=0.05)
    assert sum(now == "1" and before == "0" for before, now in pairwise(labels)) == 4


def test_make_cuts_a_walk_by_its_clock(tmp_path):
    """Of readings 16 ms apart every third is kept; those outside the experiment are left out; label 1 is a freeze."""
    lines = [f"{time} {time} 0 0 0 0 0 0 0 0 {annotation}" for time, annotation in [(0, 0), (16, 1), (32, 1), (48, 1)]]
    lines += [f"{time} {time} 0 0 0 0 0 0 0 0 2" for time in (64, 150_032, 150_048, 150_064, 300_016)]
    load("make").make_daphnet("\n".join(lines).encode(), tmp_path)
    fit, mixed, labels = contents(tmp_path)
    assert [row[:2] for row in fit] == [("16", "16"), ("64", "64")]
    assert ([row[0] for row in mixed], labels) == (["150064"], ["1"])


def test_compare_counts_events_of_a_series(tmp_path):
    """An event is a run of labelled rows; it is found when one of its rows is flagged."""
    scored = tmp_path / "scored.csv"
    rows = [(0, "false"), (1, "false"), (1, "true"), (0, "false"), (1, "false"), (0, "true")]
    lines = [f"{label},{label + at / 10},{flag}" for at, (label, flag) in enumerate(rows)]
    scored.write_text("label,anomaly_score,is_anomaly\n" + "\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, SAMPLES / "compare.py", scored, "--events"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[-1] == "2 events of 1 to 2 rows, 1 found"


def test_compare_counts_flags_against_labels(tmp_path):
    """`compare.py` reports the shares found and falsely flagged, the AUROC, and rows without a score."""
    scored = tmp_path / "scored.csv"
    scored.write_text(
        "x,label,anomaly_score,p_value,is_anomaly\n"
        "9,1,8.0,0.001,true\n8,1,2.0,0.2,false\n1,0,1.0,0.5,false\n2,0,3.0,0.01,true\n,0,,,false\n",
        encoding="utf-8",
    )
    command = [sys.executable, SAMPLES / "compare.py", scored, "--show", "x"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    _, anomalies, normal, area, unscored, _, _, header, oddest, *_ = told.splitlines()
    assert anomalies.split() == ["labelled", "anomalies", "2", "1", "50.0%", "found"]
    assert normal.split() == ["normal", "rows", "2", "1", "50.0%", "false", "alarms"]
    assert area.startswith("AUROC 0.7500")
    assert unscored.startswith("1 rows could not be scored")
    assert header.split() == ["x", "label", "anomaly_score"]
    assert oddest.split() == ["9", "1", "8.00"]


def test_auroc_counts_a_tie_as_half():
    """Equal scores rank neither row first, so they add one half."""
    assert load("compare").auroc([1.0, 2.0], [1.0]) == 0.75
