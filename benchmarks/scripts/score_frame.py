"""How long a call takes that scores the first rows of a table in memory: prints the median as JSON.

python benchmarks/scripts/score_frame.py model.vae new.parquet 1
"""

from __future__ import annotations

import json
import statistics
import sys
import time

import pandas as pd

import vaecli

CALLS = 51


def main() -> None:
    """Load the bundle once, score again and again."""
    bundle, table, n_rows = sys.argv[1:]
    model, rows = vaecli.load(bundle), pd.read_parquet(table).head(int(n_rows))
    costs = []
    for _ in range(CALLS):
        wall, cpu = time.perf_counter(), time.process_time()
        model.score(rows)
        costs.append((time.perf_counter() - wall, time.process_time() - cpu))
    seconds, cpu_seconds = (statistics.median(of) for of in zip(*costs, strict=True))
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds}))


if __name__ == "__main__":
    main()
