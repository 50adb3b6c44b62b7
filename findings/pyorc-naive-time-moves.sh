#!/usr/bin/env bash
# pyorc: a wall-clock time in a column of type timestamp is moved by the zone of the machine that writes it.
#
# ORC has two types of time: timestamp, a reading of a clock on the wall, the same for every reader, and timestamp with
# local time zone, an instant. pyorc 0.12.0 takes a naive datetime in a timestamp column as a time in the zone of the
# machine: written at noon in New York it reads back as 16:00, in pyorc (then with the zone UTC) and in pyarrow 26.0.1
# (without one). The file names no zone that would undo it, and the same script on a server in UTC writes 12:00.
# pyarrow's own writer keeps 12:00, and pyorc reads that as 12:00 UTC, so an evening's log that went through both has two
# clocks. No error or warning. Hours of day and weekdays learnt from one file do not fit the other.
#
# Ways round it: write naive times with tzinfo=timezone.utc attached, as if they were UTC (12:00 then stays 12:00), or write
# ORC with pyarrow.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "pyorc==0.12.0" "pyarrow==26.0.1" "numpy==2.4.6" "tzdata==2025.2"
cat >"$folder/probe.py" <<'PYTHON'
import io
import os
import time
from datetime import datetime, timezone
from importlib.metadata import version

import pyarrow as pa
import pyarrow.orc
import pyorc

print("pyorc", version("pyorc"), "pyarrow", version("pyarrow"))
NOON = datetime(2026, 7, 1, 12)


def by_pyorc(moment):
    file = io.BytesIO()
    with pyorc.Writer(file, "struct<at:timestamp>") as writer:
        writer.write((moment,))
    return file.getvalue()


def by_pyarrow(moment):
    file = io.BytesIO()
    pyarrow.orc.write_table(pa.table({"at": pa.array([moment], pa.timestamp("us"))}), file)
    return file.getvalue()


def read(content):
    in_pyorc = next(pyorc.Reader(io.BytesIO(content)))[0].isoformat()
    in_pyarrow = pyarrow.orc.ORCFile(io.BytesIO(content)).read()["at"].cast(pa.timestamp("us"))[0].as_py().isoformat()
    return f"pyorc {in_pyorc}, pyarrow {in_pyarrow}"


for zone in ("America/New_York", "UTC"):
    os.environ["TZ"] = zone
    time.tzset()
    print(f"{zone}: naive noon by pyorc: {read(by_pyorc(NOON))}")
    print(f"{zone}: noon of UTC by pyorc: {read(by_pyorc(NOON.replace(tzinfo=timezone.utc)))}")
    print(f"{zone}: naive noon by pyarrow: {read(by_pyarrow(NOON))}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='pyorc 0.12.0 pyarrow 26.0.1
America/New_York: naive noon by pyorc: pyorc 2026-07-01T16:00:00+00:00, pyarrow 2026-07-01T16:00:00
America/New_York: noon of UTC by pyorc: pyorc 2026-07-01T12:00:00+00:00, pyarrow 2026-07-01T12:00:00
America/New_York: naive noon by pyarrow: pyorc 2026-07-01T12:00:00+00:00, pyarrow 2026-07-01T12:00:00
UTC: naive noon by pyorc: pyorc 2026-07-01T12:00:00+00:00, pyarrow 2026-07-01T12:00:00
UTC: noon of UTC by pyorc: pyorc 2026-07-01T12:00:00+00:00, pyarrow 2026-07-01T12:00:00
UTC: naive noon by pyarrow: pyorc 2026-07-01T12:00:00+00:00, pyarrow 2026-07-01T12:00:00'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
