"""Wrong strings in kinds of real text columns, anomalous log lines, and new strings: vaecli beside its peers.

Reads the folder that `benchmarks/text_data.py` makes. Each method is given the same four fifths of the different
strings of a kind, the peers a quarter of these to set their thresholds by, vaecli all of them, as it holds rows out by
itself; the last fifth is scored, as it is (false alarms) and with a fault in each string (`benchmarks/text_faults.py`).

`faults`: the share of faulty strings that are flagged at 0.99, and the share of flagged one-character faults that the
first span of the explanation holds; settings were chosen on other strings of the first six kinds (of user agents, other
splits of the same ones), and on none of the last four. `log`: BGL lines, fitted to half of the normal ones, AUROC and
average precision. `samples`: how well a logistic regression on hashed n-grams tells new strings from held-out real ones
(half is chance), and how many of them training had; beside strings drawn from the Kneser-Ney model. `alarms`: the share
of fresh strings that are flagged at 0.99, by the number of strings to learn from. `together`: a made-up table of ten
numbers and a message of 40 characters (`benchmarks/text_tables.py`): AUROC of rows in which number and message are each
right but not together, and the seconds that scores take.

    python benchmarks/text.py --data DATA
    python benchmarks/text.py --data DATA --parts faults --kinds dates,urls --seeds 0,1
    python benchmarks/text.py --data DATA --parts together --redo       # seconds: on a free machine
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import record
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from text_faults import FAULTS, ONE_CHARACTER, KneserNey, faulty, peer_scores
from text_tables import MESSAGE, N_JOINT, N_TIMED, joint_table, report_of_tables, wrong_combinations

import vaecli
from vaecli.data.string_features import Strings
from vaecli.scoring.unusual_spans import unusual_spans

KEYS = ("part", "kind", "seed", "method")
KINDS = ("dates", "parts", "agents", "urls", "names", "log")
UNSEEN = ("mails", "archives", "ssh", "zookeeper")  # kinds on which nothing was chosen
PARTS = ("faults", "log", "samples", "alarms", "together")
SIZES = (500, 1_000, 3_000, 10_000)  # strings to learn from
OF_ALARMS = ("dates", "parts", "urls", "names", "log")  # kinds with more than 10,000 strings
MOST_FRESH = 2_000
VAECLI = "vaecli"
MOST_STRINGS = 5_000
MOST_FAULTY = 300  # strings of each fault
MOST_BLAMED = 60  # of each fault
LEVEL = 0.99
FOREIGN = 300  # strings of each other kind
SETTINGS: dict[str, Any] = {"preset": "fast", "train.max_epochs": 5}


def main() -> None:
    """Measure what is missing, then write the tables."""
    parser = record.parser(__doc__, "text.json")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=record.seeds, default=[0])
    record.add_names(parser, "--parts", PARTS)
    record.add_names(parser, "--kinds", (*KINDS, *UNSEEN))
    options = parser.parse_args()
    if not all((options.data / f"{kind}.txt").is_file() for kind in (*options.kinds, *KINDS, "bgl")):
        record.stop(f"--data {options.data}: make the files with benchmarks/text_data.py.")
    results = record.Results(options.out, KEYS)
    for part, kind, seed in _cases(options):
        if options.redo or not results.has(part=part, kind=kind, seed=seed, method=VAECLI):
            measure = {
                "faults": measured_faults,
                "log": measured_log,
                "samples": measured_samples,
                "alarms": measured_alarms,
                "together": measured_together,
            }[part]
            for row in measure(options.data, kind, seed):
                results.add({"part": part, "kind": kind, "seed": seed} | row)
    record.finish(options.out, report(results))


def _cases(options: argparse.Namespace) -> Iterator[tuple[str, str, int]]:
    for seed in options.seeds:
        for part in options.parts:
            kinds = {"log": ["bgl"], "together": ["table"]}.get(part, options.kinds)
            for kind in kinds:
                if part != "alarms" or kind in OF_ALARMS:
                    yield part, kind, seed


def strings_of(data: Path, kind: str) -> list[str]:
    """The strings of a kind, all different, at most `MOST_STRINGS`."""
    return (data / f"{kind}.txt").read_text(encoding="utf-8").splitlines()[:MOST_STRINGS]


def split(strings: Sequence[str], seed: int) -> tuple[list[str], list[str], list[str]]:
    """Three fifths to learn from, one to set thresholds by, one that is fresh."""
    order = np.random.default_rng(seed).permutation(len(strings))
    parts = np.split(order, [int(0.6 * len(strings)), int(0.8 * len(strings))])
    learned, held_out, fresh = ([strings[i] for i in part] for part in parts)
    return learned, held_out, fresh


def fitted(strings: Sequence[str], seed: int) -> vaecli.Model:
    """A model of a table with one text column."""
    return vaecli.fit(pd.DataFrame({"text": strings}), text=["text"], seed=seed, **SETTINGS)


def measured_faults(data: Path, kind: str, seed: int) -> Iterator[dict[str, Any]]:
    """Shares seen of every fault, for vaecli and the peers."""
    strings = strings_of(data, kind)
    learned, held_out, fresh = split(strings, seed)
    foreign = [string for other in KINDS if other != kind for string in strings_of(data, other)[:FOREIGN]]
    wrong = {fault: faulty(fault, fresh[:MOST_FAULTY], foreign, set(strings), seed) for fault in FAULTS}
    for name, score in peer_scores(learned).items():
        threshold = np.sort(score(held_out))[int(np.ceil(LEVEL * (len(held_out) + 1))) - 1]
        seen = {fault: float((score([s for s, _ in found]) > threshold).mean()) for fault, found in wrong.items()}
        yield {"method": name, "seen": seen, "false_alarms": float((score(fresh) > threshold).mean())}
    start = time.process_time()
    model = fitted(learned + held_out, seed)
    fit_seconds = time.process_time() - start
    flags = {fault: _flags(model, [string for string, _ in found]) for fault, found in wrong.items()}
    start = time.process_time()
    false_alarms = float(_flags(model, fresh).mean())
    seconds = time.process_time() - start
    held = [
        _blamed(model, string, place, fault)
        for fault in ONE_CHARACTER
        for string, place in [wrong[fault][i] for i in np.flatnonzero(flags[fault])[:MOST_BLAMED]]
    ]
    yield {
        "method": VAECLI,
        "seen": {fault: float(flagged.mean()) for fault, flagged in flags.items()},
        "false_alarms": false_alarms,
        "fit_seconds": fit_seconds,
        "microseconds_per_row": seconds / len(fresh) * 1e6,
        "spans": float(np.mean(held)) if held else None,
        "n_spans": len(held),
    }


def _flags(model: vaecli.Model, strings: Sequence[str]) -> np.ndarray:
    return model.score(pd.DataFrame({"text": strings}), threshold=LEVEL)["is_anomaly"].to_numpy(bool)


def _blamed(model: vaecli.Model, string: str, place: int, fault: str) -> bool:
    """Whether the first span of characters holds the fault, or touches the place where one was dropped."""
    encoder = model.detector.preprocessor.encoder(Strings)
    span = unusual_spans(encoder.models[0], float(encoder.high[0]), string.encode())[0]
    if fault == "drop":
        return span.start - 1 <= place <= span.stop
    first = last = place
    if fault == "double":  # which of several equal characters came twice cannot be told
        while first > 0 and string[first - 1] == string[place]:
            first -= 1
        while last + 1 < len(string) and string[last + 1] == string[place]:
            last += 1
    elif fault == "swap":
        last = place + 1
    return span.start <= last and first < max(span.stop, span.start + 1)


def measured_log(data: Path, _kind: str, seed: int) -> Iterator[dict[str, Any]]:
    """AUROC and average precision on labelled lines, those of the text alone and without the time in seconds."""
    rows = [line.split("\t", 1) for line in strings_of(data, "bgl")]
    label = np.array([int(mark) for mark, _ in rows])
    lines = [line.split(" ", 1)[1] for _, line in rows]
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(label == 0))
    learned, tested = normal[: normal.size // 2], np.concatenate([normal[normal.size // 2 :], np.flatnonzero(label)])
    train, test = [lines[i] for i in learned], [lines[i] for i in tested]
    scores = {name: score(test) for name, score in peer_scores(train).items()}
    model = fitted(train, seed)
    scores[VAECLI] = model.score(pd.DataFrame({"text": test}))["anomaly_score"].to_numpy(float)
    for name, score in scores.items():
        figures = roc_auc_score(label[tested], score), average_precision_score(label[tested], score)
        yield {"method": name, "auroc": float(figures[0]), "ap": float(figures[1])}


def measured_samples(data: Path, kind: str, seed: int) -> Iterator[dict[str, Any]]:
    """How real new strings look, of vaecli and of the Kneser-Ney model."""
    learned, held_out, fresh = split(strings_of(data, kind), seed)
    n = len(fresh)
    peer = KneserNey(learned + held_out)
    rng = np.random.default_rng(seed)
    drawn = fitted(learned + held_out, seed).sample(n, seed=seed)["text"].to_pylist()
    known = set(learned + held_out)
    for name, strings in (("Kneser-Ney, drawn", [peer.draw(rng) for _ in range(n)]), (VAECLI, drawn)):
        strings = [string or "" for string in strings]
        yield {
            "method": name,
            "accuracy": _told_apart(fresh, strings, seed),
            "copies": float(np.mean([string in known for string in strings])),
            "examples": strings[:3],
        }


def measured_alarms(data: Path, kind: str, seed: int) -> Iterator[dict[str, Any]]:
    """Shares of fresh strings that are flagged, by the number of strings to learn from."""
    strings = (data / f"{kind}.txt").read_text(encoding="utf-8").splitlines()
    strings = [strings[i] for i in np.random.default_rng([seed, 0xA1]).permutation(len(strings))]
    found = {}
    for size in SIZES:
        fresh = strings[size : size + MOST_FRESH]
        found[str(size)] = float(_flags(fitted(strings[:size], seed), fresh).mean())
    yield {"method": VAECLI, "false_alarms_by_size": found}


def measured_together(_data: Path, _kind: str, seed: int) -> Iterator[dict[str, Any]]:
    """AUROC of wrong combinations by all columns, by the message alone and by the numbers alone; seconds of scores."""
    train, fresh = joint_table(N_JOINT, [seed, 0]), joint_table(N_JOINT, [seed, 1])
    wrong = wrong_combinations(fresh, seed)
    label = np.repeat([0, 1], len(fresh))
    numbers = [name for name in train if name != MESSAGE]
    row: dict[str, Any] = {"method": VAECLI, "characters": float(train[MESSAGE].str.len().mean())}
    many = joint_table(N_TIMED, [seed, 2])
    for name, columns in (("all", list(train)), ("message", [MESSAGE]), ("numbers", numbers)):
        text = [MESSAGE] if MESSAGE in columns else []
        model = vaecli.fit(train[columns], text=text, seed=seed, preset="fast")
        both = pd.concat([fresh, wrong])[columns]
        row[f"auroc_{name}"] = float(roc_auc_score(label, model.score(both)["anomaly_score"].to_numpy(float)))
        row[f"false_alarms_{name}"] = float(
            model.score(fresh[columns], threshold=LEVEL)["is_anomaly"].to_numpy().mean()
        )
        row |= {f"{figure}_{name}": value for figure, value in _seconds(model, many[columns]).items()}
    yield row


def _seconds(model: vaecli.Model, table: pd.DataFrame) -> dict[str, float]:
    """Microseconds of one core per row, and rows per second of the clock: the best of three."""
    core, clock = [], []
    for _ in range(3):
        start = time.process_time(), time.perf_counter()
        model.score(table)
        core.append(time.process_time() - start[0])
        clock.append(time.perf_counter() - start[1])
    return {"microseconds": min(core) / len(table) * 1e6, "rows_per_second": len(table) / min(clock)}


def _told_apart(real: Sequence[str], new: Sequence[str], seed: int) -> float:
    """The accuracy on one half of a classifier that learned from the other half."""
    vectors = HashingVectorizer(analyzer="char", ngram_range=(1, 4), n_features=2**14, lowercase=False)
    features, label = vectors.transform([*real, *new]), np.repeat([0, 1], [len(real), len(new)])
    order = np.random.default_rng(seed).permutation(label.size)
    train, test = order[: label.size // 2], order[label.size // 2 :]
    model = LogisticRegression(C=10.0, max_iter=300).fit(features[train], label[train])
    return float(model.score(features[test], label[test]))


def report(results: record.Results) -> str:
    """The means over seeds as Markdown."""
    parts = ["# Strings", f"What is measured: `benchmarks/text.py`. Settings of vaecli: {SETTINGS}."]
    rows = [row for row in results.rows if row["part"] == "faults"]
    splits = {kind: len({row["seed"] for row in rows if row["kind"] == kind}) for kind in (*KINDS, *UNSEEN)}
    several = [f"{kind} in {n}" for kind, n in splits.items() if n > 1]
    parts += [f"Splits: one of each kind{''.join(f', {one}' for one in several)}."]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    if rows:
        for title, of_part in (("by kind of string", KINDS), ("kinds on which nothing was chosen", UNSEEN)):
            kinds = [kind for kind in of_part if any(row["kind"] == kind for row in rows)]
            if kinds:
                own = [row for row in rows if row["kind"] in kinds]
                parts += [f"## Faults seen at 0.99, {title}", _by_kind(own, methods, kinds)]
        rows_of_kinds = [row for row in rows if row["kind"] in KINDS]
        parts += ["## Faults seen at 0.99, by fault, mean over the first six kinds", _by_fault(rows_of_kinds, methods)]
        parts += ["## vaecli by kind and fault", _by_both(rows, (*KINDS, *UNSEEN))]
    for part, title, names in (
        ("log", "## BGL: anomalous lines", ("auroc", "ap")),
        ("samples", "## New strings", ("accuracy", "copies")),
    ):
        rows = [row for row in results.rows if row["part"] == part]
        if rows:
            lines = [(r["kind"], r["method"], *(f"{r[name]:.3f}" for name in names)) for r in rows]
            parts += [title, record.markdown_table(("kind", "method", *names), sorted(lines))]
    parts += report_of_tables(results.rows)
    return "\n\n".join([*parts, record.machine_line(results.machine())]) + "\n"


def _mean_seen(rows: Sequence[dict[str, Any]], fault: str | None = None) -> float:
    values = [[row["seen"][name] for name in FAULTS if fault in (None, name)] for row in rows]
    return float(np.mean(values)) if rows else float("nan")


def _by_kind(rows: Sequence[dict[str, Any]], methods: Sequence[str], kinds: Sequence[str]) -> str:
    lines = []
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        of_kind = [[row for row in own if row["kind"] == kind] for kind in kinds]
        shares = [_mean_seen(found) for found in of_kind]
        alarms = record.percent(
            float(np.mean([record.mean(row["false_alarms"] for row in found) for found in of_kind]))
        )
        lines.append(
            (method, *(record.percent(share) for share in shares), record.percent(float(np.mean(shares))), alarms)
        )
    return record.markdown_table(("method", *kinds, "mean", "false alarms"), lines)


def _by_fault(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> str:
    lines = []
    for method in methods:
        own = [row for row in rows if row["method"] == method]
        of_kind = [[row for row in own if row["kind"] == kind] for kind in dict.fromkeys(row["kind"] for row in own)]
        means = (float(np.mean([_mean_seen(found, fault) for found in of_kind])) for fault in FAULTS)
        lines.append((method, *map(record.percent, means)))
    return record.markdown_table(("method", *FAULTS), lines)


def _by_both(rows: Sequence[dict[str, Any]], kinds: Sequence[str]) -> str:
    lines = []
    for kind in kinds:
        own = [row for row in rows if row["kind"] == kind and row["method"] == VAECLI]
        if own:
            spans = [row["spans"] for row in own if row["spans"] is not None]
            lines.append(
                (
                    kind,
                    *(record.percent(_mean_seen(own, fault)) for fault in FAULTS),
                    record.percent(record.mean(row["false_alarms"] for row in own)),
                    record.percent(record.mean(spans)) if spans else "–",
                    f"{record.mean(row['microseconds_per_row'] for row in own):.0f}",
                )
            )
    return record.markdown_table(("kind", *FAULTS, "false alarms", "spans", "µs a row"), lines)


if __name__ == "__main__":
    main()
