"""File formats: the first bytes and the extensions by which they are recognised."""

from __future__ import annotations

# first bytes
ARROW = b"ARROW1"
BZIP2 = b"BZh"
GZIP = b"\x1f\x8b"
HDF5 = b"\x89HDF"
NUMPY = b"\x93NUMPY"
PARQUET = b"PAR1"
SQLITE = b"SQLite format 3"
ZIP = b"PK\x03\x04"
ZSTD = b"\x28\xb5\x2f\xfd"

# extensions, in lower case
EXTENSIONS = {"csv": (".csv",), "tsv": (".tsv", ".tab"), "parquet": (".parquet", ".pq")}
COMPRESSED_EXTENSIONS = (".gz", ".zst", ".bz2")
