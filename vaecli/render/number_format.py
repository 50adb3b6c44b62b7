"""Numbers as a person says them."""

from __future__ import annotations


def per_cent(share: float) -> str:
    """0.999 → `99.9 %`, without the noise of binary fractions."""
    return f"{100 * share:.10g} %"


def how_often(level: float) -> str:
    """How many normal rows a threshold level flags: 0.99 → `about 1 in 100`, 0.3 → `about 70 in 100`."""
    alpha = round(1 - level, 12)
    one_in = 1 / alpha
    if abs(one_in - round(one_in)) < 1e-6 * one_in and one_in >= 2:
        return f"about 1 in {round(one_in):,}"
    return f"about {100 * alpha:.3g} in 100"


def duration(seconds: float) -> str:
    """`0.42 s`, `12 s`, `3 min 20 s`, `2 h 05 min`."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(n_bytes: int) -> str:
    """`812 B`, `1.2 MB`; thousands of bytes, as disks count."""
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes} B"


def counted(n: int, noun: str) -> str:
    """`1 row`, `1,234 rows`."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def number(value: float) -> str:
    """Four digits that matter: `12.35`, `0.0001234`, `1.235e+09`."""
    return f"{value:.4g}"
