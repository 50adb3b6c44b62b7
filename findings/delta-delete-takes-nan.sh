#!/usr/bin/env bash
# deltalake: delete("x > 100") also deletes every row whose x is NaN, though no filter that reads the table shows them.
#
# Memory says that NaN > 100 is false, as in NumPy, pandas, Arrow and C; so rows that failed to read (NaN) survive the
# removal of readings out of range. In deltalake, to_pyarrow_table(filters=...), a filter of to_pyarrow_dataset() and a
# mask of to_pandas() agree with that. delete() and update() take their predicate as SQL of DataFusion, where NaN is
# greater than all numbers: they take the NaN rows along. No error, no warning; only num_deleted_rows is larger.
# Whether it happens depends on the other rows of the same file: a file with no number above 100 is skipped by its
# statistics, which leave NaN out, and keeps its NaN rows. So compaction changes what the same delete removes.
# "x <= 100" keeps NaN; a null is kept by both.
#
# Ways round it: delete("x > 100 and not isnan(x)"); or write nulls for NaN; or try a predicate by QueryBuilder, which
# counts as delete() does, and not by a filter of Arrow. An earlier version can be restored until vacuum() is run.
#
# Exits non-zero if a version behaves differently from what is expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/probe.py" <<'PYTHON'
import os
import sys

import deltalake
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder, write_deltalake

rows = pa.table({"sensor": ["a", "b", "c", "d", "e"], "x": pa.array([20.0, float("nan"), 900.0, None, 21.0])})
print("deltalake", deltalake.__version__)


def fresh(name, *parts):
    path = f"{sys.argv[1]}/{name}"
    for part in parts:
        write_deltalake(path, part, mode="append")
    return DeltaTable(path)


def kept(table):
    return "".join(sorted(table.to_pyarrow_table()["sensor"].to_pylist()))


table = fresh("shown", rows)
print("filters:", "".join(table.to_pyarrow_table(filters=[("x", ">", 100.0)])["sensor"].to_pylist()))
print("dataset:", "".join(table.to_pyarrow_dataset().to_table(filter=pc.field("x") > 100)["sensor"].to_pylist()))
seen = QueryBuilder().register("t", table).execute("select sensor from t where x > 100 order by sensor").read_all()
print("QueryBuilder:", "".join(pa.table(seen)["sensor"].to_pylist()))
for predicate in ("x > 100", "x > 100 and not isnan(x)", "x <= 100"):
    table = fresh(f"delete {len(predicate)}", rows)
    table.delete(predicate)
    print(f"kept after delete({predicate}):", kept(table))
table = fresh("update", rows)
table.update(predicate="x > 100", updates={"sensor": "'z'"})
print("after update(x > 100):", kept(table))
table = fresh("two files", rows.slice(0, 2), rows.slice(2))
table.delete("x > 100")
print("kept of two files:", kept(table), flush=True)
os._exit(0)  # one of some ten runs aborted while the process ended, all being printed; why is not known
PYTHON
expected='filters: c
dataset: c
QueryBuilder: bc
kept after delete(x > 100): ade
kept after delete(x > 100 and not isnan(x)): abde
kept after delete(x <= 100): bcd
after update(x > 100): adezz
kept of two files: abde'
for version in 1.2.1 1.6.6; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -qq --disable-pip-version-check "deltalake==$version" "pyarrow==22.0.0"
    seen=$("$folder/$version/bin/python" "$folder/probe.py" "$folder/$version-tables")
    echo "$seen"
    [ "$seen" = "deltalake $version"$'\n'"$expected" ] || { printf 'expected:\n%s\n' "$expected" >&2; exit 1; }
done
