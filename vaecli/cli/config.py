"""`vaecli config show`: which settings a verb would use, and where each comes from."""

from __future__ import annotations

from typing import Annotated

import typer

from vaecli import render
from vaecli.cli import options
from vaecli.errors import UsageError, quoted


def config(
    action: Annotated[str, typer.Argument(metavar="show", help="What to do: show the settings.", show_default=False)],
    verb: Annotated[str, typer.Argument(metavar="[VERB]", help="The verb that would use them.")] = "fit",
    config_file: options.ConfigFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Show the settings that fit, score or check would use without options, and where each comes from.

    Options of the command line override all of them.

    \b
    Examples:
      vaecli config show
      vaecli config show fit --config vaecli.toml
      vaecli config show score --json
    """
    if action != "show":
        raise UsageError(f"config can show, not {quoted(action)}", "type: vaecli config show")
    from vaecli.config.origins import origins, unread_variables
    from vaecli.results.settings import SettingsSummary, ShownSetting

    with render.warnings_shown(quiet=quiet):
        found = tuple(ShownSetting(*one) for one in origins(verb, config_file))
    render.show(SettingsSummary(verb, found), as_json=as_json, quiet=quiet)
    for warning in unread_variables() if not quiet else ():
        render.warn(warning)
