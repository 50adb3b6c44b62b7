"""How long a call takes that scores the first rows of a table in memory: for each line of input a median as JSON.

A line is the number of calls. So a process can be asked in turn with one of another build.

echo 51 | python benchmarks/scripts/score_frame.py model.vae new.parquet 1
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import pandas as pd

import vaecli


def main() -> None:
    """Load the bundle once, score as often as each line asks for."""
    bundle, table, n_rows = sys.argv[1:]
    model, rows = vaecli.load(bundle), pd.read_parquet(table).head(int(n_rows))
    for line in sys.stdin:
        costs = []
        for _ in range(int(line)):
            wall, cpu = time.perf_counter(), time.process_time()
            model.score(rows)
            costs.append((time.perf_counter() - wall, time.process_time() - cpu))
        seconds, cpu_seconds = (statistics.median(of) for of in zip(*costs, strict=True))
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}), flush=True)


if __name__ == "__main__":
    main()
