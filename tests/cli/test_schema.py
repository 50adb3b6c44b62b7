"""The schema that is published: valid itself, true for every object, and false for others.

Objects of real runs are validated where they are made: `tests/cli/test_contract.py` and `tests/sensors`.
"""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Pretence
from tests.published import assert_published, validator
from vaecli.cli.app import _VERBS
from vaecli.errors import InputError
from vaecli.results.json_schema import VERBS


def test_every_verb_with_json_has_a_schema():
    """Only `schema` itself prints no summary."""
    assert set(VERBS) == set(_VERBS) - {"schema"}


@pytest.mark.parametrize("verb", VERBS)
def test_the_schema_of_a_verb(run, verb: str):
    """`vaecli schema VERB` prints what the validator of that verb is made of."""
    done = run("schema", verb)
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out) == validator(verb).schema


def test_the_schema_of_all(run):
    """Without a verb: the alternatives of all verbs."""
    assert json.loads(run("schema").out) == validator().schema


def test_a_verb_without_one(run):
    """A mistyped verb is a usage error with the nearest."""
    done = run("schema", "scor")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: no verb 'scor' with --json (did you mean 'score'?)\nhint: one of fit, check")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("config", "flag")])
def test_objects_are_as_published(run, workflows: Pretence, verb: str):
    """A summary and an error."""
    words = {"calibrate": ["a.vae", "a.csv", "-o", "b.vae"], "sample": [], "inspect": []}.get(verb, ["a.csv"])
    assert_published(json.loads(run(verb, *words, "--json").out))
    workflows.answers[verb] = InputError("a.csv: empty", "mend it")
    failed = json.loads(run(verb, *words, "--json").out)
    assert validator(verb).is_valid(failed)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": "1000"},
        {"rows": None},
        {"worst": [{"row": 1}]},
        {"schema_version": 1},
        {"verb": "fit"},
        {"warnings": "none"},
    ],
    ids=str,
)
def test_what_is_not_published_is_refused(run, workflows: Pretence, change: dict[str, object]):
    """A value of another type, a row without its score, another version."""
    answer = json.loads(run("score", "a.csv", "--json").out)
    assert validator("score").is_valid(answer)
    assert validator("score").is_valid(answer | {"new_key": 1})
    assert not validator("score").is_valid(answer | change)
    assert not validator("score").is_valid({name: value for name, value in answer.items() if name != "rows"})
