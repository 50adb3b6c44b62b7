#!/usr/bin/env bash
# liac-arff: decimals in a column declared integer are cut off, and text "?" or "" is written as missing.
#
# Many older benchmark sets of anomaly detection are ARFF. Weka treats its keywords numeric, real and integer alike, so a
# column can stay "integer" after its values were scaled or changed unit. Memory says that a reader follows Weka, as
# scipy.io.arff does, or refuses, as liac-arff refuses a word. liac-arff takes int(float(text)) instead:
# - 2.7 becomes 2 and -0.9 becomes 0: a column scaled to [0, 1] is nearly all 0. No error, no warning.
# - The integers pass through a float: 9007199254740993 becomes 9007199254740992, so that long serial numbers collide.
# - dump() does not check or convert such a column: it writes 2.7 below INTEGER, and load() then reads 2. The
#   library does not read what it wrote.
# - dump() writes the texts "?" and "" without quotes as ?, which is missing. load() does keep '?' and '' in quotes
#   apart from ?, so that reading and writing a file loses them.
#
# Ways round it: write REAL in the header in place of integer before the file is read, or compare with scipy.io.arff
# (which does not read strings); on dump() declare REAL unless all values are whole.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check \
    "liac-arff==2.5.0" "scipy==1.17.1" "numpy==2.4.6" 2>"$folder/log" || { cat "$folder/log" >&2; exit 1; }
cat >"$folder/probe.py" <<'PYTHON'
import io
import warnings
from importlib.metadata import version

import arff
from scipy.io import arff as scipy_arff

warnings.simplefilter("error")
print("liac-arff", version("liac-arff"), "scipy", version("scipy"))
scaled = "@relation r\n@attribute level integer\n@attribute other real\n@data\n0.9,0.9\n-0.9,-0.9\n2.7,2.7\n"
print("liac-arff:", arff.loads(scaled)["data"])
print("scipy:", scipy_arff.loadarff(io.StringIO(scaled))[0].tolist())
serial = "@relation r\n@attribute serial integer\n@data\n9007199254740992\n9007199254740993\n"
print("serials:", arff.loads(serial)["data"])
try:
    arff.loads("@relation r\n@attribute level integer\n@data\nhigh\n")
except arff.BadNumericalValue:
    print("a word: BadNumericalValue")
table = {"relation": "r", "attributes": [("level", "INTEGER")], "data": [[2.7]]}
print("dumped:", arff.dumps(table).split()[-1], "and loaded:", arff.loads(arff.dumps(table))["data"])
texts = "@relation r\n@attribute remark string\n@data\n'?'\n''\n?\n"
once = arff.loads(texts)
print("texts:", once["data"], "after dump and load:", arff.loads(arff.dumps(once))["data"])
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected="liac-arff 2.5.0 scipy 1.17.1
liac-arff: [[0, 0.9], [0, -0.9], [2, 2.7]]
scipy: [(0.9, 0.9), (-0.9, -0.9), (2.7, 2.7)]
serials: [[9007199254740992], [9007199254740992]]
a word: BadNumericalValue
dumped: 2.7 and loaded: [[2]]
texts: [['?'], [''], [None]] after dump and load: [[None], [None], [None]]"
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
