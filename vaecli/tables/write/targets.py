"""Opens outputs: a file or a URL, which appears complete or not at all; standard output, a pipe or a device."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from vaecli.errors import MissingPackage, UsageError
from vaecli.runtime import outputs
from vaecli.runtime.atomic_file import STANDARD_OUTPUT, open_atomic, require_writable, translated
from vaecli.runtime.temporary import create_temporary
from vaecli.runtime.urls import end_of_chain, is_url, shown, without_file_scheme
from vaecli.tables import remote
from vaecli.tables.source import Source


class Target(Protocol):
    """A stream of bytes that becomes the output only on `commit`."""

    @property
    def name(self) -> str:
        """The name of the output in messages."""

    @property
    def stream(self) -> BinaryIO:
        """The binary stream to write to."""

    def commit(self) -> None:
        """Make the bytes written so far the output. Raises OSError."""

    def abort(self) -> None:
        """Discard the bytes written so far; an earlier output stays unchanged."""


@dataclass(frozen=True, slots=True)
class DirectTarget:
    """Standard output, a device or a named pipe, on which writing cannot be undone."""

    name: str
    stream: BinaryIO

    def commit(self) -> None:
        self.stream.flush()
        self._close()

    def abort(self) -> None:
        with suppress(OSError):
            self._close()

    def _close(self) -> None:
        if self.name != STANDARD_OUTPUT:
            self.stream.close()


@dataclass(frozen=True, slots=True)
class RemoteTarget:
    """A URL: the output is written to a local temporary file and uploaded when it is complete."""

    url: str
    temporary: str
    stream: BinaryIO

    @property
    def name(self) -> str:
        return shown(self.url)

    def commit(self) -> None:
        self.stream.flush()
        remote.upload(self.temporary, self.url)
        outputs.begin_rename(self.name, self.temporary)
        self._remove()

    def abort(self) -> None:
        self._remove()

    def _remove(self) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self.temporary)
        with suppress(OSError):
            self.stream.close()


@dataclass(frozen=True, slots=True)
class Targets:
    """Where one run writes: a table or page, and a picture."""

    output: str | None
    plot: str | None

    @classmethod
    def of(cls, output: str | None, plot: str | None, bundle: Path | None, source: Source | None) -> Targets:
        """Raise now what writing would raise later, and what would overwrite the bundle or the input.

        Raises UsageError or EnvironmentProblem.
        """
        targets = cls(output, plot)
        if bundle is not None:
            targets.refuse([str(bundle)], "the bundle")
        if source is not None:
            targets.refuse(source.files, "the input")
        if plot is not None:
            if output is not None:
                refuse_to_overwrite(plot, [output], "the file of -o")
            _require_picture(plot)
        return targets

    def refuse(self, files: Iterable[str], what: str) -> None:
        """Raise UsageError when either would take the place of one of `files`, which are `what`."""
        files = tuple(files)
        for target in (self.output, self.plot):
            if target is not None:
                refuse_to_overwrite(target, files, what)


def _require_picture(plot: str) -> None:
    if not plot.lower().endswith((".png", ".svg")):
        raise UsageError(
            f"--plot {shown(plot)}: neither a .png nor a .svg file", "name one, such as --plot picture.png"
        )
    if find_spec("matplotlib") is None:
        raise MissingPackage(
            "--plot needs matplotlib, which is not installed here",
            "pip install matplotlib, or `pip install vaecli[plot]`",
        )
    require_writable(plot)


def refuse_to_overwrite(target: str, files: Iterable[str], what: str) -> None:
    """Raise UsageError when the output would take the place of one of `files`, which are `what`."""
    is_file = _sameness(target)
    for file in files:
        if target == file or is_file(file):
            raise UsageError(f"{shown(target)}: is {what} itself", "write to another file: -o FILE")


def _sameness(target: str) -> Callable[[str], bool]:
    """Whether another name is the file `target`: by links, spellings of a URL, or a redirected standard stream."""
    one = without_file_scheme(end_of_chain(target))
    if is_url(one):
        return lambda file: is_url(file) and remote.is_same(one, without_file_scheme(end_of_chain(file)))
    try:
        written = os.stat("/dev/stdout" if one == "-" else one)
    except OSError:
        return lambda _: False
    if not stat.S_ISREG(written.st_mode):  # devices and pipes may be read and written at once
        return lambda _: False

    def is_written(file: str) -> bool:
        try:
            return os.path.samestat(written, os.stat(without_file_scheme(end_of_chain(file))))
        except OSError:
            return False

    return is_written


def is_stream(target: str) -> bool:
    """Whether a target is standard output, a pipe or a device: what is written there cannot be taken back."""
    if target == "-" or is_url(target):
        return target == "-"
    path = without_file_scheme(target)
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def open_target(target: str) -> Target:
    """Open `target` for writing: a path, a URL, or `-` for standard output. Nothing is replaced yet.

    Raises UsageError when it cannot name an output, EnvironmentProblem when it cannot be written.
    """
    if target == "-":
        outputs.begin_stream(target)
        return DirectTarget(STANDARD_OUTPUT, sys.stdout.buffer)
    if not target:
        raise UsageError("the output has an empty name", "write to a file: -o FILE")
    if is_url(target):
        return _remote_target(target)
    path = without_file_scheme(target)
    if os.path.isdir(path) or path.endswith(os.sep):
        raise UsageError(f"{shown(target)}: is a directory", "add a file name to the target")
    with translated(path):
        if is_stream(target):
            outputs.begin_stream(target)
            return DirectTarget(target, open(path, "wb"))
        return open_atomic(path)


def open_growing(target: str, header: bytes) -> DirectTarget:
    """Open `target`, a path or `-`, to add rows at its end; `header` is written first where it is empty.

    Raises UsageError for a file that does not begin with the header or does not end with a line; and as `open_target`.
    """
    if is_stream(target):
        opened, is_new = cast(DirectTarget, open_target(target)), True
    else:
        with translated(target):
            stream = open(target, "a+b")  # noqa: SIM115 - closed with the target
        opened, is_new = DirectTarget(target, stream), stream.tell() == 0
        if not is_new:
            _require_same_table(opened, header)
    with translated(opened.name):
        if is_new:
            opened.stream.write(header)
            opened.stream.flush()
    return opened


def _require_same_table(opened: DirectTarget, header: bytes) -> None:
    stream = opened.stream
    stream.seek(0)
    begins_alike = stream.read(len(header)) == header
    stream.seek(-1, os.SEEK_END)
    ends_whole = stream.read(1) == b"\n"
    if not (begins_alike and ends_whole):
        opened.abort()
        why = "its last line is not complete" if begins_alike else "it holds something else"
        raise UsageError(f"{opened.name}: --follow adds rows to a file, and {why}", "name another file, or move it")


@contextmanager
def whole_output(target: str) -> Iterator[Callable[[bytes], None]]:
    """Yield a function that writes bytes to `target`, which they replace when the block ends without an exception.

    Raises as `open_target` does, before the block runs.
    """
    opened = open_target(target)

    def write(content: bytes) -> None:
        with translated(opened.name):
            opened.stream.write(content)

    try:
        yield write
        with translated(opened.name):
            opened.commit()
    except BaseException:
        opened.abort()
        raise


def _remote_target(url: str) -> RemoteTarget:
    with translated(shown(url)):
        remote.check_writable(url)
        return RemoteTarget(url, *create_temporary(tempfile.gettempdir(), shown(url), mode=0o600))
