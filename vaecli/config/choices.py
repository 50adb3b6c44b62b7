"""The words that settings can be: the help of a command names them without the settings themselves."""

from __future__ import annotations

PRESETS = ("fast", "default", "best")
SCORE_KINDS = ("combined", "elbo", "reconstruction", "latent")
DEVICES = ("auto", "cpu", "cuda")
ENGINES = ("local", "spark")
BAD_FILES = ("skip", "stop")
FAULTS = ("spike", "shift", "scale", "swap", "stuck", "missing", "unseen", "wrong", "borrowed")
TEXT_FAULTS = ("mistyped", "truncated")  # of tables with text columns, beside these
SERIES_FAULTS = ("spike", "shift", "drift", "stuck", "noise", "quiet", "delay", "missing")
