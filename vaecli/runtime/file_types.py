"""The first bytes and the extensions by which file formats are recognised."""

from __future__ import annotations

PARQUET = b"PAR1"
ARROW = b"ARROW1"
HDF5 = b"\x89HDF"
NUMPY = b"\x93NUMPY"
SQLITE = b"SQLite format 3"
MDF = b"MDF     "
MDF_UNFINISHED = b"UnFinMF "
TDMS = b"TDSm"
TDMS_INDEX = b"TDSh"
MATLAB_5 = b"MATLAB 5.0 MAT-file"
ORC = b"ORC"
NETCDF_3 = (b"CDF\x01", b"CDF\x02", b"CDF\x05")
AVRO = b"Obj\x01"
FEATHER_1 = b"FEA1"
SAS = b"\x00" * 12 + b"\xc2\xea\x81\x60"
SPSS = (b"$FL2", b"$FL3")
STATA = b"<stata_dta>"
R_DATA = (b"RDX2\n", b"RDX3\n")
PICKLE = tuple(b"\x80" + bytes([version]) for version in (2, 3, 4, 5))
TOB = (b'"TOB1"', b'"TOB2"', b'"TOB3"')
ZIP = b"PK\x03\x04"
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
BZIP2 = b"BZh"

CSV_EXTENSIONS = (".csv",)
TSV_EXTENSIONS = (".tsv", ".tab")
PARQUET_EXTENSIONS = (".parquet", ".pq")
COMPRESSED_EXTENSIONS = (".gz", ".zst", ".bz2")
