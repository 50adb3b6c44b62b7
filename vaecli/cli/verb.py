"""What every verb on tables does beside its own options: check, run its workflow, show the summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vaecli import render
from vaecli.cli import options, unattended
from vaecli.errors import GateMet, UsageError

S = TypeVar("S", bound="render.Summary")


def piped(inputs: Sequence[str], output: str | None) -> str | None:
    """The output of a verb that passes rows on: what comes in through a pipe goes out through one."""
    return "-" if output is None and list(inputs) == ["-"] else output


@dataclass(frozen=True, slots=True)
class Verb:
    """One command line of a verb: where its data go, and what it prints."""

    output: str | None
    as_json: bool
    quiet: bool
    verbose: bool

    def check(self, inputs: Sequence[str], data: str, file: str) -> None:
        """Raise UsageError for options that contradict each other, or where a person would have to type a table.

        `data` and `file` name in messages what is written: "the scored table", and "the table" in the advice.
        """
        options.check_verbosity(quiet=self.quiet, verbose=self.verbose)
        options.check_inputs(inputs)
        if self.output == "-" and self.as_json:
            raise UsageError(f"--json and {data} cannot share standard output", f"write {file} with -o FILE")

    def run(self, workflow: Callable[..., S], *arguments: Any, **named: Any) -> S:
        """Run `workflow` with the progress that was asked for, and show its summary."""
        from vaecli.tables.without_pandas import skip_pandas_import

        skip_pandas_import()
        with render.progress(quiet=self.quiet, verbose=self.verbose) as on_event:
            summary = workflow(*arguments, **named, on_event=on_event)
        unattended.note(summary)
        render.show(summary, as_json=self.as_json, quiet=self.quiet, beside_data=self.output == "-")
        return summary


def raise_for_bad_files(summary: object, met: GateMet | None) -> None:
    """Raise the gate that is `met`, or else for files that were left out; a gate that is met names these too.

    The gate comes first: what it reports is reported once, and a bad file at every run until it is repaired. Raises
    GateMet or FilesLeftOut.
    """
    bad = getattr(summary, "bad_files", ())
    if not bad:
        if met is not None:
            raise met
        return
    from vaecli.results.bad_files import left_out_error

    error = left_out_error(bad, getattr(summary, "n_files", len(bad)))
    if met is None:
        raise error
    raise type(met)(f"{met.message}; {error.message}", met.hint)
