"""What `config show` returns: every setting with where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaecli.results.json_object import json_object


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One setting; `origin` is `default`, `preset NAME`, a variable, a file, or the setting that it follows."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class SettingsSummary:
    """The settings that a verb would use without further options."""

    settings_of: str  # the verb
    settings: tuple[ShownSetting, ...]

    def to_json(self) -> dict[str, Any]:
        """One JSON object with a `schema_version`."""
        return json_object("config", self)
