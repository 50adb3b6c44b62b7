"""Settings of `encode`: flags, and the number of workers from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vaecli.config.score import ScoreConfig, run_config
from vaecli.errors import UsageError

MOST_DIMS = 512
MAPS = ("pca", "umap")


@dataclass(frozen=True, slots=True)
class EncodeConfig:
    """All settings of `vaecli encode`; of `run` it uses only the prefix, batches and workers."""

    run: ScoreConfig = field(default_factory=ScoreConfig)
    dims: int | None = None  # columns of a map; None: every coordinate of the code
    spreads: bool = False  # standard deviations as well
    keep: bool = False  # the user's columns in front
    map: str = "pca"  # how the coordinates on it are computed
    colour_by: str | None = None  # the column that colours the picture


def encode_config(flags: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> EncodeConfig:
    """Resolve the settings of one encoding; None means "not given". Raises UsageError for values out of range."""
    config = EncodeConfig(
        run_config(flags, environment, "encode"),
        _dims(flags.get("dims")),
        bool(flags.get("spreads")),
        bool(flags.get("keep")),
        flags.get("map") or "pca",
        flags.get("color"),
    )
    _check_map(config, is_given=flags.get("map") is not None)
    return config


def _check_map(config: EncodeConfig, *, is_given: bool) -> None:
    if config.map not in MAPS:
        raise UsageError(f"--map {config.map!r} is not one of {', '.join(MAPS)}", "see `vaecli encode --help`")
    if is_given and config.dims is None:
        raise UsageError("--map names a kind of map, but no map is requested", "add --dims 2")
    if config.map == "umap" and config.spreads:
        raise UsageError("--spreads: a UMAP map has none", "use --map pca, or leave --spreads out")


def _dims(given: str | int | None) -> int | None:
    if given is None:
        return None
    try:
        dims = int(given)
    except ValueError:
        raise UsageError(f"--dims {given!r} is not a whole number", "see `vaecli encode --help`") from None
    if not 1 <= dims <= MOST_DIMS:
        raise UsageError(f"--dims {dims} is not between 1 and {MOST_DIMS}", "see `vaecli encode --help`")
    return dims
