"""Where pages go: a terminal as wide and colourful as it is, or plain lines for pipes, files and mails."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from vaecli.render.streams import printing

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# no line of a file or a mail is ever cut or folded
_PLAIN_WIDTH = 100_000


def is_screen(stream: TextIO | None) -> bool:
    """Whether a person looks at this stream on a terminal that can draw."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def console_on(stream: TextIO) -> Console:
    """A console that reads no markup: what it prints may come from the user's table."""
    from rich.console import Console

    width = None if stream.isatty() or "COLUMNS" in os.environ else _PLAIN_WIDTH
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def write(page: RenderableType, stream: TextIO) -> None:
    """Print a page without blanks at line ends."""
    console = console_on(stream)
    with printing():
        with console.capture() as captured:  # which writes an empty text, too
            console.print(page)
        text = "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
        encoding = stream.encoding or sys.getdefaultencoding()
        # a terminal that does not know a character shows its code rather than stopping the run
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
