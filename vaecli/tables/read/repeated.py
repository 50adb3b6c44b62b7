"""Files with the same bytes under two names; only files of one size are read, to compare their digests."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from vaecli.tables.read.locations import LocalFile, Location

_PIECE_BYTES = 2**20


def repeated_files(locations: Sequence[Location]) -> list[tuple[str, str]]:
    """The name of each local file whose bytes an earlier one of `locations` has, and the name of the first of these.

    A file that cannot be read any more is not compared.
    """
    if len(locations) < 2:
        return []
    of_size: dict[int, list[LocalFile]] = defaultdict(list)
    for location in locations:
        if isinstance(location, LocalFile):
            of_size[location.n_bytes].append(location)
    found: list[tuple[str, str]] = []
    first: dict[str, str] = {}
    for location in (one for alike in of_size.values() if len(alike) > 1 for one in alike):
        if (digest := digest_of(location.name, location.n_bytes)) is None:
            continue
        name = first.setdefault(digest, location.name)
        if name is not location.name:
            found.append((location.name, name))
    return found


def digest_of(path: str, n_bytes: int) -> str | None:
    """The SHA-256 of the first `n_bytes` of a file, None if it cannot be read or is shorter."""
    digest, left = hashlib.sha256(), n_bytes
    try:
        with open(path, "rb", buffering=0) as file:
            while left and (piece := file.read(min(_PIECE_BYTES, left))):
                digest.update(piece)
                left -= len(piece)
    except OSError:
        return None
    return None if left else digest.hexdigest()
