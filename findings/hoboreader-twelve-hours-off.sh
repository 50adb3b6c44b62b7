#!/usr/bin/env bash
# hoboreader: the readings of a logger in New Zealand are 12 hours off, under the name of the right zone.
#
# HOBO loggers of Onset are common in ecology and buildings. HOBOware exports CSV whose header names the logger's offset, as
# in "Date Time, GMT+12:00", and hoboreader 0.0.2 makes times with a zone of it. Memory says that an offset is either read or
# refused. It is read as a time of day on a clock of 12 hours, so that 12:00 is 0:
# - GMT+12:00 (New Zealand, Fiji) gets an offset of 0, and so does GMT-12:00. The name of the zone stays "GMT+12:00",
#   so that strftime("%Z") shows the right zone. In UTC, or next to another logger, night is day.
# - GMT+00:00 and GMT+13:00 raise ValueError; all offsets from one to below twelve hours are right, half hours too, so that a
#   test with another logger passes.
# The index of get_dataframe() has the same times. No error and no warning for GMT+12:00.
#
# Way round it: the name is right; parse tzname() of a time, and replace the tzinfo of all, or tz_localize() the index anew.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "hoboreader==0.0.2" "pandas==2.3.3" "numpy==2.4.6" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
cat >"$folder/probe.py" <<'PYTHON'
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

from hoboreader import HoboReader

print("hoboreader", version("hoboreader"), "pandas", version("pandas"))
path = Path(sys.argv[1])


def export(offset):
    """Reads the export of a logger with two readings, of midnight and of 1 o'clock in the afternoon."""
    path.write_text(
        '"Plot Title: barn"\n'
        f'"#","Date Time, GMT{offset}","Temp, °C (LGR S/N: 10, SEN S/N: 11)","End Of File (LGR S/N: 10)"\n'
        f"1,01/15/26 12:00:00 AM,21.5,\n2,01/15/26 01:00:00 PM,21.6,Logged\n",
        encoding="utf-8",
    )
    return HoboReader(str(path))


warnings.simplefilter("error")
for offset in ("-12:00", "-05:00", "-03:30", "+00:00", "+05:45", "+11:00", "+12:00", "+13:00"):
    try:
        first = export(offset).datetimes[0]
        print(f"{first:%Z} midnight, offset {first:%z}")
    except ValueError as error:
        print(f"GMT{offset} raises ValueError:", error)
warnings.simplefilter("ignore", FutureWarning)
table = export("+12:00").get_dataframe()
print("table, in UTC:", *table.index.tz_convert("UTC").strftime("%d %H:%M"), sep="  ")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder/barn.csv")
echo "$seen"
expected="hoboreader 0.0.2 pandas 2.3.3
GMT-12:00 midnight, offset +0000
GMT-05:00 midnight, offset -0500
GMT-03:30 midnight, offset -0330
GMT+00:00 raises ValueError: time data '00:00' does not match format '%I:%M'
GMT+05:45 midnight, offset +0545
GMT+11:00 midnight, offset +1100
GMT+12:00 midnight, offset +0000
GMT+13:00 raises ValueError: time data '13:00' does not match format '%I:%M'
table, in UTC:  15 00:00  15 13:00"
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
