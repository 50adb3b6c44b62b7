"""Finds the files of a table one by one: each is a part, with the columns that the names of its folders hold."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vaecli.errors import UsageError, listed
from vaecli.tables.read.folders import partition_columns, path_of, reject_lake_tables, root_of
from vaecli.tables.read.locations import LocalFile, Location, RemoteFile, find_locations, unreadable
from vaecli.tables.read.open import open_locations
from vaecli.tables.read.parquet import Constant, ParquetSource
from vaecli.tables.source import Source

_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a table. `name` is its path below the folder that all files share: `day=2026-11-01/a.parquet`."""

    name: str
    location: Location
    constants: Mapping[str, Constant]

    def open(self) -> Source:
        """Open the file as a table, with the columns of its folders. Raises InputError."""
        return open_locations([self.location], self.location.name, [self.constants])

    def digest(self) -> str:
        """What changes with the content: the SHA-256 of a local file, or of what a store reports of a remote one.

        Raises UnreadableFile.
        """
        if isinstance(self.location, RemoteFile):
            return f"state:{hashlib.sha256('|'.join(self.location.state).encode()).hexdigest()}"
        digest = hashlib.sha256()
        try:
            with self.location.open() as stream:
                while piece := stream.read(_READ_BYTES):
                    digest.update(piece)
        except OSError as problem:
            raise unreadable(self.location.name, problem) from None
        return f"sha256:{digest.hexdigest()}"


def find_parts(inputs: Sequence[str]) -> tuple[Part, ...]:
    """The files that `inputs` name, as for `open_source`. Only their names and folders are looked at.

    Raises InputError as `open_source` does, and UsageError for a stream.
    """
    locations = find_locations(inputs)
    for location in locations:
        if not isinstance(location, LocalFile | RemoteFile):
            raise UsageError(
                f"{location.name}: a stream has no parts", "name files or a folder, or write one file: -o FILE"
            )
    root = root_of(inputs, map(path_of, locations))
    reject_lake_tables(root, locations)
    constants = partition_columns(root, locations)
    names = [path_of(location).removeprefix(root).lstrip("/") for location in locations]
    if twice := sorted(name for name, n in Counter(names).items() if n > 1):
        raise UsageError(f"files are named twice:\n{listed(twice)}", "name each file once")
    return tuple(Part(*of) for of in zip(names, locations, constants, strict=True))


def without_folder_columns(source: Source) -> Source:
    """The table without the columns that the names of folders hold, as its files hold it."""
    if not isinstance(source, ParquetSource) or not any(source.constants):
        return source
    schema = source.schema
    for name in source.constants[0]:
        schema = schema.remove(schema.get_field_index(name))
    return replace(source, schema=schema, constants=tuple({} for _ in source.constants))
