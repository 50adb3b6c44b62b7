"""What folders mean beyond the files in them: columns in their names, and the tables of a lakehouse."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from urllib.parse import unquote

from vaecli.errors import InputError, UnreadableFile, listed
from vaecli.runtime.urls import is_url, shown, without_file_scheme
from vaecli.tables import remote
from vaecli.tables.read.locations import LocalFile, Location, RemoteFile

_WILDCARD = re.compile(r"[*?\[]")
_WHOLE_NUMBER = re.compile(r"0|-?[1-9]\d{0,17}")  # 01 is text, so that it stays 01
_LAKE_TABLES = (
    ("_delta_log/*", "a Delta table, whose log decides", "deltalake.DeltaTable({path!r}).to_pyarrow_table()"),
    (
        "metadata/*.metadata.json",
        "an Iceberg table, whose metadata decides",
        "pyiceberg.table.StaticTable.from_metadata(NEWEST_METADATA_JSON).scan().to_arrow()",
    ),
    (".hoodie/*", "a Hudi table, whose timeline decides", "spark.read.format('hudi').load({path!r}).toArrow()"),
)


def reject_lake_tables(root: str, locations: Sequence[Location]) -> None:
    """Raise UnreadableFile where the files, whose inputs have this `root`, belong to a Delta, Iceberg or Hudi table.

    Some of the Parquet files of such a table hold rows that were replaced or deleted.
    """
    checked: set[str] = set()
    for location in locations:
        if not isinstance(location, (LocalFile, RemoteFile)):
            continue
        folder = os.path.dirname(path_of(location))
        while folder not in checked:
            checked.add(folder)
            _reject_lake_table(folder, remotely=isinstance(location, RemoteFile))
            if not _may_be_inside(folder, root):
                break
            folder = os.path.dirname(folder)


def partition_columns(root: str, locations: Sequence[Location]) -> list[dict[str, str | int | None]]:
    """The columns that the names of folders below `root` hold, `pump=P1`, for each file; empty where there are none.

    A column has whole numbers where every file's value is one, else text. Raises InputError where some files lie in
    folders that others do not have.
    """
    found: list[dict[str, str | int | None]] = [
        dict(map(_key_and_value, _hive_folders(path_of(location), root))) for location in locations
    ]
    names = list(dict.fromkeys(name for values in found for name in values))
    lacking = [
        f"{location.name}: no folder {name}=…"
        for location, values in zip(locations, found, strict=True)
        for name in names
        if name not in values
    ]
    if lacking:
        raise InputError(
            f"folders hold columns in their names, but not for every file:\n{listed(lacking)}",
            "give files that lie in folders of the same columns",
        )
    for name in names:
        texts = [str(values[name]) for values in found if values[name] is not None]
        if texts and all(map(_WHOLE_NUMBER.fullmatch, texts)):
            found = [values | {name: None if (text := values[name]) is None else int(text)} for values in found]
    return found


def reject_partitions_of_text(inputs: Sequence[str], root: str, locations: Sequence[Location]) -> None:
    """Raise InputError where the folders of a pattern over delimited files hold columns in their names."""
    if not any(_WILDCARD.search(text) for text in inputs):
        return  # files that are named one by one
    columns = sorted({name for values in partition_columns(root, locations) for name in values})
    if columns:
        raise InputError(
            f"{inputs[0]}: the folders hold columns in their names ({', '.join(columns)}), "
            "which are read for Parquet only",
            "write them into the files as columns, or convert the files to Parquet",
        )


def path_of(location: Location) -> str:
    """The absolute path or the URL of a file."""
    return location.url if isinstance(location, RemoteFile) else os.path.abspath(location.name)


def root_of(inputs: Sequence[str], paths: Iterable[str]) -> str:
    """The folder below which the names of folders belong to the table; `paths` are those of all its files, in order.

    It is a folder that is an input, the one before the first wildcard of a pattern, or that which several inputs have
    in common.
    """
    if len(inputs) > 1:
        folders = [os.path.dirname(path) for path in paths]
        # whole folders, as each ends with a slash; `commonpath` would turn `s3://` into `s3:/`
        return os.path.commonprefix([f"{folder}/" for folder in folders]).rpartition("/")[0]  # noqa: RUF071
    path = next(iter(paths))
    text = inputs[0] if is_url(inputs[0]) else os.path.abspath(without_file_scheme(inputs[0]))
    if path == text:
        return os.path.dirname(path)
    wildcard = _WILDCARD.search(text)
    if wildcard and not os.path.isdir(text):
        return os.path.dirname(text[: wildcard.start()])
    return text.rstrip("/")


def _may_be_inside(folder: str, root: str) -> bool:
    """Whether a lake table may begin above `folder`."""
    name = os.path.basename(folder)
    return (folder.startswith(root) and folder != root) or "=" in name or name == "data"


def _hive_folders(path: str, root: str) -> list[str]:
    """The folders `name=value` between `root` and the file at `path`."""
    below = os.path.dirname(path.removeprefix(root).lstrip("/"))
    return [folder for folder in below.split("/") if folder.find("=") > 0]


def _key_and_value(folder: str) -> tuple[str, str | None]:
    name, _, value = folder.partition("=")
    return unquote(name), None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)


def _reject_lake_table(folder: str, *, remotely: bool) -> None:
    for mark, what, export in _LAKE_TABLES:
        pattern = os.path.join(folder if remotely else glob.escape(folder), mark)
        if remote.matches(pattern) if remotely else glob.glob(pattern):
            name = shown(folder) if remotely else os.path.relpath(folder)
            raise UnreadableFile(
                f"{name}: {what} which of its files count; the others hold rows that were replaced or deleted",
                f"export its rows: `pyarrow.parquet.write_table({export.format(path=name)}, 'rows.parquet')`",
                path=name,
            )
