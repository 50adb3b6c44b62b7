"""Incidents from run to run: which are new, go on or have ended, and notifications that are owed.

    1  the scored table is in place
    2  state: incidents of this run, and a notice for each that is announced        one rename
    3  the file of incidents
    4  for each notice: the command, its receipt; state without the notice          one rename each

A run that is killed before 2 leaves no trace: the next one finds the same. After 2 the notices are owed until a
receipt shows what became of them. The same table scored again is the same run: nothing is counted or announced twice.

An announced incident goes on if a run has more rows like it than normal rows bring by chance (`incident_fate`). In a
run in which it has ended, rows like it are an incident of their own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from vaecli.decisions.incident_fate import Counted, Fate, fate
from vaecli.decisions.incident_groups import nearest_known
from vaecli.results.incidents import Incident
from vaecli.results.json_object import SCHEMA_VERSION
from vaecli.runtime.notify import notify, read_receipt
from vaecli.workflows.incidents import IncidentOutcome

MOST_KNOWN = 1000  # incidents that are remembered, those met last
MOST_ATTEMPTS = 5  # of one notification, one a run


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of a run: its number, when it is, the rows that it scored, and whether it repeats the last one.

    `chance` in (0, 1] is the share of normal rows that it flags.
    """

    number: int
    now: datetime
    scored: int
    chance: float
    is_again: bool = False


def remembered(
    path: Path,
    config: IncidentConfig,
    found: Sequence[Incident],
    facts: Mapping[str, str],
    model: str,
    now: datetime,
    *,
    scored: int,
    chance: float,
) -> tuple[Incident, ...]:
    """The incidents `found` in a table with their status, and those that have ended; the state at `path` has them.

    Those that go on with the same known incident are one. `facts` of the run, its table and bundle, go to the command
    with each incident. The run scored so many rows and flags a share `chance` in (0, 1] of normal rows. Raises
    BundleError for a damaged state.
    """
    state = load_incident_state(path)
    digest = _digest(found, facts, model)
    is_again = digest == state.digest
    run = Run(state.run if is_again else state.run + 1, now, scored, chance, is_again)
    remembered_before = [one for one in state.incidents if one.ended_run in (None, run.number)]
    known = {one.id: _ended_by_quiet(one, run, config) for one in remembered_before}
    met, over = _met(found, known, run, config)
    known |= {name: replace(known[name], ended_run=run.number) for name in over}
    notices, shown = list(state.notices), list[Incident]()
    for here in met:
        before = known.get(here.id)
        after = _updated(before, here, run, announced=here.rows >= config.after)
        known[here.id] = after
        is_new = after.first_run == run.number
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
        if absent.ended_run is None and _fate(absent, 0, run, config) is not Fate.ENDED:
            known[absent.id] = _doubted(absent, 0, run)
            continue
        known[absent.id] = replace(absent, ended_run=run.number)
        shown.append(_ended(absent))
    latest = sorted(known.values(), key=lambda one: (one.last_run, one.id))[-MOST_KNOWN:]
    save_incident_state(path, IncidentState(run.number, digest, tuple(latest), tuple(notices)))
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


def _met(
    found: Sequence[Incident], known: Mapping[str, KnownIncident], run: Run, config: IncidentConfig
) -> tuple[list[Incident], set[str]]:
    """The incidents of a run, and the identifiers of known ones whose few rows show that they have ended.

    Those rows then belong to other incidents.
    """
    over = set[str]()
    while True:
        left = [replace(one, ended_run=run.number) if one.id in over else one for one in known.values()]
        met = _matched(found, left, run.number)
        if run.is_again:
            return met, over
        more = {
            here.id for here in met if here.id in known and _fate(known[here.id], here.rows, run, config) is Fate.ENDED
        }
        if not more:
            return met, over
        over |= more


def _fate(one: KnownIncident, rows: int, run: Run, config: IncidentConfig) -> Fate:
    """What a run with so many rows like it shows of a known incident.

    One that was never announced goes on with any row, and ends without. With a cooldown each ends only after it.
    """
    if one.announced:
        latest = Counted() if run.is_again else Counted(rows, run.scored)  # it is among the doubts already
        found = fate(latest, _doubts(one), _proven(one), run.chance)
    else:
        found = Fate.GOES_ON if rows else Fate.ENDED
    if found is Fate.GOES_ON or not config.cooldown_seconds or (rows and found is Fate.IN_DOUBT):
        return found
    return Fate.ENDED if _is_quiet(one, run, config) else Fate.IN_DOUBT


def _doubts(one: KnownIncident) -> Counted:
    return Counted(one.doubted_rows, one.doubted_scored)


def _proven(one: KnownIncident) -> Counted:
    return Counted(one.proven_rows, one.proven_scored)


def _doubted(one: KnownIncident, rows: int, run: Run) -> KnownIncident:
    """The incident after a run that does not show whether it goes on."""
    if run.is_again:
        return one
    since = _doubts(one) + Counted(rows, run.scored)
    last_run = run.number if rows else one.last_run
    return replace(one, last_run=last_run, doubted_rows=since.rows, doubted_scored=since.scored)


def _ended_by_quiet(one: KnownIncident, run: Run, config: IncidentConfig) -> KnownIncident:
    """The incident, ended if its cooldown passed between two runs: what returns later is another one."""
    is_over = config.cooldown_seconds and one.last_run < run.number - 1 and _is_quiet(one, run, config)
    return replace(one, ended_run=run.number) if one.ended_run is None and is_over else one


def _is_quiet(one: KnownIncident, run: Run, config: IncidentConfig) -> bool:
    """Whether it has been quiet for longer than the cooldown."""
    return (run.now - datetime.fromisoformat(one.seen)).total_seconds() > config.cooldown_seconds


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


def _updated(before: KnownIncident | None, one: Incident, run: Run, *, announced: bool) -> KnownIncident:
    """What is remembered of an incident that a run has met."""
    moment, number = run.now.isoformat(timespec="seconds"), run.number
    latest = Counted(one.rows, run.scored)
    if before is None:
        facts = (one.id, one.title, one.group, one.deviation, one.rows, one.events)
        known = KnownIncident(*facts, number, number, moment, moment, announced)
        return _with_proven(known, latest) if announced else known
    if run.is_again:
        seen = before.seen if before.doubted_scored else moment
        return replace(before, seen=seen, announced=before.announced or announced)
    share = before.rows / (before.rows + one.rows)
    known = replace(
        before,
        deviation=_mean(before.deviation, one.deviation, share),
        rows=before.rows + one.rows,
        events=None if before.events is None else before.events + (one.events or 0),
    )
    if before.announced and fate(latest, _doubts(before), _proven(before), run.chance) is not Fate.GOES_ON:
        return _doubted(known, one.rows, run)
    title = one.title if announced and not before.announced else before.title  # that of the rows which announced it
    known = replace(known, title=title, last_run=number, seen=moment, announced=before.announced or announced)
    return _with_proven(known, _proven(before) + _doubts(before) + latest) if known.announced else known


def _with_proven(one: KnownIncident, proven: Counted) -> KnownIncident:
    """The incident with the rows that show that it goes on, and none in doubt."""
    return replace(one, proven_rows=proven.rows, proven_scored=proven.scored, doubted_rows=0, doubted_scored=0)


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
