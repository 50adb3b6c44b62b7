"""Does `vaecli check` stay silent on clean series, and does it name the fault that was put into one?

For each series a bundle is fitted on the first two thirds of its normal training rows. Tables of 30 to 1,440 rows are
cut from the last third, which follow the training rows (`next`), and from the stretches of the test rows in which no
label marks an anomaly (`later`). Then faults are put into tables of 480 rows of the last third: one sensor is offset by
one or three standard deviations, amplified, held, emptied, partly emptied or converted to another unit, or rows are
left out or repeated.

    nice python benchmarks/series_check.py --data FOLDER
"""

from __future__ import annotations

import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import record

SETS = ("ASD", "GECCO", "MSL", "NAB", "SKAB", "SMAP", "SMD", "TEP", "daphnet")
SAMPLE = record.REPOSITORY / "sample_data" / "daphnet"
SEEN = 4  # series of each set by which the limits of the check were set
LENGTHS = (30, 120, 480, 1_440)
DRAWS = 10  # tables of a length from one part of a series, at most
FAULT_ROWS = 480
FAULT_DRAWS = 4  # of each fault and series
FEWEST_TRAINING = 300
MOST_NAMED = 3
COSTS = (("ASD", "omi-1"), ("GECCO", "water2018a"), ("SMD", "machine-1-6"))
REPEATS = 3
CLOCK, LABEL = "timestamp", "label"

Fault = Callable[[pd.DataFrame, str, pd.Series], pd.DataFrame]


def _sensor(change: Callable[[pd.Series, pd.Series], Any]) -> Fault:
    """A fault of one sensor: its readings, changed with the readings of training."""
    return lambda rows, name, was: rows.assign(**{name: np.asarray(change(rows[name], was), np.float64)})


FAULTS: dict[str, Fault] = {
    "offset of 1 deviation": _sensor(lambda x, was: x + was.std()),
    "offset of 3 deviations": _sensor(lambda x, was: x + 3 * was.std()),
    "gain of 1.5": _sensor(lambda x, was: was.mean() + 1.5 * (x - was.mean())),
    "gain of 3": _sensor(lambda x, was: was.mean() + 3 * (x - was.mean())),
    "stuck for half of the rows": _sensor(lambda x, _: x.where(np.arange(len(x)) < len(x) // 2, x.iloc[len(x) // 2])),
    "no reading": _sensor(lambda x, _: x * np.nan),
    "a fifth of the readings missing": _sensor(lambda x, _: x.where(np.arange(len(x)) * 7919 % 5 > 0)),
    "another unit (1.8 x + 32)": _sensor(lambda x, _: 1.8 * x + 32),
    "another unit (1,000 x)": _sensor(lambda x, _: 1_000 * x),
    "every second row": lambda rows, _, __: rows.iloc[::2],
    "every row twice": lambda rows, _, __: rows.loc[rows.index.repeat(2)],
    "a third of the rows lost, 16 after each 32": lambda rows, _, __: rows[np.arange(len(rows)) % 48 >= 16],
}
OF_THE_CLOCK = {
    "every second row": "step",
    "every row twice": "repeated",
    "a third of the rows lost, 16 after each 32": "gaps",
}


def main() -> None:
    """Measure what is missing, then write the tables."""
    parser = record.parser(__doc__, "series_check.json")
    parser.add_argument("--data", help="the folder that holds sensors/ (see benchmarks/README.md)")
    record.add_names(parser, "--sets", SETS)
    options = parser.parse_args()
    folder = record.data_folder(options.data, "sensors") / "sensors"
    results = record.Results(options.out, ("set", "series", "what", "n"))
    for name in options.sets:
        of_set = [SAMPLE] if name == SAMPLE.name else series_of(folder / name)
        for path in of_set:
            if options.redo or not results.has(set=name, series=path.name, what="fit", n=0):
                measure(name, path, path.name in few_of(of_set), results)
    for name, series in COSTS:
        if options.redo or not results.has(set=name, series=series, what="cost", n=0):
            cost(name, folder / name / series, results)
    record.finish(options.out, report(results))


def cost(name: str, folder: Path, results: record.Results) -> None:
    """Processor time of fit, score and check, and how often a test of independent rows would fail clean tables."""
    import vaecli
    from vaecli.sensors import fit_stretches
    from vaecli.workflows import fit_sensors

    rows = normal_rows(folder)[0]
    cut, learn = len(rows) * 2 // 3, fit_stretches.learn_stretches
    spent: dict[str, list[float]] = {"fit": [], "stretches": [], "score": [], "check": []}

    def timed(what: str, of: Callable[..., Any], *given: Any, **settings: Any) -> Any:
        started = time.process_time()
        found = of(*given, **settings)
        spent[what].append(time.process_time() - started)
        return found

    setattr(fit_sensors, "learn_stretches", lambda *given: timed("stretches", learn, *given))  # noqa: B010
    try:
        for _ in range(REPEATS):
            model = timed("fit", vaecli.fit, rows.iloc[:cut], time=CLOCK, **{"windows.window": 32})
            timed("score", model.score, rows.iloc[cut:])
            timed("check", model.check, rows.iloc[cut:])
    finally:
        setattr(fit_sensors, "learn_stretches", learn)  # noqa: B010
    n_bytes = sum(values.nbytes for values in model.detector.stretches.to_arrays().values())
    with tempfile.TemporaryDirectory() as place:
        model.save(Path(place) / "model.vae")
        size = (Path(place) / "model.vae").stat().st_size
    seconds = {what: round(float(np.median(values)), 3) for what, values in spent.items()}
    clean = [table for n in LENGTHS for table in tables([rows.iloc[cut:]], n)]
    results.add(
        {"set": name, "series": folder.name, "what": "cost", "n": 0, "rows": cut, "rest": len(rows) - cut}
        | {"sensors": len(model.schema.features), "bytes": n_bytes, "bundle": size, **seconds}
        | {"tables": len(clean), "failed": sum(fails_as_independent(model, table) for table in clean)}
    )


def fails_as_independent(model: Any, table: pd.DataFrame) -> bool:
    """Whether a column of a table is further from training than as many independent rows would be, and than 0.25."""
    from vaecli.aggregates.series_tally import ALL
    from vaecli.config.check import CheckConfig
    from vaecli.results import ignore
    from vaecli.tables import frame_source
    from vaecli.workflows.check_sensors import counted_table

    detector, config = model.detector, CheckConfig()
    stretches = detector.stretches
    bins = counted_table(detector, frame_source(pa.Table.from_pandas(table)), config, ignore)[0].tally.counts[ALL].bins
    for v in range(len(detector.schema.features)):
        reference, counts = stretches.references[v], bins[stretches.edges[v] : stretches.edges[v + 1]]
        if reference is None or np.count_nonzero(reference.share) == 1 or not counts.sum():
            continue
        independent = replace(reference, n_rows=float(stretches.n_rows))
        chance = independent.by_chance(float(counts.sum()), len(detector.schema.features), 0)
        if float(reference.distance(counts)) > max(chance, config.fail_distance):
            return True
    return False


def series_of(folder: Path) -> list[Path]:
    """The folders of the series of a set; of SKAB and TEP the one series without faults."""
    found = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    only = {"SKAB": "anomaly-free", "TEP": "normal"}.get(folder.name)
    return [path for path in found if only in (None, path.name)]


def few_of(of_set: list[Path]) -> set[str]:
    """The names of the SEEN series of a set by which the limits of the check were set, evenly spread."""
    places = np.unique(np.linspace(0, len(of_set) - 1, min(SEEN, len(of_set))).round().astype(int))
    return {of_set[i].name for i in places}


def normal_rows(folder: Path) -> tuple[pd.DataFrame, list[pd.DataFrame]]:
    """The training rows of a series, and the later stretches that no label marks."""
    if folder == SAMPLE:
        tables = [pd.read_csv(folder / name).rename(columns={"time_ms": CLOCK}) for name in ("normal.csv", "mixed.csv")]
        return tables[0], list(normal_stretches(tables[1]))
    rows, test = pd.read_parquet(folder / "train.parquet"), folder / "test.parquet"
    later = list(normal_stretches(pd.read_parquet(test))) if test.exists() else []
    return rows[rows[LABEL] == 0].drop(columns=LABEL), later


def measure(name: str, folder: Path, is_seen: bool, results: record.Results) -> None:
    """Fit one series, check clean tables and faulty ones."""
    import vaecli

    started = time.monotonic()
    rows, later = normal_rows(folder)
    cut = len(rows) * 2 // 3
    training, rest = rows.iloc[:cut], rows.iloc[cut:]
    if len(training) < FEWEST_TRAINING:
        return
    key: dict[str, Any] = {"set": name, "series": folder.name, "seen": is_seen}
    model = vaecli.fit(training, time=CLOCK, **{"windows.window": 32})
    for what, stretches in (("next", [rest]), ("later", later)):
        for n in LENGTHS:
            found = [model.check(table) for table in tables(stretches, n)]
            if found:
                results.add(key | {"what": what, "n": n, **levels(found)})
    faults(key, model, training, rest, results)
    results.add(key | {"what": "fit", "n": 0, "rows": len(training), "seconds": round(time.monotonic() - started, 1)})
    print(f"{name} {folder.name}: {time.monotonic() - started:.0f} s", file=sys.stderr)


def normal_stretches(test: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The longest stretches of rows without a label."""
    marks = test[LABEL].fillna(0).to_numpy() > 0
    for part in np.split(np.arange(len(test)), np.flatnonzero(np.diff(marks.astype(int))) + 1):
        if part.size and not marks[part[0]]:
            yield test.iloc[part].drop(columns=LABEL)


def tables(stretches: list[pd.DataFrame], n: int) -> list[pd.DataFrame]:
    """At most DRAWS tables of n rows without a common row, evenly spread over the stretches."""
    places = [(i, start) for i, one in enumerate(stretches) for start in range(0, len(one) - n + 1, n)]
    if not places:
        return []
    chosen = np.unique(np.linspace(0, len(places) - 1, min(DRAWS, len(places))).round().astype(int))
    return [stretches[i].iloc[start : start + n] for i, start in (places[j] for j in chosen)]


def levels(found: list[Any]) -> dict[str, Any]:
    """How many of the checks fail and warn, and by what the failures are named first."""
    failed = [one for one in found if one.level == "fail"]
    kinds = sorted({finding.what for one in failed for finding in one.findings if finding.level == "fail"})
    named = [one.findings[0].sentence for one in failed[:MOST_NAMED]]
    warned = sum(one.level == "warn" for one in found)
    return {"tables": len(found), "failed": len(failed), "warned": warned, "kinds": kinds, "first": named}


def faults(
    key: dict[str, Any], model: Any, training: pd.DataFrame, rest: pd.DataFrame, results: record.Results
) -> None:
    """Put each fault into tables of the last third of the training rows."""
    n = min(FAULT_ROWS, len(rest))
    clean = tables([rest], n)[:FAULT_DRAWS]
    names = [name for name in training.columns if name != CLOCK and training[name].nunique() > 10]
    if n < LENGTHS[1] or not names:
        return
    failed_before = [{one.column for one in model.check(table).findings if one.level == "fail"} for table in clean]
    for fault, put in FAULTS.items():
        rng = np.random.default_rng(zlib.crc32(f"{key} {fault}".encode()))
        draws = failed = hits = 0
        for table, before in zip(clean, failed_before, strict=True):
            name = names[rng.integers(len(names))]
            wanted = OF_THE_CLOCK.get(fault)
            if (CLOCK if wanted else name) in before:
                continue  # it fails without the fault
            found = model.check(put(table, name, training[name]))
            worst = [one for one in found.findings if one.level == "fail"]
            draws, failed = draws + 1, failed + bool(worst)
            hits += any(one.what == wanted if wanted else one.column == name for one in worst)
        if draws:
            results.add(key | {"what": fault, "n": n, "tables": draws, "failed": failed, "hits": hits})


def report(results: record.Results) -> str:
    """False alarms by set and length, and hits by fault."""
    rows = results.rows
    parts = ["# Checks of series", (__doc__ or "").split("\n\n")[1]]
    for what, title in (("next", "Tables that follow the training rows"), ("later", "Later tables, without a label")):
        own = [row for row in rows if row["what"] == what]
        lines = [
            line
            for name in [*SETS, "all"]
            for n in LENGTHS
            if (line := alarms((name, n), [row for row in own if name in (row["set"], "all") and row["n"] == n]))
        ]
        for seen, words in ((True, "of series by which the limits were set"), (False, "of all other series")):
            lines += filter(None, [alarms((words, "all"), [row for row in own if row["seen"] is seen])])
        header = ("set", "rows", "series", "tables", "fail", "share", "warn")
        kinds = Counter(kind for row in own for kind in row["kinds"])
        shown = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
        parts += [f"## {title}", record.markdown_table(header, lines)]
        parts.append(f"Series and lengths in which a comparison failed, by its kind: {shown or 'none'}.")
    lines = []
    for fault in FAULTS:
        own = [row for row in rows if row["what"] == fault]
        total, failed, hits = (sum(row[k] for row in own) for k in ("tables", "failed", "hits"))
        if total:
            lines.append((fault, len(own), total, failed, hits, f"{100 * hits / total:.0f} %"))
    parts += [
        f"## Faults in tables of at most {FAULT_ROWS} rows",
        "A hit is a failure that names the sensor, or the clock's fault. Tables that fail without the fault by the "
        "same column are left out.",
        record.markdown_table(("fault", "series", "tables", "fail", "hits", "share"), lines),
    ]
    costs = [row for row in rows if row["what"] == "cost"]
    names = ("rows", "sensors", "fit", "stretches", "rest", "score", "check", "bytes", "bundle")
    lines = [
        (f"{row['set']} {row['series']}", *(row[k] for k in names), f"{row['failed']} of {row['tables']}")
        for row in costs
    ]
    words = (
        "series, rows of the fit, sensors, fit (s), of it stretches (s), rows, score (s), check (s), stretches (bytes)"
    )
    columns = f"{words}, bundle (bytes), fail as independent rows".split(", ")
    parts += [
        "## Costs",
        f"Processor seconds, medians of {REPEATS}, in turns. The last column has the tables that follow the training "
        "rows, of all lengths, in which a sensor is further from training than as many independent rows are by chance.",
        record.markdown_table(columns, lines),
    ]
    return "\n\n".join([*parts, record.machine_line(results.machine())]) + "\n"


def alarms(names: tuple[object, ...], rows: list[dict[str, Any]]) -> tuple[object, ...] | None:
    """A line of the table of false alarms; None of no rows."""
    if not rows:
        return None
    total, failed, warned = (sum(row[k] for row in rows) for k in ("tables", "failed", "warned"))
    n_series = len({(row["set"], row["series"]) for row in rows})
    return (*names, n_series, total, failed, f"{100 * failed / total:.1f} %", warned)


if __name__ == "__main__":
    main()
