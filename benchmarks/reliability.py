"""What is left after faults: runs killed at random moments, full disks, inputs that change, many runs at once.

Every line is a fault that real processes met so many times, and how many left what was promised. The table goes to
docs/reliability.md. The results file grows with each trial: a run that was stopped goes on, and --minutes stops one.
Some faults need rights (to mount a tmpfs, to drop the rights of root); without them they are left out.

    python benchmarks/reliability.py --work DIR
    python benchmarks/reliability.py --work DIR --minutes 8
    python benchmarks/reliability.py --work DIR --kills 10 --others 3 --redo
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import record
import reliability_faults as faults
import reliability_kills as kills
from reliability_place import Line, Place, Trial, prepare

PAGE = record.REPOSITORY / "docs" / "reliability.md"
RESULTS = record.RESULTS / "reliability.json"
AT_ONCE = 20
ENOUGH = 100  # trials, below which the page names the run a short one
WHOLE = "the earlier output or the new one, whole; a rerun leaves nothing"
AS_FOUND = "a table as it was found, or exit code 4 and no output"
UNTOUCHED = "exit code 7 and a hint, the earlier output or none, no other file"


@dataclass(frozen=True)
class Fault:
    """A fault, what is promised, what meets it once, and whether it is met as often as runs are killed."""

    name: str
    promise: str
    meet: Trial
    times: str = "others"


def catalogue() -> list[Fault]:
    """All faults, in the order of the page."""
    return [
        *(
            Fault(f"`kill -9` of `score`, {name}", WHOLE, partial(kills.killed_score, name=name), "kills")
            for name in ("csv", "parquet")
        ),
        Fault("`kill -9` of `score`, a folder of parts", "each part old or new, whole; `--resume` completes them",
              kills.killed_parts, "kills"),
        Fault("`kill -9` of `fit`, then `--resume`", "the earlier or the new bundle; resumed equals uninterrupted",
              kills.killed_fit, "kills"),
        Fault("`kill -9` of `score --since-last-run`, a log that grows", "every row is scored at least once",
              kills.killed_new_rows, "kills"),
        Fault("`kill -9` of `score --metrics`", "the page is whole, and names a run under way or the end of it",
              kills.killed_metrics),
        Fault("SIGTERM to `score`", f"exit code 143, {WHOLE}", partial(kills.stopped, number=signal.SIGTERM)),
        Fault("SIGINT to `score`", f"exit code 130, {WHOLE}", partial(kills.stopped, number=signal.SIGINT)),
        Fault("SIGTERM to `fit`, then `--resume`", "exit code 143; resumed equals uninterrupted", kills.stopped_fit),
        Fault("the reader of standard output goes away (SIGPIPE)", "exit code 141 without a word", faults.reader_gone),
        Fault("standard input is closed", "exit code 4 and a hint, the earlier output", faults.closed_input),
        *(
            Fault(f"an input {what} while it is read, {kind}", AS_FOUND,
                  partial(faults.changed_input, what=what, kind=kind))
            for kind, whats in (
                ("csv", ("grows", "shrinks", "is replaced", "disappears")),
                ("parquet", ("shrinks", "is replaced", "disappears")),
            )
            for what in whats
        ),
        Fault("the right to read an input goes while it is read", AS_FOUND, faults.input_rights_lost),
        Fault("the right to write the folder goes meanwhile", "the new output, or exit code 7 and the earlier one",
              faults.output_rights_lost),
        Fault("no right: folder, input, bundle", "exit code 7, 4, 5 and a hint; nothing is written",
              faults.no_permission),
        *(
            Fault(f"the disk is too small for the output, {what}", UNTOUCHED, partial(faults.small_disk, what=what))
            for what in ("csv", "parquet", "bundle")
        ),
        Fault("the disk is too small for the output, parts", "exit code 7 and a hint; parts that are there are whole",
              partial(faults.small_disk, what="parts")),
        Fault("another program fills the disk of output, state, metrics and manifest", f"{WHOLE}; every row is scored",
              faults.disk_that_fills),
        Fault("read-only target", UNTOUCHED, faults.read_only),
        Fault("target on another device, by a link", "complete, and the link stays", faults.other_device),
        Fault("the clock and times of files go back and forth, `--since-last-run`", "every row is scored once",
              faults.clock_of_new_rows),
        Fault("the clock is set back, `--metrics` and `--manifest`", "no run ends before it begins",
              faults.clock_of_records),
        Fault("the clock is set back before `fit --resume`", "resumed equals uninterrupted",
              faults.clock_of_checkpoint),
        Fault("no HOME, no environment, closed standard streams", "complete", faults.bare_environment),
        *(
            Fault(f"{AT_ONCE} runs of `{verb}` at once {'on one lock' if locked else 'with one target, no lock'}",
                  "exit code 0 or 7, one at a time, the output whole" if locked else "exit code 0, the output whole",
                  partial(faults.many, n=AT_ONCE, verb=verb, locked=locked), "rounds")
            for verb in ("score", "fit")
            for locked in (True, False)
        ),
    ]  # fmt: skip


def main() -> None:
    """Meet every fault as often as is still missing, write the results after each trial, and the page."""
    options = _options()
    until = time.monotonic() + 60 * options.minutes
    lines = {} if options.redo else earlier(options.out)
    place = Place(options.work.resolve())
    prepare(place)
    wanted = {"kills": options.kills, "others": options.others, "rounds": options.rounds}
    chosen = [fault for fault in catalogue() if options.only in fault.name]
    for fault in chosen:
        line = lines.setdefault(fault.name, Line(fault.name, fault.promise, 0))
        line.promise, line.wanted = fault.promise, wanted[fault.times]
        while line.tried < line.wanted and time.monotonic() < until:
            place.chance = random.Random(f"{options.seed} {fault.name} {line.tried}")
            before = line.tried
            fault.meet(place, line)
            if line.tried == before:  # this machine does not give the rights
                line.wanted = 0
            write(options.out, lines)
        print(fault.name, line.tried, "of", line.wanted, line.outcomes, line.broken[:3], flush=True)
    if options.out == RESULTS:
        PAGE.write_text(page(json.loads(options.out.read_text())), encoding="utf-8")
    if any(line.broken for line in lines.values()):
        sys.exit(1)


def earlier(path: Path) -> dict[str, Line]:
    """The lines of the results file, by fault."""
    if not path.exists():
        return {}
    return {line["fault"]: Line(**line) for line in json.loads(path.read_text())["lines"]}


def write(path: Path, lines: dict[str, Line]) -> None:
    """Write the results, in the order of the catalogue."""
    known = [lines[fault.name] for fault in catalogue() if fault.name in lines]
    record.write_json(path, {"machine": record.machine(), "lines": [asdict(line) for line in known if line.tried]})


def page(results: dict[str, Any]) -> str:
    """docs/reliability.md."""
    lines = results["lines"]
    rows = [
        f"| {line['fault']} | {line['promise']} | {line['tried']} | {_outcomes(line['outcomes'])} | "
        f"{'held' if not line['broken'] else '**' + str(len(line['broken'])) + ' broken**'} |"
        for line in lines
    ]
    return "\n".join(
        [
            "# Reliability",
            "",
            "What faults leave behind, written by `benchmarks/reliability.py`, which meets each of them with real "
            "processes at random moments and compares what is left with an undisturbed run. "
            "[Run it from cron](how-to/cron.md#safe-to-run-again) explains the promises.",
            "",
            _weight(lines),
            "",
            "| fault | what is promised | times tried | outcomes | promise |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "A full disk is a tmpfs of some kB; wrong clocks are those that a Python process reads, and the times of "
            "files. Lost rights are those of root without its capabilities. Faults that need rights which the machine "
            "did not give are left out; kinds of faults that need no random moment are tests in `tests/faults`.",
            "",
        ]
    )


def _weight(lines: Iterable[dict[str, Any]]) -> str:
    """What so many trials of each fault can show."""
    tried = [line["tried"] for line in lines]
    if max(tried) >= ENOUGH:
        return "Where a promise held in all of n trials, it may still break in a share of up to 3/n (95 %)."
    return (
        f"**This is a short run: each fault was met {min(tried)} to {max(tried)} times.** It shows what the script "
        "does, not that a failure is rare."
    )


def _outcomes(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{n} × {name}" for name, n in sorted(outcomes.items()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="an empty folder; what it holds is removed")
    parser.add_argument("--out", type=record.json_file, default=RESULTS, help="a .json file")
    parser.add_argument("--kills", type=int, default=200, help="times that each kind of run is killed (200)")
    parser.add_argument("--others", type=int, default=30, help="times that each other fault is met (30)")
    parser.add_argument("--rounds", type=int, default=5, help=f"rounds of {AT_ONCE} runs at the same time (5)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no trial after so many minutes")
    parser.add_argument("--only", default="", help="faults whose name holds this text")
    parser.add_argument("--redo", action="store_true", help="forget the trials of the results file")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
