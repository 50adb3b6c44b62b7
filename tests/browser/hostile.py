"""A table whose headers, cells and categories try to become markup, scripts, or another order of letters."""

from __future__ import annotations

import numpy as np
import pandas as pd

SCRIPT = "<script>window.ran='header'</script>"
IMAGE = '"><img src=x onerror="window.ran=\'image\'">'
LINK = "javascript:window.ran='link'"
CATEGORIES = (
    "<script>window.ran='category'</script>",
    "</title></style></svg><script>window.ran='end'</script>",
    "<svg onload=window.ran='svg'>",
    "<a href=\"javascript:window.ran='a'\">",
)
NEVER_SEEN = "<iframe src='https://example.com/'></iframe><script>window.ran='novel'</script>"
ARABIC = "درجة الحرارة"
TURNED = "a\u202egnp.exe"
LONG = "x" * 300 + "<script>window.ran='long'</script>"
CONTROLS = "bell\x07 and \x1b[31mred"


def hostile_table(n_rows: int, seed: int, *, odd: bool) -> pd.DataFrame:
    """Normal rows, or with `odd` fresh ones, some of which are not."""
    rng = np.random.default_rng(seed)
    load = rng.normal(size=n_rows)
    frame = pd.DataFrame(
        {
            SCRIPT: load + 0.1 * rng.normal(size=n_rows),
            IMAGE: 3 * load + 0.2 * rng.normal(size=n_rows),
            LINK: rng.choice(CATEGORIES, n_rows),
            ARABIC: 20 + load,
            TURNED: rng.choice(["عالٍ", "منخفض"], n_rows),
            LONG: rng.normal(size=n_rows),
            "when": pd.date_range("2026-01-01", periods=n_rows, freq="h"),
        }
    )
    if odd:
        frame.loc[::50, SCRIPT] += 8
        frame.loc[3::10, LINK] = NEVER_SEEN
        frame.loc[7::50, TURNED] = CONTROLS
        frame.loc[5, ARABIC] = np.inf
        frame.loc[6, LONG] = np.nan
    return frame
