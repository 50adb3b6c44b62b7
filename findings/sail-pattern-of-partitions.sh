#!/usr/bin/env bash
# pysail: a path pattern with a folder's key, day=*, reads nothing: no rows, no columns and no error.
#
# Apache Spark reads spark.read.parquet("data/day=2026-01-*") as the folders that match, and fails with PATH_NOT_FOUND
# where none does. Sail, a Spark Connect server without a JVM, gives a DataFrame of no columns and no rows for each
# pattern with "=" before a star, as if the files were empty. "data/*" is read, and so is "data/day=2026-01-01" written
# out. A job that scores or sums one month then succeeds, and writes an empty result.
#
# Ways round it: read the parent folder and filter by the column of the partition, which Sail does push down; or give a
# list of the folders. Check that a DataFrame has columns before it is written.
#
# Exits non-zero if a version behaves differently from what is expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "pysail==0.7.2" "pyspark-client==4.2.0" "pyarrow==22.0.0" "pandas==2.3.3"
cat >"$folder/probe.py" <<'PYTHON'
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession

data = Path(sys.argv[1])
for day in ("2026-01-01", "2026-01-02"):
    (data / f"day={day}").mkdir(parents=True)
    pq.write_table(pa.table({"x": pa.array([1, 2, 3], pa.int32())}), data / f"day={day}" / "part.parquet")
server = SparkConnectServer("127.0.0.1", 0)
server.start()
spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
for path in ("", "*", "day=2026-01-01", "day=*", "day=2026-01-*"):
    frame = spark.read.parquet(f"{data}/{path}")
    print(f"{path or 'the folder'}: {frame.count()} rows of {len(frame.columns)} columns")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder/data" 2>"$folder/log" || cat "$folder/log")
echo "pysail 0.7.2, pyspark-client 4.2.0"
echo "$seen"
expected="the folder: 6 rows of 2 columns
*: 6 rows of 2 columns
day=2026-01-01: 3 rows of 1 columns
day=*: 0 rows of 0 columns
day=2026-01-*: 0 rows of 0 columns"
[[ $seen == "$expected" ]] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
