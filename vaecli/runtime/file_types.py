"""The first bytes and the extensions by which file formats are recognised."""

from __future__ import annotations

PARQUET = b"PAR1"
ARROW = b"ARROW1"
HDF5 = b"\x89HDF"
NUMPY = b"\x93NUMPY"
SQLITE = b"SQLite format 3"
ZIP = b"PK\x03\x04"
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
BZIP2 = b"BZh"

CSV_EXTENSIONS = (".csv",)
TSV_EXTENSIONS = (".tsv", ".tab")
PARQUET_EXTENSIONS = (".parquet", ".pq")
COMPRESSED_EXTENSIONS = (".gz", ".zst", ".bz2")
