#!/usr/bin/env bash
# pysail: an unsigned byte of a Parquet file is declared as tinyint, -128 to 127, and stays uint8 in the data.
#
# Apache Spark reads the Parquet type UINT_8 as smallint, so that 200 fits. Sail declares tinyint, which does not hold
# it; the batches behind it are uint8 all the same, and a filter u > 127, which no tinyint can meet, finds the row. What
# takes the declared schema at its word fails: collect() raises "uint8 is not supported in conversion to Arrow", that
# of a sum the same of uint64, and a function of mapInArrow is handed a type that df.schema does not name.
#
# Way round it: cast in the query before the data leave it, select(col("u").cast("int")).
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

import pyarrow as pa
import pyarrow.parquet as pq
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, sum as total

pq.write_table(pa.table({"u": pa.array([200, 1, 2], pa.uint8())}), sys.argv[1])
server = SparkConnectServer("127.0.0.1", 0)
server.start()
spark = SparkSession.builder.remote(f"sc://127.0.0.1:{server.listening_address[1]}").getOrCreate()
frame = spark.read.parquet(sys.argv[1])
print("declared:", frame.schema.simpleString())
print("rows above 127:", frame.filter(col("u") > 127).count())
print("cast:", sorted(row[0] for row in frame.select(col("u").cast("int")).collect()))


def types_of(batches):
    for batch in batches:
        yield pa.RecordBatch.from_pydict({"type": [str(batch.schema.field("u").type)]})


print("handed to mapInArrow:", frame.mapInArrow(types_of, "type string").collect()[0][0])
for name, one in (("collect", frame), ("collect a sum", frame.agg(total("u")))):
    try:
        print(f"{name}:", one.collect())
    except Exception as problem:
        print(f"{name}:", type(problem).__name__)
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder/u.parquet" 2>"$folder/log" || cat "$folder/log")
echo "pysail 0.7.2, pyspark-client 4.2.0"
echo "$seen"
expected="declared: struct<u:tinyint>
rows above 127: 1
cast: [1, 2, 200]
handed to mapInArrow: uint8
collect: PySparkTypeError
collect a sum: PySparkTypeError"
[[ $seen == "$expected" ]] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
