"""What every benchmark shares: the data folder, a resumable results file, the machine, and Markdown tables."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("vaecli", "numpy", "pyarrow", "pandas", "scikit-learn", "torch", "pyod", "umap-learn")

Key = tuple[Any, ...]


def stop(message: str) -> NoReturn:
    """End the program with exit code 2 and one sentence."""
    print(message, file=sys.stderr)
    raise SystemExit(2)


def data_folder(given: str | None, needed: str) -> Path:
    """The folder that `--data` names; ends the program when `needed` is not inside it."""
    if given is None:
        stop(f"--data is missing: give the folder that holds {needed}/ (see benchmarks/README.md).")
    folder = Path(str(given))
    if not (folder / needed).is_dir():
        stop(f"--data {folder}: there is no folder {needed}/ in it (see benchmarks/README.md).")
    return folder


def parser(description: str | None, out: str | None = None) -> argparse.ArgumentParser:
    """A parser of options; with `out`, the name of the .json file in results/, it has `--out` and `--redo`."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if out is not None:
        found.add_argument("--out", type=json_file, default=RESULTS / out, help="a .json file")
        add_redo(found)
    return found


def add_redo(parser: argparse.ArgumentParser) -> None:
    """Add `--redo`."""
    parser.add_argument("--redo", action="store_true", help="measure again what is in the file already")


def add_names(parser: argparse.ArgumentParser, option: str, known: Sequence[str]) -> None:
    """Add an option that takes some of the known names, with commas between them; all by default."""
    names = f"comma-separated (default {','.join(known)})"
    parser.add_argument(option, type=partial(_names, known=known), default=list(known), help=names)


def _names(text: str, known: Sequence[str]) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; here are {', '.join(known)}")
    return names


def json_file(text: str) -> Path:
    """A path that ends in .json, as only such a file holds the machine beside the rows."""
    if Path(text).suffix != ".json":
        raise argparse.ArgumentTypeError(f"{text}: give a name that ends in .json")
    return Path(text)


def seeds(text: str) -> list[int]:
    """`0,1,2` as numbers."""
    return [int(part) for part in text.split(",") if part.strip()]


def machine() -> dict[str, Any]:
    """Where and with what a figure was measured."""
    return {
        "date_utc": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "threads": os.environ.get("OMP_NUM_THREADS", "not limited"),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "commit": _commit(),
    }


def machine_line(facts: Mapping[str, Any]) -> str:
    """The machine as one sentence for a Markdown file."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"Measured {facts['date_utc']} UTC on {facts['cores']} cores ({facts['processor']}, {facts['system']}), "
        f"threads: {facts['threads']}; Python {facts['python']}, {versions}; commit {facts['commit']}."
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown processor")


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "none"


class Results:
    """A file of measurements, written as soon as they are made, so that a run can stop and go on.

    `keys` names the fields that identify a measurement; the newest of a key counts. A `.jsonl` file grows
    line by line; a `.json` file is rewritten whole, with the machine beside the rows. `also` are
    files that are read but never written.
    """

    def __init__(self, path: Path, keys: Sequence[str], also: Sequence[Path] = ()) -> None:
        self.path, self.keys = path, tuple(keys)
        self._rows: dict[Key, dict[str, Any]] = {}
        for source in (*also, path):
            for row in read_rows(source):
                self._rows[self._key(row)] = row

    def _key(self, row: Mapping[str, Any]) -> Key:
        return tuple(row[name] for name in self.keys)

    def has(self, **key: Any) -> bool:
        """Whether this was measured already."""
        return self._key(key) in self._rows

    def add(self, row: dict[str, Any]) -> None:
        """Keep a measurement and the moment it was made, on disk too."""
        facts = machine()
        row = row | {"measured_utc": facts["date_utc"], "commit": facts["commit"]}
        self._rows[self._key(row)] = row
        if self.path.suffix == ".json":
            write_json(self.path, {"machine": facts, "rows": self.rows})
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(row) + "\n")

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Every measurement, the newest of each key."""
        return list(self._rows.values())

    def machine(self) -> dict[str, Any]:
        """The machine of the newest measurement in a .json file; ends the program when there is no measurement."""
        if not self._rows:
            stop(f"{self.path} holds no measurement yet.")
        facts: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))["machine"]
        return facts


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The measurements of a results file; none when it does not exist."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return list(json.loads(text)["rows"])
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def write_json(path: Path, values: Any) -> None:
    """Write readable JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    beside.replace(path)


def finish(out: Path, markdown: str) -> None:
    """Write the report beside the results file, and print it."""
    out.with_suffix(".md").write_text(markdown, encoding="utf-8")
    print(markdown)


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; floats with three decimals, None as a dash, the first column left-aligned."""
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join(['---'] + ['--:'] * (len(header) - 1))}|"]
    lines += [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def percent(share: float | None) -> str | None:
    """0.0123 as `1.23 %`."""
    return None if share is None else f"{100 * share:.2f} %"


def mean(values: Iterable[float | None]) -> float | None:
    """The plain mean of the values that are there; None when none is."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None
