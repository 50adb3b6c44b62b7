"""File formats: the first bytes and the extensions by which they are recognised."""

from __future__ import annotations

ARROW_MAGIC = b"ARROW1"
BZIP2_MAGIC = b"BZh"
GZIP_MAGIC = b"\x1f\x8b"
HDF5_MAGIC = b"\x89HDF"
NUMPY_MAGIC = b"\x93NUMPY"
PARQUET_MAGIC = b"PAR1"
SQLITE_MAGIC = b"SQLite format 3"
ZIP_MAGIC = b"PK\x03\x04"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

CSV_EXTENSIONS = (".csv",)
TSV_EXTENSIONS = (".tsv", ".tab")
PARQUET_EXTENSIONS = (".parquet", ".pq")
COMPRESSED_EXTENSIONS = (".gz", ".zst", ".bz2")
