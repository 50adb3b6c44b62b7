"""Reads a bundle: one file → manifest and arrays. Nothing in the file is trusted before it is checked."""

from __future__ import annotations

import json
import math
import os
import stat
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError, deserialize

from vaecli.bundle.bounds import MAX_ARRAYS, MAX_HEADER_BYTES, json_problem
from vaecli.bundle.manifest import (
    ARRAYS,
    DTYPES,
    FORMAT,
    MANIFEST,
    MAX_ARRAYS_BYTES,
    MAX_DIRECTORY_BYTES,
    MAX_MANIFEST_BYTES,
    OLDEST,
    Manifest,
    manifest_digest,
    sha256,
)
from vaecli.bundle.recognise import looks_like
from vaecli.errors import BundleError, listed, quoted, shortage
from vaecli.runtime.urls import shown

_DAMAGED_HINT = "copy it again from where it was fitted, or fit again with `vaecli fit`"
_FOREIGN_HINT = "give the file that `vaecli fit` wrote, model.vae unless you named it"


def read_bundle(path: Path) -> tuple[Manifest, dict[str, np.ndarray]]:
    """Read the manifest and the arrays by name: new arrays, little-endian and C-contiguous.

    Raises BundleError, and no other error of the file, whatever its bytes are.
    """
    with _opened(path) as file:
        try:
            return _read(path, file)
        except (BundleError, MemoryError):
            raise
        except OSError as problem:
            if (short := shortage(problem)) is not None:
                raise short from problem
            raise BundleError(f"{path}: cannot be read: {problem.strerror or problem}", _DAMAGED_HINT) from problem
        except Exception as problem:  # zipfile alone raises a dozen types on hostile bytes
            raise BundleError(f"{path}: is damaged: its entries cannot be read ({problem})", _DAMAGED_HINT) from problem


def _read(path: Path, file: IO[bytes]) -> tuple[Manifest, dict[str, np.ndarray]]:
    size = os.fstat(file.fileno()).st_size
    _require_bundle_shape(path, file, size)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if not entries or entries[0].filename != MANIFEST:
            raise BundleError(f"{path}: is damaged: {MANIFEST} is not its first entry", _DAMAGED_HINT)
        values = _manifest_values(path, _content(path, archive, entries[0], size))
        _require_known_format(path, values)
        _require_entries(path, [entry.filename for entry in entries])
        packed = _content(path, archive, entries[1], size)
    manifest = _manifest(path, values)
    _require_digests(path, manifest, {ARRAYS: sha256(packed), MANIFEST: manifest_digest(values)})
    return manifest, _unpacked_arrays(path, packed)


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise BundleError(f"{path}: is a directory, not a bundle", _FOREIGN_HINT)
        if not stat.S_ISREG(mode):  # opening a pipe would wait for its writer
            raise BundleError(f"{path}: is not a regular file", "a bundle cannot be read from a device or a pipe")
        file = open(path, "rb")  # noqa: SIM115  closed below; the errors of the caller's block are not ours
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(
            f"{shown(str(path))}: there is no such bundle",
            _hint_for_missing(path),
        ) from None
    except PermissionError:
        raise BundleError(f"{path}: may not be read: permission denied", "ask its owner, or copy it") from None
    except OSError as problem:
        if (short := shortage(problem)) is not None:
            raise short from None
        reason = problem.strerror or problem
        raise BundleError(f"{shown(str(path))}: cannot be opened: {reason}", _FOREIGN_HINT) from None
    with file:
        yield file


def _hint_for_missing(path: Path) -> str:
    """How to get a bundle, with the names of those that are in its place."""
    try:
        names = sorted(entry.name for entry in os.scandir(path.parent) if entry.name.endswith(".vae"))
    except OSError:
        names = []
    found = f" (its folder has {', '.join(map(quoted, names[:3]))}{', …' if names[3:] else ''})" if names else ""
    return f"fit one with `vaecli fit INPUT -o FILE`, or name yours with -m{found}"


_END = struct.Struct("<4s4H2LH")  # end of central directory, PKWARE APPNOTE 4.3.16
_END_MARK, _END64_MARK = b"PK\x05\x06", b"PK\x06\x07"


def _require_bundle_shape(path: Path, file: IO[bytes], size: int) -> None:
    """Raise BundleError for a file that is not a bundle, or not complete, before the archive's directory is used."""
    if size == 0:
        raise BundleError(f"{path}: is empty", _DAMAGED_HINT)
    head = file.read(4096)
    other_format = looks_like(head)
    if other_format:
        raise BundleError(f"{path}: is not a bundle: it looks like {other_format}", _FOREIGN_HINT)

    file.seek(max(0, size - 20 - _END.size))
    tail = file.read()
    end = tail[-_END.size :]
    if not end.startswith(_END_MARK) or len(end) < _END.size:
        file.seek(max(0, size - 2**16 - _END.size))
        if _END_MARK in file.read():
            raise BundleError(f"{path}: is damaged: something follows its end", _DAMAGED_HINT)
        raise BundleError(f"{path}: is truncated: its end is missing after {size:,} bytes", _DAMAGED_HINT)
    directory_bytes, directory_start = _END.unpack(end)[5:7]
    if directory_start + directory_bytes + _END.size != size or tail[:4] == _END64_MARK:
        raise BundleError(f"{path}: is damaged: its directory does not fit its {size:,} bytes", _DAMAGED_HINT)
    if directory_bytes > MAX_DIRECTORY_BYTES:
        raise BundleError(f"{path}: is not a bundle: an archive of too many files", _FOREIGN_HINT)


def _content(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, size: int) -> bytes:
    """The bytes of one entry; raises BundleError if it claims more than its limit, or than the `size` of the file."""
    if entry.flag_bits & 0x1:
        raise BundleError(f"{path}: {entry.filename} is encrypted; a bundle never is", _FOREIGN_HINT)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise BundleError(
            f"{path}: {entry.filename} is compressed; a bundle stores its entries as they are",
            "use the file as `vaecli fit` wrote it, not one packed again",
        )
    limit = MAX_MANIFEST_BYTES if entry.filename == MANIFEST else MAX_ARRAYS_BYTES
    if entry.file_size > limit:
        raise BundleError(
            f"{path}: {entry.filename} claims {entry.file_size:,} bytes; the limit is {limit:,}", _DAMAGED_HINT
        )
    if entry.file_size != entry.compress_size or entry.file_size > size - entry.header_offset:
        raise BundleError(f"{path}: is damaged: {entry.filename} claims more bytes than the file has", _DAMAGED_HINT)
    try:
        return archive.read(entry)
    except zipfile.BadZipFile as problem:
        raise BundleError(f"{path}: is damaged: {entry.filename}: {problem}", _DAMAGED_HINT) from None


def _manifest_values(path: Path, text: bytes) -> dict[str, Any]:
    if reason := json_problem(text):
        raise BundleError(f"{path}: {MANIFEST} {reason}", _FOREIGN_HINT)
    try:
        values = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except UnicodeDecodeError as problem:
        raise BundleError(f"{path}: {MANIFEST} is not UTF-8 at byte {problem.start}", _DAMAGED_HINT) from None
    except ValueError as problem:
        raise BundleError(f"{path}: {MANIFEST} is not the JSON of a bundle: {problem}", _DAMAGED_HINT) from None
    if not isinstance(values, dict):
        raise BundleError(f"{path}: {MANIFEST} holds no JSON object", _FOREIGN_HINT)
    return values


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice[:80]!r} stands there twice")
    return values


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:40]} is beyond float64")
    return number


def _require_known_format(path: Path, values: Mapping[str, Any]) -> None:
    number = values.get("format")
    if type(number) is int and OLDEST <= number <= FORMAT:
        return
    if type(number) is int and 1 <= number < OLDEST:
        raise BundleError(
            f"{path}: written by vaecli {_shown(values.get('version'))}, format {number}; "
            f"this one reads from {OLDEST} on",
            "fit again: its networks and scores could not be translated",
        )
    if type(number) is int and number > FORMAT:
        raise BundleError(
            f"{path}: written by vaecli {_shown(values.get('version'))}, format {_shown(number)}; "
            f"this one reads up to {FORMAT}",
            "pip install -U vaecli",
        )
    raise BundleError(f"{path}: {MANIFEST} names no format that ever was: {_shown(number)}", _FOREIGN_HINT)


def _shown(value: object) -> str:
    """An untrusted value for a message: short, and without control characters that a terminal would obey."""
    text = str(value)[:40]
    return text if text.isprintable() else ascii(text)


def _require_entries(path: Path, names: list[str]) -> None:
    if names == [MANIFEST, ARRAYS]:
        return
    if len(set(names)) < len(names):
        raise BundleError(
            f"{path}: holds an entry twice: {', '.join(_shown(name) for name in names[:10])}", _FOREIGN_HINT
        )
    if ARRAYS not in names:
        raise BundleError(f"{path}: is damaged: {ARRAYS} is missing", _DAMAGED_HINT)
    others = [_shown(name) for name in names if name not in (MANIFEST, ARRAYS)]
    if others:
        raise BundleError(f"{path}: holds entries that no bundle has:\n{listed(others)}", _FOREIGN_HINT)
    raise BundleError(f"{path}: is damaged: its entries stand in another order", _DAMAGED_HINT)


def _manifest(path: Path, values: Mapping[str, Any]) -> Manifest:
    try:
        return Manifest.from_json(values)
    except ValueError as problem:
        raise BundleError(f"{path}: {MANIFEST} is incomplete:\n{problem}", _DAMAGED_HINT) from None


def _require_digests(path: Path, manifest: Manifest, computed: Mapping[str, str]) -> None:
    for part, digest in computed.items():
        if manifest.digests.get(part) != digest:
            raise BundleError(f"{path}: is damaged: {part} is not what was written (SHA-256 differs)", _DAMAGED_HINT)


def _unpacked_arrays(path: Path, packed: bytes) -> dict[str, np.ndarray]:
    if int.from_bytes(packed[:8], "little") > MAX_HEADER_BYTES:
        raise BundleError(
            f"{path}: {ARRAYS} is not safetensors: its header claims more than {MAX_HEADER_BYTES:,} bytes",
            _DAMAGED_HINT,
        )
    try:
        parts: dict[str, Any] = dict(sorted(deserialize(packed), key=itemgetter(0)))  # type: ignore[no-untyped-call]
    except SafetensorError as problem:
        raise BundleError(f"{path}: {ARRAYS} is not safetensors: {problem}", _DAMAGED_HINT) from None
    if len(parts) > MAX_ARRAYS:
        raise BundleError(f"{path}: {ARRAYS} holds {len(parts):,} arrays; the limit is {MAX_ARRAYS:,}", _FOREIGN_HINT)
    foreign = [f"{_shown(name)}: {part['dtype']}" for name, part in parts.items() if part["dtype"] not in DTYPES]
    if foreign:
        raise BundleError(f"{path}: {ARRAYS} holds types that no bundle has:\n{listed(foreign)}", _FOREIGN_HINT)
    return {name: _array(path, name, part) for name, part in parts.items()}


def _array(path: Path, name: str, part: Mapping[str, Any]) -> np.ndarray:
    raw: np.ndarray = np.frombuffer(part["data"], dtype=np.uint8)
    if part["dtype"] == "BOOL" and raw.max(initial=0) > 1:
        raise BundleError(f"{path}: {ARRAYS}: {_shown(name)} holds booleans other than 0 and 1", _DAMAGED_HINT)
    try:
        return raw.view(DTYPES[part["dtype"]]).reshape(part["shape"])
    except (ValueError, OverflowError):
        raise BundleError(f"{path}: {ARRAYS}: {_shown(name)} has an impossible shape", _DAMAGED_HINT) from None
