#!/usr/bin/env bash
# comtrade: the DataFrame of a three-phase record has one phase, a FLOAT32 gap is -3.4e38, and times are float32.
#
# COMTRADE (IEEE C37.111) holds the records of fault recorders and relays in power grids. Each analog channel has a name
# and, in a field of its own, a phase. Memory says that a table has all channels, or that equal names are an error.
# to_dataframe() and load_as_dataframe() use the name alone as a key: of U in phases A, B and C only C is left, under
# the name U. Besides:
# - The README lists "minimum negative float value" as the gap of FLOAT32 and says that gaps become NaN, as they do in
#   BINARY and BINARY32. The reader of FLOAT32 compares with sys.float_info.min, 2.2e-308, which no float32 equals: a
#   gap stays a reading.
# - Values and times are float32 unless use_double_precision=True, with numpy arrays too. A recorder at 20 kHz with a
#   time stamp per reading has 3 different times in 9 readings after 50 minutes; 101325.01 Pa is 101325.0078125.
# - The DataFrame has one index of times, without the time skew of each channel.
# No error and no warning in any of these cases.
#
# Ways round it: build the table from analog, analog_channel_ids and analog_phases of Comtrade(use_double_precision=
# True), with analog_time where there is a skew; take values of FLOAT32 below -3.4e38 times the gain as missing.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "comtrade==0.2.0" "numpy==2.4.6" "pandas==3.0.6"
cat >"$folder/probe.py" <<'PYTHON'
import struct
import warnings
from importlib.metadata import version

import numpy as np
from comtrade import Comtrade

warnings.simplefilter("error")
print("comtrade", version("comtrade"))
MOMENT = "05/01/2026,00:00:00.000000"


def header(kind, phases, count, rate=1000, gain=1):
    phases = list(enumerate(phases, 1))
    names = [f"{number},U,{phase},,V,{gain},0,{skew},-99999,99999,1,1,P" for number, (phase, skew) in phases]
    lines = ["plant,recorder,2013", f"{len(phases)},{len(phases)}A,0D", *names, "50", "1" if rate else "0"]
    return "\n".join([*lines, f"{rate},{count}", MOMENT, MOMENT, kind, "1", "0,0", "0,0", ""])


record = Comtrade()
rows = "".join(f"{number},{1000 * number},{number},{10 * number},{100 * number}\n" for number in (1, 2, 3))
record.read(header("ASCII", [("A", 0), ("B", 100), ("C", 200)], 3), rows)
print("phases", *record.analog_phases, [list(each) for each in record.analog])
table = record.to_dataframe()
print("table:", table.to_dict("list"))
skewed = [round(1000 * each[1], 3) for each in record.analog_time]
print("second reading at ms:", *skewed, "| in the table:", round(1000 * float(table.index[1]), 3))
gaps = ("BINARY", "h", -(2**15)), ("BINARY32", "i", -(2**31)), ("FLOAT32", "f", np.finfo("float32").min)
for kind, code, gap in gaps:
    record = Comtrade()
    rows = b"".join(struct.pack("<II" + code, number, 0, value) for number, value in enumerate((20, gap, 21), 1))
    record.read(header(kind, [("A", 0)], 3), rows)
    print(f"{kind} with a gap:", *record.analog[0])
stamps = [3_000_000_000 + 50 * number for number in range(9)]
rows = b"".join(struct.pack("<IIi", number, stamp, 10132501) for number, stamp in enumerate(stamps, 1))
for double in (False, True):
    record = Comtrade(use_numpy_arrays=True, use_double_precision=double)
    record.read(header("BINARY32", [("A", 0)], 9, rate=0, gain=0.01), rows)
    print(f"double precision {double}:", len(set(record.time)), "times of 9,", f"{record.analog[0][0]:.10g}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected="comtrade 0.2.0
phases A B C [[1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [100.0, 200.0, 300.0]]
table: {'U': [100.0, 200.0, 300.0]}
second reading at ms: 1.0 1.1 1.2 | in the table: 1.0
BINARY with a gap: 20.0 nan 21.0
BINARY32 with a gap: 20.0 nan 21.0
FLOAT32 with a gap: 20.0 -3.4028234663852886e+38 21.0
double precision False: 3 times of 9, 101325.0078
double precision True: 9 times of 9, 101325.01"
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
