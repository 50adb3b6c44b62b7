#!/usr/bin/env bash
# hampel: the filter changes readings that are no outliers, drops the index, and never judges the newest readings.
#
# Memory says that a Hampel filter replaces outliers and leaves all else alone. hampel 1.0 computes in float32 and returns
# it: a pressure of 101325.01 Pa loses its hundredths, a counter near 10^8 its last digit. Besides:
# - The result for a Series is a Series numbered from 0. Assigned to a column of a table with times as its index, it is
#   all NaN; assigned to a table of which rows were removed before, values land in other rows.
# - The first and last window_size // 2 readings are not judged. A monitor that filters what has arrived so far never
#   flags the newest reading, however far off it is. medians and thresholds are uninitialised memory there.
# - One NaN turns the filter off for the window_size // 2 readings on each side of it.
# None of it raises an error or a warning, and the README names none of it.
#
# Ways round it: take only outlier_indices, and replace in your own data; subtract a typical level first, for float32;
# append window_size // 2 copies of the last reading, or wait for as many; fill or drop NaN first.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "hampel==1.0.2" "numpy==2.3.5" "pandas==2.3.3"
cat >"$folder/probe.py" <<'PYTHON'
from importlib.metadata import version

import numpy as np
import pandas as pd
from hampel import hampel

print("hampel", version("hampel"))
hours = pd.date_range("2026-01-01", periods=40, freq="h")
calm = pd.Series(101325 + np.arange(40) % 4 / 100, hours)
result = hampel(calm, window_size=5)
changed = int((result.filtered_data.to_numpy() != calm).sum())
print("of 40 calm readings:", len(result.outlier_indices), "outliers,", changed, "changed")
print("  101325.01 ->", float(result.filtered_data[1]), result.filtered_data.dtype)
table = pd.DataFrame({"p": calm})
table["filtered"] = result.filtered_data
print("assigned to its table:", int(table["filtered"].isna().sum()), "of 40 NaN")
spikes = pd.Series(20 + np.sin(np.arange(40) / 5))
spikes[[0, 10, 20, 39]] = 500
print("spikes at 0 10 20 39, found at:", *hampel(spikes, window_size=5).outlier_indices.tolist())
spikes[12] = np.nan
print("with NaN at 12, found at:", *hampel(spikes, window_size=5).outlier_indices.tolist())
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='hampel 1.0.2
of 40 calm readings: 0 outliers, 30 changed
  101325.01 -> 101325.0078125 float32
assigned to its table: 40 of 40 NaN
spikes at 0 10 20 39, found at: 10 20
with NaN at 12, found at: 20'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
