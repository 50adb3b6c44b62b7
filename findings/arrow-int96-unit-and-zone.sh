#!/usr/bin/env bash
# pyarrow: no coerce_int96_timestamp_unit reads every INT96 timestamp as it is, and none keeps the time zone.
#
# INT96 (Spark's default, Hive, Impala) is a day and nanoseconds of the day. It is well known that pyarrow reads it as
# timestamp[ns], which wraps: 9999-12-31 becomes 1816-03-29 without a word, and that coerce_int96_timestamp_unit="us"
# mends that. Less so, and none of it an error or a warning:
# - nanoseconds are cut off, not rounded, and not refused, although casts of Arrow refuse to lose them;
# - FileMetaData.schema.to_arrow_schema() still says timestamp[ns]; only ParquetFile.schema_arrow knows.
# - with and without the option, the zone in the Arrow schema that pyarrow itself wrote into the file is dropped, which
#   every other timestamp column gets back: moments become times on a wall clock, in UTC.
# pyarrow.dataset takes the option in ParquetReadOptions of a ParquetFileFormat, read_table as an argument.
#
# Way round it: read in both units. As both wrap in the same way, (ns - us * 1000) in int64 is the lost 0 to 999 ns, also
# for moments that wrapped. Take microseconds unless some are lost, and cast to the zone of the Arrow schema.
#
# Exits non-zero if the behaviour is not as expected below.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/probe.py" <<'PYTHON'
import pyarrow as pa
import pyarrow.parquet as pq

moments = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "Europe/Berlin"))
pq.write_table(pa.table({"at": moments}), "zone.parquet", use_deprecated_int96_timestamps=True)
far = pa.array([253_402_214_400], pa.timestamp("s")).cast(pa.timestamp("us"))  # 9999-12-31
pq.write_table(pa.table({"at": far}), "far.parquet", use_deprecated_int96_timestamps=True)
print("pyarrow", pa.__version__)
for name in ("zone", "far"):
    for unit in (None, "us"):
        file = pq.ParquetFile(f"{name}.parquet", coerce_int96_timestamp_unit=unit)
        at = file.read()["at"].combine_chunks()
        said = file.metadata.schema.to_arrow_schema().field("at").type
        print(f"{name}, {unit}: {at.type}, {at.cast(pa.int64())[0]}, metadata says {said}")
PYTHON
expected='zone, None: timestamp[ns], 1700000000123456789, metadata says timestamp[ns]
zone, us: timestamp[us], 1700000000123456, metadata says timestamp[ns]
far, None: timestamp[ns], -4852202631933722624, metadata says timestamp[ns]
far, us: timestamp[us], 253402214400000000, metadata says timestamp[ns]'
cd "$folder"
for version in 22.0.0 26.0.0; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install -qq --disable-pip-version-check "pyarrow==$version"
    seen=$("$folder/$version/bin/python" "$folder/probe.py")
    echo "$seen"
    [ "$seen" = "pyarrow $version"$'\n'"$expected" ] || { echo "expected: $expected" >&2; exit 1; }
done
