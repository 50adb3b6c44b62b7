#!/usr/bin/env bash
# pysunspec2: cvalue is the raw register if the scale factor has not been read or is not there, and it can be an old one.
#
# SunSpec inverters and meters send an integer, and its power of ten in a register of its own. The README of pysunspec2
# says that cvalue is "created by applying the scale factor value to the base value", and that points can be read one by
# one. A missing scale factor reads as None, and so does a missing value, but cvalue is None for the latter only:
# - After scan(full_model_read=False) and W.read(), 2304 with the scale factor -1 is 2304 W instead of 230.4 W.
# - While the device reports the scale factor as not available (0x8000), its model reads ten times too high.
# - W.read() does not read W_SF. An inverter that goes over to W_SF = 0, for values over 3276.7 W, is then read as 500 W
#   instead of 5000 W until its model is read in full.
# Issue 42 of pysunspec2, which is closed, is about an older form of the last one.
# No error and no warning in any of these cases, while setting cvalue without a scale factor raises ModelError.
#
# Way round it: read whole models only, and take cvalue only where the point named by .sf has a value.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "pysunspec2==1.3.7"
cat >"$folder/probe.py" <<'PYTHON'
import struct
import warnings
from importlib.metadata import version

from sunspec2.device import Model, ModelError
from sunspec2.modbus.client import SunSpecModbusClientDevice

warnings.simplefilter("error")
print("pysunspec2", version("pysunspec2"))
NOT_AVAILABLE = -0x8000


class Inverter(SunSpecModbusClientDevice):
    """A three-phase inverter (model 103) whose registers are in memory: no network."""

    def __init__(self):
        super().__init__()
        self.image = Model(103)
        self.report(2304, -1)

    def report(self, watts, scale):
        self.image.W.value, self.image.W_SF.value = watts, scale
        body = self.image.get_mb()
        self.registers = b"SunS" + struct.pack(">HH", 103, len(body) // 2 - 2) + body[4:] + b"\xff\xff\0\0"

    def connect(self):
        pass

    def disconnect(self):
        pass

    def is_connected(self):
        return True

    def read(self, addr, count):
        return self.registers[2 * (addr - 40000) :][: 2 * count]


def show(name):
    print(f"{name}: value {model.W.value}, scale factor {model.W_SF.value}, cvalue {model.W.cvalue}")


inverter = Inverter()
inverter.scan()
model = inverter.models[103][0]
show("model read")
inverter.report(2304, NOT_AVAILABLE)
model.read()
show("scale factor not available")
inverter.report(NOT_AVAILABLE, -1)
model.read()
show("value not available")
inverter.report(2304, -1)
model.read()
inverter.report(5000, 0)
model.W.read()
show("5000 W with scale factor 0, W read")
model.read()
show("then model read")
inverter.report(2304, -1)
inverter.scan(full_model_read=False)
model = inverter.models[103][0]
model.W.read()
show("only W read")
try:
    model.W.cvalue = 230.4
except ModelError as error:
    print("cvalue = 230.4 raises ModelError:", error)
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='pysunspec2 1.3.7
model read: value 2304, scale factor -1, cvalue 230.4
scale factor not available: value 2304, scale factor None, cvalue 2304
value not available: value None, scale factor -1, cvalue None
5000 W with scale factor 0, W read: value 5000, scale factor -1, cvalue 500.0
then model read: value 5000, scale factor 0, cvalue 5000
only W read: value 2304, scale factor None, cvalue 2304
cvalue = 230.4 raises ModelError: SF field W_SF value not initialized for point W'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
