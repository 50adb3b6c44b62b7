#!/usr/bin/env bash
# pyuff: a gap (NaN) is written as the reading 0, and the start time of a record is rounded to six digits.
#
# UFF (UNV) dataset 58 is the exchange format of vibration measurements. Memory says that a writer keeps NaN, since its
# text has room for it, or refuses it. pyuff 2.5.8 replaces it with 0 before it writes, in text and binary, so that a
# dropout of a sensor at 1013 hPa is a spike, and one of an accelerometer is a calm reading. Infinity becomes 1.8e308.
# This is on purpose, by issue 6 of pyuff; the README writes a NaN in its example and does not mention it.
# Besides:
# - The format keeps start and step in a header with six digits, also in the binary form whose values are exact. pyuff
#   writes a start that does not fit: a record that starts at the Unix time 1767225600 reads as 73 minutes later. At
#   51.2 Hz the times are 18 ms too early after two hours. The step is x[1] - x[0]; abscissa_min and abscissa_inc are
#   not used.
# - With abscissa_spacing=1 x is not checked: after a pause, the rest of the record moves up to where the pause began.
# - In text, the times of an uneven record have six digits too: ten readings within a second, on the third day, have 2
#   different times. In binary they are exact.
# No error and no warning in any of these cases.
#
# Ways round it: write gaps as a channel of 0 and 1 of its own; count x from 0, and keep the start in id3; use the
# binary form with abscissa_spacing=0 where times matter.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "pyuff==2.5.8" "numpy==2.4.6"
cat >"$folder/probe.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyuff

print("pyuff", version("pyuff"))
warnings.simplefilter("error", UserWarning)
warnings.simplefilter("error", RuntimeWarning)


def read_back(values, times, binary=0, even=1, **given):
    path = Path(sys.argv[1]) / "vibration.uff"
    path.unlink(missing_ok=True)
    record = pyuff.prepare_58(
        binary=binary, func_type=1, rsp_node=1, rsp_dir=1, ref_node=1, ref_dir=1, data=np.array(values), x=times,
        ordinate_spec_data_type=12, orddenom_spec_data_type=0, abscissa_spec_data_type=17, z_axis_spec_data_type=0,
        abscissa_spacing=even, id1="NONE", **given,
    )
    pyuff.UFF(str(path)).write_sets([record], "add")
    return pyuff.UFF(str(path)).read_sets(0)


seconds = np.arange(4.0)
for binary, form in enumerate(("text", "binary")):
    back = read_back([1013.2, np.nan, np.inf, 1013.1], seconds, binary)
    print(f"{form}: 1013.2 NaN inf 1013.1 ->", *[f"{value:.5g}" for value in back["data"]])
for binary, form in enumerate(("text", "binary")):
    start = 1767225600 + seconds
    print(f"{form}: a record from a Unix time, moved by s:", *(read_back(seconds, start, binary)["x"] - start).tolist())
times = np.arange(2 * 3600 * 51.2) / 51.2
given = {"abscissa_min": 0.0, "abscissa_inc": 1 / 51.2}
for name, options in (("", {}), ("given abscissa_inc, ", given)):
    late = read_back(times, times, binary=1, **options)["x"][-1] - times[-1]
    print(f"51.2 Hz, {name}after two hours: {1000 * late:.0f} ms")
print("even, times 0 1 2 60 61 ->", *read_back(np.zeros(5), np.array([0.0, 1, 2, 60, 61]))["x"].tolist())
third_day = 2 * 86400 + np.arange(10) / 10
for binary, form in enumerate(("text", "binary")):
    kept = len(set(read_back(np.zeros(10), third_day, binary, even=0)["x"].tolist()))
    print(f"uneven, {form}: 10 readings at {kept} times")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder")
echo "$seen"
expected='pyuff 2.5.8
text: 1013.2 NaN inf 1013.1 -> 1013.2 0 1.7977e+308 1013.1
binary: 1013.2 NaN inf 1013.1 -> 1013.2 0 1.7977e+308 1013.1
text: a record from a Unix time, moved by s: 4400.0 4400.0 4400.0 4400.0
binary: a record from a Unix time, moved by s: 4400.0 4400.0 4400.0 4400.0
51.2 Hz, after two hours: -18 ms
51.2 Hz, given abscissa_inc, after two hours: -18 ms
even, times 0 1 2 60 61 -> 0.0 1.0 2.0 3.0 4.0
uneven, text: 10 readings at 2 times
uneven, binary: 10 readings at 10 times'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
