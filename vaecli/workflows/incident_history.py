"""Incidents from run to run: which are new, go on or have ended, and notifications that are owed.

    1  the scored table is in place
    2  state: incidents of this run, and a notice for each that is announced        one rename
    3  the file of incidents
    4  for each notice: the command, its receipt; state without the notice          one rename each

A run that is killed before 2 leaves no trace: the next one finds the same. After 2 the notices are owed until a
receipt shows what became of them. The same table scored again is the same run: nothing is counted or announced twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from glob import escape
from pathlib import Path
from typing import IO, Any

import numpy as np

from vaecli.bundle.incident_state import (
    IncidentState,
    KnownIncident,
    Notice,
    load_incident_state,
    save_incident_state,
)
from vaecli.config.incidents import IncidentConfig
from vaecli.decisions.incident_groups import nearest_known
from vaecli.results.incidents import Incident
from vaecli.results.json_object import SCHEMA_VERSION
from vaecli.runtime.notify import notify, read_receipt
from vaecli.workflows.incidents import IncidentOutcome

MOST_KNOWN = 1000  # incidents that are remembered, those met last
MOST_ATTEMPTS = 5  # of one notification, one a run


def remembered(
    path: Path,
    config: IncidentConfig,
    found: Sequence[Incident],
    facts: Mapping[str, str],
    model: str,
    now: datetime,
) -> tuple[Incident, ...]:
    """The incidents `found` in a table with their status, and those that have ended; the state at `path` has them.

    Those that go on with the same known incident are one. `facts` of the run, its table and bundle, go to the command
    with each incident. Raises BundleError for a damaged state.
    """
    state = load_incident_state(path)
    digest = _digest(found, facts, model)
    is_again = digest == state.digest
    run = state.run if is_again else state.run + 1
    known = {one.id: one for one in state.incidents if one.ended_run in (None, run)}
    for one in known.values():
        if one.ended_run is None and one.last_run < run - 1 and _is_over(one, now, config):
            known[one.id] = replace(one, ended_run=run)
    met = _matched(found, list(known.values()), run)
    notices, shown = list(state.notices), list[Incident]()
    for here in met:
        before = known.get(here.id)
        after = _updated(before, here, run, now, is_again=is_again, announced=here.rows >= config.after)
        known[here.id] = after
        is_new = after.first_run == run
        incident = replace(
            here,
            status="new" if is_new else "ongoing",
            total_rows=after.rows,
            since=after.since,
            announced=after.announced,
        )
        shown.append(incident)
        if after.announced and not (before is not None and before.announced) and config.command:
            notices.append(Notice(here.id, {**_content(incident), **facts}))
    ids = {here.id for here in met}
    for absent in [other for other in known.values() if other.id not in ids]:
        if absent.ended_run is None and not _is_over(absent, now, config):
            continue
        known[absent.id] = replace(absent, ended_run=run)
        shown.append(_ended(absent))
    latest = sorted(known.values(), key=lambda one: (one.last_run, one.id))[-MOST_KNOWN:]
    save_incident_state(path, IncidentState(run, digest, tuple(latest), tuple(notices)))
    return tuple(shown)


def deliver(path: Path, config: IncidentConfig, incidents: tuple[Incident, ...], lock: IO[bytes]) -> IncidentOutcome:
    """Run the command once for each notice that the state at `path` owes, and remember what became of it.

    A failure is a warning, and tried again by later runs.
    """
    state = load_incident_state(path)
    sent, warnings = 0, []
    owed = {_receipt(path, notice) for notice in state.notices}
    for left_over in set(path.parent.glob(f"{escape(path.name)}.inc-*.receipt*")) - owed:
        left_over.unlink(missing_ok=True)
    for notice in state.notices:
        receipt = _receipt(path, notice)
        found = read_receipt(receipt)
        if found.outcome is None:
            if not config.command:
                continue
            content = {**notice.content, "attempt": notice.attempt, "may_be_repeated": found.begun}
            payload = json.dumps(content, ensure_ascii=False, allow_nan=False).encode() + b"\n"
            found = notify(config.command, payload, receipt, config.notify_timeout_seconds, lock)
        left = [one for one in state.notices if one.id != notice.id]
        if found.outcome == "":
            sent += 1
        else:
            why = "it was stopped" if found.outcome is None else found.outcome
            whose = "".join(f"{word}: " for word in config.command[:1])  # this run may have no command
            is_last = notice.attempt >= MOST_ATTEMPTS
            then = f"given up after {MOST_ATTEMPTS} runs" if is_last else "the next run tries again"
            warnings.append(f"incident {notice.id} was not announced: {whose}{why}; {then}")
            left += [] if is_last else [replace(notice, attempt=notice.attempt + 1)]
        state = replace(state, notices=tuple(left))
        save_incident_state(path, state)
        receipt.unlink(missing_ok=True)
    return IncidentOutcome(incidents, sent, len(warnings), tuple(warnings))


def _is_over(one: KnownIncident, now: datetime, config: IncidentConfig) -> bool:
    """Whether an incident that a run did not meet has ended; without a cooldown one run is enough."""
    quiet = (now - datetime.fromisoformat(one.seen)).total_seconds()
    return not config.cooldown_seconds or quiet > config.cooldown_seconds


def _receipt(path: Path, notice: Notice) -> Path:
    return path.with_name(f"{path.name}.{notice.id}.{notice.attempt}.receipt")


def _digest(found: Sequence[Incident], run: Mapping[str, str], model: str) -> str:
    facts = [
        (sorted(one.deviation.items()), one.group, one.rows, one.first_row, one.last_row, one.start, one.end)
        for one in found
    ]
    return hashlib.sha256(json.dumps([dict(run), model, facts]).encode()).hexdigest()


def _matched(found: Sequence[Incident], known: Sequence[KnownIncident], run: int) -> list[Incident]:
    """The incidents by the identifiers of those that they go on with; several that go on with one are joined."""
    deviations = [*(one.deviation for one in found), *(other.deviation for other in known)]
    names = sorted({name for deviation in deviations for name in deviation})
    joined: dict[str, Incident] = {}
    for one in found:
        same = [other for other in known if other.group == one.group and other.ended_run is None]
        where = nearest_known(_vectors([one.deviation], names), _vectors([other.deviation for other in same], names))
        is_known = any(other.id == one.id for other in same)  # the same rows again: others may be as near
        one_id = same[int(where[0])].id if where[0] >= 0 and not is_known else one.id
        if where[0] < 0 and any(other.id == one.id for other in known):  # the same rows as of one that was another
            one_id = "inc-" + hashlib.sha256(f"{one.id} {run}".encode()).hexdigest()[: len(one.id) - len("inc-")]
        this = replace(one, id=one_id)
        joined[one_id] = this if one_id not in joined else _joined(joined[one_id], this)
    return list(joined.values())


def _vectors(deviations: Sequence[Mapping[str, float]], names: Sequence[str]) -> np.ndarray:
    rows = [[deviation.get(name, 0.0) for name in names] for deviation in deviations]
    return np.array(rows, float).reshape(len(rows), len(names))


def _joined(one: Incident, other: Incident) -> Incident:
    """Both as one, in the words of the one with more rows."""
    larger, smaller = (one, other) if one.rows >= other.rows else (other, one)
    highest = max((one, other), key=lambda incident: incident.peak_score)
    first, last = (
        min((one, other), key=lambda incident: incident.span[0]),
        max((one, other), key=lambda incident: incident.span[1]),
    )
    share = larger.rows / (one.rows + other.rows)
    return replace(
        larger,
        deviation=_mean(larger.deviation, smaller.deviation, share),
        rows=one.rows + other.rows,
        events=None if one.events is None else one.events + (other.events or 0),
        first_row=first.first_row,
        last_row=last.last_row,
        start=first.start,
        end=last.end,
        span=(first.span[0], last.span[1]),
        peak_score=highest.peak_score,
        peak_row=highest.peak_row,
    )


def _mean(one: Mapping[str, float], other: Mapping[str, float], share: float) -> dict[str, float]:
    names = one.keys() | other.keys()
    return {name: round(share * one.get(name, 0.0) + (1 - share) * other.get(name, 0.0), 3) for name in sorted(names)}


def _updated(
    before: KnownIncident | None, one: Incident, run: int, now: datetime, *, is_again: bool, announced: bool
) -> KnownIncident:
    moment = now.isoformat(timespec="seconds")
    if before is None:
        return KnownIncident(
            one.id, one.title, one.group, one.deviation, one.rows, one.events, run, run, moment, moment, announced
        )
    announced = before.announced or announced
    if is_again:
        return replace(before, seen=moment, announced=announced)
    share = before.rows / (before.rows + one.rows)
    return replace(
        before,
        deviation=_mean(before.deviation, one.deviation, share),
        rows=before.rows + one.rows,
        events=None if before.events is None else before.events + (one.events or 0),
        last_run=run,
        seen=moment,
        announced=announced,
    )


def _ended(one: KnownIncident) -> Incident:
    return Incident(
        id=one.id,
        status="ended",
        columns=(),
        group=one.group,
        rows=0,
        events=None if one.events is None else 0,
        first_row=None,
        last_row=None,
        start=None,
        end=None,
        peak_score=0.0,
        peak_row=None,
        reason=one.title,
        examples=(),
        total_rows=one.rows,
        since=one.since,
        announced=one.announced,
    )


def _content(incident: Incident) -> dict[str, Any]:
    return {"schema_version": SCHEMA_VERSION, "event": "incident", **incident.to_json()}
