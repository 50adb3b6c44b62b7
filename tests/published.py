"""Objects of `--json` beside the schema that `vaecli schema` prints."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from vaecli.results.json_schema import VERBS, json_schema


@cache
def validator(verb: str | None = None) -> Draft202012Validator:
    """The validator of one verb's objects, or of those of all."""
    schema = json_schema(VERBS if verb is None else (verb,))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def assert_published(answer: dict[str, Any]) -> None:
    """The object is one that the schema of its verb describes."""
    checks = validator(answer.get("verb"))
    # of the alternatives for one verb, name what is wrong with the one that comes nearest
    problems = [
        min((list(found) for found in _by_branch(error)), key=len) or [error] for error in checks.iter_errors(answer)
    ]
    assert problems == [], problems[0][0].message


def _by_branch(error: Any) -> list[list[Any]]:
    branches: dict[Any, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    return list(branches.values()) or [[error]]
