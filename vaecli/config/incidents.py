"""Settings of incidents that go on from run to run; file < flags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaecli.config.checks import Range, checked, flag_of, refusal
from vaecli.errors import UsageError


@dataclass(frozen=True, slots=True)
class IncidentConfig:
    """What is written of incidents, what is kept of them for the next run, and the command that is run for new ones."""

    incidents: str | None = None  # the file of the incidents of a run
    incident_state: str | None = None  # the file that remembers them
    after: int = 10  # rows of one run from which an incident is announced
    cooldown_seconds: float = 0.0  # of quiet until an incident has ended
    notify_command: str | None = None  # run once per announced incident, without a shell
    notify_timeout_seconds: float = 30.0

    @property
    def is_wanted(self) -> bool:
        """Whether a run collects incidents."""
        return self.incidents is not None or self.incident_state is not None

    @property
    def files(self) -> tuple[str | None, str | None]:
        """The files that a run writes: that of the incidents, and the state."""
        return self.incidents, self.incident_state

    @property
    def command(self) -> tuple[str, ...]:
        """The words of the command; none without one."""
        if self.notify_command is None:
            return ()
        from shlex import split

        return tuple(split(self.notify_command))


NO_INCIDENTS = IncidentConfig()
_OWNERS = {"incidents": IncidentConfig}
_RANGES: dict[str, Range] = {
    "incidents.after": (1, 10**9, False),
    "incidents.cooldown_seconds": (0, 10**9, False),
    "incidents.notify_timeout_seconds": (0, 86_400, True),
}
_LONG = {"cooldown": "cooldown_seconds", "notify_timeout": "notify_timeout_seconds"}
_WITH_STATE = ("after", "cooldown_seconds", "notify_command", "notify_timeout_seconds")


def incident_config(flags: Mapping[str, Any], file: Path | None = None) -> IncidentConfig:
    """Resolve the settings of incidents: those in `file` under [incidents], and `flags`; None means "not given".

    Raises UsageError naming every unknown name and every value out of range.
    """
    problems: list[str] = []
    given = {_full(name): (value, f"{file}: incidents.{name} =") for name, value in _from_file(file).items()}
    given |= {_full(name): (value, flag_of(name)) for name, value in flags.items() if value is not None}
    settings = {
        name.partition(".")[2]: checked(_OWNERS, _RANGES, name, value, shown, problems)
        for name, (value, shown) in given.items()
    }
    if problems:
        raise refusal(problems, "score")
    without = [flag_of(name) for name in _WITH_STATE if name in settings and "incident_state" not in settings]
    if without:
        raise UsageError(
            f"{', '.join(without)}: without a state no run knows what an earlier one found",
            "name a file with --incident-state, such as --incident-state line.incidents",
        )
    config = IncidentConfig(**settings)
    if config.incident_state == "":
        raise UsageError("--incident-state is empty", "name a file, such as --incident-state line.incidents")
    try:
        empty = config.notify_command is not None and not config.command
    except ValueError as problem:
        raise UsageError(f"--notify-command {config.notify_command!r}: {problem}", "close the quotes") from None
    if empty:
        raise UsageError("--notify-command is empty", "name a program, such as --notify-command 'notify.sh line-3'")
    if "\0" in (config.notify_command or ""):
        raise UsageError("--notify-command holds a zero character", "no program can be given one: leave it out")
    return config


def settings_in_file(file: Path | None) -> frozenset[str]:
    """The names of the settings of `IncidentConfig` that a file gives; raises UsageError for what is no TOML file."""
    return frozenset(_LONG.get(name, name) for name in _from_file(file))


def _full(name: str) -> str:
    return f"incidents.{_LONG.get(name, name)}"


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    from vaecli.config.toml_file import table_of, toml_in

    return table_of(toml_in(file), "incidents", file)
