"""Rebuild the sample tables, byte for byte, from the public packages they come from.

    pip download --no-deps river==0.26.1 Orange3==3.40.0 scikit-learn==1.9.1 \\
        fake-useragent==2.2.0 crawler-user-agents==1.67.0
    python sample_data/make.py --river river-0.26.1-*.whl --orange3 orange3-3.40.0-*.whl \\
        --sklearn scikit_learn-1.9.1-*.whl --browsers fake_useragent-2.2.0-*.whl \\
        --crawlers crawler_user_agents-1.67.0-*.whl --daphnet daphnet+freezing+of+gait.zip

The last is the archive of https://archive.ics.uci.edu/dataset/245; without it that table is left as it is. Each other
argument is a wheel or a folder with the unpacked package; without it the installed package is used. Standard library
only. The split is drawn with Python's own generator, whose shuffle is the same on every machine.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import importlib.util
import io
import json
import random
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEED = 0

SHUTTLE = "river/datasets/shuttle.csv.gz"
CARS = "Orange/tests/datasets/imports-85.tab"
DIGITS = "sklearn/datasets/data/digits.csv.gz"
EVERY_CRAWLER = 14  # of which one is kept, so that anomalies are the fewer rows
NEVER_SEEN = "5"  # the digit that is not among the rows to fit
BROWSERS = "fake_useragent/data/browsers.jsonl"
CRAWLERS = "crawleruseragents/crawler-user-agents.json"
DAPHNET = "dataset_fog_release/dataset/S02R02.txt"
TELL_TALES = ("fuel-type", "fuel-system")  # the first is the label itself, the second gives it away

SENSORS = ("ankle", "thigh", "trunk")
DIRECTIONS = ("forward", "vertical", "lateral")
SECONDS = 150  # of walking to fit, and as many to score
EVERY = 3  # readings, of which one is kept
OUTSIDE = "0"  # the annotation of readings that are not part of the experiment
FREEZE = "2"

Row = dict[str, str]


def main() -> None:
    """Write every table of this folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--river", type=Path, help="wheel or folder of river")
    parser.add_argument("--orange3", type=Path, help="wheel or folder of Orange3")
    parser.add_argument("--sklearn", type=Path, help="wheel or folder of scikit-learn")
    parser.add_argument("--browsers", type=Path, help="wheel or folder of fake-useragent")
    parser.add_argument("--crawlers", type=Path, help="wheel or folder of crawler-user-agents")
    parser.add_argument("--daphnet", type=Path, help="archive of UCI's Daphnet Freezing of Gait, or its folder")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to (default: this one)")
    options = parser.parse_args()
    make_shuttle(packaged(SHUTTLE, options.river), options.out / "shuttle")
    make_cars(packaged(CARS, options.orange3), options.out / "cars")
    make_digits(packaged(DIGITS, options.sklearn), options.out / "digits")
    browsers, crawlers = packaged(BROWSERS, options.browsers), packaged(CRAWLERS, options.crawlers)
    make_agents(browsers, crawlers, options.out / "agents")
    if options.daphnet is not None:
        make_daphnet(packaged(DAPHNET, options.daphnet), options.out / "daphnet")


def packaged(member: str, place: Path | None) -> bytes:
    """A file of a package, from its wheel, its folder, or where it is installed."""
    if place is None:
        package = member.split("/")[0]
        found = importlib.util.find_spec(package)
        if found is None or found.origin is None:
            raise SystemExit(f"{package} is not installed; give its wheel (see --help).")
        return (Path(found.origin).parent.parent / member).read_bytes()
    if place.is_dir():
        return (place / member).read_bytes()
    with zipfile.ZipFile(place) as wheel:
        return wheel.read(member)


def make_shuttle(packed: bytes, folder: Path) -> None:
    """Half of the normal rows to fit; the other half and every anomaly, shuffled, to score."""
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(packed).decode("ascii"))))
    renamed = [{f"sensor_{j}": row[f"f{j}"] for j in range(1, 10)} | {"label": row["anomaly"]} for row in rows]
    split(renamed, share_to_fit=0.5, folder=folder)


def make_cars(packed: bytes, folder: Path) -> None:
    """Three fifths of the petrol cars to fit; the other petrol cars and every diesel, shuffled, to score."""
    lines = packed.decode("ascii").splitlines()
    of_values = [lines[0], *lines[3:]]  # the two lines between them are Orange's types and roles
    rows = []
    for row in csv.DictReader(of_values, delimiter="\t"):
        cleaned = {name.strip(): value.strip() for name, value in row.items()}
        kept = {name: value for name, value in cleaned.items() if name not in TELL_TALES}
        rows.append(kept | {"label": str(int(cleaned["fuel-type"] == "diesel"))})
    split(rows, share_to_fit=0.6, folder=folder)


def make_digits(packed: bytes, folder: Path) -> None:
    """Half of the pictures of nine digits to fit; the other half and every five, shuffled, to score."""
    names = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    rows = []
    for *pixels, digit in csv.reader(io.StringIO(gzip.decompress(packed).decode("ascii"))):
        rows.append(dict(zip(names, pixels, strict=True)) | {"label": str(int(digit == NEVER_SEEN))})
    split(rows, share_to_fit=0.5, folder=folder)


def make_agents(browsers: bytes, crawlers: bytes, folder: Path) -> None:
    """Half of the browsers to fit; the other half and one crawler in fourteen, shuffled, to score."""
    of_browsers = {json.loads(line)["useragent"] for line in browsers.decode("utf-8").splitlines()}
    of_crawlers = {crawler["instances"][0] for crawler in json.loads(crawlers) if crawler["instances"]} - of_browsers
    rows = [{"agent": agent, "label": "0"} for agent in sorted(of_browsers)]
    rows += [{"agent": agent, "label": "1"} for agent in sorted(of_crawlers)[::EVERY_CRAWLER]]
    split(rows, share_to_fit=0.5, folder=folder)


def make_daphnet(packed: bytes, folder: Path) -> None:
    """The first seconds of a walk to fit, the seconds after them to score, in the order of time."""
    names = ["time_ms", *(f"{sensor}_{direction}" for sensor in SENSORS for direction in DIRECTIONS)]
    rows = []
    for *readings, annotation in map(str.split, packed.decode("ascii").splitlines()):
        if annotation != OUTSIDE:
            rows.append(dict(zip(names, readings, strict=True)) | {"label": str(int(annotation == FREEZE))})
    kept = rows[::EVERY]
    begin = int(kept[0]["time_ms"])
    seconds = [(int(row["time_ms"]) - begin) / 1000 for row in kept]
    folder.mkdir(parents=True, exist_ok=True)
    normal = [row for row, at in zip(kept, seconds, strict=True) if at < SECONDS]
    mixed = [row for row, at in zip(kept, seconds, strict=True) if SECONDS <= at < 2 * SECONDS]
    write(folder / "normal.csv", normal, names)
    write(folder / "mixed.csv", mixed, [*names, "label"])


def split(rows: list[Row], share_to_fit: float, folder: Path) -> None:
    """Write normal.csv (a share of the normal rows, no label) and mixed.csv (all others, labelled)."""
    draw = random.Random(SEED)
    normal = [row for row in rows if row["label"] == "0"]
    draw.shuffle(normal)
    n_fit = round(share_to_fit * len(normal))
    mixed = normal[n_fit:] + [row for row in rows if row["label"] == "1"]
    draw.shuffle(mixed)
    columns = list(rows[0])
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "normal.csv", normal[:n_fit], [name for name in columns if name != "label"])
    write(folder / "mixed.csv", mixed, columns)


def write(path: Path, rows: list[Row], columns: list[str]) -> None:
    """A plain CSV file with Unix line ends."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    main()
