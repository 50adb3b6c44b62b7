#!/usr/bin/env bash
# npTDMS: after a measurement was resumed, the readings from before the pause have times after it.
#
# TDMS is the file of LabVIEW, made to be appended to: each run adds a segment with its wf_start_time. Memory says that
# the times of a channel follow its segments. They are properties of the channel, of which the last value holds for
# all: time_track() and as_dataframe(time_index=True) start the whole channel at the start of the last run, and count
# on without the pause. Readings from 00:00 are at 06:00, the pause of six hours is gone, and a table of two channels
# of which one was resumed no longer fits together. Besides:
# - A change of wf_increment in a later run changes the times of the earlier runs too.
# - NaT is written as a time, and reads back as the year 294181. raw_timestamps=True with as_datetime64("ns") makes it
#   1904-01-01. isna() finds no gap, and a sort puts it last or first.
# - Nanoseconds are cut to microseconds as they are written, although TDMS keeps 2**-64 s.
# - as_dataframe() without time_index puts channels side by side by row number, also if their wf_increment differs.
# No error and no warning in any of these cases.
#
# Ways round it: write a channel of times, or a group per run; drop rows with NaT before writing, and check times
# against a range after reading. Nothing public in npTDMS gives the starts of the earlier runs of an existing file.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "npTDMS==1.13.0" "numpy==2.4.6" "pandas==3.1.1"
cat >"$folder/probe.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version

import numpy as np
from nptdms import ChannelObject, TdmsFile, TdmsWriter

warnings.simplefilter("error")
print("npTDMS", version("npTDMS"))
PATH = sys.argv[1]


def run(name, values, hour=0, step=60.0):
    start = np.datetime64("2026-01-01T00:00:00") + np.timedelta64(hour, "h")
    times = {"wf_start_time": start, "wf_start_offset": 0.0, "wf_increment": step}
    return ChannelObject("plant", name, np.array(values), times)


def written(*segments):
    for number, segment in enumerate(segments):
        with TdmsWriter(PATH, "a" if number else "w") as writer:
            writer.write_segment(segment)
    return TdmsFile.read(PATH)


def clock(times):
    return " ".join(str(each)[11:16] for each in times)


file = written([run("pressure", [1.0, 2.0])], [run("pressure", [3.0, 4.0], 6)])
print("runs at 00:00 and 06:00 ->", clock(file["plant"]["pressure"].time_track(absolute_time=True)))
file = written([run("pressure", [1.0, 2.0])], [run("pressure", [3.0, 4.0], 6, 600.0)])
print("60 s, then 600 s ->", clock(file["plant"]["pressure"].time_track(absolute_time=True)))
both = [run("pressure", [1.0, 2.0]), run("flow", [10.0, 20.0])]
table = written(both, [run("pressure", [3.0], 6)])["plant"].as_dataframe(time_index=True, absolute_time=True)
print("with a channel that was not resumed:")
for time, row in table.iterrows():
    print(" ", clock([time.isoformat()]), "pressure", row["pressure"], "flow", row["flow"])
stamps = np.array(["2026-01-01T00:00:00.123456789", "NaT", "2026-01-01T00:02"], "datetime64[ns]")
file = written([ChannelObject("plant", "time", stamps)])
print("times ->", *file["plant"]["time"][:])
raw = TdmsFile.read(PATH, raw_timestamps=True)["plant"]["time"][:].as_datetime64("ns")
print("raw, as ns ->", *raw, "| missing:", int(file.as_dataframe().isna().sum().sum()))
rates = written([run("pressure", [1.0, 2.0], 0, 1.0), run("flow", [10.0, 20.0], 0, 60.0)])["plant"]
print("1 s and 60 s, side by side:", rates.as_dataframe().to_dict("list"))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder/plant.tdms")
echo "$seen"
expected="npTDMS 1.13.0
runs at 00:00 and 06:00 -> 06:00 06:01 06:02 06:03
60 s, then 600 s -> 06:00 06:10 06:20 06:30
with a channel that was not resumed:
  00:00 pressure nan flow 10.0
  00:01 pressure nan flow 20.0
  06:00 pressure 1.0 flow nan
  06:01 pressure 2.0 flow nan
  06:02 pressure 3.0 flow nan
times -> 2026-01-01T00:00:00.123456 294181-01-08T04:00:54.775808 2026-01-01T00:02:00.000000
raw, as ns -> 2026-01-01T00:00:00.123455999 1904-01-01T00:00:00.000000000 2026-01-01T00:02:00.000000000 | missing: 0
1 s and 60 s, side by side: {'pressure': [1.0, 2.0], 'flow': [10.0, 20.0]}"
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
