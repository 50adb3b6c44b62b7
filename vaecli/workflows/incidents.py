"""Incidents of a run: their file, what earlier runs knew of them, and notifications of new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaecli.bundle.incident_state import load_incident_state
from vaecli.config.incidents import IncidentConfig
from vaecli.config.score import ScoreConfig
from vaecli.decisions.threshold import Decision
from vaecli.detector import Detector
from vaecli.errors import UsageError
from vaecli.model.device import device_of
from vaecli.results import ignore
from vaecli.results.incidents import Incident
from vaecli.runtime.atomic_file import require_writable
from vaecli.runtime.urls import is_url, shown
from vaecli.tables import Source, refuse_to_overwrite, whole_output
from vaecli.tables.write.incident_file import check_incident_file, incident_bytes
from vaecli.tasks.incidents import RowIncidents, quiet_of
from vaecli.tasks.written_rows import NoRows

if TYPE_CHECKING:
    from vaecli.sensors.detector import SensorDetector


@dataclass(frozen=True, slots=True)
class IncidentOutcome:
    """The incidents of a run with their status, and what became of notifications."""

    incidents: tuple[Incident, ...]
    notified: int = 0
    not_notified: int = 0
    warnings: tuple[str, ...] = ()


def check_incident_outputs(config: IncidentConfig, bundle: Path, source: Source, others: Sequence[str | None]) -> None:
    """Raise before a run what would be raised after it: outputs that cannot be written, or a state that is damaged.

    Raises UsageError where they would take the place of the bundle, the input or one of the `others`; else
    EnvironmentProblem or BundleError.
    """
    taken = [str(bundle), *source.files, *filter(None, others)]
    if config.incidents is not None:
        check_incident_file(config.incidents)
        refuse_to_overwrite(config.incidents, taken, "the input, the bundle or another output")
        if not is_url(config.incidents):
            require_writable(config.incidents)
    if config.incident_state is None:
        return
    if config.incident_state == config.incidents:
        raise UsageError(
            f"{config.incidents}: is both --incidents and --incident-state", "name another file for one of them"
        )
    refuse_to_overwrite(config.incident_state, taken, "the input, the bundle or another output")
    require_writable(config.incident_state)
    load_incident_state(Path(config.incident_state))


def rows_to_collect(
    config: IncidentConfig,
    detector: Detector,
    decision: Decision,
    bundle: Path,
    source: Source,
    others: Sequence[str | None],
) -> RowIncidents:
    """What takes in the flagged rows of a run whose outputs are checked; raises as `check_incident_outputs`."""
    check_incident_outputs(config, bundle, source, others)
    return RowIncidents(detector, quiet_of(detector, decision, config.cooldown_seconds))


def finished(
    config: IncidentConfig,
    found: Sequence[Incident],
    n_rows: int,
    chance: float,
    source: Source,
    bundle: Path,
    model: str,
) -> IncidentOutcome:
    """Write the incidents `found` in `n_rows`, remember them, and notify; the run's other outputs are complete.

    A run without rows, as --since-last-run may have, ends no incident. `chance` in (0, 1] is the share of normal rows
    that the run flags, `model` the digest of the bundle.
    Raises UsageError or EnvironmentProblem where an output cannot be written.
    """
    if config.incident_state is None:
        write_incidents(config, found)
        return IncidentOutcome(tuple(found))
    from vaecli.runtime.notify import locked
    from vaecli.workflows.incident_history import deliver, remembered  # what a state needs is loaded for it alone

    path = Path(config.incident_state)
    with locked(path) as lock:
        facts = {"table": shown(source.name), "bundle": str(bundle)}
        incidents = (
            remembered(path, config, found, facts, model, datetime.now(UTC), scored=n_rows, chance=chance)
            if n_rows
            else ()
        )
        write_incidents(config, incidents)
        return deliver(path, config, incidents, lock)


def write_incidents(config: IncidentConfig, incidents: Sequence[Incident]) -> None:
    """Write the file of incidents, if there is one; raises as `whole_output` does."""
    if config.incidents is None:
        return
    with whole_output(config.incidents) as write:
        write(incident_bytes(config.incidents, incidents))


def incident_facts(config: IncidentConfig, outcome: IncidentOutcome | None) -> dict[str, Any]:
    """What a summary holds of incidents; nothing where they were not asked for."""
    if outcome is None:
        return {}
    return {
        "incidents": outcome.incidents,
        "incident_file": config.incidents and shown(config.incidents),
        "incident_state": config.incident_state,
        "notified": outcome.notified,
        "not_notified": outcome.not_notified,
    }


def incidents_of(detector: Detector | SensorDetector, source: Source, config: ScoreConfig) -> tuple[Incident, ...]:
    """The incidents of a table; its rows are not kept. Raises what scoring raises."""
    from vaecli.workflows.score import decision_of, score_source

    decision = decision_of(detector, config)
    if isinstance(detector, Detector):
        rows = RowIncidents(detector, quiet_of(detector, decision))
        score_source(detector, source, NoRows(), decision, config, device_of(config.device), incidents=rows)
        return rows.incidents(decision.score_kind)
    from vaecli.tasks.event_incidents import EventIncidents
    from vaecli.workflows.score_sensors import EventLog, event_rules, score_rows

    events = EventIncidents(detector)
    log = EventLog(detector, event_rules(detector, decision, config), (events,))
    score_rows(detector, source, NoRows(), decision, config, detector.histories(), ignore, events=log)
    return events.incidents()
