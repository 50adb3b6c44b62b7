"""What runs remember of incidents, in a JSON file: those that go on, and notifications that are not delivered yet."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from vaecli.errors import BundleError
from vaecli.runtime.atomic_file import write_bytes

VERSION = 2
READ = (1, VERSION)  # a state of version 1 does not hold the counts of its incidents
_ID = re.compile(r"inc-[0-9a-f]{1,64}")
_HINT = "name another file with --incident-state; or, if it was a state, remove it, and every incident is new"
_UNREAD = "check its rights, or name another file with --incident-state"


@dataclass(frozen=True, slots=True)
class KnownIncident:
    """An incident that goes on: its mean `deviation` by coordinate, from `rows` rows or events, and its history.

    `since` and `seen` are moments (ISO 8601, UTC) of the run that first met it and of the last one that showed that it
    goes on; runs count from 1. `proven_rows` among `proven_scored` scored rows are those from the run that announced it
    to the last one that showed that it goes on, and `doubted_rows` among `doubted_scored` those since then.
    """

    id: str
    title: str
    group: str | None
    deviation: Mapping[str, float]
    rows: int
    events: int | None
    first_run: int
    last_run: int
    since: str
    seen: str
    announced: bool
    ended_run: int | None = None  # it is kept until the next run, in case this one was killed
    proven_rows: int = 0
    proven_scored: int = 0
    doubted_rows: int = 0
    doubted_scored: int = 0


@dataclass(frozen=True, slots=True)
class Notice:
    """A notification that is to be delivered: the object, and how often it was tried."""

    id: str
    content: Mapping[str, Any]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class IncidentState:
    """All that is remembered; `run` counts runs, `digest` is that of the last one's incidents."""

    run: int = 0
    digest: str = ""
    incidents: tuple[KnownIncident, ...] = ()
    notices: tuple[Notice, ...] = ()


def save_incident_state(path: Path, state: IncidentState) -> None:
    """Write the state, whole or not at all. Raises as `write_bytes` does."""
    content = json.dumps({"vaecli_incidents": VERSION} | asdict(state), ensure_ascii=False, allow_nan=False, indent=1)
    write_bytes(path, content.encode() + b"\n", is_output=False)


def load_incident_state(path: Path) -> IncidentState:
    """The state in a file, an empty one where there is none. Raises BundleError for a damaged or foreign file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return IncidentState()
    except OSError as problem:
        raise BundleError(f"{path}: cannot be read: {problem.strerror or problem}", _UNREAD) from None
    except ValueError as problem:
        raise BundleError(f"{path}: is not a state of incidents, or is damaged ({problem})", _HINT) from None
    try:
        if found.pop("vaecli_incidents") not in READ:
            raise ValueError("it is of another version")
        incidents = tuple(_known(one) for one in found.pop("incidents"))
        notices = tuple(Notice(**one) for one in found.pop("notices"))
        state = IncidentState(incidents=incidents, notices=notices, **found)
        if not isinstance(state.run, int) or not isinstance(state.digest, str):
            raise ValueError("its run has no number")
        if not all(
            isinstance(one.content, dict) and _ID.fullmatch(one.id) and isinstance(one.attempt, int) for one in notices
        ):
            raise ValueError("its notices are not objects with an identifier")
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise BundleError(f"{path}: is not a state of incidents, or is damaged ({problem})", _HINT) from None
    return state


def _known(values: Mapping[str, Any]) -> KnownIncident:
    known = KnownIncident(**values)
    if not all(type(number) is int for number in (known.first_run, known.last_run, known.ended_run or 0)):
        raise ValueError("its incidents have runs without a number")
    if any(datetime.fromisoformat(moment).tzinfo is None for moment in (known.since, known.seen)):
        raise ValueError("its incidents have moments without a time zone")
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in known.deviation.values()):
        raise ValueError("its deviations are not numbers")
    counts = (known.proven_rows, known.proven_scored, known.doubted_rows, known.doubted_scored)
    if any(type(count) is not int or count < 0 for count in counts):
        raise ValueError("its incidents have rows without a number")
    if not isinstance(known.rows, int) or known.rows < 1 or not _ID.fullmatch(known.id):
        raise ValueError("its incidents have no rows or names")
    return known
