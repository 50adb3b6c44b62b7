#!/usr/bin/env bash
# senml: base fields after the first record are ignored, so that two devices of a pack become one, with wrong times.
#
# SenML (RFC 8428) is the format of sensor readings of CoAP and LwM2M. A base field (bn name, bt time, bu unit, bv
# value) holds from its record on, until another record changes it; a gateway sends the packs of its devices as one.
# Memory says that a parser resolves that. senml 0.1.0 takes the base of the first record for all of the pack:
# - A reading of device 2 arrives under the name of device 1, an hour early, and as 55 Cel instead of 55 %RH.
# - A base value that starts later is not added: 101.5 is read as 1.5. bs, the base sum, is never added.
# - Times below 2**28 are relative to now in the RFC. Of a pack without bt, the reading "20 seconds ago" is 20 seconds
#   before 1970.
# kpn-senml 1.0.1 tells the devices apart, but its new records have no time and no unit, and a loop over a pack never
# yields a record. Of two readings of one name, in a pack whose name is known, it keeps the last.
# No error and no warning in any of these cases.
#
# Way round it: resolve the pack before either parser reads it, in about ten lines: keep the base fields in a dict that
# each record updates, and add the time of arrival to times below 2**28.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "senml==0.1.0" "attrs==26.1.0" "kpn-senml==1.0.1" "cbor2==6.3.0"
cat >"$folder/probe.py" <<'PYTHON'
import json
import warnings
from importlib.metadata import version

import kpn_senml
import senml

warnings.simplefilter("error")
print("senml", version("senml"), "| kpn-senml", version("kpn-senml"))
START = 1767225600
GATEWAY = [
    {"bn": "device1:", "bt": START, "bu": "Cel", "n": "temperature", "v": 20.1},
    {"n": "temperature", "t": 60, "v": 20.2},
    {"bn": "device2:", "bt": START + 3600, "bu": "%RH", "n": "humidity", "v": 55},
    {"n": "humidity", "t": 60, "v": 56},
]


def resolved(pack):
    document = senml.SenMLDocument.from_json(pack)
    return [each.to_absolute(document.base) for each in document.measurements]


for each in resolved(GATEWAY):
    print(each.name, f"{each.value:g}", each.unit, "after", f"{each.time - START:g} s")
later = [{"n": "a", "v": 1.5}, {"bv": 100, "n": "b", "v": 1.5}]
print("bv 100 from the second record on:", *[each.value for each in resolved(later)])
print("bs 100, s 5: sum", *[each.sum for each in resolved([{"bs": 100, "n": "energy", "s": 5}])])
print("20 seconds ago:", *[each.time for each in resolved([{"n": "a", "t": -20, "v": 1}])])
found = []
pack = kpn_senml.SenmlPack("gateway", lambda record, device=None: found.append((device, record)))
pack.from_json(json.dumps(GATEWAY))
for device, record in found:
    print("kpn-senml:", device and device.name, record.name, record.value, record.unit, record.time)
print("kpn-senml, a loop over it:", len(list(pack)), "records")
pack = kpn_senml.SenmlPack("device1:")
pack.from_json(json.dumps(GATEWAY[:2]))
print("kpn-senml, two readings of one name:", pack.to_json())
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected='senml 0.1.0 | kpn-senml 1.0.1
device1:temperature 20.1 Cel after 0 s
device1:temperature 20.2 Cel after 60 s
device1:humidity 55 Cel after 0 s
device1:humidity 56 Cel after 60 s
bv 100 from the second record on: 1.5 1.5
bs 100, s 5: sum 5
20 seconds ago: -20.0
kpn-senml: device1: temperature 20.1 None None
kpn-senml: device1: temperature 20.2 None None
kpn-senml: device2: humidity 55 None None
kpn-senml: device2: humidity 56 None None
kpn-senml, a loop over it: 0 records
kpn-senml, two readings of one name: [{"n": "temperature", "v": 20.2, "bn": "device1:"}]'
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
