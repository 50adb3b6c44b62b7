#!/usr/bin/env bash
# hecdss: readings after a gap move up to it, a missing reading is -3.4e38, and a second write moves the first by 40 minutes.
#
# HEC-DSS is the file of the US Army Corps of Engineers for levels, flows and rain. hecdss 0.1.33 is the Corps' own package
# for Python. RegularTimeSeries.create() takes values and a list of times. Memory says that each value is stored at its
# time, or that uneven times are an error. They are an error if the gap is between the first two; the others are not used:
# - Readings at 00:00, 01:00, 04:00 and 05:00 are stored at 00:00, 01:00, 02:00 and 03:00. A flood is three hours early,
#   and the outage cannot be seen.
# - Written in two pieces, the same readings keep their times. The hours between are then read as the number
#   -3.4028234663852886e+38, which is how the format marks a gap, and so are the hours of a window without data. A NaN that
#   was written stays NaN, so that a record can have both.
# - Times in a record of regular steps share one offset. Readings at 00:20 and 01:20, followed by a write of readings from
#   06:00 on, are read back at 01:00 and 02:00.
# - Fractions of a second are cut, of irregular times too.
# put() returns 0, and there is no error and no warning in any of these cases. The docstrings do not name them.
#
# Ways round it: compare the times of what create() returns with your own, or reindex to regular times with NaN first; replace
# values of -3.4e38 by NaN after get(); or write an IrregularTimeSeries, with a path such as //IR-Month/.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "hecdss==0.1.33" "numpy==2.4.6" "tzdata==2026.6" \
    2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
cat >"$folder/probe.py" <<'PYTHON'
import sys
import warnings
from datetime import datetime, timedelta
from importlib.metadata import version

from hecdss import HecDss, IrregularTimeSeries, RegularTimeSeries

warnings.simplefilter("error")
print("hecdss", version("hecdss"))
HecDss.set_global_debug_level(0)
file = HecDss(sys.argv[1])
NIGHT = datetime(2026, 1, 1)
OPTIONS = {"units": "m", "data_type": "INST-VAL"}


def at(*clock):
    return [NIGHT + timedelta(hours=each) for each in clock]


def write(part, values, times, kind=RegularTimeSeries, step="1Hour"):
    status = file.put(kind.create(values, times=times, path=f"/RIVER/GAUGE/STAGE//{step}/{part}/", **OPTIONS))
    assert status == 0, status


def show(name, part, *window, step="1Hour"):
    read = file.get(f"/RIVER/GAUGE/STAGE//{step}/{part}/", *window)
    print(f"{name}:", *(f"{time:%H:%M} {value:.3g}," for time, value in zip(read.times, read.values, strict=True)))


write("ONE", [1.0, 2.0, 7.0, 8.0], at(0, 1, 4, 5))
show("readings at 0, 1, 4 and 5 o clock", "ONE")
try:
    write("NONE", [1.0, 7.0, 8.0], at(0, 4, 5))
except ValueError as error:
    print("a gap after the first reading raises ValueError:", error)
write("TWO", [1.0, float("nan")], at(0, 1))
write("TWO", [7.0, 8.0], at(4, 5))
show("in two pieces, with a NaN", "TWO")
show("a window", "TWO", *at(4, 7))
write("THREE", [1.0, 2.0], at(1 / 3, 4 / 3))
show("before the second write", "THREE")
write("THREE", [7.0, 8.0], at(6, 7))
show("after it", "THREE")
irregular = [NIGHT, NIGHT + timedelta(seconds=1.9), NIGHT + timedelta(hours=4, seconds=2.1)]
write("FOUR", [1.0, 2.0, 7.0], irregular, IrregularTimeSeries, "IR-Month")
read = file.get("/RIVER/GAUGE/STAGE//IR-Month/FOUR/")
print("irregular:", *(f"{time:%H:%M:%S.%f} {value:g}," for time, value in zip(read.times, read.values, strict=True)))
file.close()
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder/gauge.dss" | grep -v -e '-DSS' -e '^[0-9:.]* ')
echo "$seen"
expected='hecdss 0.1.33
readings at 0, 1, 4 and 5 o clock: 00:00 1, 01:00 2, 02:00 7, 03:00 8,
a gap after the first reading raises ValueError: inconsistent interval within arguments
in two pieces, with a NaN: 00:00 1, 01:00 nan, 02:00 -3.4e+38, 03:00 -3.4e+38, 04:00 7, 05:00 8,
a window: 04:00 7, 05:00 8, 06:00 -3.4e+38, 07:00 -3.4e+38,
before the second write: 00:20 1, 01:20 2,
after it: 01:00 1, 02:00 2, 03:00 -3.4e+38, 04:00 -3.4e+38, 05:00 -3.4e+38, 06:00 7, 07:00 8,
irregular: 00:00:00.000000 1, 00:00:01.000000 2, 04:00:02.000000 7,'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
