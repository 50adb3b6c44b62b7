"""Incidents in words: where their rows are, how far they go, and what is responsible."""

from __future__ import annotations

from dataclasses import replace

from vaecli.results.incidents import Incident, ResponsibleColumn

INCIDENT = Incident(
    id="inc-0",
    status=None,
    columns=(ResponsibleColumn("temp", "up", 0.9), ResponsibleColumn("flow", "missing", 0.1)),
    group=None,
    rows=120,
    events=None,
    first_row=17,
    last_row=4301,
    start=None,
    end=None,
    peak_score=93.0,
    peak_row=18,
    reason="temp = 91.2, expected 64.0 ± 2.1",
    examples=(),
)


def test_an_incident_is_a_sentence() -> None:
    """Several rows have a span, one row is named once, times take the place of rows, and series have events."""
    tail = "; temp up, flow missing. Typical: temp = 91.2, expected 64.0 ± 2.1"
    timed = replace(INCIDENT, start="4 May", end="5 May")
    for incident, head in (
        (INCIDENT, "120 rows from row 17 to 4,301, up to 93 nats"),
        (replace(INCIDENT, rows=1, first_row=4301), "row 4,301, 93 nats"),
        (timed, "120 rows from 4 May to 5 May, up to 93 nats"),
        (replace(timed, rows=1, end="4 May"), "1 row at 4 May, up to 93 nats"),
        (replace(timed, events=2, group="pump 7"), "pump 7: 2 events from 4 May to 5 May, up to 93 nats"),
    ):
        assert incident.sentence == head + tail


def test_an_incident_that_ended_names_its_rows_and_since_when() -> None:
    """Its reason is the title under which it was known."""
    ended = replace(
        INCIDENT, status="ended", rows=0, reason="temp up", total_rows=150, since="2026-05-04T06:00:00+00:00"
    )
    assert ended.sentence == "ended: temp up; 150 rows since 2026-05-04T06:00:00+00:00"
