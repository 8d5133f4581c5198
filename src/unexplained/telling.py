"""A bar per task with rate and time left; without a terminal a line now and then, in a notebook in place."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn
from rich.progress import Progress as RichBars

from unexplained import visible
from unexplained.console import Visible
from unexplained.progress import Progress, silent

VARIABLE = "UNEXPLAINED_PROGRESS"
"""Set to 0, Python's functions tell nobody unless they are given whom."""
SECONDS = 15.0
"""Between two lines where there is no terminal: whoever reads a log sees that it lives."""


@dataclass
class _Task:
    bar: TaskID
    began: float
    first: int
    """What was done when it began: kept from an earlier run, so no measure of the rate."""
    done: int = 0
    total: int = 0

    def pace(self, now: float) -> str:
        """Rate since it began, and at that rate the time left; empty before there is one."""
        if self.done <= self.first or now <= self.began or self.done >= self.total:
            return ""
        rate = (self.done - self.first) / (now - self.began)
        each = f"{rate:.3g} a second" if rate >= 1 else f"{1 / rate:.3g} s each"
        return f"{each}, {span((self.total - self.done) / rate)} left"

    def line(self, what: str, now: float) -> str:
        """Where it is, in words."""
        how = self.pace(now) or f"{span(now - self.began)} so far"
        return f"{what}: {self.done:,} of {self.total:,}, {how}"


class ProgressBars:
    """Called with (what, done, total); the same `what` moves the same bar."""

    def __init__(
        self, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        console = console or Visible(stderr=True)
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
        self._said, self._over = clock(), threading.Event()
        self._seconds = 1.0 if console.is_jupyter else SECONDS
        self._cell: Any = None

    def __enter__(self) -> ProgressBars:
        self._said = self._clock()
        self._bars.start()
        if not self._console.is_terminal:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._bars.stop()
        if self._cell is not None:
            self._in_cell("")

    def __call__(self, what: str, done: int, total: int) -> None:
        """Move a bar; where there is no terminal, say how far it is after a while and at the end."""
        what, now = visible.line(what), self._clock()
        if what not in self._tasks:
            self._tasks[what] = _Task(self._bars.add_task(what, total=total, pace=""), now, done)
        task = self._tasks[what]
        task.done, task.total = done, total
        self._bars.update(task.bar, completed=done, total=total, pace=task.pace(now))
        if self._console.is_terminal:
            return
        if done == total:
            self._line(f"{what}: done")
        else:
            self.still()

    def note(self, words: str) -> None:
        """A line by itself, which stays."""
        self._said = self._clock()
        self._console.print(visible.line(words), highlight=False)

    def still(self) -> None:
        """A line about what is being done, where the last one is some time ago."""
        now = self._clock()
        if now - self._said < self._seconds:
            return
        under_way = [(what, t) for what, t in self._tasks.items() if t.done < t.total]
        self._line(under_way[-1][1].line(under_way[-1][0], now) if under_way else "at work")

    def _line(self, words: str) -> None:
        self._said = self._clock()
        if self._console.is_jupyter:
            self._in_cell(words)
        else:
            self._console.print(words, highlight=False)

    def _in_cell(self, words: str) -> None:
        """Below a notebook's cell, in the place of the line before; the last one is empty."""
        from IPython.display import display

        if self._cell is None:
            self._cell = display({"text/plain": words}, raw=True, display_id=True)
        else:
            self._cell.update({"text/plain": words}, raw=True)

    def _watch(self) -> None:
        """A single step may take longer than anybody waits in silence."""
        while not self._over.wait(1.0):
            self.still()


def span(seconds: float) -> str:
    """Write how long something takes.

    >>> span(42), span(200), span(9_000)
    ('42 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def gigabytes(size: float) -> str:
    """Write an amount of memory to two digits.

    >>> gigabytes(2.34e9), gigabytes(4.2e8), gigabytes(1.2e11)
    ('2.3 GB', '420 MB', '120 GB')
    """
    unit, word = (1e9, "GB") if size >= 9.95e8 else (1e6, "MB")
    return f"{float(f'{size / unit:.2g}'):g} {word}"


@contextmanager
def telling(say: Progress | None) -> Iterator[Progress]:
    """Whom to tell: as it was given; else bars on stderr, unless the environment says nobody."""
    if say is not None or os.environ.get(VARIABLE) == "0":
        yield silent if say is None else say
        return
    with ProgressBars() as bars:
        yield bars
