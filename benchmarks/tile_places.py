"""How far the score of a row depends on its place in a tile, by the kernels of OpenBLAS.

Rows of a partition on Spark stand at other places than those of the whole table. Each kernel runs in a process of its
own (OPENBLAS_CORETYPE); the same 1,000 rows are scored with the first one at several places of a tile.

    python benchmarks/tile_places.py --work DIR
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import record
import tables

KEYS = ("preset", "kernels")
PRESETS = ("default", "best")
KERNELS = ("SkylakeX", "Haswell")  # with and without AVX-512
PLACES = (0, 1, 5, 7, 11, 100, 1023)
N_ROWS, N_TRAINING = 1_000, 2_000


def main() -> None:
    """Measure what is missing, then write the report."""
    parser = record.parser(__doc__, "tile_places.json")
    parser.add_argument("--work", type=Path, help="folder for the tables and the bundles")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(differences(Path(options.one), options.work)))
        return
    if options.work is None:
        record.stop("--work is missing: name a folder")
    options.work.mkdir(parents=True, exist_ok=True)
    rows, train = options.work / "rows.parquet", options.work / "train.parquet"
    tables.write_parquet(rows, N_ROWS, N_ROWS, seed=2)
    tables.write_parquet(train, N_TRAINING, N_TRAINING)
    results = record.Results(options.out, KEYS)
    for preset in PRESETS:
        bundle = options.work / f"{preset}.vae"
        if not bundle.exists():
            words = ["fit", str(train), "-o", str(bundle), "--preset", preset, "--seed", "0", "--quiet"]
            subprocess.run([sys.executable, "-m", "vaecli", *words], check=True)
        for kernels in KERNELS:
            if options.redo or not results.has(preset=preset, kernels=kernels):
                command = [sys.executable, __file__, "--one", str(bundle), "--work", str(rows)]
                environment = os.environ | {"OPENBLAS_CORETYPE": kernels}
                found = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
                results.add({"preset": preset, "kernels": kernels} | found)
    record.finish(options.out, report(results.rows, results.machine()))


def differences(bundle: Path, table: Path) -> dict[str, Any]:
    """The largest difference of a score between places, in nats and relative, and how many rows have any."""
    from dataclasses import replace

    import numpy as np
    import pyarrow.parquet as pq
    from threadpoolctl import threadpool_info

    from vaecli.bundle import load_detector
    from vaecli.tables import ReadRequest, frame_source, to_cells

    detector, _ = load_detector(bundle)
    (batch,) = frame_source(pq.read_table(table)).batches(ReadRequest(None))
    cells = to_cells(batch, detector.schema)
    scores = [detector.score(replace(cells, row=np.arange(place, place + len(cells)))).scored.score for place in PLACES]
    apart = np.max([np.abs(one - scores[0]) for one in scores], axis=0)
    return {
        "used": next(one["architecture"] for one in threadpool_info() if one["internal_api"] == "openblas"),
        "rows_that_differ": int((apart > 0).sum()),
        "nats": float(apart.max()),
        "relative": float((apart / np.abs(scores[0])).max()),
    }


def report(rows: Sequence[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        "# The place of a row in its tile",
        "",
        f"`python benchmarks/tile_places.py --work DIR`: {N_ROWS:,} rows of 30 columns at {len(PLACES)} places, "
        f"models of {N_TRAINING:,} rows.",
        "",
    ]
    table = [
        (
            f"{row['preset']}, {row['kernels']}",
            row["used"],
            row["rows_that_differ"],
            f"{row['nats']:.1e}",
            f"{row['relative']:.1e}",
        )
        for row in rows
    ]
    header = ("preset, kernels asked for", "used", "rows that differ", "most, nats", "most, relative")
    return "\n".join([*lines, record.markdown_table(header, table), "", record.machine_line(machine), ""])


if __name__ == "__main__":
    main()
