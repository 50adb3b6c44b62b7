"""Opens the tables that the user named: their format is that of their content, or else of their extension."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from vaecli.errors import InputError, UnreadableFile, UsageError, listed, located
from vaecli.runtime import file_types, inputs as opened_files
from vaecli.runtime.urls import shown
from vaecli.tables.read.delimited import decompressed, open_delimited
from vaecli.tables.read.folders import (
    partition_columns,
    path_of,
    reject_lake_tables,
    reject_partitions_of_text,
    root_of,
)
from vaecli.tables.read.live import live_location
from vaecli.tables.read.locations import LocalFile, Location, find_locations, unreadable
from vaecli.tables.read.new_rows import NewRows, NothingNew
from vaecli.tables.source import Source

if TYPE_CHECKING:
    from vaecli.tables.read.left_out import LeftOut
    from vaecli.tables.read.parquet import Constant
    from vaecli.tables.read.since import Progress

_EXTENSIONS = (
    ("csv", file_types.CSV_EXTENSIONS),
    ("tsv", file_types.TSV_EXTENSIONS),
    ("parquet", file_types.PARQUET_EXTENSIONS),
)
_PICTURE = ("a picture", "give a CSV or Parquet file")
_NETCDF = ("a netCDF file", "convert it: `xarray.open_dataset(FILE).to_dataframe().to_parquet('table.parquet')`")
_SPSS = ("an SPSS file", "convert it: `pandas.read_spss(FILE).to_parquet('table.parquet')`")
_R_DATA = ("an R data file", "write the table from R: `write.csv(TABLE, 'table.csv', row.names = FALSE)`")
_PICKLE = ("a Python pickle", "write the table from Python: `FRAME.to_parquet('table.parquet')`")
_TOB = ("a binary table of a Campbell Scientific logger", "convert it to CSV with CardConvert or `camp2ascii`")
_MDF = ("an MDF measurement file", "convert it: `asammdf.MDF(FILE).export('csv', filename='table.csv')`")
_TDMS = ("a LabVIEW TDMS file", "convert it: `nptdms.TdmsFile(FILE).as_dataframe().to_parquet('table.parquet')`")
_NOT_TABLES = {
    file_types.MDF: _MDF,
    file_types.MDF_UNFINISHED: _MDF,
    file_types.TDMS: _TDMS,
    file_types.TDMS_INDEX: _TDMS,
    file_types.MATLAB_5: (
        "a MATLAB MAT-file",
        "write the table from MATLAB: `parquetwrite('table.parquet', TABLE)` or `writetable(TABLE, 'table.csv')`",
    ),
    file_types.ORC: (
        "an ORC file",
        "convert it: `pyarrow.parquet.write_table(pyarrow.orc.read_table(FILE), 'table.parquet')`",
    ),
    **dict.fromkeys(file_types.NETCDF_3, _NETCDF),
    file_types.AVRO: ("an Avro file", "convert it: `polars.read_avro(FILE).write_parquet('table.parquet')`"),
    file_types.FEATHER_1: ("a Feather file", "convert it: `pandas.read_feather(FILE).to_parquet('table.parquet')`"),
    file_types.SAS: ("a SAS table", "convert it: `pandas.read_sas(FILE).to_parquet('table.parquet')`"),
    file_types.STATA: ("a Stata table", "convert it: `pandas.read_stata(FILE).to_parquet('table.parquet')`"),
    **dict.fromkeys(file_types.SPSS, _SPSS),
    **dict.fromkeys(file_types.R_DATA, _R_DATA),
    **dict.fromkeys(file_types.PICKLE, _PICKLE),
    **dict.fromkeys(file_types.TOB, _TOB),
    file_types.ZIP: ("a zip archive or an Excel workbook", "unzip it, or save the sheet as CSV"),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook", "save the sheet as CSV"),
    file_types.ARROW: ("an Arrow IPC (Feather) file", "convert it to Parquet with pyarrow.parquet.write_table"),
    b"\xfd7zXZ": ("compressed with xz", "unpack it, or compress with gzip or zstd"),
    b"\x04\x22\x4d\x18": ("compressed with lz4", "unpack it, or compress with gzip or zstd"),
    b"7z\xbc\xaf": ("a 7-Zip archive", "unpack it"),
    b"Rar!": ("a RAR archive", "unpack it"),
    file_types.HDF5: ("an HDF5 file", "convert it to Parquet"),
    file_types.SQLITE: ("a SQLite database", "export the table as CSV"),
    b"\x89PNG": _PICTURE,
    b"\xff\xd8\xff": _PICTURE,
    b"%PDF-": ("a PDF document", "export the table as CSV"),
    file_types.NUMPY: ("a NumPy array", "convert it to Parquet, or score it from Python"),
}
_LETTERS = (file_types.MDF, file_types.TDMS, file_types.TDMS_INDEX, file_types.ORC, file_types.FEATHER_1)
_CONTROL = frozenset(range(9)) | frozenset(range(14, 32))


def open_source(
    inputs: Sequence[str],
    *,
    once: bool = False,
    live: bool = False,
    since: Progress | None = None,
    lines: Sequence[str] | None = None,
    left_out: LeftOut | None = None,
    nothing: Callable[[], Source] | None = None,
) -> Source:
    """Open files, a directory of Parquet files, a pattern, `-` (standard input) or URLs as one table.

    With `once` the source can be read a single time, so that CSV from standard input is not copied first; with `live`
    too, and its rows are given on as they come. With `since` only the rows are read that are new since then.
    With `lines` text that is named neither as CSV nor as TSV is one of lines without columns, as a table with the
    columns `lines`; none of them means those that the lines suggest. With `left_out` the files that are there are left
    out, and those that cannot be opened go there; the others are the table. With `nothing`, and `since`, it is the
    table where no file has been delivered yet.
    Raises InputError when a file is missing, unreadable or not a table, or the files do not share one format
    and the same columns; UsageError for inputs that cannot be combined; EnvironmentProblem when a URL needs a
    package that is not installed.
    """
    locations: Sequence[Location]
    if since is not None or left_out is not None:
        from vaecli.tables.read.found_files import find_files

        option = "--since-last-run" if left_out is None or since is not None else left_out.option
        closed = None if left_out is None else list[str]()
        found = find_files(inputs, option, may_be_none=nothing is not None, closed=closed)
        root = root_of(inputs, map(os.path.abspath, (one.path for one in found))) if found else ""
        if left_out is not None:
            left_out.begin(len({one.path for one in found}), root, closed or ())
        if since is not None:
            locations = since.select(found, left_out)
        else:
            assert left_out is not None
            locations = left_out.readable(found)
        if not locations or (nothing is not None and _only_names_old_columns(locations, left_out)):
            assert nothing is not None
            return nothing()
        if left_out is not None:
            left_out.locations = tuple(locations)
        reject_lake_tables(root, [one.found if isinstance(one, NewRows) else one for one in locations])
    else:
        locations = (live_location(inputs),) if live else find_locations(inputs, once=once)
        root = "" if live else root_of(inputs, map(path_of, locations))
        reject_lake_tables(root, locations)
    if lines is not None and not any(map(_is_table, locations)):
        if live or since is not None:
            raise UsageError("lines of a log cannot be followed", "score files that are complete")
        from vaecli.tables.read.lines import open_lines

        return open_lines(locations, _name_of(inputs, locations), lines)
    return open_locations(locations, _name_of(inputs, locations), None, inputs, root)


def _only_names_old_columns(locations: Sequence[Location], left_out: LeftOut | None) -> bool:
    return left_out is not None and left_out.has_old_columns and isinstance(locations[0], NothingNew)


def open_alone(location: Location, root: str, lines: Sequence[str] | None) -> Source:
    """Open one file of several as a table; `root` and `lines` as for `open_source`. Raises InputError."""
    if lines is not None and not _is_table(location):
        from vaecli.tables.read.lines import open_lines

        return open_lines([location], location.name, lines)
    return open_locations([location], location.name, None, (), root)


def open_locations(
    locations: Sequence[Location],
    name: str,
    constants: Sequence[Mapping[str, Constant]] | None,
    inputs: Sequence[str] = (),
    root: str = "",
) -> Source:
    """Open files as one table called `name`.

    `constants` are the columns that the names of the folders of each file hold; None: those below `root`. Raises
    InputError as `open_source`.
    """
    formats = []
    for location in locations:
        opened_files.note(_opened(location))
        with located(location.name):
            formats.append(_format_of(location, len(locations) - 1))
    is_parquet = [format == "parquet" for format in formats]
    if all(is_parquet):
        from vaecli.tables.read.parquet import open_parquet

        return open_parquet(locations, name, partition_columns(root, locations) if constants is None else constants)
    if any(is_parquet):
        by_file = zip(locations, is_parquet, strict=True)
        lines = [f"{location.name}: {'Parquet' if parquet else 'text'}" for location, parquet in by_file]
        raise InputError(f"the files are of different formats:\n{listed(lines)}", "give files of one format")
    reject_partitions_of_text(inputs, root, locations)
    return open_delimited(locations, name, formats[0])


def _is_table(location: Location) -> bool:
    """Whether a file is of a table by its content or its name, and not one of lines."""
    try:
        with location.peek() as stream:
            head = stream.read(8)
    except OSError as problem:
        raise unreadable(location.name, problem) from problem
    return head.startswith(file_types.PARQUET) or format_of_name(location.name) is not None


def format_of_name(name: str) -> str | None:
    """`csv`, `tsv` or `parquet` by the extension of `name`, that of a compression left out; None for any other."""
    stem, extension = os.path.splitext(name.lower())
    if extension in file_types.COMPRESSED_EXTENSIONS:
        extension = os.path.splitext(stem)[1]
    for format, extensions in _EXTENSIONS:
        if extension in extensions:
            return format
    return None


def _opened(location: Location) -> opened_files.OpenedFile:
    if isinstance(location, NewRows):
        return opened_files.OpenedFile(location.name, location.file, location.start, location.end)
    if isinstance(location, LocalFile):
        return opened_files.OpenedFile(location.name, location.file, 0, location.n_bytes)
    return opened_files.OpenedFile(location.name)


def _name_of(inputs: Sequence[str], locations: Sequence[Location]) -> str:
    if len(locations) == 1:
        return locations[0].name
    if len(inputs) == 1:
        return shown(inputs[0])
    return f"{locations[0].name} and {len(locations) - 1} more"


def _format_of(location: Location, n_others: int) -> str | None:
    """The format by content; for text, by extension, which is None where it names no format.

    The file is one of `n_others` + 1 that make a table.
    """
    try:
        with location.peek() as stream:
            head = stream.read(8)
        if head.startswith(file_types.PARQUET):
            return "parquet"
        with decompressed(location.peek(), head) as stream:
            content = stream.read(64)
    except OSError as problem:
        raise unreadable(location.name, problem) from problem
    by_name = format_of_name(location.name)
    if not head and n_others:
        raise UnreadableFile(
            f"{location.name}: the file is empty (0 bytes), beside {n_others:,} other{'s' if n_others > 1 else ''}",
            "a writer or an upload that was cut off leaves such files: write it again, or delete it",
        )
    if not head:
        raise UnreadableFile(f"{location.name}: the file is empty", "the first line has to name the columns")
    if content.startswith(file_types.PARQUET):
        raise UnreadableFile(
            f"{location.name}: Parquet inside a compressed file", "unpack it; Parquet compresses by itself"
        )
    if content.startswith(file_types.ZIP) and content[30:].startswith(b"manifest.json"):
        raise UnreadableFile(f"{location.name}: a vaecli bundle, not a table", "name the table, and the bundle with -m")
    for magic, (what, hint) in _NOT_TABLES.items():
        # a header may begin with the same letters
        if content.startswith(magic) and not (magic in _LETTERS and _CONTROL.isdisjoint(content)):
            raise UnreadableFile(
                f"{location.name}: {what}, not CSV or Parquet", hint.replace("FILE", repr(location.name))
            )
    if by_name == "parquet":
        raise UnreadableFile(
            f"{location.name}: damaged, or not Parquet: it does not begin as such a file", "write it again"
        )
    if location.name.lower().endswith((".json", ".jsonl", ".ndjson")):
        raise UnreadableFile(f"{location.name}: JSON is not read", "convert it to CSV or Parquet")
    return by_name
