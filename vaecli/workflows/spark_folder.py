"""The new folder of Parquet that a verb on Spark writes, and the manifest that makes it whole."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vaecli
from vaecli.engines.spark import absolute, folder_columns, write_parquet
from vaecli.errors import UsageError
from vaecli.results import Event, OnEvent
from vaecli.results.json_object import SCHEMA_VERSION
from vaecli.runtime.atomic_file import translated
from vaecli.runtime.lock import locked
from vaecli.runtime.parts_folder import MANIFEST, file_digest
from vaecli.runtime.urls import is_url, shown
from vaecli.tables import remote as stores, whole_output

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True, slots=True)
class Written:
    """What a run wrote: what was counted of it, and the number of files."""

    counted: Mapping[str, Any]
    n_parts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SparkRun:
    """A run of `verb` that passes rows on: by which bundle and settings, and since when (monotonic seconds)."""

    verb: str
    stage: str  # for the progress
    inputs: Sequence[str]
    bundle: Path
    bundle_digest: str
    settings: Mapping[str, Any]
    started: float

    def write(
        self,
        frame: DataFrame,
        rows: DataFrame,
        output: str,
        count: Callable[[str], Mapping[str, Any]],
        on_event: OnEvent,
    ) -> Written:
        """Compute `rows`, which are those of `frame`, into the new folder `output`, then its manifest.

        `count` is given the folder that was written, and returns what the manifest has beside the parts, "rows" among
        it. A run that fails leaves no folder. Raises UsageError for one that exists, InputError, EnvironmentProblem.
        """
        folder = absolute(output).rstrip("/")
        with _new_folder(folder, shown(output)):
            on_event(Event(self.stage, 0, None))
            write_parquet(rows, folder, folder_columns(frame))
            counted = count(folder)
            on_event(Event(self.stage, counted["rows"], counted["rows"]))
            seconds = time.monotonic() - self.started
            parts = list(_parts(folder))
            manifest = {
                "schema_version": SCHEMA_VERSION,
                "verb": self.verb,
                "version": vaecli.__version__,
                "engine": "spark",
                "bundle": str(self.bundle),
                "bundle_digest": f"sha256:{self.bundle_digest}",
                "settings": self.settings,
                **counted,
                "seconds": round(seconds, 3),
                "inputs": [{"path": shown(text)} for text in self.inputs],
                "outputs": parts,
            }
            if not is_url(folder):
                os.makedirs(folder, exist_ok=True)  # Sail makes none where there is not a row to write
            with whole_output(f"{folder}/{MANIFEST}") as write:
                write(json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n")
        return Written(counted, len(parts), seconds)


@contextmanager
def _new_folder(folder: str, name: str) -> Iterator[None]:
    """Refuse a folder that exists, and remove the new one where the block ends with an exception.

    A lock beside a local folder keeps a second run away, which would remove the folder of this one.
    """
    with _locked_beside(folder):
        yield from _made_in(folder, name)


@contextmanager
def _locked_beside(folder: str) -> Iterator[None]:
    if is_url(folder):
        yield
        return
    lock = os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}.lock")
    with locked(lock):
        try:
            yield
        finally:
            with suppress(OSError):
                os.unlink(lock)


def _made_in(folder: str, name: str) -> Iterator[None]:
    if _exists(folder):
        raise UsageError(
            f"{name}: there is something already, and Spark replaces no folder", "name a new folder, or remove this one"
        )
    try:
        yield
    except BaseException:
        with suppress(OSError):
            if is_url(folder):
                fs, path = stores.filesystem(folder)
                with stores.as_oserror(folder):
                    fs.rm(path, recursive=True)
            else:
                shutil.rmtree(folder)
        raise


def _exists(folder: str) -> bool:
    if not is_url(folder):
        return os.path.lexists(folder)
    fs, path = stores.filesystem(folder)
    with translated(shown(folder)), stores.as_oserror(folder):
        return bool(fs.exists(path))


def _parts(folder: str) -> Iterator[dict[str, str]]:
    """Each Parquet file below the folder and its digest; of a store that of what the store reports of it."""
    if is_url(folder):
        for url in stores.expand(folder):
            yield {"output": url.removeprefix(f"{folder}/"), "state": "|".join(stores.state_of(url))}
        return
    for path in sorted(Path(folder).rglob("*.parquet")):
        yield {"output": path.relative_to(folder).as_posix(), "output_digest": f"sha256:{file_digest(str(path))}"}
