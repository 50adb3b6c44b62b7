"""Opens what the user named, whatever it is: decides by content first, then by extension."""

from __future__ import annotations

import os
from collections.abc import Sequence

from vaecli.errors import InputError, UnreadableFile, listed, located
from vaecli.runtime import file_types
from vaecli.tables.read.delimited import decompressed, open_delimited
from vaecli.tables.read.locations import Location, find_locations, unreadable
from vaecli.tables.read.parquet import open_parquet
from vaecli.tables.source import Source

_EXTENSIONS = (
    ("csv", file_types.CSV_EXTENSIONS),
    ("tsv", file_types.TSV_EXTENSIONS),
    ("parquet", file_types.PARQUET_EXTENSIONS),
)
_PICTURE = ("a picture", "give a CSV or Parquet file")
_NOT_TABLES = {
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


def open_source(inputs: Sequence[str], *, once: bool = False) -> Source:
    """The table behind files, several files, a directory of Parquet, a pattern, `-` or a URL.

    With `once` the source is read a single time, so that CSV from standard input is not copied first.
    Raises InputError when something is missing, unreadable or not a table, or the files do not share one
    format and the same columns; UsageError for words that make no sense together; EnvironmentProblem
    when a URL needs a package that is not installed.
    """
    places = find_locations(inputs, once=once)
    name = _name_of(inputs, places)
    formats = []
    for place in places:
        with located(place.name):
            formats.append(_format_of(place))
    is_parquet = [format == "parquet" for format in formats]
    if all(is_parquet):
        return open_parquet(places, name)
    if any(is_parquet):
        kinds = zip(places, is_parquet, strict=True)
        said = [f"{place.name}: {'Parquet' if parquet else 'text'}" for place, parquet in kinds]
        raise InputError(f"the files are of different formats:\n{listed(said)}", "give files of one format")
    return open_delimited(places, name, formats[0])


def format_of_name(name: str) -> str | None:
    """`csv`, `tsv` or `parquet` as the extension says (below one of compression), None when it says nothing."""
    stem, extension = os.path.splitext(name.lower())
    if extension in file_types.COMPRESSED_EXTENSIONS:
        extension = os.path.splitext(stem)[1]
    for format, extensions in _EXTENSIONS:
        if extension in extensions:
            return format
    return None


def _name_of(inputs: Sequence[str], places: Sequence[Location]) -> str:
    if len(places) == 1:
        return places[0].name
    if len(inputs) == 1:
        return inputs[0]
    return f"{places[0].name} and {len(places) - 1} more"


def _format_of(place: Location) -> str | None:
    """The format by content; for text, by extension. None is text of an unknown dialect."""
    try:
        with place.peek() as stream:
            head = stream.read(8)
        with decompressed(place.peek(), head) as stream:
            inner = stream.read(64)
    except OSError as problem:
        raise unreadable(place.name, problem) from problem
    said = format_of_name(place.name)
    if not head:
        raise UnreadableFile(f"{place.name}: the file is empty", "the first line has to name the columns")
    if head.startswith(file_types.PARQUET):
        return "parquet"
    if inner.startswith(file_types.PARQUET):
        raise UnreadableFile(
            f"{place.name}: Parquet inside a compressed file", "unpack it; Parquet compresses by itself"
        )
    if inner.startswith(file_types.ZIP) and inner[30:].startswith(b"manifest.json"):
        raise UnreadableFile(f"{place.name}: a vaecli bundle, not a table", "name the table, and the bundle with -m")
    for magic, (what, hint) in _NOT_TABLES.items():
        if inner.startswith(magic):
            raise UnreadableFile(f"{place.name}: {what}, not CSV or Parquet", hint)
    if said == "parquet":
        raise UnreadableFile(
            f"{place.name}: damaged, or not Parquet: it does not begin as such a file", "write it again"
        )
    if place.name.lower().endswith((".json", ".jsonl", ".ndjson")):
        raise UnreadableFile(f"{place.name}: JSON is not read", "convert it to CSV or Parquet")
    return said
