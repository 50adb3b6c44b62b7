"""Which training rows become the exemplar prior of each ensemble member."""

from __future__ import annotations
