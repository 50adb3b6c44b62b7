"""Which engine computes scores on a CPU: NumPy, one exported graph under ONNX Runtime, or torch?

Fits a bundle (default preset) on 10,000 rows of 30 numeric columns, kept in `--work`, and measures for each engine, on
1 and 2 threads, how long the member scores of 1,000 to 10,000,000 rows take: what `scoring._tiles` yields for the kind
`combined`. Reading, preprocessing and writing are the same for all and not timed. Beside it: what an engine costs once,
and how far its final scores and flags are from NumPy's.

    python benchmarks/engines.py --work DIR
    python benchmarks/engines.py --work DIR --rows 1000,10000 --repeats 3
    python benchmarks/engines.py --work DIR --quick

| engine                 | what computes                                                                            |
|------------------------|------------------------------------------------------------------------------------------|
| `numpy`                | vaecli as it is: tiles of fixed size, BLAS on one thread; 2 threads take batches in turn |
| `onnxruntime`          | both families as one graph, line by line what `network`, `likelihoods`, `codes` compute  |
| `onnxruntime, grouped` | the same, but the nearest code is sought in groups: ONNX Runtime's ArgMin is slow        |
| `torch`                | vaecli's own lines on tensors, `Ensemble.on("cpu")`, one tile a batch                    |

ONNX Runtime and torch may use 2 threads within each operation (`inside`), or 2 Python threads take batches in turn
(`batches`); batches have 1,024 or 16,384 rows. All are measured, the fastest is reported, beyond 100,000 rows only
the fastest is measured. Each measurement is a process of its own, engines in turn; an engine whose packages
(`pip install onnx onnxruntime`) are absent is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import record

N_COLUMNS = 30
N_FACTORS = 5
FIT_ROWS = 10_000
STORED_ROWS = 1_000_000  # more are these again
CHUNK_ROWS = 100_000
SETTLED_ROWS = 100_000  # beyond them only the fastest setting of an engine is measured
PARITY_ROWS = 100_000
ODD_SHARE = 0.01  # of the scored rows, so that there is something to flag
MIN_TIMED_ROWS = 20_000  # fewer rows are scored again and again until it is as many
BATCH_ROWS = (1_024, 16_384)
OTHER_CUTS = {77: PARITY_ROWS, 1: 2_000}  # rows a batch: of how many rows; do scores depend on where batches are cut?
LEVEL = 0.99
KIND = "combined"

ENGINES = {
    "numpy": (),
    "onnxruntime": ("onnx", "onnxruntime"),
    "onnxruntime, grouped": ("onnx", "onnxruntime"),
    "torch": ("torch",),
}
RUNTIMES = ("numpy", "onnxruntime", "torch")
KEYS = ("engine", "rows", "threads", "batch_rows", "spread", "repeat")

Batch = tuple[np.ndarray, np.ndarray]  # features (n, d), row numbers (n,)
Scores = tuple[np.ndarray, np.ndarray]  # of the members (w, n), column parts (e, n, c)
Compute = Callable[[np.ndarray, np.ndarray], Iterator[Scores]]


class Setting(NamedTuple):
    """One way to compute: `spread` is `inside` an operation or over `batches`."""

    engine: str
    threads: int
    batch_rows: int
    spread: str


def main() -> None:
    """Fit, measure every setting in turn, compare the scores, write the results."""
    options = _options()
    if options.child:
        print(json.dumps(child(json.loads(options.child))))
        return
    engines = available()
    options.work.mkdir(parents=True, exist_ok=True)
    files = prepare(options.work, options.fit_rows, max(options.rows), engines)
    results = record.Results(options.out, KEYS)
    for rows in sorted(options.rows):
        settings = settled(settings_of(engines), results.rows, rows)
        for repeat in range(options.repeats if rows <= STORED_ROWS else 1):
            for setting in settings:
                key = {"rows": rows, "repeat": repeat, **setting._asdict()}
                if not results.has(**key):
                    print(rows, *setting, file=sys.stderr)
                    results.add(key | run_child({"task": "time", "files": files, **key}))
    runtimes = [name for name in RUNTIMES if find_spec(name)]
    report = {
        "machine": record.machine(),
        "versions": {name: distribution(name).version for name in runtimes},
        "fit_rows": options.fit_rows,
        "left_out": [name for name in ENGINES if name not in engines],
        "once": [once(name, files, options.repeats) for name in runtimes],
        "parity": parity(options.work, files, engines),
        "rows": results.rows,
    }
    record.write_json(options.out, report)
    record.finish(options.out, markdown(report))
    plot(report["rows"], options.out.with_suffix(".png"))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__)
    parser.add_argument("--work", type=Path, help="folder for the bundle and the features, about 150 MB")
    parser.add_argument(
        "--rows", type=record.seeds, default=[10**3, 10**4, 10**5, 10**6, 10**7], help="row counts, with commas"
    )
    parser.add_argument("--fit-rows", type=int, default=FIT_ROWS, help="fewer make a bundle of fewer exemplars")
    parser.add_argument("--repeats", type=int, default=5, help="of each measurement; 1 beyond 1,000,000 rows")
    parser.add_argument("--out", type=Path, help="results file [benchmarks/results/engines.json]")
    parser.add_argument("--quick", action="store_true", help="tiny, for development; results go to --work")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.child and options.work is None:
        parser.error("--work is missing: a folder for the bundle and the features")
    if options.quick:
        options.rows, options.repeats, options.fit_rows = [1_000], 1, 500
        options.out = options.out or options.work / "engines.json"
    options.out = options.out or record.RESULTS / "engines.json"
    return options


def available() -> list[str]:
    """The engines whose packages are installed; reports which are left out."""
    for name, packages in ENGINES.items():
        absent = [package for package in packages if not find_spec(package)]
        if absent:
            print(f"{name} is left out: {', '.join(absent)} not installed", file=sys.stderr)
    return [name for name, packages in ENGINES.items() if all(map(find_spec, packages))]


def settings_of(engines: Sequence[str]) -> list[Setting]:
    """Every way to compute that is tried."""
    settings = []
    for batch_rows in BATCH_ROWS:
        settings += [Setting(engine, 1, batch_rows, "inside") for engine in engines]
        settings += [Setting(engine, 2, batch_rows, "batches") for engine in engines]
        settings += [Setting(engine, 2, batch_rows, "inside") for engine in engines if engine != "numpy"]
    return settings


def settled(settings: list[Setting], measured: list[dict[str, Any]], rows: int) -> list[Setting]:
    """Those worth measuring at this number of rows: many rows only with each engine's fastest at fewer."""
    fewer = [row["rows"] for row in measured if row["rows"] < rows]
    if rows <= SETTLED_ROWS or not fewer:
        return settings
    best = fastest(measured, max(fewer))
    return [setting for setting in settings if best.get((setting.engine, setting.threads), setting) == setting]


def fastest(measured: list[dict[str, Any]], rows: int) -> dict[tuple[str, int], Setting]:
    """For each engine and number of threads the setting with the smallest median of seconds."""

    def setting(row: dict[str, Any]) -> Setting:
        return Setting(*(row[name] for name in Setting._fields))

    of = sorted((row for row in measured if row["rows"] == rows), key=setting)
    seconds = {key: median(row["seconds"] for row in runs) for key, runs in groupby(of, setting)}
    best: dict[tuple[str, int], Setting] = {}
    for key in sorted(seconds, key=seconds.__getitem__):
        best.setdefault((key.engine, key.threads), key)
    return best


# What is measured


def prepare(work: Path, fit_rows: int, most_rows: int, engines: Sequence[str]) -> dict[str, str]:
    """The files that the children read: bundle, features, and the graph of each ONNX engine. Made once."""
    from vaecli.bundle import load_detector

    n_stored = min(most_rows, STORED_ROWS)
    files = {"bundle": work / f"engines_{fit_rows}.vae", "features": work / f"engines_{fit_rows}_{n_stored}.npy"}
    if not files["bundle"].exists():
        import vaecli

        vaecli.fit(generated(fit_rows, seed=0, odd_share=0.0), seed=0).save(files["bundle"])
    detector, _ = load_detector(files["bundle"])
    if not files["features"].exists():
        np.save(files["features"], features(detector, n_stored))
    for engine in engines:
        if engine.startswith("onnxruntime"):
            files[engine] = work / f"engines_{fit_rows}{'_grouped' * engine.endswith('grouped')}.onnx"
            files[engine].write_bytes(graph(detector.ensemble.families, grouped=engine.endswith("grouped")))
    return {name: str(path) for name, path in files.items()}


def generated(n_rows: int, seed: int, odd_share: float) -> np.ndarray:
    """Columns moved by five hidden factors, with noise; anomalous rows have three times the noise."""
    loadings = np.random.default_rng(0).normal(size=(N_FACTORS, N_COLUMNS))
    rng = np.random.default_rng([seed, 1])
    noise = np.where(rng.random((n_rows, 1)) < odd_share, 1.5, 0.5)
    return rng.normal(size=(n_rows, N_FACTORS)) @ loadings + noise * rng.normal(size=(n_rows, N_COLUMNS))


def features(detector: Any, n_rows: int) -> np.ndarray:
    """What the networks see of new rows: (n, d) float32."""
    from vaecli.data.cells import Cells

    made = []
    for start in range(0, n_rows, CHUNK_ROWS):
        values = generated(min(CHUNK_ROWS, n_rows - start), seed=1 + start, odd_share=ODD_SHARE)
        cells = Cells(values, np.zeros(values.shape, np.uint8), np.arange(len(values)))
        made.append(detector.preprocessor.transform(cells).values)
    return np.concatenate(made)


def batches(stored: np.ndarray, n_rows: int, batch_rows: int) -> Iterator[Batch]:
    """(features, row numbers) of n rows in batches, the stored ones again and again: memory stays bounded."""
    for first in range(0, n_rows, len(stored)):
        n = min(len(stored), n_rows - first)
        for start in range(0, n, batch_rows):
            stop = min(start + batch_rows, n)
            yield stored[start:stop], np.arange(first + start, first + stop)


# The children: one measurement in a process of its own


def run_child(asked: dict[str, Any]) -> dict[str, Any]:
    """What `child` answers in a fresh process where no variable sets the number of threads."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, str(Path(__file__).resolve()), "--child", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{asked}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def child(asked: dict[str, Any]) -> dict[str, Any]:
    """Do one task: `start` an engine, `time` it, or keep the `scores` it gives."""
    from vaecli.bundle import load_detector

    detector, _ = load_detector(Path(asked["files"]["bundle"]))
    if asked["task"] == "start":
        if asked["engine"] != "numpy":
            __import__(asked["engine"])
        return {"start_seconds": seconds(lambda: compute_of(asked["engine"], detector, asked["files"], 1))}
    stored = np.load(asked["files"]["features"])
    inside = asked["threads"] if asked["spread"] == "inside" else 1
    compute = compute_of(asked["engine"], detector, asked["files"], inside)
    if asked["task"] == "time":
        return timed(compute, stored, asked)
    np.save(asked["to"], final_scores(detector, compute, stored[: asked["rows"]], asked["batch_rows"]))
    return {}


def timed(compute: Compute, stored: np.ndarray, asked: dict[str, Any]) -> dict[str, float]:
    """Wall and CPU seconds of computing all rows, after one batch to warm up."""
    from threadpoolctl import threadpool_limits

    from vaecli.runtime.parallel import map_in_order

    def work(batch: Batch) -> None:
        for _ in compute(*batch):  # dropped at once, as `score_batch` drops a tile when it has used it
            pass

    def all_passes() -> None:
        for _ in range(passes):
            all_rows()

    def all_rows() -> None:
        cut = batches(stored, asked["rows"], asked["batch_rows"])
        done = map_in_order(work, cut, asked["threads"]) if asked["spread"] == "batches" else map(work, cut)
        for _ in done:
            pass

    with threadpool_limits(1, "blas"):  # as `LocalEngine` does
        work(next(batches(stored, asked["rows"], asked["batch_rows"])))
        passes = -(-MIN_TIMED_ROWS // asked["rows"])
        cpu = time.process_time()
        wall = seconds(all_passes)
        cpu = time.process_time() - cpu
    return {"seconds": wall / passes, "cpu_seconds": cpu / passes, "peak_mb": peak_mb()}


def final_scores(detector: Any, compute: Compute, stored: np.ndarray, batch_rows: int) -> np.ndarray:
    """(n,) what `score_batch` makes of the member scores."""
    scale = detector.surprisal_scales[KIND]
    scores = [
        scale.of_rows(of_members, columns)[0]
        for batch in batches(stored, len(stored), batch_rows)
        for of_members, columns in compute(*batch)
    ]
    return np.concatenate(scores)


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak_mb() -> float | None:
    """Peak resident memory of this process in MB (10^6 bytes); None where /proc does not report it.

    `getrusage` would report the parent's where that was larger when it started this process.
    """
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\s*(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 / 1e6 if found else None


def imported(runtime: str) -> dict[str, Any]:
    """Seconds and peak memory of an import, in a process that has imported nothing before."""
    probe = f"import time; start = time.perf_counter(); import {runtime}; seconds = time.perf_counter() - start\n"
    # only now this script, which imports NumPy: its memory is within that of the others
    probe += f"import sys; sys.path.insert(0, {str(Path(__file__).resolve().parent)!r})\n"
    probe += "import json, engines; print(json.dumps({'seconds': seconds, 'peak_mb': engines.peak_mb()}))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


# The engines: (features, row numbers) → member scores (w, n) and column parts (e, n, c), tile after tile


def compute_of(engine: str, detector: Any, files: dict[str, str], threads: int) -> Compute:
    """The engine ready to compute with so many threads inside an operation; NumPy always takes one."""
    if engine == "numpy":
        return vaecli_compute(detector.ensemble)
    if engine == "torch":
        import torch

        torch.set_num_threads(threads)
        return vaecli_compute(detector.ensemble.on("cpu"))
    return onnx_compute(Path(files[engine]), threads)


def vaecli_compute(ensemble: Any) -> Compute:
    """vaecli's own lines, over NumPy arrays or tensors; with tensors a tile is the whole batch."""
    from vaecli.data.preprocessor import FeatureBatch
    from vaecli.scoring.scores import _tiles

    def compute(values: np.ndarray, row: np.ndarray) -> Iterator[Scores]:
        batch = FeatureBatch(values, np.zeros(values.shape, np.uint8), row)
        for _, within, scores, columns in _tiles(ensemble, batch, KIND):
            yield scores[:, within], columns[:, within]

    return compute


def onnx_compute(path: Path, threads: int) -> Compute:
    """A session of the exported graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])

    def compute(values: np.ndarray, _: np.ndarray) -> Iterator[Scores]:
        yield tuple(session.run(None, {"features": values}))

    return compute


# The graph: `network`, `likelihoods` and `codes` once more, for numeric columns without gaps


def graph(families: Any, *, grouped: bool) -> bytes:
    """An ONNX model: features (n, d) → scores (w, n) float64 and nats (e, n, c) float32, as `scoring._tiles` has them.

    Member by member, because ONNX Runtime prepares constant matrices, and not stacks of them, for its products.
    """
    import onnx
    from onnx import TensorProto, helper

    nodes = Nodes()
    scores, columns = [], []
    for family in families:
        if (
            family.likelihood.n_gaussian != family.likelihood.presence.n_missing.size
            or family.likelihood.has_missing.size
        ):
            raise ValueError("the graph knows only numeric columns without gaps")
        members = [nodes.member(family, k, grouped=grouped) for k in range(len(family.held_out))]
        columns += [member["columns"] for member in members]
        for term in family.score_terms:
            for member in members:
                latent = member.get(term.value)
                added = [] if latent is None else [nodes.op("Cast", latent, to=TensorProto.DOUBLE)]
                scores.append(nodes.op("Add", member["nats"], *added) if added else member["nats"])
    outputs = [
        helper.make_tensor_value_info(nodes.stack(scores), TensorProto.DOUBLE, ["w", "n"]),
        helper.make_tensor_value_info(nodes.stack(columns), TensorProto.FLOAT, ["e", "n", "c"]),
    ]
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", families[0].likelihood.n_gaussian])]
    whole = helper.make_graph(nodes.nodes, KIND, inputs, outputs, nodes.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


class Nodes:
    """The nodes and constants of a graph; a value is known by its name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def op(self, kind: str, *inputs: str | float | np.ndarray, **attributes: Any) -> str:
        """One operation; numbers become float32 constants, arrays constants as they are."""
        from onnx import helper

        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, names, [output], **attributes))
        return output

    def constant(self, value: float | np.ndarray) -> str:
        """A constant, for an operation that is about to be added."""
        from onnx import numpy_helper

        array = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def stack(self, names: list[str]) -> str:
        """`np.stack`."""
        return self.op("Concat", *(self.op("Unsqueeze", name, np.array([0])) for name in names), axis=0)

    def sum(self, name: str) -> str:
        """Over the last axis."""
        return self.op("ReduceSum", name, np.array([-1]), keepdims=0)

    def member(self, family: Any, k: int, *, grouped: bool) -> dict[str, str]:
        """`columns` and `nats` of one member, and what may be added to them, by the values of `ScoreTerm`."""
        from onnx import TensorProto

        parameters = {name: value[k] for name, value in family.parameters.items()}
        hidden = self.hidden(parameters, "encoder", "features")
        mean = self.with_skip(parameters, "encoder.mean", "encoder.skip", hidden, "features")
        log_variance = self.op("Clip", self.linear(parameters, "encoder.log_variance", hidden), -10.0, 10.0)
        decoded = self.hidden(parameters, "decoder", mean)
        output = self.with_skip(parameters, "decoder.out", "decoder.skip", decoded, mean)
        columns = self.gaussian(output, family.likelihood)
        distance = self.nearest_exemplar_distance(mean, family.nearest, k, grouped=grouped)
        with_kl = self.op("Add", distance, self.kl(mean, log_variance))
        return {
            "columns": columns,
            "nats": self.op("Cast", self.sum(columns), to=TensorProto.DOUBLE),
            "exemplar distance": distance,
            "exemplar distance and KL": with_kl,
        }

    def linear(self, parameters: dict[str, np.ndarray], name: str, inputs: str) -> str:
        """x W + b."""
        return self.op("Gemm", inputs, parameters[f"{name}.w"], parameters[f"{name}.b"])

    def with_skip(self, parameters: dict[str, np.ndarray], name: str, skip: str, hidden: str, inputs: str) -> str:
        """The last layer beside the linear path."""
        beside = self.op("Gemm", inputs, parameters[f"{skip}.w"], parameters[f"{name}.b"])
        return self.op("Gemm", hidden, parameters[f"{name}.w"], beside)

    def hidden(self, parameters: dict[str, np.ndarray], part: str, inputs: str) -> str:
        """`network._hidden`."""
        first = self.op("LeakyRelu", self.linear(parameters, f"{part}.0", inputs), alpha=0.1)
        return self.op("LeakyRelu", self.linear(parameters, f"{part}.1", first), alpha=0.1)

    def gaussian(self, output: str, likelihood: Any) -> str:
        """−log p(x_j|z) of each column, the log-variance kept above its floor."""
        c, floor = likelihood.n_gaussian, float(likelihood.min_log_variance)
        mean, raw = (
            self.op("Slice", output, np.array([start]), np.array([start + c]), np.array([1])) for start in (0, c)
        )
        log_variance = self.op("Add", self.op("Softplus", self.op("Sub", raw, floor)), floor)
        difference = self.op("Sub", "features", mean)
        squared = self.op("Mul", difference, difference)
        scaled = self.op("Mul", squared, self.op("Exp", self.op("Neg", log_variance)))
        return self.op("Mul", self.op("Add", self.op("Add", log_variance, float(np.log(2 * np.pi))), scaled), 0.5)

    def kl(self, mean: str, log_variance: str) -> str:
        """`network.kl_to_prior`."""
        both = self.op("Add", self.op("Mul", mean, mean), self.op("Exp", log_variance))
        return self.op("Mul", self.sum(self.op("Sub", self.op("Sub", both, log_variance), 1.0)), 0.5)

    def nearest_exemplar_distance(self, mean: str, prior: Any, k: int, *, grouped: bool) -> str:
        """`nearest_exemplar_distance` of one member: found by a product, measured by difference, by blocks."""
        from vaecli.model.exemplar_prior import BLOCK_CODES

        z = self.op("Mul", self.op("Sub", mean, prior.center[k]), prior.scale[k])
        with_one = self.op("Concat", z, self.op("Add", self.op("Mul", self.first(z), 0.0), 1.0), axis=1)
        n_codes = prior.codes.shape[1]
        width = -(-n_codes // -(-n_codes // BLOCK_CODES))
        distances = []
        for start in range(0, n_codes, width):
            block = slice(start, start + width)
            difference = self.op("MatMul", with_one, prior.augmented_codes[k, :, block])
            codes = prior.codes[k, block]
            which = self.argmin(difference, groups_of(len(codes)) if grouped else 1, len(codes))
            away = self.op("Sub", z, self.op("Gather", codes, which, axis=0))
            distances.append(self.op("Mul", self.sum(self.op("Mul", away, away)), 0.5))
        return self.op("Min", *distances)

    def first(self, name: str) -> str:
        """The first column."""
        return self.op("Slice", name, np.array([0]), np.array([1]), np.array([1]))

    def argmin(self, name: str, groups: int, width: int) -> str:
        """Where the smallest of `width` values stands, in two steps when there are groups.

        With s = width / groups: the smallest of every s-th value, then which of the s, then which of its group.
        """
        if groups == 1:
            return self.op("ArgMin", name, axis=-1, keepdims=0)
        step = width // groups
        smallest = self.op(
            "ReduceMin", self.op("Reshape", name, np.array([-1, groups, step])), np.array([1]), keepdims=0
        )
        offset = self.op("ArgMin", smallest, axis=-1, keepdims=1)
        members = self.op("Add", offset, step * np.arange(groups)[None])
        group = self.op("ArgMin", self.op("GatherElements", name, members, axis=1), axis=-1, keepdims=1)
        return self.op("Squeeze", self.op("Add", offset, self.op("Mul", group, np.array(step))), np.array([-1]))


def groups_of(width: int) -> int:
    """In how many groups the smallest of so many values is best sought: measured, about 25 of 1,500."""
    return max(groups for groups in range(1, 31) if width % groups == 0)


# What an engine costs once, and what it answers


def once(runtime: str, files: dict[str, str], repeats: int) -> dict[str, Any]:
    """Medians over fresh processes: import, peak memory after it, start; and the size on disk, in MB of 10^6."""
    imports = [imported(runtime) for _ in range(repeats)]
    starts = [run_child({"task": "start", "engine": runtime, "files": files}) for _ in range(repeats)]
    own = {runtime} | (needed(runtime) - {"numpy"})
    return {
        "runtime": runtime,
        "import_seconds": median(values["seconds"] for values in imports),
        "start_seconds": median(values["start_seconds"] for values in starts),
        "peak_mb": imports[0]["peak_mb"] and median(values["peak_mb"] for values in imports),
        "disk_mb": disk_mb({runtime}),
        "disk_with_needs_mb": disk_mb(own),
    }


def needed(package: str) -> set[str]:
    """The installed packages that a package asks for, and those that they ask for, without extras."""
    found: set[str] = set()
    waiting = [package]
    while waiting:
        for line in distribution(waiting.pop()).requires or ():
            name = re.match(r"[\w.-]+", line)[0].lower().replace("_", "-")  # type: ignore[index]
            if "extra ==" in line or name in found or not _is_installed(name):
                continue
            found.add(name)
            waiting.append(name)
    return found


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def disk_mb(packages: set[str]) -> float:
    """What their installed files take, in MB."""
    files = {file.locate() for package in packages for file in distribution(package).files or ()}
    return sum(Path(file).stat().st_size for file in files if Path(file).is_file()) / 1e6


def parity(work: Path, files: dict[str, str], engines: Sequence[str]) -> list[dict[str, Any]]:
    """How far an engine's final scores are from NumPy's, and whether they depend on where batches are cut."""
    from vaecli.bundle import load_detector
    from vaecli.calibration.conformal import alpha_of

    def scores(engine: str, batch_rows: int, rows: int) -> np.ndarray:
        to = work / "engines_scores.npy"
        asked = {"rows": rows, **Setting(engine, 1, batch_rows, "inside")._asdict()}
        run_child({"task": "scores", "files": files, "to": str(to), **asked})
        return np.load(to)

    calibration = load_detector(Path(files["bundle"]))[0].calibrations[KIND]
    truth = scores("numpy", max(BATCH_ROWS), PARITY_ROWS)
    flags = calibration.p_value(truth) <= alpha_of(LEVEL)
    compared = []
    for engine in engines:
        given = scores(engine, max(BATCH_ROWS), PARITY_ROWS)
        others = {cut: scores(engine, cut, rows) for cut, rows in OTHER_CUTS.items()}
        flagged, apart = calibration.p_value(given) <= alpha_of(LEVEL), abs(given - truth)
        compared.append(
            {
                "engine": engine,
                "rows": len(given),
                "flagged": int(flagged.sum()),
                "largest_relative_difference": float(np.max(apart / np.maximum(truth, np.finfo(float).tiny))),
                "largest_difference": float(np.max(apart)),
                "flags_that_differ": int((flagged != flags).sum()),
                "changed_by_cut": {
                    str(cut): {"rows": len(other), "changed": int((other != given[: len(other)]).sum())}
                    for cut, other in others.items()
                },
            }
        )
    return compared


# The report


def markdown(report: dict[str, Any]) -> str:
    """The figures as Markdown."""
    measured = report["rows"]
    engines = [engine for engine in ENGINES if any(row["engine"] == engine for row in measured)]
    counts = sorted({row["rows"] for row in measured})
    cases = [(rows, threads) for rows in counts for threads in (1, 2)]
    speeds = [(f"{rows:,}", threads, *(_speed(measured, rows, e, threads) for e in engines)) for rows, threads in cases]
    others = engines[1:]
    ratios = [(f"{rows:,}", threads, *(ratio(measured, rows, e, threads) for e in others)) for rows, threads in cases]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    parts = [
        "# Engines: NumPy, ONNX Runtime or torch on a CPU",
        f"A default-preset bundle of {report['fit_rows']:,} rows × {N_COLUMNS} numeric columns; seconds of computing "
        "the member scores from features in memory, without reading, preprocessing and writing. Medians over "
        f"processes of their own, engines in turn; each engine in its fastest setting. {versions}.",
        "## Rows a second",
        record.markdown_table(("rows", "threads", *engines), speeds),
        "How many times as fast as NumPy with as many threads (median of the ratios round by round):",
        record.markdown_table(("rows", "threads", *others), ratios) if others else "",
        f"## The fastest settings, at {counts[-1]:,} rows",
        "`inside`: the threads share each operation; `batches`: each takes a batch. Peak memory is of the process, "
        f"features included ({max(min(counts[-1], STORED_ROWS) * N_COLUMNS * 4 / 1e6, 0.1):,.1f} MB).",
        record.markdown_table(
            ("engine", "threads", "rows a batch", "threads share", "µs a row", "CPU µs a row", "peak MB"),
            [_setting_line(measured, best) for best in sorted(fastest(measured, counts[-1]).values(), key=_order)],
        ),
        "## Once",
        "Each in a fresh process. Start: the tensors, or the session from the finished graph. NumPy is there "
        "anyway; seconds and memory of the others hold it where they import it.",
        record.markdown_table(
            (
                "runtime",
                "import, s",
                "start, s",
                "peak MB after import",
                "MB on disk",
                "with what it needs beyond NumPy",
            ),
            [
                (
                    f"`{one['runtime']}`",
                    one["import_seconds"],
                    one["start_seconds"],
                    _whole(one["peak_mb"]),
                    _whole(one["disk_mb"]),
                    _whole(one["disk_with_needs_mb"]),
                )
                for one in report["once"]
            ],
        ),
        "## Parity",
        f"Final scores of {report['parity'][0]['rows']:,} rows, {ODD_SHARE:.0%} of them odd, against NumPy's; flags at "
        f"level {LEVEL}. Last columns: the share of scores that differ in any bit when batches have so many rows "
        f"instead of {max(BATCH_ROWS):,}.",
        record.markdown_table(
            (
                *("engine", "largest relative difference", "largest difference", "flagged", "flags that differ"),
                *(f"other bits, batches of {cut}" for cut in OTHER_CUTS),
            ),
            [
                (
                    f"`{one['engine']}`",
                    f"{one['largest_relative_difference']:.1e}",
                    f"{one['largest_difference']:.1e}",
                    f"{one['flagged']:,}",
                    one["flags_that_differ"],
                    *(record.percent(cut["changed"] / cut["rows"]) for cut in one["changed_by_cut"].values()),
                )
                for one in report["parity"]
            ],
        ),
        f"Left out, because a package is absent: {', '.join(report['left_out'])}." if report["left_out"] else "",
        record.machine_line(report["machine"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def ratio(measured: list[dict[str, Any]], rows: int, engine: str, threads: int) -> float | None:
    """NumPy's seconds over the engine's, both in their fastest setting: the median over the rounds that both have."""
    best = fastest(measured, rows)
    if ("numpy", threads) not in best or (engine, threads) not in best:
        return None
    truth, other = (_rounds(measured, rows, best[name, threads]) for name in ("numpy", engine))
    pairs = [truth[repeat]["seconds"] / other[repeat]["seconds"] for repeat in truth.keys() & other.keys()]
    return float(median(pairs)) if pairs else None


def _rounds(measured: list[dict[str, Any]], rows: int, setting: Setting) -> dict[int, dict[str, Any]]:
    wanted = {"rows": rows, **setting._asdict()}
    return {row["repeat"]: row for row in measured if all(row[name] == value for name, value in wanted.items())}


def _speed(measured: list[dict[str, Any]], rows: int, engine: str, threads: int) -> str | None:
    best = fastest(measured, rows).get((engine, threads))
    if best is None:
        return None
    return f"{rows / median(row['seconds'] for row in _rounds(measured, rows, best).values()):,.0f}"


def _setting_line(measured: list[dict[str, Any]], setting: Setting) -> tuple[Any, ...]:
    rows = max(row["rows"] for row in measured)
    runs = list(_rounds(measured, rows, setting).values())
    wall, cpu = (1e6 * median(run[name] for run in runs) / rows for name in ("seconds", "cpu_seconds"))
    share = setting.spread if setting.threads > 1 else None
    peak = _whole(max(run["peak_mb"] for run in runs) if all(run["peak_mb"] for run in runs) else None)
    return f"`{setting.engine}`", setting.threads, f"{setting.batch_rows:,}", share, f"{wall:.1f}", f"{cpu:.1f}", peak


def _order(setting: Setting) -> tuple[int, int]:
    return list(ENGINES).index(setting.engine), setting.threads


def _whole(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def plot(measured: list[dict[str, Any]], path: Path) -> None:
    """Rows a second against rows, one line an engine and number of threads. Needs matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print(f"{path} not drawn: pip install matplotlib", file=sys.stderr)
        return
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    counts = sorted({row["rows"] for row in measured})
    best = {rows: fastest(measured, rows) for rows in counts}
    for i, engine in enumerate(ENGINES):
        for threads, style in ((1, "--"), (2, "-")):
            there = [rows for rows in counts if (engine, threads) in best[rows]]
            runs = [_rounds(measured, rows, best[rows][engine, threads]).values() for rows in there]
            speed = [
                rows / median(run["seconds"] for run in of_rows) for rows, of_rows in zip(there, runs, strict=True)
            ]
            if there:
                axes.plot(there, speed, style, marker="o", color=f"C{i}", label=f"{engine}, {threads}")
    axes.set(xscale="log", xlabel="rows", ylabel="rows a second", title="Computing scores: engine, threads")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
