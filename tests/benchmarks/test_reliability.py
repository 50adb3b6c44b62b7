"""The page of faults is that of the kept results, and a promise that did not hold is seen on it."""

from __future__ import annotations

import json
import re

import pytest

from tests.benchmarks.conftest import BENCHMARKS

RESULTS = BENCHMARKS / "results/reliability.json"


def test_the_page_is_that_of_the_results(script):
    """docs/reliability.md is written by the script, of the results that are kept beside it."""
    made = script("reliability").page(json.loads(RESULTS.read_text()))
    assert made == (BENCHMARKS.parent / "docs/reliability.md").read_text()


def test_a_broken_promise_is_counted(script):
    """A trial with a problem makes its line say so; one without does not."""
    module = script("reliability")
    line = module.Line("a fault", "a promise", 2)
    line.add("earlier output")
    line.add("torn", ["torn output"])
    results = {"lines": [module.asdict(line)]}
    assert "| a fault | a promise | 2 | 1 × earlier output, 1 × torn | **1 broken** |" in module.page(results)
    line.broken.clear()
    assert "| held |" in module.page({"lines": [module.asdict(line)]})


DISKS = "faults/test_disks_and_clocks.py::"
SHORT_FORMS = {  # the beginning of a fault's name: its short form in `make test`
    "`kill -9` of `score`, csv": "faults/test_signals.py::test_the_next_run_removes_what_killed_runs_left",
    "`kill -9` of `score`, parquet": "faults/test_signals.py::test_the_copy_of_standard_input_has_no_name",
    "`kill -9` of `score`, a folder of parts": "cli/test_parts.py::test_a_stopped_run_that_goes_on_equals_a_whole_one",
    "`kill -9` of `fit`": "training/test_checkpoint.py::test_an_interrupted_fit_goes_on_to_the_same_bundle",
    "`kill -9` of `score --since": "cli/test_since_last_run.py::test_a_run_stopped_before_its_note_is_done_again",
    "`kill -9` of `score --metrics`": DISKS + "test_a_page_of_a_killed_run",
    "SIGTERM to `score`": "faults/test_signals.py::test_a_signal_while_rows_are_written",
    "SIGINT to `score`": "faults/test_signals.py::test_a_signal_before_the_rename",
    "SIGTERM to `fit`": "faults/test_signals.py::test_a_signal_after_the_rename",
    "the reader of standard output": "cli/test_exit_codes.py::test_a_reader_that_went_away_is_141_without_a_word",
    "standard input is closed": "faults/test_streams.py::test_a_closed_standard_input_is_an_empty_table",
    "an input grows": "cli/test_identity.py::test_a_text_to_which_rows_are_appended",
    "an input ": "cli/test_identity.py::test_a_table_that_changes",
    "the right to read an input": "tables/read/test_open.py::test_permission_denied",
    "the right to write the folder": DISKS + "test_a_disk_that_refuses_a_file",
    "no right: folder": "faults/test_shortage.py::test_a_bundle_that_cannot_be_opened",
    "the disk is too small": DISKS + "test_a_disk_that_refuses_a_file",
    "another program fills the disk": DISKS + "test_a_disk_that_refuses_a_file",
    "read-only target": DISKS + "test_a_disk_that_refuses_a_file",
    "target on another device": DISKS + "test_a_link_to_another_folder_stays_a_link",
    "the clock and times of files": DISKS + "test_every_row_once_by_any_clock",
    "the clock is set back, `--metrics`": DISKS + "test_no_run_ends_before_it_begins",
    "the clock is set back before": "cli/test_resume.py::test_the_clock_does_not_matter",
    "no HOME": DISKS + "test_a_run_with_nothing_around_it",
    "20 runs of": DISKS + "test_runs_at_once",
}


def test_every_fault_has_a_short_form(script):
    """Each fault of the catalogue is met in `make test` too, by a test that is there."""
    names = [fault.name for fault in script("reliability").catalogue()]
    assert [name for name in names if not name.startswith(tuple(SHORT_FORMS))] == []
    assert [start for start in SHORT_FORMS if not any(name.startswith(start) for name in names)] == []


@pytest.mark.parametrize("test", sorted(set(SHORT_FORMS.values())))
def test_a_short_form_is_there(test: str):
    """It exists, and is not one of the slow tests as a whole."""
    file, _, name = test.partition("::")
    text = (BENCHMARKS.parent / "tests" / file).read_text()
    found = re.search(rf"((?:^@.*\n|^[ )\]].*\n)*)^def {name}\(", text, re.MULTILINE)
    assert found, test
    assert "@pytest.mark.slow" not in found[1]
