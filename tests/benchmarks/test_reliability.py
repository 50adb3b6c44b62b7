"""The page of faults is that of the kept results, and a promise that did not hold is seen on it."""

from __future__ import annotations

import json

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
