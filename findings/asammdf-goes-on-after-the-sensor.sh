#!/usr/bin/env bash
# asammdf: to_dataframe() fills a sensor that stopped with its last reading, and invalid readings with a straight line.
#
# In an MDF4 file each group of channels has its own times. Memory says that a table of all of them has NaN where a
# channel has no reading, as a join in pandas has. to_dataframe() gives a value to every row, without a warning:
# - A channel that starts late has its first reading from time 0 on; one that stops has its last one to the end. A
#   cable that broke after 20 of 60 minutes looks like a sensor that is stuck for 40 minutes: a search for silent
#   sensors finds nothing.
# - Between two readings floats are joined by a straight line, however long the gap. Nine of ten readings of a channel
#   with a tenth of the rate are made up, and its noise is far too smooth.
# - A reading whose invalidation bit is set is not NaN: the line is drawn over it, also by iter_groups(), where all
#   channels share their times. get() drops it, so that channels of one group can differ in length.
# interpolate_outwards_with_nan=True mends the first of these only. resample() does the same as the
# default. The docstring lists both options, but not that the default makes readings up.
#
# Way round it: to_dataframe(use_interpolation=False), then fill as the sensor allows, such as ffill(limit=...).
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "asammdf==8.8.28" "numpy==2.4.6" "pandas==3.1.1"
cat >"$folder/probe.py" <<'PYTHON'
import sys

import asammdf
import numpy as np
from asammdf import MDF, Signal

print("asammdf", asammdf.__version__)
file = MDF()
speed, temperature = np.arange(0.0, 3600), np.arange(0.0, 1200, 10)
file.append([Signal(np.sin(speed / 300), speed, name="speed")])
file.append([Signal(60 + np.random.default_rng(0).normal(0, 0.2, 120), temperature, name="temperature")])
bits = np.array([False, False, True, False])
file.append([Signal(np.array([5.0, 5.0, 999.0, 6.0]), np.arange(0.0, 4), name="pressure", invalidation_bits=bits)])
file.save(sys.argv[1], overwrite=True)
file = MDF(sys.argv[1])
count = len(file.get("temperature").samples)
print("temperature has", count, "readings, pressure", file.get("pressure").samples.tolist())
settings = ({}, {"interpolate_outwards_with_nan": True}, {"use_interpolation": False})
for options in settings:
    table = file.to_dataframe(**options)
    values = table["temperature"]
    print(*options or ["default"], f"- of {len(table)}:", int(values.notna().sum()), end=" values, ")
    print(values.loc[1190:].nunique(), "different from 1190 s on; pressure", table["pressure"].iloc[:4].tolist())
group = list(file.iter_groups())[2]
print("iter_groups:", group["pressure"].tolist())
again = file.resample(1.0).get("temperature")
print("resample:", len(again.samples), "readings to", float(again.timestamps[-1]), "s")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder/plant.mf4")
echo "$seen"
expected='asammdf 8.8.28
temperature has 120 readings, pressure [5.0, 5.0, 6.0]
default - of 3600: 3600 values, 1 different from 1190 s on; pressure [5.0, 5.0, 5.5, 6.0]
interpolate_outwards_with_nan - of 3600: 1191 values, 1 different from 1190 s on; pressure [5.0, 5.0, 5.5, 6.0]
use_interpolation - of 3600: 120 values, 1 different from 1190 s on; pressure [5.0, 5.0, nan, 6.0]
iter_groups: [5.0, 5.0, 5.5, 6.0]
resample: 3600 readings to 3599.0 s'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
