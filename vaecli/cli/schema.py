"""`vaecli schema`: the JSON Schema of what `--json` prints."""

from __future__ import annotations

from typing import Annotated

import typer

from vaecli import render
from vaecli.errors import UsageError, did_you_mean, quoted


def schema(
    verb: Annotated[
        str | None, typer.Argument(metavar="[VERB]", help="The verb whose object is described; all verbs if not given.")
    ] = None,
) -> None:
    """Print the JSON Schema of the objects that --json prints, errors included.

    \b
    Examples:
      vaecli schema
      vaecli schema score
      vaecli schema fit > fit.schema.json
    """
    import json

    from vaecli.results.json_schema import VERBS, json_schema

    if verb is not None and verb not in VERBS:
        hint = f"one of {', '.join(VERBS)}"
        raise UsageError(f"no verb {quoted(verb)} with --json{did_you_mean(verb, VERBS)}", hint)
    render.say(json.dumps(json_schema(VERBS if verb is None else (verb,)), indent=2))
