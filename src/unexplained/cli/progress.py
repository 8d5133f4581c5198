"""A bar per task with rate and time left; where there is no terminal, a line of the same now and then."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as RichBars

from unexplained.cli.shared import OUT
from unexplained.report import visible

QUIET = 60.0
"""Seconds between two lines about a task where there is no terminal."""


@dataclass
class _Task:
    bar: TaskID
    began: float
    first: int
    """What was done when it began: kept from an earlier run, so no measure of the rate."""
    said: float

    def pace(self, now: float, done: int, total: int) -> str:
        """Rate since it began, and at that rate the time left; empty before there is one."""
        if done <= self.first or now <= self.began or done >= total:
            return ""
        rate = (done - self.first) / (now - self.began)
        each = f"{rate:.3g} a second" if rate >= 1 else f"{1 / rate:.3g} s each"
        return f"{each}, {_span((total - done) / rate)} left"


class Bars:
    """Called with (what, done, total); the same `what` moves the same bar."""

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        console = console or OUT
        self._console, self._clock = console, clock
        self._bars = RichBars(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, _Task] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move a bar; where there is no terminal, say how far it is after a while and at the end."""
        what, now = visible.line(what), self._clock()
        if what not in self._tasks:
            bar = self._bars.add_task(what, total=total, pace="")
            self._tasks[what] = _Task(bar, now, done, now)
        task = self._tasks[what]
        pace = task.pace(now, done, total)
        self._bars.update(task.bar, completed=done, total=total, pace=pace)
        if self._console.is_terminal:
            return
        if done == total:
            self._console.print(f"{what}: done", highlight=False)
        elif pace and now - task.said >= QUIET:
            task.said = now
            self._console.print(f"{what}: {done:,} of {total:,}, {pace}", highlight=False)


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
