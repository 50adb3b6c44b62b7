"""Incidents from run to run: new, ongoing, ended; and notifications that a kill neither repeats nor loses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from vaecli.bundle.incident_state import load_incident_state
from vaecli.config.incidents import IncidentConfig
from vaecli.errors import BundleError
from vaecli.results.incidents import Incident, ResponsibleColumn
from vaecli.runtime.notify import locked
from vaecli.workflows.incident_history import MOST_ATTEMPTS, deliver, remembered
from vaecli.workflows.incidents import IncidentOutcome

START = datetime(2026, 5, 4, 6, tzinfo=UTC)
LISTENER = """
import json, sys
found = json.load(sys.stdin)
with open(sys.argv[1], "a") as file:
    file.write(json.dumps({name: found[name] for name in ("id", "attempt", "may_be_repeated", "table")}) + chr(10))
"""


def incident(where: float, rows: int = 50, name: str = "temp", **facts: Any) -> Incident:
    """An incident that deviates by `where` in one column."""
    one = Incident(
        id=f"inc-{abs(hash((where, rows, name))):x}"[:14],
        status=None,
        columns=(ResponsibleColumn(name, "up", 0.9),),
        group=None,
        rows=rows,
        events=None,
        first_row=1,
        last_row=rows,
        start=None,
        end=None,
        peak_score=20.0,
        peak_row=1,
        reason=f"{name} = 9",
        examples=(),
        deviation={name: where},
    )
    return replace(one, **facts)


@pytest.fixture
def listener(tmp_path: Path) -> Path:
    """A file that gets one line per notification."""
    (tmp_path / "listen.py").write_text(LISTENER)
    return tmp_path / "heard.jsonl"


def config(listener: Path, **settings: Any) -> IncidentConfig:
    """Settings with a command that writes to `listener`."""
    command = f"{sys.executable} -I -S {listener.with_name('listen.py')} {listener}"
    return IncidentConfig(incident_state="s", **{"notify_command": command} | settings)


def heard(listener: Path) -> list[dict[str, Any]]:
    """The notifications so far."""
    return [json.loads(line) for line in listener.read_text().splitlines()] if listener.exists() else []


def one_run(
    state: Path,
    settings: IncidentConfig,
    found: Sequence[Incident],
    table: str,
    now: datetime = START,
    scored: int = 1500,
) -> IncidentOutcome:
    """What a run does with its incidents once its scored table is in place."""
    facts = {"table": table, "bundle": "b"}
    with locked(state) as lock:
        incidents = remembered(state, settings, found, facts, "model", now, scored=scored, chance=0.01)
        return deliver(state, settings, incidents, lock)


def statuses(outcome: IncidentOutcome) -> list[str | None]:
    return [one.status for one in outcome.incidents]


def test_a_week_of_two_lasting_faults_is_two_notifications(tmp_path: Path, listener: Path) -> None:
    """Seven days, faults that last from Tuesday to Thursday and from Wednesday on, small incidents every day."""
    state, settings = tmp_path / "s", config(listener)
    shown = []
    for day in range(7):
        chance = incident(-9.0 * (-1) ** day, rows=3, name="flow")
        found = [chance]
        found += [incident(6.0 + 0.1 * day)] if 1 <= day <= 3 else []
        found += [incident(-5.0 - 0.1 * day, rows=40)] if day >= 2 else []
        outcome = one_run(state, settings, found, f"day{day}.csv", START + timedelta(days=day))
        shown.append([(one.status, one.total_rows) for one in outcome.incidents if one.title != "flow up"][:4])
    assert len(heard(listener)) == 2
    assert len({one["id"] for one in heard(listener)}) == 2
    assert shown[3][:2] == [("ongoing", 150), ("ongoing", 80)]
    assert ("ended", 150) in shown[4]


def test_the_same_table_again_is_the_same_run(tmp_path: Path, listener: Path) -> None:
    """Nothing is counted or announced twice; what was new or ended still is."""
    state, settings = tmp_path / "s", config(listener)
    one_run(state, settings, [incident(6.0)], "monday.csv")
    first = one_run(state, settings, [incident(-6.0)], "tuesday.csv")
    again = one_run(state, settings, [incident(-6.0)], "tuesday.csv")
    assert statuses(first) == statuses(again) == ["new", "ended"]
    assert [one.total_rows for one in first.incidents] == [one.total_rows for one in again.incidents]
    assert len(heard(listener)) == 2
    assert load_incident_state(state).run == 2


def test_a_cooldown_bridges_quiet_runs(tmp_path: Path, listener: Path) -> None:
    """An incident that returns within the cooldown goes on; after it the same rows are a new incident."""
    state, settings = tmp_path / "s", config(listener, cooldown_seconds=6 * 3600.0)
    names = []
    for hour, found in enumerate(([incident(6.0)], [], [incident(6.0)], [], [incident(6.0)])):
        now = START + timedelta(hours=hour if hour < 4 else 20)
        outcome = one_run(state, settings, found, f"{hour}.csv", now)
        names.append([(one.status, one.id) for one in outcome.incidents])
    assert [[status for status, _ in run] for run in names[:4]] == [["new"], [], ["ongoing"], []]
    assert [status for status, _ in names[4]] == ["new", "ended"]
    assert names[4][0][1] != names[4][1][1] == names[0][0][1]
    assert len(heard(listener)) == 2


def test_a_fault_of_every_run_goes_on_whatever_the_cooldown(tmp_path: Path, listener: Path) -> None:
    """Daily runs and a cooldown of six hours: what each run meets has not been quiet."""
    state, settings = tmp_path / "s", config(listener, cooldown_seconds=6 * 3600.0)
    for day in range(3):
        one_run(state, settings, [incident(6.0 + 0.1 * day)], f"{day}.csv", START + timedelta(days=day))
    assert len(heard(listener)) == 1


def test_a_chance_row_does_not_keep_an_announced_incident_open(tmp_path: Path, listener: Path) -> None:
    """One row of 1,500 that deviates alike is what normal rows bring: it is an incident of its own, not announced."""
    state, settings = tmp_path / "s", config(listener)
    first = one_run(state, settings, [incident(6.0)], "monday.csv").incidents[0]
    found = one_run(state, settings, [incident(6.1, rows=1)], "tuesday.csv").incidents
    assert [(one.status, one.rows, one.total_rows, one.announced) for one in found] == [
        ("new", 1, 1, False),
        ("ended", 0, 50, True),
    ]
    assert (found[1].id, found[0].id != first.id) == (first.id, True)
    again = one_run(state, settings, [incident(6.1, rows=1)], "tuesday.csv").incidents
    assert [(one.id, one.status) for one in again] == [(one.id, one.status) for one in found]
    later = one_run(state, settings, [incident(6.0)], "wednesday.csv").incidents
    assert [(one.status, one.announced) for one in later] == [("ongoing", True)]
    assert len(heard(listener)) == 2


def test_a_fault_that_fades_stays_one_incident(tmp_path: Path, listener: Path) -> None:
    """Fewer rows each day, and still more than chance brings; at last as few as chance."""
    state, settings = tmp_path / "s", config(listener)
    shown = [
        statuses(one_run(state, settings, [incident(6.0, rows)], f"{rows}.csv")) for rows in (80, 40, 20, 12, 12, 1)
    ]
    assert shown == [["new"], *[["ongoing"]] * 4, ["new", "ended"]]
    assert len(heard(listener)) == 1


def test_an_incident_of_small_runs_outlasts_some_without_a_row_but_not_many(tmp_path: Path, listener: Path) -> None:
    """A fault in one row of ten: a run of 20 rows without one shows nothing, five of them show that it has ended."""
    state, settings = tmp_path / "s", config(listener)
    one_run(state, settings, [incident(6.0, rows=12)], "begin.csv", scored=120)
    shown = []
    for run, rows in enumerate((2, 0, 3, 0, 0, 0, 0, 0)):
        found = [incident(6.0, rows)] if rows else []
        shown.append(statuses(one_run(state, settings, found, f"{run}.csv", scored=20)))
    assert shown == [["ongoing"], [], ["ongoing"], [], [], [], [], ["ended"]]
    assert len(heard(listener)) == 1


def test_a_doubtful_run_again_ends_nothing(tmp_path: Path, listener: Path) -> None:
    """The rows of a table that is scored once more are no further rows without the incident."""
    state, settings = tmp_path / "s", config(listener)
    one_run(state, settings, [incident(6.0, rows=15)], "monday.csv")
    for _ in range(3):
        assert statuses(one_run(state, settings, [], "tuesday.csv", scored=800)) == []
    assert statuses(one_run(state, settings, [], "wednesday.csv", scored=800)) == ["ended"]


def test_a_chance_row_does_not_begin_a_cooldown_again(tmp_path: Path, listener: Path) -> None:
    """A row every five hours: the incident of many rows has ended after six, whatever else is flagged."""
    state, settings = tmp_path / "s", config(listener, cooldown_seconds=6 * 3600.0)
    shown = []
    for hour, rows in ((0, 50), (5, 1), (10, 1)):
        found = [incident(6.0, rows)]
        shown.append(statuses(one_run(state, settings, found, f"{hour}.csv", START + timedelta(hours=hour))))
    assert shown == [["new"], ["ongoing"], ["new", "ended"]]


def test_a_fault_near_the_flag_rate_goes_on_at_its_pace_whatever_the_cooldown(tmp_path: Path, listener: Path) -> None:
    """30 of 10,000 rows a day are no more than chance may bring, but as many as ever."""
    state, settings = tmp_path / "s", config(listener, cooldown_seconds=6 * 3600.0)
    for day in range(6):
        found = [incident(6.0, 30)]
        outcome = one_run(state, settings, found, f"{day}.csv", START + timedelta(days=day), scored=10_000)
        assert statuses(outcome) == ["ongoing" if day else "new"]
    assert len(heard(listener)) == 1


@pytest.mark.parametrize(("rows", "shown"), [(1, ["new", "ended"]), (20, ["ongoing"])])
def test_a_state_of_an_earlier_version_is_read(tmp_path: Path, listener: Path, rows: int, shown: list[str]) -> None:
    """It does not hold how many rows its incidents had per row: those go on that have more than chance brings."""
    state, settings = tmp_path / "s", config(listener)
    one_run(state, settings, [incident(6.0)], "monday.csv")
    content = json.loads(state.read_text()) | {"vaecli_incidents": 1}
    for one in content["incidents"]:
        for name in ("proven_rows", "proven_scored", "doubted_rows", "doubted_scored"):
            del one[name]
    state.write_text(json.dumps(content))
    assert statuses(one_run(state, settings, [incident(6.0, rows)], "tuesday.csv")) == shown


def test_two_parts_of_one_known_incident_are_one(tmp_path: Path, listener: Path) -> None:
    """Where a run splits what goes on, both parts have the known identifier and are shown as one."""
    state, settings = tmp_path / "s", config(listener)
    one_run(state, settings, [incident(6.0)], "monday.csv")
    outcome = one_run(state, settings, [incident(7.5, rows=30), incident(4.5, rows=20)], "tuesday.csv")
    assert [(one.status, one.rows, one.total_rows) for one in outcome.incidents] == [("ongoing", 50, 100)]


def test_the_parts_of_series_are_joined_from_the_first_event_to_the_last(tmp_path: Path, listener: Path) -> None:
    """The smaller part comes before the larger one, and both within a long one: times are those of the events."""
    state, settings = tmp_path / "s", config(listener)
    one_run(state, settings, [incident(6.0)], "monday.csv")
    series = {"events": 2, "first_row": None, "last_row": None, "peak_row": None}
    late = incident(6.5, rows=30, start="7 May", end="8 May", span=(5, 8), **series)
    early = incident(6.2, rows=20, start="5 May", end="6 May", span=(0, 3), **series)
    long = incident(6.1, rows=10, start="4 May", end="12 May", span=(0, 9), **series | {"events": 1})
    outcome = one_run(state, settings, [late, early], "tuesday.csv")
    assert [(one.start, one.end, one.events) for one in outcome.incidents] == [("5 May", "8 May", 4)]
    outcome = one_run(state, settings, [late, long], "wednesday.csv")
    assert [(one.start, one.end, one.events) for one in outcome.incidents] == [("4 May", "12 May", 3)]


def test_equal_incidents_keep_their_names_when_the_table_comes_again(tmp_path: Path, listener: Path) -> None:
    """Two spells that deviate in exactly the same way stay two: neither takes the name of the other."""
    state, settings = tmp_path / "s", config(listener)
    spells = [incident(6.0, rows=40), incident(6.0, rows=30)]
    first = one_run(state, settings, spells, "monday.csv")
    again = one_run(state, settings, spells, "monday.csv")
    assert [(one.id, one.status, one.rows) for one in again.incidents] == [
        (one.id, one.status, one.rows) for one in first.incidents
    ]
    assert statuses(again) == ["new", "new"]


def test_few_rows_are_not_announced_until_they_are_many(tmp_path: Path, listener: Path) -> None:
    """`after` counts the rows of one run."""
    state, settings = tmp_path / "s", config(listener, after=20)
    for day, rows in enumerate((15, 15, 20, 90)):
        one_run(state, settings, [incident(6.0, rows)], f"{day}.csv", START + timedelta(days=day))
        assert len(heard(listener)) == (day >= 2)


def test_an_incident_ends_under_the_columns_that_were_announced(tmp_path: Path, listener: Path) -> None:
    """Two rows of chance come first, then many that deviate alike: the end names what the notification named."""
    state, settings = tmp_path / "s", config(listener)
    few = replace(incident(6.0, 2), columns=(ResponsibleColumn("mode", "changed", 1.0),))
    one_run(state, settings, [few], "monday.csv")
    one_run(state, settings, [incident(6.1, 90)], "tuesday.csv", START + timedelta(days=1))
    [ended] = one_run(state, settings, [], "wednesday.csv", START + timedelta(days=2)).incidents
    assert (ended.status, ended.announced, ended.reason) == ("ended", True, "temp up")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (f"{sys.executable} -c 'import sys; print(1); sys.exit(\"no route\")'", "it left with code 1: no route"),
        ("no-such-program --at all", "it cannot be run: No such file or directory"),
        (f"{sys.executable} -c 'import time; time.sleep(60)'", "it took longer than 0.2 s and was stopped"),
    ],
    ids=["fails", "absent", "slow"],
)
def test_a_failing_command_is_a_warning_and_tried_again(
    tmp_path: Path, listener: Path, command: str, reason: str
) -> None:
    """The next run delivers what the last one could not."""
    state = tmp_path / "s"
    failing = config(listener, notify_command=command, notify_timeout_seconds=0.2)
    outcome = one_run(state, failing, [incident(6.0)], "monday.csv")
    assert (outcome.notified, outcome.not_notified) == (0, 1)
    assert f"{reason}; the next run tries again" in outcome.warnings[0]
    after = one_run(state, config(listener), [incident(6.1)], "tuesday.csv")
    assert (after.notified, after.warnings) == (1, ())
    assert [(one["attempt"], one["may_be_repeated"]) for one in heard(listener)] == [(2, False)]


def test_a_command_that_never_works_is_given_up(tmp_path: Path, listener: Path) -> None:
    """After so many runs the notice is dropped, with a warning."""
    state, failing = tmp_path / "s", config(listener, notify_command="no-such-program")
    warnings = [one_run(state, failing, [incident(6.0)], "t.csv").warnings for _ in range(MOST_ATTEMPTS + 1)]
    assert "given up" in warnings[MOST_ATTEMPTS - 1][0]
    assert warnings[MOST_ATTEMPTS] == ()


# -- kills ----------------------------------------------------------------------------------------


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a child process that is killed at its `step`-th change of a file or start of a process.

    False where it ended before. The whole process group is killed, as by `timeout -s KILL` or a closing cron.
    """
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            _kill_at(step)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _kill_at(step: int) -> None:
    count = 0

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def replaced(*args: Any, **keywords: Any) -> Any:
            for late in (False, True):  # before and after each
                nonlocal count
                count += 1
                if count == step:
                    os.killpg(0, signal.SIGKILL)
                if not late:
                    result = function(*args, **keywords)
            return result

        return replaced

    for name in ("replace", "fsync", "unlink"):
        setattr(os, name, counted(getattr(os, name)))
    subprocess.Popen.__init__ = counted(subprocess.Popen.__init__)  # type: ignore[method-assign]
    subprocess.Popen.wait = counted(subprocess.Popen.wait)  # type: ignore[method-assign]


def run_killed(folder: Path, listener: Path, step: int) -> bool:
    """Three days, the second killed at a step and run again; whether it was killed. Checks what was heard."""
    folder.mkdir()
    state, settings = folder / "s", config(listener)
    first, second = [incident(6.0)], [incident(6.1), incident(-6.0)]
    one_run(state, settings, first, "monday.csv")
    was_killed = killed_at(step, lambda: one_run(state, settings, second, "tuesday.csv"))
    one_run(state, settings, second, "tuesday.csv")
    one_run(state, settings, [incident(6.2), incident(-6.1)], "wednesday.csv")
    assert [one["table"] for one in heard(listener)] == ["monday.csv", "tuesday.csv"], f"step {step}"
    assert not [one for one in heard(listener) if one["may_be_repeated"]]
    assert sorted(path.name for path in folder.iterdir() if "receipt" in path.name) == []
    assert len(load_incident_state(state).incidents) == 2
    listener.unlink()
    return was_killed


def test_a_kill_around_the_command_neither_repeats_nor_loses(tmp_path: Path, listener: Path) -> None:
    """Killed right after the state is written, and while the command runs: one notification each."""
    assert all(run_killed(tmp_path / str(step), listener, step) for step in (6, 11))


@pytest.mark.slow
def test_a_kill_at_any_step_neither_repeats_nor_loses(tmp_path: Path, listener: Path) -> None:
    """Every change of a file and every start of a process, before and after."""
    step = 1
    while run_killed(tmp_path / str(step), listener, step):
        step += 1
    assert step > 15


def test_a_failure_that_a_run_without_a_command_learns_of_is_a_warning(tmp_path: Path, listener: Path) -> None:
    """The run was killed, its command failed afterwards: the next run warns, and one with a command tries again."""
    state, silent = tmp_path / "s", config(listener, notify_command=None)
    one_run(state, config(listener, notify_command="no-such-program"), [incident(6.0)], "monday.csv")
    notice = load_incident_state(state).notices[0]
    (tmp_path / f"s.{notice.id}.{notice.attempt}.receipt").write_text(
        '{"begun": true, "outcome": "it left with code 1"}'
    )
    warnings = one_run(state, silent, [incident(6.1)], "tuesday.csv").warnings
    assert warnings == (f"incident {notice.id} was not announced: it left with code 1; the next run tries again",)
    assert one_run(state, config(listener), [incident(6.2)], "wednesday.csv").notified == 1


def test_a_machine_that_stopped_repeats_with_a_mark(tmp_path: Path, listener: Path) -> None:
    """A receipt that says only that the command began: it is run again, and the object says that it may be known."""
    state, settings = tmp_path / "s", config(listener)
    silent = config(listener, notify_command=None)
    one_run(state, config(listener, notify_command="no-such-program"), [incident(6.0)], "monday.csv")
    assert one_run(state, silent, [incident(6.1)], "tuesday.csv").notified == 0
    notice = load_incident_state(state).notices[0]
    (tmp_path / f"s.{notice.id}.{notice.attempt}.receipt").write_text('{"begun": true}')
    one_run(state, settings, [incident(6.2)], "wednesday.csv")
    assert [one["may_be_repeated"] for one in heard(listener)] == [True]


@pytest.mark.parametrize(
    "content", ["", "[]", '{"vaecli_incidents": 3}', '{"vaecli_incidents": 1, "incidents": [{}], "notices": []}']
)
def test_a_damaged_state_is_named(tmp_path: Path, content: str) -> None:
    """A file that is not a state, or of another version, is a BundleError that names it."""
    (tmp_path / "s").write_text(content)
    with pytest.raises(BundleError, match="not a state of incidents"):
        load_incident_state(tmp_path / "s")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seen", "yesterday"),
        ("since", "2026-05-04T06:00:00"),
        ("last_run", "1"),
        ("ended_run", True),
        ("rows", 0),
        ("proven_rows", -1),
        ("doubted_scored", 0.5),
    ],
)
def test_a_wrong_value_of_a_known_incident_is_named(tmp_path: Path, listener: Path, name: str, value: object) -> None:
    """What a later step would stumble over is found when the file is read."""
    one_run(tmp_path / "s", config(listener), [incident(6.0)], "monday.csv")
    found = json.loads((tmp_path / "s").read_text())
    found["incidents"][0][name] = value
    (tmp_path / "s").write_text(json.dumps(found))
    with pytest.raises(BundleError, match="not a state of incidents, or is damaged"):
        load_incident_state(tmp_path / "s")
