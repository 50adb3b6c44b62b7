#!/usr/bin/env bash
# pyarrow before 26: replace_with_mask, fill_null_forward and fill_null_backward on a part of a boolean array.
#
# The values that should stay are copied from the start of the parent array: its bitmap is read without the offset of
# the slice (apache/arrow issue 51223). No error, no warning, right length and type. Slices are not rare:
# Table.slice, Table.to_batches and RecordBatch.slice make them.
# Seen in practice as an imputed Parquet file whose untouched booleans depended on the number of worker threads.
#
# A test with 26 does not find it, and a test with one batch does not find it on any version.
# Ways round it on every version: cast to an integer type and back, or pa.concat_arrays with an empty array of the
# type (which copies); pc.if_else and pc.fill_null are not affected.
#
# Exits non-zero if a version behaves differently from the table that is expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/probe.py" <<'PYTHON'
import pyarrow as pa
import pyarrow.compute as pc

parent = pa.array([True] * 8 + [False] * 8)
part = parent.slice(8)  # eight times false
mask, new = pa.array([True] + [False] * 7), pa.array([False])
gaps = pa.array([True] * 8 + [None] + [False] * 7).slice(8)
copied = pa.concat_arrays([part, pa.array([], pa.bool_())])
integers = pc.replace_with_mask(part.cast(pa.int8()), mask, new.cast(pa.int8())).cast(pa.bool_())
found = {
    "replace_with_mask": pc.replace_with_mask(part, mask, new),
    "fill_null_backward": pc.fill_null_backward(gaps),
    "after a copy": pc.replace_with_mask(copied, mask, new),
    "through int8": integers,
    "if_else": pc.if_else(mask, pa.scalar(False), part),
    "fill_null": pc.fill_null(gaps, False),
}
print(pa.__version__, *(f"{name}: {'right' if not any(values.to_pylist()) else 'wrong'};" for name, values in found.items()))
PYTHON
wrong='replace_with_mask: wrong; fill_null_backward: wrong; after a copy: right; through int8: right; if_else: right; fill_null: right;'
right=${wrong//wrong/right}
for version in 21.0.0 25.0.1 26.0.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -qq --disable-pip-version-check "pyarrow==$version"
    seen=$("$folder/$version/bin/python" "$folder/probe.py")
    echo "pyarrow $seen"
    case $version in 26.*) expected=$right ;; *) expected=$wrong ;; esac
    [ "$seen" = "$version $expected" ] || { echo "expected: $version $expected" >&2; exit 1; }
done
