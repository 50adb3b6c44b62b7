"""Reads and writes URLs through fsspec, which is imported only when a URL is used.

Whatever the many backends raise leaves this module as an OSError, so that the rest of the tables layer handles one
kind of problem.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vaecli.errors import EnvironmentProblem, MissingPackage, UsageError
from vaecli.runtime import file_types
from vaecli.runtime.urls import is_http, scrubbed, shown

_GLOB = re.compile(r"[*?\[]")
# what file systems report of the content of a file, under the names that they use
_STATE = (
    "size",
    "ETag",
    "etag",
    "md5",
    "mtime",
    "modified",
    "created",
    "LastModified",
    "Last-Modified",
    "last_modified",
)
_GONE = (404, 410)  # HTTP: not found; gone


def expand(url: str) -> tuple[str, ...]:
    """The URLs of the files that `url` names, sorted: the matches of a pattern, a directory's Parquet files, or itself.

    Empty when a pattern matches nothing. In a web address `?` begins a query, and only a slash at its end makes it a
    directory. Raises OSError when the backend fails, and as `filesystem` does.
    """
    if is_http(url) and not re.search(r"[*\[]|/$", url.partition("?")[0]):
        return (url,)
    fs, path = filesystem(url)
    with as_oserror(url):
        if _GLOB.search(path):
            paths = fs.glob(path)
        elif fs.isdir(path):
            paths = [
                name
                for name in fs.find(path)
                if name.endswith(file_types.PARQUET_EXTENSIONS) and not _is_hidden(name[len(path) :])
            ]
        else:
            return (url,)
        return tuple(fs.unstrip_protocol(name) for name in sorted(paths))


def matches(pattern: str) -> bool:
    """Whether a file or folder matches the pattern, whose last part has the wildcard. Raises OSError."""
    if pattern.lower().startswith(("http://", "https://")):
        return False  # the web has no folders
    fs, path = filesystem(pattern)
    with as_oserror(pattern):
        return bool(fs.glob(path))


def open_reader(url: str) -> Any:
    """A seekable binary file object that reads the bytes of `url`. Raises OSError."""
    fs, path = filesystem(url)
    with as_oserror(url):
        return _Reader(fs.open(path, "rb"), url)


def state_of(url: str) -> tuple[str, ...]:
    """What the store reports of the content of `url` now: its size, its ETag, its time of change. Raises OSError."""
    fs, path = filesystem(url)
    with as_oserror(url):
        fs.invalidate_cache(path)
        info = fs.info(path)
    return tuple(f"{name}={info[name]}" for name in _STATE if info.get(name) is not None)


def is_same(one: str, other: str) -> bool:
    """Whether two URLs name the same file, however they spell it; False where that cannot be found out."""
    try:
        (fs, path), (other_fs, other_path) = filesystem(one), filesystem(other)
    except (OSError, UsageError, EnvironmentProblem):
        return False
    return type(fs) is type(other_fs) and path == other_path


def check_writable(url: str) -> None:
    """Raise EnvironmentProblem or UsageError when `url` certainly cannot be written."""
    fs, path = filesystem(url)
    if url.endswith("/"):
        raise UsageError(f"{shown(url)}: ends with a slash, so it names no file", "add a file name to the target")
    if is_http(url):
        raise UsageError(
            f"{shown(url)}: {url.split(':', 1)[0].lower()} can be read but not written",
            "write to a file or object storage",
        )
    with as_oserror(url):
        if fs.exists(path) and fs.isdir(path) and not fs.isfile(path):
            raise UsageError(f"{shown(url)}: is a directory", "add a file name to the target")


def upload(local: str, url: str) -> None:
    """Copy the finished local file to `url`; object stores show it whole or not at all. Raises OSError."""
    fs, path = filesystem(url)
    with as_oserror(url):
        fs.put_file(local, path)


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system for `url` and the path in it.

    Raises EnvironmentProblem when fsspec or the package for this scheme is not installed, and
    UsageError for a scheme that fsspec does not know.
    """
    try:
        from fsspec.core import url_to_fs

        with as_oserror(url, let_through=(ImportError, ValueError)):
            fs, path = url_to_fs(url)
    except ImportError as problem:
        scheme = url.split("://", 1)[0]
        raise MissingPackage(
            f"{shown(url)}: reading {scheme}:// needs a package that is not installed ({scrubbed(str(problem), url)})",
            "pip install 'vaecli[remote]'",
        ) from None
    except ValueError as problem:
        raise UsageError(
            f"{shown(url)}: {scrubbed(str(problem), url)}",
            "use a local path, or a scheme that fsspec knows, such as s3://",
        ) from None
    return fs, str(path)


@contextmanager
def as_oserror(url: str, let_through: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what a backend raises into an OSError whose text holds no secret of the URL."""
    try:
        yield
    except (BrokenPipeError, UsageError, EnvironmentProblem):
        raise
    except OSError as problem:
        raise _plain(problem, url) from problem
    # backends raise their own families (botocore, google.api_core, …), which cannot be named here
    except Exception as problem:
        if isinstance(problem, let_through):
            raise
        raise OSError(None, f"{type(problem).__name__}: {scrubbed(str(problem), url)}", shown(url)) from problem


def _plain(problem: OSError, url: str) -> OSError:
    """The same problem as one of Python's own kinds; of a web address with the answer of its server.

    fsspec reports everything that keeps it from opening a web address as FileNotFoundError.
    """
    kind = next(kind for kind in type(problem).__mro__ if kind.__module__ == "builtins")
    text = problem.strerror or str(problem)
    if kind is FileNotFoundError and is_http(url) and (cause := problem.__cause__) is not None:
        status = getattr(cause, "status", None)
        kind = FileNotFoundError if status in _GONE else OSError
        text = f"{type(cause).__name__}: {cause}"
        if status is not None:
            text = f"the server answers {status} {getattr(cause, 'message', '')}".rstrip()
    plain: OSError = kind(problem.errno, scrubbed(text, url))
    return plain


def _is_hidden(path: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.split("/") if part)


class _Reader:
    """A remote file for pyarrow, whose errors are OSErrors."""

    def __init__(self, file: Any, url: str) -> None:
        self._file = file
        self._url = url

    def read(self, n_bytes: int = -1) -> bytes:
        with as_oserror(self._url):
            data: bytes = self._file.read(n_bytes)
            return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with as_oserror(self._url):
            return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return True

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def close(self) -> None:
        self._file.close()
