"""Inputs that nobody meant, by the hundred thousand: does each end in a result or in a message with the right code?

Bundles, CSV and Parquet come from the strategies of tests/faults/fuzz.py, each tried with a verb of the command line.
A child process does the work, so that a crash or a hang of a library ends the child alone and is counted, and goes on
with other inputs. `flips` inverts each byte of a small bundle in turn: it is refused, or scores as before. The results
grow with each piece of work; --seconds is the CPU time of each reader in all, with what the file holds already.

    python benchmarks/fuzz.py --work DIR
    python benchmarks/fuzz.py --work DIR --only csv --seconds 600
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import record

sys.path.insert(0, str(record.REPOSITORY))  # the strategies are those of the tests

READERS = ("bundle", "csv", "parquet", "flips")
PIECE_SECONDS = 20  # of CPU, between two entries of the results file
LONGEST = 300  # seconds on the wall without an end of an input, after which it hangs
EXAMPLES = 200  # between two seeds
FLIPS = 2_000  # bytes of a piece


def main() -> None:
    """Work until each reader has had its time, in turn, then write the report."""
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    results = record.Results(options.out, ("reader", "piece"))
    until = time.monotonic() + 60 * options.minutes
    waiting = list(options.only)
    while waiting and time.monotonic() < until:
        reader = waiting.pop(0)  # in turn
        piece = next_piece(results.rows, reader, options.seconds)
        if piece is None:
            continue
        row = in_a_child(try_flips if reader == "flips" else try_inputs, reader, piece, options.work)
        results.add({"reader": reader, "piece": piece} | row)
        print(reader, piece, str(row)[:500], flush=True)
        waiting.append(reader)
    record.finish(options.out, report(results.rows, results.machine()))
    if any(row["faults"] for row in results.rows):
        sys.exit(1)


def next_piece(rows: list[dict[str, Any]], reader: str, seconds: float) -> int | None:
    """The number of the next piece of work for a reader, None where it has had enough."""
    of_reader = [row for row in rows if row["reader"] == reader]
    if reader == "flips":
        done = sum(row["inputs"] for row in of_reader)
        return None if of_reader and done >= of_reader[0]["bytes"] else len(of_reader)
    enough = sum(row["cpu_seconds"] for row in of_reader) >= seconds
    return None if enough else max((row["piece"] for row in of_reader), default=-1) + 1


Work = Callable[[str, int, Path, Connection], None]


def in_a_child(work: Work, reader: str, piece: int, folder: Path) -> dict[str, Any]:
    """What a child process found; a fault of its own where it crashed or hung, whose input stays in the folder."""
    place = folder / reader
    place.mkdir(exist_ok=True)
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=work, args=(reader, piece, place, theirs))
    child.start()
    theirs.close()
    found: dict[str, Any] = {"inputs": 0, "cpu_seconds": 0.0, "codes": {}, "faults": []}
    while True:
        if not ours.poll(LONGEST):
            child.kill()
            found["faults"].append(f"an input on which the reader hangs for {LONGEST} s")
            break
        try:
            found |= ours.recv()
        except EOFError:
            break
    child.join()
    if child.exitcode:
        with contextlib.suppress(FileNotFoundError):
            for last in place.glob("input.*"):
                last.rename(place / f"ended_{piece}_{last.name}")
        found["faults"].append(f"the process ended with {child.exitcode}")
    return found


def try_inputs(reader: str, piece: int, place: Path, answer: Connection) -> None:
    """Draw inputs of a reader and try them for a piece of CPU time."""
    from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st

    from tests.faults import fuzz

    bench, faults, started, i = fuzz.Bench(reader, place), list[str](), time.process_time(), 0
    while (seconds := time.process_time() - started) < PIECE_SECONDS:

        @seed(1_000 * piece + i)
        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        )
        @given(fuzz.INPUTS[reader], st.sampled_from(fuzz.VERBS[reader]))
        def law(content: bytes, verb: str) -> None:
            bench.attempt(content, verb)

        try:
            law()
        except (AssertionError, ExceptionGroup) as problem:  # a group: what failed once did not when tried again
            faults.append(str(problem)[-2000:])
            last = place / f"input.{fuzz.SUFFIXES[reader]}"
            last.rename(place / f"fault_{piece}_{len(faults)}.{fuzz.SUFFIXES[reader]}")
        i += 1
        answer.send(_progress(bench.codes, seconds, faults))
    answer.send(_progress(bench.codes, seconds, faults))


def _progress(codes: Counter[int], seconds: float, faults: list[str]) -> dict[str, Any]:
    ordered = {str(code): n for code, n in sorted(codes.items())}
    return {"inputs": codes.total(), "cpu_seconds": round(seconds, 1), "codes": ordered, "faults": faults}


def try_flips(_: str, piece: int, place: Path, answer: Connection) -> None:
    """Invert each byte of a piece of a small bundle: refused as damaged, or the same scores."""
    import vaecli
    from tests.faults import fuzz
    from vaecli.errors import BundleError

    whole, path, rows = fuzz.BUNDLE, place / "input.vae", fuzz.GOLDEN / "rows.csv"
    expected = vaecli.load(fuzz.GOLDEN / "model.vae").score(rows)
    codes, faults, started = Counter[int](), list[str](), time.process_time()
    for at in range(piece * FLIPS, min((piece + 1) * FLIPS, len(whole))):
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        path.write_bytes(changed)
        try:
            found = vaecli.load(path).score(rows)
            codes[0] += 1
            faults += [] if found.equals(expected) else [f"byte {at}: other scores"]
        except BundleError:
            codes[BundleError.exit_code] += 1
        except Exception as problem:
            faults.append(f"byte {at}: {type(problem).__name__}: {problem}")
        if at % 100 == 0:
            answer.send(_progress(codes, time.process_time() - started, faults))
    answer.send(_progress(codes, time.process_time() - started, faults) | {"bytes": len(whole)})


def report(rows: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """The Markdown of the results."""
    lines = []
    for reader in READERS:
        of_reader = [row for row in rows if row["reader"] == reader]
        if not of_reader:
            continue
        codes: Counter[str] = Counter()
        for row in of_reader:
            codes.update(row["codes"])
        ends = ", ".join(f"{code}: {n:,}" for code, n in sorted(codes.items()))
        minutes, faults = (
            sum(row["cpu_seconds"] for row in of_reader) / 60,
            sum(len(row["faults"]) for row in of_reader),
        )
        name = f"{of_reader[0]['bytes']:,} bytes of a bundle inverted in turn" if reader == "flips" else reader
        lines.append([name, f"{codes.total():,}", f"{minutes:.1f}", ends, faults])
    return "\n".join(
        [
            "# Inputs that nobody meant",
            "",
            "Written by `benchmarks/fuzz.py`. Each input ended in a result or in two lines with an exit code that a "
            "reader may have, within 10 CPU seconds and 300 MB, and left an earlier output as it was; what did not "
            "is a fault. Faults that were found and mended before are in the changelog and in tests/faults.",
            "",
            record.markdown_table(["reader", "inputs", "CPU minutes", "exit codes", "faults"], lines),
            "",
            record.machine_line(machine),
            "",
        ]
    )


def _options() -> argparse.Namespace:
    parser = record.parser(__doc__, "fuzz.json")
    parser.add_argument("--work", type=Path, required=True, help="a folder for inputs; those with a fault stay there")
    parser.add_argument("--seconds", type=float, default=1800, help="CPU seconds of each reader in all (1800)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no piece after so many minutes")
    record.add_names(parser, "--only", READERS)
    options = parser.parse_args()
    if options.redo:
        options.out.unlink(missing_ok=True)
    return options


if __name__ == "__main__":
    main()
