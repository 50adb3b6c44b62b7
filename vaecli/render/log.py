"""Messages on standard error: lines for a person, or with --log-format json an object per line with the run's name."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Log:
    """How this run writes its messages."""

    run_id: str = ""
    verb: str = ""
    is_json: bool = False


_log = _Log()


def begin(run_id: str, verb: str, *, as_json: bool) -> None:
    """Begin the messages of a run."""
    _log.run_id, _log.verb, _log.is_json = run_id, verb, as_json


def is_json() -> bool:
    """Whether messages are objects."""
    return _log.is_json


def write(level: str, message: str, text: str, **more: Any) -> None:
    """Write one message: `text` for a person, or an object with `level`, `message` and what `more` has."""
    if _log.is_json:
        import json
        from datetime import UTC, datetime

        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        run = {"time": now, "run_id": _log.run_id, "verb": _log.verb}
        text = json.dumps({**run, "level": level, "message": message, **more}, default=str)
    print(text, file=sys.stderr, flush=True)
