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

_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.:-]+://")
_GLOB = re.compile(r"[*?\[]")


def is_url(text: str) -> bool:
    """Whether `text` names something outside the local file system: `scheme://…`, but not `file://`."""
    return bool(_SCHEME.match(text)) and not text.lower().startswith("file://")


def without_file_scheme(text: str) -> str:
    """`file:///data/pump.csv` as the local path it names; anything else unchanged."""
    return text[len("file://") :] if text.lower().startswith("file://") else text


def without_credentials(url: str) -> str:
    """The URL without the user and password it may hold, for messages."""
    return re.sub(r"://[^/@]*@", "://", url)


def expand(url: str) -> tuple[str, ...]:
    """The URLs of the files that `url` names, sorted: the matches of a pattern, a directory's Parquet files, or itself.

    Empty when a pattern matches nothing. Raises OSError when the backend fails, and as `filesystem` does.
    """
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


def open_reader(url: str) -> Any:
    """A seekable binary file object that reads the bytes of `url`. Raises OSError."""
    fs, path = filesystem(url)
    with as_oserror(url):
        return _Reader(fs.open(path, "rb"), url)


def check_writable(url: str) -> None:
    """Raise EnvironmentProblem or UsageError when `url` certainly cannot be written."""
    fs, path = filesystem(url)
    if url.endswith("/"):
        raise UsageError(
            f"{without_credentials(url)}: ends with a slash, so it names no file", "add a file name to the target"
        )
    if (protocol := url.split("://", 1)[0].lower()) in ("http", "https"):
        raise UsageError(
            f"{without_credentials(url)}: {protocol} can be read but not written", "write to a file or object storage"
        )
    with as_oserror(url):
        if fs.exists(path) and fs.isdir(path) and not fs.isfile(path):
            raise UsageError(f"{without_credentials(url)}: is a directory", "add a file name to the target")


def upload(local: str, url: str) -> None:
    """Copy the finished local file to `url`; object stores show it whole or not at all. Raises OSError."""
    fs, path = filesystem(url)
    with as_oserror(url):
        fs.put_file(local, path)


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system for `url` and the path in it.

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
            f"{without_credentials(url)}: reading {scheme}:// needs a package that is not installed ({problem})",
            "pip install 'vaecli[remote]'",
        ) from None
    except ValueError as problem:
        raise UsageError(
            f"{without_credentials(url)}: {problem}", "use a local path, or a scheme that fsspec knows, such as s3://"
        ) from None
    return fs, str(path)


@contextmanager
def as_oserror(url: str, let_through: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Turn what a backend raises into an OSError."""
    try:
        yield
    except (OSError, UsageError, EnvironmentProblem):
        raise
    # backends raise their own families (botocore, google.api_core, …), which cannot be named here
    except Exception as problem:
        if isinstance(problem, let_through):
            raise
        raise OSError(None, f"{type(problem).__name__}: {problem}", without_credentials(url)) from problem


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
