#!/usr/bin/env bash
# pyMeterBus: a meter with a factor of 1000 reads a thousandth, an unavailable BCD value is 14141414, and a time moves.
#
# M-Bus (EN 13757-3) is the protocol of heat, water and gas meters. A record has a code for quantity and unit (VIF), codes
# that modify it (VIFE), and codes for "no value". Memory says that a decoder applies them, or refuses what it does not
# know. pyMeterBus 0.8.5 returns a number:
# - VIFE 7D multiplies by 1000, 70 to 77 by 10^-6 to 10 ("M-Bus documentation" 4.8, section 8.4.5, to which its source
#   refers). They are left out: 16 MWh is 16000 Wh. Only unit_enh says UNKNOWN_ENHANCEMENT.
# - The BCD digits A to E mean that there is no value (EN 13757-3:2018, Annex A, type A): EE EE EE EE is 14141414 kWh.
# - The least integer of a size means the same (type B): a cut temperature sensor, 8000h, is -3276.8 degrees.
# - The time with seconds (type I, six bytes) is decoded as the one without (type F): 12:30:00 on 1 July 2028 becomes
#   "2064-01-12T30:00". The function for type I is in the library, but no code leads to it.
# - The bit "time invalid", of a meter whose clock was lost, is ignored: its 2016-01-01T00:00 looks like a reading's time.
# No error and no warning in any of these cases. The README says that extended VIF codes are missing, and names no other.
#
# Way round it: the parts are kept. Before value is used, look at record.vib.parts for factors, at record.dataField.parts for
# digits above 9, 80h after zeros, bit 7 of the minute, and at record.dib.length_encoding for six bytes of time.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "pymeterbus==0.8.5" "pyaml==26.7.0" "pycryptodome==4.4.0" "pyserial==3.5" "simplejson==4.3.0" 2>"$folder/log" \
    || { cat "$folder/log" >&2; exit 1; }
cat >"$folder/probe.py" <<'PYTHON'
import warnings
from importlib.metadata import version

import meterbus
from meterbus.core_objects import DateCalculator

warnings.simplefilter("error")
print("pyMeterBus", version("pymeterbus"))


def record(text):
    """Returns the only record of a telegram of a heat meter with the number 12345678."""
    body = bytes.fromhex("08 01 72 78 56 34 12 24 23 28 04 01 00 00 00" + text)
    frame = bytes([0x68, len(body), len(body), 0x68]) + body + bytes([sum(body) & 0xFF, 0x16])
    return meterbus.load(list(frame)).records[0]


def show(name, text):
    shown = record(text).interpreted
    value = shown["value"] if isinstance(shown["value"], str) else f"{float(shown['value']):.10g}"
    print(f"{name} ({text}):", value, shown["unit"].removeprefix("MeasureUnit."), *([shown["unit_enh"]] if "unit_enh" in shown else []))


show("energy 16 kWh", "04 06 10 00 00 00")
show("energy 16 kWh times 10^3", "04 86 7D 10 00 00 00")
show("energy 16 kWh times 10^-3", "04 86 73 10 00 00 00")
show("energy 12345678 kWh, BCD", "0C 06 78 56 34 12")
show("energy without a value, BCD", "0C 06 EE EE EE EE")
show("flow temperature 23.1", "02 5A E7 00")
show("flow temperature without a value", "02 5A 00 80")
show("12:30 on 1 July 2028, type F", "04 6D 1E 0C 81 37")
show("12:30:00 on 1 July 2028, type I", "06 6D 00 1E 0C 81 37 00")
parts = record("06 6D 00 1E 0C 81 37 00").dataField.parts
print("own function of the library for type I:", DateCalculator.getDateTimeWithSeconds(*parts[:5], False))
show("clock that was never set, type F", "04 6D 80 00 01 21")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='pyMeterBus 0.8.5
energy 16 kWh (04 06 10 00 00 00): 16000 WH
energy 16 kWh times 10^3 (04 86 7D 10 00 00 00): 16000 WH VIFUnitEnhExt.UNKNOWN_ENHANCEMENT
energy 16 kWh times 10^-3 (04 86 73 10 00 00 00): 16000 WH VIFUnitEnhExt.UNKNOWN_ENHANCEMENT
energy 12345678 kWh, BCD (0C 06 78 56 34 12): 1.2345678e+10 WH
energy without a value, BCD (0C 06 EE EE EE EE): 1.4141414e+10 WH
flow temperature 23.1 (02 5A E7 00): 23.1 C
flow temperature without a value (02 5A 00 80): -3276.8 C
12:30 on 1 July 2028, type F (04 6D 1E 0C 81 37): 2028-07-01T12:30 DATE_TIME
12:30:00 on 1 July 2028, type I (06 6D 00 1E 0C 81 37 00): 2064-01-12T30:00 DATE_TIME
own function of the library for type I: 2028-07-01T12:30:00
clock that was never set, type F (04 6D 80 00 01 21): 2016-01-01T00:00 DATE_TIME'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
