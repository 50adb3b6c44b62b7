"""Where rows can be computed."""

from __future__ import annotations

ENGINES = ("local", "spark")
