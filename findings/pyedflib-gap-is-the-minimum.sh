#!/usr/bin/env bash
# pyEDFlib: a gap (NaN) is written as the smallest reading of the range, and a last record that is not full is filled up.
#
# EDF keeps 16-bit integers and a range per signal, and has no value for a gap. pyEDFlib 0.1.42 does not refuse one: NaN
# reads back as physical_min, so a sensor that was off for a minute reads as one at the end of its scale. Besides:
# - A signal whose length is not a multiple of the record is filled up with the physical value 0, or the end of the range
#   that is nearest to it. 300 readings at 256 per record read back as 512, and nothing in the file says how many were real.
# - A reading beyond the range reads back as the end of the range.
# No error and no warning in any of these cases.
#
# Ways round it: write a second signal of 0 and 1 that marks gaps and the end, or EDF+ annotations; check the range first.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "pyEDFlib==0.1.42" "numpy==2.3.5"
cat >"$folder/probe.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyedflib

print("pyEDFlib", version("pyEDFlib"))
warnings.simplefilter("error")


def read_back(readings):
    path = str(Path(sys.argv[1]) / "pressure.edf")
    writer = pyedflib.EdfWriter(path, 1, file_type=pyedflib.FILETYPE_EDFPLUS)
    writer.setSignalHeaders([{
        "label": "pressure", "dimension": "hPa", "sample_frequency": 256, "physical_min": 900.0, "physical_max": 1100.0,
        "digital_min": -32768, "digital_max": 32767, "transducer": "", "prefilter": "",
    }])
    writer.writeSamples([readings])
    writer.close()
    with pyedflib.EdfReader(path) as reader:
        return reader.readSignal(0)


calm = 1013 + np.sin(np.arange(256) / 20)
gap = calm.copy()
gap[100:103] = np.nan
print("calm, largest difference:", round(float(np.abs(read_back(calm) - calm).max()), 3))
print("NaN ->", *np.round(read_back(gap)[99:104], 1))
long = read_back(np.full(300, 1013.0))
print("300 readings ->", len(long), "| the last:", *np.round(long[298:302], 1))
high = calm.copy()
high[7] = 5000
print("5000 ->", round(float(read_back(high)[7]), 1))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder")
echo "$seen"
expected='pyEDFlib 0.1.42
calm, largest difference: 0.003
NaN -> 1012.0 900.0 900.0 900.0 1012.1
300 readings -> 512 | the last: 1013.0 1013.0 900.0 900.0
5000 -> 1100.0'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
