"""Reads a file of settings in TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vaecli.errors import UsageError
from vaecli.runtime.urls import shown


def toml_in(file: Path, hint: str = "--config takes a TOML file") -> dict[str, Any]:
    """The values in a file. Raises UsageError for one that cannot be read or is not TOML."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise UsageError(f"{shown(str(file))}: {problem.strerror}", hint) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{shown(str(file))}: not TOML: {problem}", hint) from None


def table_of(values: Mapping[str, Any], name: str, file: Path) -> dict[str, Any]:
    """The table `name` of the `values` in a file, empty where it is absent. Raises UsageError if it is not a table."""
    found = values.get(name, {})
    if not isinstance(found, dict):
        raise UsageError(f"{file}: {name} is not a table of settings", f"write [{name}] and the settings below it")
    return found
