"""Are normal rows flagged for words that training never saw, and is a new word still found where none was rare?

Three numbers that move together, beside columns of words: `five`, of five values; `zipf`, where the k-th of 20,000
words comes in proportion to k^-a; `identifiers`, a new one in 30 % of the rows and one of five values in the others.
vaecli learns from n rows and scores 4,000 fresh ones of the same law, then 300 of them with a new word in the first
column, and 300 with a number moved by four standard deviations.

    python benchmarks/rare_words.py
    python benchmarks/rare_words.py --arm before     # with an earlier vaecli on the path
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
import record

import vaecli

KEYS = ("arm", "law", "n_columns", "n", "seed")
N_FRESH, N_MOVED = 4_000, 300
N_WORDS = 20_000
CASES = [("five", 1), ("zipf 3", 1), ("zipf 2", 1), ("zipf 1.5", 1), ("zipf 1.1", 1), ("identifiers", 1), ("zipf 2", 5)]
SIZES = (100, 300, 1_000, 10_000)
SETTINGS: dict[str, Any] = {"preset": "fast", "train.max_epochs": 40}


def main() -> None:
    """Measure what is missing, then write the table."""
    options = _options()
    results = record.Results(options.out, KEYS)
    for n in SIZES:
        for law, n_columns in CASES:
            for seed in range(options.seeds if n < 10_000 else 1):
                key = {"arm": options.arm, "law": law, "n_columns": n_columns, "n": n, "seed": seed}
                if options.redo or not results.has(**key):
                    results.add(key | measured(law, n_columns, n, seed))
    record.finish(options.out, report(results))


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "rare_words.json")
    parser.add_argument("--seeds", type=int, default=4, help="runs of each case; of 10,000 rows one")
    parser.add_argument("--arm", choices=("before", "now"), default="now", help="the name of what is measured")
    return parser.parse_args()


def words(law: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """(n,) texts drawn from a law."""
    five = np.char.add("v", rng.choice(5, n, p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype(str))
    if law == "five":
        return five
    if law == "identifiers":
        return np.where(rng.random(n) < 0.3, np.char.add("id", rng.integers(0, 10**9, n).astype(str)), five)
    probability = np.arange(1, N_WORDS + 1.0) ** -float(law.split()[1])
    return np.char.add("w", rng.choice(N_WORDS, n, p=probability / probability.sum()).astype(str))


def table(law: str, n_columns: int, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of three numbers and the columns of words."""
    factor = rng.normal(size=(n, 2))
    noise = 0.3 * rng.normal(size=(n, 2))
    numbers = {"x": factor[:, 0] + noise[:, 0], "y": factor[:, 0] - factor[:, 1], "z": factor[:, 1] + noise[:, 1]}
    return pd.DataFrame(numbers | {f"word{j}": words(law, n, rng) for j in range(n_columns)})


def measured(law: str, n_columns: int, n: int, seed: int) -> dict[str, Any]:
    """Shares of rows with an unseen word, and of flagged ones."""
    rng = np.random.default_rng([seed, n, 7])
    normal, fresh = table(law, n_columns, n, rng), table(law, n_columns, N_FRESH, rng)
    model = vaecli.fit(normal, seed=seed, **SETTINGS)
    unseen = pd.concat([~fresh[name].isin(normal[name]) for name in normal.columns[3:]], axis=1).any(axis=1)
    moved = fresh.head(N_MOVED)
    return {
        "unseen": float(unseen.mean()),
        "false_alarms": flagged(model, fresh),
        "new_word": flagged(model, moved.assign(word0="never seen")),
        "moved_number": flagged(model, moved.assign(y=moved["y"] + 4 * normal["y"].std())),
    }


def flagged(model: vaecli.Model, rows: pd.DataFrame) -> float:
    """The share of rows that is flagged at 0.99."""
    return float(model.score(rows, threshold=0.99)["is_anomaly"].mean())


def report(results: record.Results) -> str:
    """The means over seeds as Markdown."""
    lines = []
    for arm in ("before", "now"):
        for law, n_columns in CASES:
            for n in SIZES:
                key = (arm, law, n_columns, n)
                rows = [row for row in results.rows if tuple(row[name] for name in KEYS[:-1]) == key]
                if rows:
                    figures = ("unseen", "false_alarms", "new_word", "moved_number")
                    shares = [record.percent(record.mean(row[name] for row in rows)) for name in figures]
                    lines.append((f"{law}, {n:,} rows", str(n_columns), arm, str(len(rows)), *shares))
    header = (
        "law",
        "columns of words",
        "vaecli",
        "seeds",
        "rows with an unseen word",
        "false alarms at 0.99",
        "a new word found",
        "a moved number found",
    )
    parts = (
        "# Words that training never saw",
        f"{N_FRESH:,} fresh normal rows of the law of training; what is drawn and changed: `benchmarks/rare_words.py`.",
        record.markdown_table(header, lines),
        record.machine_line(results.machine()),
    )
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    main()
