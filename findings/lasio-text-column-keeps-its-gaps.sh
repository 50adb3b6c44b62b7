#!/usr/bin/env bash
# lasio: one word in a column leaves its gaps as -999.25, text codes are rewritten as numbers, and small readings become 0.
#
# LAS is the format of well logs; its NULL value, mostly -999.25, marks gaps, and lasio reads it as NaN. Its documentation
# says that a column with text "will be returned as text", and that it keeps -999.25 shows in an example. In lasio 0.32:
# - One "OFF" among the readings makes all of them text, and the gap is the text -999.25. to_numeric(errors="coerce"),
#   the usual repair, turns OFF into NaN and the gap into a reading of -999.25.
# - A text column is not the text of the file: sample 007 is read as "7.0", 12E3 as "12000.0" and 1_0 as "10.0", so that
#   two samples can get one name. dtypes={"SAMPLE": str}, meant for this, comes too late and gives the same.
# - write() has five decimals unless told otherwise: flows of 3.4e-06 are written as 0.00000, with no warning. With a text
#   column in the file the same flows are written in full, but their gaps as nan instead of the NULL value.
# A message of logging says that a column could not be converted; no error and no warning in the other cases.
#
# Ways round it: null_policy=[("OFF", " NaN "), "NULL"] for each word; write(..., fmt="%.9g"); read codes from the lines of
# the file without lasio.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "lasio==0.32" "numpy==2.4.6" "pandas==3.0.6"
cat >"$folder/probe.py" <<'PYTHON'
import io
import logging
import warnings
from importlib.metadata import version

import lasio
import pandas as pd

warnings.simplefilter("error")
logging.disable(logging.CRITICAL)
print("lasio", version("lasio"))
HEADER = """~VERSION
VERS. 2.0 :
WRAP. NO :
~WELL
STRT.M 1 :
STOP.M 4 :
STEP.M 1 :
NULL. -999.25 :
~CURVE
DEPT.M :
FLOW.M3/S :
SAMPLE. :
~ASCII
"""


def read(flows, samples, **options):
    lines = [f"{depth} {flow} {sample}" for depth, (flow, sample) in enumerate(zip(flows, samples), 1)]
    return lasio.read(io.StringIO(HEADER + "\n".join(lines) + "\n"), **options)


def written(log, **options):
    text = io.StringIO()
    log.write(text, version=2, **options)
    return [line.split()[1] for line in text.getvalue().splitlines()[-4:]]


flows, numbers = ["3.4e-06", "-999.25", "3.1e-06", "2.9e-06"], ["1", "2", "3", "4"]
off = [*flows[:2], "OFF", flows[3]]
print("flow:", *read(flows, numbers)["FLOW"])
stopped = read(off, numbers)
print("flow with OFF:", *stopped["FLOW"], "| to_numeric:", *pd.to_numeric(pd.Series(stopped["FLOW"]), errors="coerce"))
print("flow with OFF as NaN:", *read(off, numbers, null_policy=[("OFF", " NaN "), "NULL"])["FLOW"])
codes = ["007", "12E3", "1_0", "7A"]
print("samples:", *read(flows, codes)["SAMPLE"], "| as str:", *read(flows, codes, dtypes={"SAMPLE": str})["SAMPLE"])
print("flow written:", *written(read(flows, numbers)))
print("flow written with %.9g:", *written(read(flows, numbers), fmt="%.9g"))
print("flow written, one sample with a letter:", *written(read(flows, ["1", "2", "3", "7A"])))
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='lasio 0.32
flow: 3.4e-06 nan 3.1e-06 2.9e-06
flow with OFF: 3.4e-06 -999.25 OFF 2.9e-06 | to_numeric: 3.4e-06 -999.25 nan 2.9e-06
flow with OFF as NaN: 3.4e-06 nan nan 2.9e-06
samples: 7.0 12000.0 10.0 7A | as str: 7.0 12000.0 10.0 7A
flow written: 0.00000 -999.25 0.00000 0.00000
flow written with %.9g: 3.4e-06 -999.25 3.1e-06 2.9e-06
flow written, one sample with a letter: 3.4e-06 nan 3.1e-06 2.9e-06'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
