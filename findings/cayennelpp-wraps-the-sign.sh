#!/usr/bin/env bash
# PyCayenneLPP: a reading above half the range is sent as a negative one, and 2.3 V is sent as 2.29 V.
#
# Cayenne LPP is the payload format of many LoRaWAN sensors: a few bytes per reading, most types signed. The docstring of
# PyCayenneLPP 2.4.0 promises "sensible checks", and a value beyond the range does raise ValueError - of an unsigned type.
# Of a signed one, 655.36 raises it, so that a test of the check passes, but the range ends at 327.67:
# - An analog input of 327.68 is read back as -327.68, one of 400 as -255.36, and one of 655.35 as -0.01.
# - Below the range nothing is checked: -400 is read back as 255.36, a plausible reading.
# - Altitude, load, gyrometer and accelerometer do the same: 9000 kg are read back as -7777.216 kg.
# - Values are cut, not rounded, after a product in floats: 4586 of the 65536 voltages that the format can hold lose their
#   last digit. A sensor that alternates between 2.29 and 2.3 is read back as one that is stuck.
# No error and no warning in any of these cases. The README lists size, sign and resolution, but no range.
#
# Ways round it: check -2**(bits - 1) <= round(value * scale) < 2**(bits - 1) before add_...(), and pass
# (round(value * scale) + 0.5) / scale, for a value that is not negative, so that the cut hits the right digit.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "pycayennelpp==2.4.0"
cat >"$folder/probe.py" <<'PYTHON'
import warnings
from importlib.metadata import version

from cayennelpp import LppFrame

warnings.simplefilter("error")
print("PyCayenneLPP", version("pycayennelpp"))


def read_back(kind, *values):
    frame = LppFrame()
    getattr(frame, f"add_{kind}")(1, *values)
    return LppFrame.from_bytes(bytes(frame)).data[0].value[-1]


for kind, values in {
    "analog_input": (327.67, 327.68, 400.0, 655.35, -327.68, -400.0), "altitude": (8848, 40000), "load": (5000.0, 9000.0),
    "voltage": (230.29, 2.29, 2.3, 4.35),
}.items():
    print(f"{kind}:", *(f"{each} -> {read_back(kind, each)}," for each in values))
for kind, value in (("analog_input", 655.36), ("voltage", 655.36), ("voltage", -0.01)):
    try:
        print(kind, value, "->", read_back(kind, value))
    except ValueError as error:
        print(f"{kind}: {value} raises ValueError:", error)
changed = sum(read_back("voltage", step / 100) != step / 100 for step in range(65536))
print("voltages of two decimals that change:", changed, "of 65536")
shifted = sum(read_back("voltage", (step + 0.5) / 100) != step / 100 for step in range(65536))
print("with half a step more:", shifted)
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='PyCayenneLPP 2.4.0
analog_input: 327.67 -> 327.67, 327.68 -> -327.68, 400.0 -> -255.36, 655.35 -> -0.01, -327.68 -> -327.68, -400.0 -> 255.36,
altitude: 8848 -> 8848.0, 40000 -> -25536.0,
load: 5000.0 -> 5000.0, 9000.0 -> -7777.216,
voltage: 230.29 -> 230.29, 2.29 -> 2.29, 2.3 -> 2.29, 4.35 -> 4.34,
analog_input: 655.36 raises ValueError: Invalid data, exceed value range!
voltage: 655.36 raises ValueError: Invalid data, exceed value range!
voltage: -0.01 raises ValueError: Invalid value, must be positive!
voltages of two decimals that change: 4586 of 65536
with half a step more: 0'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
