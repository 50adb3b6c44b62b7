"""Events → bars on a terminal, or one line per stage for logs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vaecli.errors import escaped
from vaecli.render import log
from vaecli.render.console import console_on, is_screen
from vaecli.results import Event, OnEvent, ignore

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, Task, TaskID
    from rich.text import Text

LOG_EVERY_SECONDS = 30.0


@contextmanager
def announcing(*, quiet: bool, verbose: bool) -> Iterator[OnEvent]:
    """Draw bars where standard error is a terminal, else print lines with `verbose`, else nothing."""
    if quiet:
        yield ignore
    elif is_screen(sys.stderr) and not log.is_json():
        with _bars(keep=verbose) as on_event:
            yield on_event
    elif verbose or log.is_json():
        lines = _Log()
        yield lines
        lines.close()
    else:
        yield ignore


@contextmanager
def _bars(*, keep: bool) -> Iterator[OnEvent]:
    """One bar per stage; `keep` leaves them on the screen afterwards."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        _rate_column(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[figures]}", markup=False),
        console=console_on(sys.stderr),
        transient=not keep,
        # rich would send what a verb writes to standard output to this console instead
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        bars = _Bars(progress)
        yield bars
        bars.finish()


@dataclass(slots=True)
class _Bars:
    """An event listener that draws bars."""

    progress: Progress
    tasks: dict[str, TaskID] = field(default_factory=dict)
    current: str | None = None

    def __call__(self, event: Event) -> None:
        if event.stage != self.current:
            self.finish()
            self.current = event.stage
        if event.stage not in self.tasks:
            self.tasks[event.stage] = self.progress.add_task(
                escaped(event.stage), total=event.total, figures="", unit=event.unit
            )
        self.progress.update(
            self.tasks[event.stage], completed=event.done, total=event.total, figures=figures(event), unit=event.unit
        )

    def finish(self) -> None:
        """Close the stage that has ended: it may have stopped early, or its length was unknown."""
        if self.current is None:
            return
        task = self.tasks[self.current]
        behind = next(bar.completed for bar in self.progress.tasks if bar.id == task) or 1
        self.progress.update(task, total=behind, completed=behind)


def _rate_column() -> ProgressColumn:
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Units per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(f"{speed:,.0f} {task.fields['unit']}/s" if speed else "")

    return Rate()


def figures(event: Event) -> str:
    """`elbo -3.21  kl 1.50`."""
    return "  ".join(f"{name} {value:.4g}" for name, value in event.values)


@dataclass(slots=True)
class _Log:
    """An event listener that writes a line when a stage ends, and now and then while a long one runs."""

    last: Event | None = None
    began: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if self.last is None or event.stage != self.last.stage:
            self.close()
            self.began = self.said = now
        elif now - self.said >= LOG_EVERY_SECONDS:
            self.said = now
            _say(f"{_line(event)} so far, {now - self.began:.1f} s")
        self.last = event

    def close(self) -> None:
        """Print the line of the stage that has ended."""
        if self.last is not None:
            _say(f"{_line(self.last)} in {time.monotonic() - self.began:.1f} s")
        self.last = None


def _line(event: Event) -> str:
    said = f"{event.stage}: {event.done:,} {event.unit}"
    return escaped(f"{said}, {figures(event)}," if event.values else said)


def _say(line: str) -> None:
    log.write("info", line, line)
