#!/usr/bin/env bash
# fastavro: a reading such as 3.7 in a field of type long or int is written as 3, without an error or a warning.
#
# Memory says that a writer with a schema refuses a value that the schema does not allow. fastavro 1.13.1 refuses a text in
# a long field, but cuts a float, a Decimal or a NumPy float towards zero: -0.5 becomes 0, and items of arrays are cut too.
# In a boolean field every value is taken by its truth in Python, so the text "false" is written as true.
# The same value in a field that may be null (["null", "long"]) raises ValueError: whether readings are cut or refused
# depends on whether the column may have gaps.
# It meets tables in which one column was a whole number when the schema was made, and sensors that send 21 and then 21.5.
#
# Way round it: writer(..., validator=True) refuses all of them; or make number fields double.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -qq --disable-pip-version-check "fastavro==1.13.1"
cat >"$folder/probe.py" <<'PYTHON'
import io
from decimal import Decimal
from importlib.metadata import version

import fastavro

print("fastavro", version("fastavro"))


def written(field_type, value, validator=None):
    schema = fastavro.parse_schema(
        {"type": "record", "name": "row", "fields": [{"name": "reading", "type": field_type}]}
    )
    file = io.BytesIO()
    try:
        fastavro.writer(file, schema, [{"reading": value}], validator=validator)
    except Exception as problem:
        return type(problem).__name__
    file.seek(0)
    return next(fastavro.reader(file))["reading"]


LIST = {"type": "array", "items": "int"}
CASES = [("long", 3.7), ("int", -0.5), ("long", Decimal("3.9")), (LIST, [1.5, 2.5]), ("boolean", "false"), ("long", "3")]
for field_type, value in [*CASES, (["null", "long"], 3.7)]:
    name = "array of int" if field_type is LIST else field_type
    print(f"{name}: {value!r} -> {written(field_type, value)}; with validator=True {written(field_type, value, True)}")
PYTHON
seen=$("$folder/venv/bin/python" "$folder/probe.py")
echo "$seen"
expected="fastavro 1.13.1
long: 3.7 -> 3; with validator=True ValidationError
int: -0.5 -> 0; with validator=True ValidationError
long: Decimal('3.9') -> 3; with validator=True ValidationError
array of int: [1.5, 2.5] -> [1, 2]; with validator=True ValidationError
boolean: 'false' -> True; with validator=True ValidationError
long: '3' -> TypeError; with validator=True ValidationError
['null', 'long']: 3.7 -> ValueError; with validator=True ValidationError"
[ "$seen" = "$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
