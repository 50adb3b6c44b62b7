"""Incidents of a run: their file, and what an earlier run knew of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vaecli.results.incidents import Incident
from vaecli.schema import Schema
from vaecli.tables import Source, refuse_to_overwrite, whole_output
from vaecli.tables.write.incident_file import check_incident_file, incident_bytes


def clock_of(schema: Schema, source: Source) -> str | None:
    """The name of the column of times, where the model has one and the table too."""
    return None if schema.time is None or schema.time.name not in source.names else schema.time.name


@contextmanager
def incident_file(
    target: str, bundle: Path, source: Source, others: Sequence[str | None]
) -> Iterator[Callable[[Sequence[Incident]], None]]:
    """A function that writes incidents to `target`, which they replace when the block ends without an exception.

    Raises UsageError where it would take the place of the bundle, the input or one of the `others`.
    """
    check_incident_file(target)
    refuse_to_overwrite(
        target, [str(bundle), *source.files, *filter(None, others)], "the input, the bundle or another output"
    )
    with whole_output(target) as write:
        yield lambda incidents: write(incident_bytes(target, incidents))
