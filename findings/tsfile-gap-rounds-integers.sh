#!/usr/bin/env bash
# tsfile: a gap in a column of integers rounds up to 1,023 other values around it, and the column still says Int64.
#
# TsFile is the columnar format of Apache IoTDB for industrial sensors. Its INT64 columns can have gaps, which
# to_dataframe() returns as pandas' Int64, a type made to hold both. Memory says that Int64 is exact. All values of a
# batch of 1,024 rows with a gap pass through float64, so that counters, serial numbers and nanoseconds beyond 2^53
# change: here by up to 128, and the 1,023 serial numbers of the batch become 5. No error, no warning, and the
# docstring does not name it. Besides:
# - Rows in other batches of the same column are exact: the first rows, or a file without a gap, show nothing.
# - max_row_num is the size of the batch too: to read 15,100 rows at once changes nearly all of them.
# - The file is right: next() and get_value_by_name() of the same reader give exact integers.
#
# Ways round it: read such columns row by row, as below, or write them as STRING. Integers up to 2^53 are exact either
# way.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "tsfile==2.5.0" "numpy==2.4.6" "pandas==2.3.3"
cat >"$folder/probe.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd
from tsfile import TsFileReader, dataframe_to_tsfile, to_dataframe

warnings.simplefilter("error")
print("tsfile", version("tsfile"))
PATH = sys.argv[1]
count, gap = 20_000, 15_000
serials = 1_767_225_600_000_000_000 + np.arange(count)
column = pd.array(serials, "Int64")
dataframe_to_tsfile(pd.DataFrame({"time": np.arange(count), "serial": column}), PATH + ".full")
column[gap] = pd.NA
dataframe_to_tsfile(pd.DataFrame({"time": np.arange(count), "serial": column}), PATH)


def show(name, values):
    present = values.notna().to_numpy()
    read = values.fillna(0).astype("int64").to_numpy()
    difference = np.where(present, np.abs(read - serials[: len(read)]), 0)
    changed = np.flatnonzero(difference)
    print(f"{name}: {values.dtype}, {(~present).sum()} missing, {len(changed)} changed", end="")
    print(f", rows {changed[0]} to {changed[-1]}, by up to {difference.max()}" if len(changed) else "")


show("no gap", to_dataframe(PATH + ".full")["serial"])
show("a gap at 15,000", to_dataframe(PATH)["serial"])
batch = to_dataframe(PATH)["serial"].iloc[14 * 1024 : 15 * 1024]
print("the batch of the gap:", len(batch), "rows,", batch.nunique(), "different values")
show("read 15,100 rows", to_dataframe(PATH, max_row_num=15_100)["serial"])
with TsFileReader(PATH) as reader, reader.query_table("default_table", ["serial"]) as rows:
    exact = []
    while rows.next():
        exact.append(pd.NA if rows.is_null_by_name("serial") else rows.get_value_by_name("serial"))
show("row by row", pd.Series(exact, dtype="Int64"))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder/plant.tsfile")
echo "$seen"
expected='tsfile 2.5.0
no gap: Int64, 0 missing, 0 changed
a gap at 15,000: Int64, 1 missing, 1019 changed, rows 14337 to 15359, by up to 128
the batch of the gap: 1024 rows, 5 different values
read 15,100 rows: Int64, 1 missing, 15040 changed, rows 1 to 15099, by up to 128
row by row: Int64, 1 missing, 0 changed'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
