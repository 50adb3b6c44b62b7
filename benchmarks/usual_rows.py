"""How often the rule of usual numbers of rows names a good file, and how often a bad one, over series of deliveries.

A night delivers one file; the files before it are what the rule knows. Series differ in how the number of rows varies.
False alarms are counted over nights 11 to 400 of 400 series; a fault is put into night 60 of each series.

    python benchmarks/usual_rows.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import record

from vaecli.decisions.usual_rows import FEWEST_FILES, UsualRows

N_SERIES = 400
N_NIGHTS = 400
FAULT_NIGHT = 60
USUAL = 10_000


def main() -> None:
    """Draw every kind of series, then write the report."""
    options = record.parser(__doc__, "usual_rows.json").parse_args()
    if options.redo:
        options.out.unlink(missing_ok=True)
    results = record.Results(options.out, ("series",))
    for name, draw in SERIES.items():
        if not results.has(series=name):
            results.add({"series": name} | measured(draw))
            print(results.rows[-1], flush=True)
    record.finish(options.out, report(results.rows, results.machine()))


def _steady(rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(USUAL, N_NIGHTS)


def _spread(sigma: float) -> Callable[[np.random.Generator], np.ndarray]:
    return lambda rng: rng.lognormal(np.log(USUAL), sigma, N_NIGHTS).astype(int)


def _weekends(rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(np.where(np.arange(N_NIGHTS) % 7 < 5, USUAL, USUAL // 10))


def _months(rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(np.where(np.arange(N_NIGHTS) % 30 == 29, 10 * USUAL, USUAL))


def _growth(rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(USUAL * 1.01 ** np.arange(N_NIGHTS))


def _step(rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(np.where(np.arange(N_NIGHTS) < 200, USUAL, 4 * USUAL))


def _small(rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(3, N_NIGHTS)


SERIES = {
    "10,000 rows, as chance has it": _steady,
    "spread by 30 % (lognormal)": _spread(0.3),
    "spread by a factor of 2.7 (lognormal)": _spread(1.0),
    "a tenth at weekends": _weekends,
    "ten times as many once in 30 nights": _months,
    "1 % more each night": _growth,
    "four times as many from night 200 on": _step,
    "3 rows, as chance has it": _small,
}
FAULTS: dict[str, Callable[[int], int]] = {
    "no rows": lambda _: 0,
    "3 rows": lambda _: 3,
    "a tenth": lambda n: n // 10,
    "half": lambda n: n // 2,
    "delivered three times": lambda n: 3 * n,
}


def measured(draw: Callable[[np.random.Generator], np.ndarray]) -> dict[str, Any]:
    """False alarms per 100 nights, in how many nights of the first 30, and the share of each fault that is named."""
    rng = np.random.default_rng(0)
    alarms = np.zeros(N_NIGHTS)
    caught = dict.fromkeys(FAULTS, 0)
    for _ in range(N_SERIES):
        rows = draw(rng).tolist()
        for night in range(FEWEST_FILES, N_NIGHTS):
            usual = UsualRows.of(rows[:night])
            assert usual is not None
            alarms[night] += not usual.is_usual(rows[night])
        usual = UsualRows.of(rows[:FAULT_NIGHT])
        assert usual is not None
        for name, fault in FAULTS.items():
            caught[name] += not usual.is_usual(fault(rows[FAULT_NIGHT]))
    later = alarms[FEWEST_FILES:]
    return {
        "per_100_nights": 100 * float(later.sum()) / (N_SERIES * later.size),
        "per_100_early": 100 * float(alarms[FEWEST_FILES:30].sum()) / (N_SERIES * (30 - FEWEST_FILES)),
        "caught": {name: n / N_SERIES for name, n in caught.items()},
    }


def report(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The Markdown of the results."""
    lines = [
        [
            row["series"],
            f"{row['per_100_nights']:.2f}",
            f"{row['per_100_early']:.2f}",
            *(f"{100 * row['caught'][name]:.0f}" for name in FAULTS),
        ]
        for row in rows
    ]
    return "\n".join(
        [
            "# Usual numbers of rows",
            "",
            f"Written by `benchmarks/usual_rows.py`: {N_SERIES} series of {N_NIGHTS} nights with a file each, and the "
            "rule that names a file with far fewer or more rows than are usual. False alarms "
            f"per 100 nights, of all nights and of nights {FEWEST_FILES + 1} to 30; then the share, in %, of faults in "
            f"night {FAULT_NIGHT} that it names.",
            "",
            record.markdown_table(["rows of a file", "false alarms", "of the first nights", *FAULTS], lines),
            "",
            record.machine_line(machine),
            "",
        ]
    )


if __name__ == "__main__":
    main()
