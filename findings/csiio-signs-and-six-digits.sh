#!/usr/bin/env bash
# csiio: a counter of -1 is read as 4294967295, 40000 as -7232, and the text files it writes keep six digits.
#
# csiio-py 0.4.0 reads, converts and writes the files of Campbell Scientific's data loggers. Memory says that a converter
# keeps the readings. It does not:
# - LONG is signed, ULONG is not (BMP5 manual, Appendix A; LoggerNet manual, Appendix B). Both are read as unsigned: an encoder
#   that turns back past 0 is at four billion.
# - TOA5, the text format, and CSV are written with the format %.6g: 101325.25 Pa is 101325. If the column is float, a
#   meter that counts on from 1234567 Wh stands still at 1.23457e+06. The binary files keep both.
# - Whole numbers of a DataFrame from 0 to 65535 are written as UINT2, which the reader takes for FP2, Campbell's two-byte
#   float: 1490 reads as 1490, 8192 as 0 and 40000 as -7232. The library does not read what it wrote.
# - In that binary file a gap in a column of integers is 0, and one in a column of booleans is False.
# No error and no warning in any of these cases, and the README names none of them.
#
# Ways round it: after reading, subtract 2**32 from LONG readings of 2**31 or more; before writing TOB3, make all columns
# float64 (the file then keeps float32 and NaN); write text with pandas.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "csiio-py==0.4.0" "pandas==2.3.3" "numpy==2.4.6" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
cat >"$folder/probe.py" <<'PYTHON'
import struct
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from csiio import CSIDataFile, convert_csi_file, read_csi_files

warnings.simplefilter("error")
print("csiio-py", version("csiio-py"), "pandas", version("pandas"))
folder = Path(sys.argv[1])
HEADER = [
    ["TOB1", "STATION", "CR1000", "1031", "CR1000.Std.32", "CPU:turn.CR1", "4062", "Table1"],
    ["SECONDS", "NANOSECONDS", "RECORD", "Encoder", "Pressure", "Energy"],
    ["SECONDS", "NANOSECONDS", "RN", "counts", "Pa", "Wh"],
    ["", "", "", "Smp", "Smp", "Smp"],
    ["ULONG", "ULONG", "ULONG", "LONG", "IEEE4", "LONG"],
]
SENT = [(2, 101325.25, 1234567), (-1, 101325.5, 1234568), (-250, 101326.0, 1234569)]
seconds = int((pd.Timestamp("2026-01-01") - pd.Timestamp("1990-01-01")).total_seconds())
records = b"".join(struct.pack("<LLLlfl", seconds + row, 0, row, *reading) for row, reading in enumerate(SENT))
lines = "".join(",".join(f'"{each}"' for each in line) + "\r\n" for line in HEADER)
(folder / "in.dat").write_bytes(lines.encode() + records)
read, _ = read_csi_files(str(folder / "in.dat"))
print("TOB1: encoder", *read["Encoder (counts)"], "| pressure", *read["Pressure (Pa)"])
text = Path(convert_csi_file(str(folder / "in.dat"), str(folder / "out.dat"), "TOA5")).read_text()
print("TOA5:", *text.splitlines()[4:], sep="\n  ")
table = pd.DataFrame(
    {
        "rpm (1/min)": [1490, 8192, 40000],
        "energy (Wh)": [1234567.0, 1234568.0, 1234569.0],
        "count (1)": pd.array([5, None, 6], dtype="Int64"),
        "open (1)": pd.array([True, None, True], dtype="boolean"),
    },
    index=pd.date_range("2026-01-01", periods=3, freq="s"),
)
name = CSIDataFile(data=table).write(str(folder / "table.csv"), "CSV")
print("CSV:", *Path(name).read_text().splitlines()[1:], sep="\n  ")
back, _ = read_csi_files(CSIDataFile(data=table).write(str(folder / "table.dat"), "TOB3"))
for column in table:
    print("TOB3:", column, *back[column])
whole = table.astype("float64")
back, _ = read_csi_files(CSIDataFile(data=whole).write(str(folder / "whole.dat"), "TOB3"))
print("TOB3 of floats:", *back["rpm (1/min)"], "|", *back["count (1)"])
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py" "$folder")
echo "$seen"
expected='csiio-py 0.4.0 pandas 2.3.3
TOB1: encoder 2 4294967295 4294967046 | pressure 101325.25 101325.5 101326.0
TOA5:
  2026-01-01 00:00:00,0,2,101325,1234567
  2026-01-01 00:00:01,1,4294967295,101326,1234568
  2026-01-01 00:00:02,2,4294967046,101326,1234569
CSV:
  2026-01-01 00:00:00,1,1490,1.23457e+06,5,True
  2026-01-01 00:00:01,2,8192,1.23457e+06,,
  2026-01-01 00:00:02,3,40000,1.23457e+06,6,True
TOB3: rpm (1/min) 1490.0 0.0 -7232.0
TOB3: energy (Wh) 1234567.0 1234568.0 1234569.0
TOB3: count (1) 5.0 0.0 6.0
TOB3: open (1) True False True
TOB3 of floats: 1490.0 8192.0 40000.0 | 5.0 nan 6.0'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
