"""Which model of strings: interpolated n-grams, vaecli's two experts, a gated recurrent unit, causal convolutions.

For the table of ADR 0041. Each learns from three fifths of the different strings of a kind (`benchmarks/text_data.py`);
the networks for `--seconds` of Adam. Bits per byte of fresh strings; the share of strings with one fault
(`benchmarks/text_faults.py`) whose rarest symbol costs more than in 99 % of held-out strings, mean over faults;
microseconds of one core for a string of 40 bytes in NumPy, of batches of 4,096.

    python benchmarks/text_models.py --data DATA --kinds dates,parts,names
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import record
import torch
from text import FOREIGN, KINDS, split, strings_of
from text_faults import FAULTS, KneserNey, faulty
from torch import nn

from vaecli.data.strings.string_model import StringModel
from vaecli.data.strings.texts import Texts

KEYS = ("kind", "model")
MOST_FAULTY = 300
LONGEST = 200  # bytes that the networks see
EDGE = 256
Nats = Callable[[Sequence[str]], list[np.ndarray]]


class Gru(nn.Module):
    """A gated recurrent unit over bytes."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.embed, self.cell = nn.Embedding(257, 24), nn.GRU(24, width, batch_first=True)
        self.out = nn.Linear(width, 257)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        """Logits (n, t, 257) of the next byte, or the end, after each of the symbols (n, t)."""
        return self.out(self.cell(self.embed(symbols))[0])


class Convolutions(nn.Module):
    """Four causal convolutions of three bytes, one, two, four and eight apart: 31 bytes in sight."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.embed = nn.Embedding(257, width)
        self.distance = (1, 2, 4, 8)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=d) for d in self.distance)
        self.out = nn.Linear(width, 257)

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        """Logits (n, t, 257) of the next byte, or the end, after each of the symbols (n, t)."""
        x = self.embed(symbols).transpose(1, 2)
        for layer, distance in zip(self.layers, self.distance, strict=True):
            x = x + torch.relu(layer(nn.functional.pad(x, (2 * distance, 0))))
        return self.out(x.transpose(1, 2))


def padded(strings: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Symbols (n, t) with an edge at both ends, and which of them are there."""
    rows = [[EDGE, *string.encode()[:LONGEST], EDGE] for string in strings]
    most = max(map(len, rows))
    symbols = torch.tensor([row + [EDGE] * (most - len(row)) for row in rows])
    return symbols, torch.tensor([[1.0] * len(row) + [0.0] * (most - len(row)) for row in rows])


def trained(model: nn.Module, strings: Sequence[str], seconds: float) -> nn.Module:
    """The model after some seconds of the processor, Adam on batches of 64."""
    torch.manual_seed(0)
    symbols, there = padded(strings)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    start, n = time.process_time(), len(strings)
    while (used := time.process_time() - start) < seconds:
        optimiser.param_groups[0]["lr"] = 3e-3 * (1 - used / seconds) + 1e-5
        rows = torch.randint(n, (64,))
        loss = (_nats(model, symbols[rows]) * there[rows, 1:]).sum() / there[rows, 1:].sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def _nats(model: nn.Module, symbols: torch.Tensor) -> torch.Tensor:
    logits = model(symbols[:, :-1])
    return nn.functional.cross_entropy(logits.transpose(1, 2), symbols[:, 1:], reduction="none")


def nats_of_network(model: nn.Module) -> Nats:
    """What each byte and the end of strings cost."""

    def nats(strings: Sequence[str]) -> list[np.ndarray]:
        found = []
        for start in range(0, len(strings), 256):
            symbols, there = padded(strings[start : start + 256])
            with torch.no_grad():
                cost = _nats(model, symbols)
            found += [row[mark > 0].numpy() for row, mark in zip(cost, there[:, 1:], strict=True)]
        return found

    return nats


def nats_of_vaecli(strings: Sequence[str], classes: int) -> tuple[StringModel, Nats]:
    """The string model of vaecli, and what each byte and the end of strings cost."""
    model = StringModel.fit(Texts.of([string.encode() for string in strings]), 0, classes)

    def nats(strings: Sequence[str]) -> list[np.ndarray]:
        read = model.read(Texts.of([string.encode() for string in strings]))
        return np.split(read.per_symbol, read.offsets[1:-1])

    return model, nats


def microseconds_of_gru(width: int = 64) -> float:
    """A string of 40 bytes through a gated recurrent unit in NumPy, in batches of 4,096."""
    n, rng = 4096, np.random.default_rng(0)
    inner, outer = (rng.normal(size=(width, 3 * width)).astype(np.float32) for _ in range(2))
    out = rng.normal(size=(width, 257)).astype(np.float32)
    x = rng.normal(size=(n, width)).astype(np.float32)
    state: Any = np.zeros((n, width), np.float32)
    start = time.process_time()
    for _ in range(40):
        a, b = x @ outer, state @ inner
        gates = 1 / (1 + np.exp(-(a[:, : 2 * width] + b[:, : 2 * width]) / 64))
        new = np.tanh((a[:, 2 * width :] + gates[:, :width] * b[:, 2 * width :]) / 64)
        state = gates[:, width:] * state + (1 - gates[:, width:]) * new
        logits = state @ out
        np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1))
    return (time.process_time() - start) / n * 1e6


def microseconds_of_convolutions(width: int = 64) -> float:
    """A string of 40 bytes through four causal convolutions in NumPy, in batches of 1,024."""
    n, rng = 1024, np.random.default_rng(0)
    layers = [rng.normal(size=(3 * width, width)).astype(np.float32) / 14 for _ in range(4)]
    out = rng.normal(size=(width, 257)).astype(np.float32)
    x = rng.normal(size=(n, 40, width)).astype(np.float32)
    start = time.process_time()
    for layer, d in zip(layers, (1, 2, 4, 8), strict=True):
        before = [np.concatenate([np.zeros((n, k, width), np.float32), x[:, : 40 - k]], 1) for k in (2 * d, d)]
        x += np.maximum(np.concatenate([*before, x], 2) @ layer, 0).astype(np.float32)
    logits = x @ out
    np.log(np.exp(logits - logits.max(2, keepdims=True)).sum(2))
    return (time.process_time() - start) / n * 1e6


def microseconds_of_vaecli(model: StringModel, strings: Sequence[str]) -> float:
    """Strings, as if they had 40 bytes each."""
    texts = Texts.of([string.encode() for string in (list(strings) * 10)[:8192]])
    model.read(texts)
    start = time.process_time()
    model.read(texts)
    return (time.process_time() - start) / texts.data.size * 40e6


def measured(data: Path, kind: str, seconds: float) -> Iterator[dict[str, Any]]:
    """A row for every model."""
    strings = strings_of(data, kind)
    learned, held_out, fresh = split(strings, 0)
    foreign = [string for other in KINDS if other != kind for string in strings_of(data, other)[:FOREIGN]]
    wrong = [[s for s, _ in faulty(fault, fresh[:MOST_FAULTY], foreign, set(strings), 0)] for fault in FAULTS]
    peer = KneserNey(learned)
    own, nats = nats_of_vaecli(learned, 16)
    gru, convolutions = trained(Gru(), learned, seconds), trained(Convolutions(), learned, seconds)
    models: list[tuple[str, Nats, float | None]] = [
        ("n-grams (Kneser–Ney, 6)", lambda given: [peer.nats(string) for string in given], None),
        ("vaecli: symbols and shapes", nats, microseconds_of_vaecli(own, fresh)),
        ("gated recurrent unit, 64", nats_of_network(gru), microseconds_of_gru()),
        ("causal convolutions, 4 × 64", nats_of_network(convolutions), microseconds_of_convolutions()),
    ]
    for name, cost, microseconds in models:
        sample = fresh[:1000]
        bits = sum(map(np.sum, cost(sample))) / np.log(2) / sum(len(string.encode()) + 1 for string in sample)
        limit = np.quantile([one.max() for one in cost(held_out)], 0.99, method="higher")
        seen = float(np.mean([np.mean([one.max() > limit for one in cost(found)]) for found in wrong]))
        yield {"model": name, "bits": float(bits), "seen": seen, "microseconds": microseconds}


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = record.parser(__doc__, "text_models.json")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the processor to train each network")
    record.add_names(parser, "--kinds", KINDS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = record.Results(options.out, KEYS)
    for kind in options.kinds:
        if options.redo or not results.has(kind=kind, model="causal convolutions, 4 × 64"):
            for row in measured(options.data, kind, options.seconds):
                results.add({"kind": kind, "seconds": options.seconds} | row)
    lines = [
        (row["kind"], row["model"], f"{row['bits']:.3f}", record.percent(row["seen"]), _number(row["microseconds"]))
        for row in results.rows
    ]
    table_header = ("kind", "model", "bits per byte, fresh", "faults seen at 0.99", "µs per 40 bytes, NumPy")
    table = record.markdown_table(table_header, lines)
    parts = ("# Models of strings", "What is measured: `benchmarks/text_models.py`.", table)
    record.finish(options.out, "\n\n".join([*parts, record.machine_line(results.machine())]) + "\n")


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f}"


if __name__ == "__main__":
    main()
