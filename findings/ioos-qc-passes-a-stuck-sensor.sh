#!/usr/bin/env bash
# ioos_qc: flat_line_test passes a stuck sensor unless a tolerance is given, and counts readings where it says seconds.
#
# ioos_qc implements the QARTOD tests of ocean sensors. flat_line_test is to "check for consecutively repeated values
# within a tolerance", which is 0 unless given. Memory says that a tolerance of 0 flags exact repeats. The test is
# range < tolerance, so that 0 flags nothing: 10 hours of the same reading are 600 times "good". Its thresholds are
# documented as seconds, but become a number of readings, by the median interval cut to whole seconds:
# - The first reading after an outage fails, although the sensor works: it is the only one in its window.
# - Thresholds below the interval of the readings mean windows of one reading: all fail, of a sine too.
# - At 1.9 s per reading, "60 seconds" are 114. rate_of_change_test cuts each interval too: a slope of 1 per second is
#   1.9 there, so that a threshold of 1.5 flags every reading.
# No error and no warning in any of these cases. The docstring says "less than", but not what that means for its
# default. Issue 68 of ioos_qc, which is open, shows outages. Version 2.2.1 gives the same output.
#
# Ways round it: always give a tolerance, such as half a step of the sensor; resample to whole seconds first; judge the
# readings after an outage on their own, and keep both thresholds at two intervals or more.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "ioos-qc==3.0.0" "numpy==2.4.6" "pandas==3.0.6"
cat >"$folder/probe.py" <<'PYTHON'
import warnings
from importlib.metadata import version

import numpy as np
from ioos_qc.qartod import flat_line_test, rate_of_change_test

warnings.simplefilter("error")
print("ioos_qc", version("ioos_qc"))
FLAGS = {1: "good", 3: "suspect", 4: "fail", 9: "missing"}


def times(seconds):
    step = np.timedelta64(int(1000 * seconds), "ms")
    return np.datetime64("2026-01-01", "ms") + step * np.arange(600)


def counts(flags):
    return ", ".join(f"{count} {FLAGS[int(flag)]}" for flag, count in zip(*np.unique(flags, return_counts=True)))


stuck, sine, ramp = np.full(600, 20.0), 20 + np.sin(np.arange(600) / 5), 1.9 * np.arange(600)
seconds = {"suspect_threshold": 600, "fail_threshold": 3600}
print("stuck for 10 hours:", counts(flat_line_test(stuck, times(60), **seconds)))
print("the same, tolerance 0.001:", counts(flat_line_test(stuck, times(60), **seconds, tolerance=0.001)))
print("sine:", counts(flat_line_test(sine, times(60), **seconds, tolerance=0.001)))
outage = sine.copy()
outage[300:370] = np.nan
flags = flat_line_test(outage, times(60), **seconds, tolerance=0.001)
print("sine with an outage from 300 to 369:", counts(flags), "at", *np.flatnonzero(flags == 4).tolist())
short = flat_line_test(sine, times(60), suspect_threshold=30, fail_threshold=45, tolerance=0.001)
print("sine, thresholds of 30 and 45 s:", counts(short))
for interval in (1, 1.9):
    flags = flat_line_test(stuck, times(interval), suspect_threshold=30, fail_threshold=60, tolerance=0.001)
    print(f"stuck, a reading per {interval} s: fails after {interval * np.flatnonzero(flags == 4)[0]:.0f} s of 60")
for interval in (1.9, 2):
    slope = 1.9 / interval
    flags = rate_of_change_test(ramp, times(interval), threshold=1.5)
    print(f"slope {slope:.2f} per second, threshold 1.5, a reading per {interval} s:", counts(flags))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='ioos_qc 3.0.0
stuck for 10 hours: 600 good
the same, tolerance 0.001: 10 good, 50 suspect, 540 fail
sine: 600 good
sine with an outage from 300 to 369: 529 good, 1 fail, 70 missing at 370
sine, thresholds of 30 and 45 s: 600 fail
stuck, a reading per 1 s: fails after 60 s of 60
stuck, a reading per 1.9 s: fails after 114 s of 60
slope 1.00 per second, threshold 1.5, a reading per 1.9 s: 1 good, 599 suspect
slope 0.95 per second, threshold 1.5, a reading per 2 s: 600 good'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
