"""Stops are heard: Ctrl-C, `kill` and a closed terminal end the command line with a word. No torch.

While modules are still imported there is nothing to lose: the word is said and the process ends.
From then on a stop is raised where the program is, so that workers are ended, locks given back and
bars put away; where that takes too long, or a second stop comes, the process ends all the same.
What is kept needs no goodbye: its files are whole at every moment.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

WORDS = {"SIGINT": "Ctrl-C", "SIGTERM": "a signal to end", "SIGHUP": "a closed terminal"}

GRACE = 10
"""Seconds for putting things away."""

_PROGRAM = "unexplained"


class Stopped(BaseException):
    """Somebody stopped the program. No Exception, and no KeyboardInterrupt: others swallow both."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


_raising = False
"""Whether a stop is raised (or the process ended at once)."""
_heard: list[int] = []
_kept: list[str] = []
_late: list[threading.Timer] = []


def keeping(where: str) -> None:
    """From now on what is finished is kept there."""
    if where not in _kept:
        _kept.append(where)


def said(number: int) -> str:
    """What is kept, and how to go on."""
    name = WORDS.get(signal.Signals(number).name, signal.Signals(number).name)
    # repr: a folder's name may hold what a terminal would obey.
    places = " and ".join(_visible(place) for place in _kept)
    if places:
        return (
            f"Stopped by {name}. What was finished is kept in {places}: "
            "the same command goes on from there."
        )
    return f"Stopped by {name}. Nothing was kept yet: the same command begins again."


def _visible(place: str) -> str:
    """A path as it is, or where it has what cannot be printed, as Python writes it."""
    return place if place.isprintable() else repr(place)


def is_program() -> bool:
    """Whether this process is the command line, and not somebody's who imported the package."""
    others = sys.modules.get("multiprocessing")
    if others is not None and others.parent_process() is not None:
        return False  # one of its workers: they have its words, and it ends them
    words = getattr(sys, "argv", None) or [""]
    return Path(words[0]).name.removesuffix(".exe") == _PROGRAM


def listen() -> dict[int, object]:
    """Hear stops from now on; what was done about each signal before.

    What is ignored stays so: that is how `nohup` and background jobs ask for it.
    """
    before: dict[int, object] = {}
    if threading.current_thread() is not threading.main_thread():
        return before
    for name in WORDS:
        number = getattr(signal, name, None)  # not all systems have all
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, _hear)
    return before


@contextmanager
def heard() -> Iterator[None]:
    """Within, a stop is raised as `Stopped`; afterwards signals do what they did before."""
    global _raising
    before = listen()
    _heard.clear()
    _kept.clear()
    _raising = True
    try:
        yield
    finally:
        _raising = False
        while _late:
            _late.pop().cancel()
        for number, handler in before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]


def _hear(number: int, frame: FrameType | None) -> None:
    if not _raising or _heard:
        end(_heard[0] if _heard else number)
    _heard.append(number)
    # An exception that is raised inside a destructor or a callback of C is lost.
    _late.append(threading.Timer(GRACE, end, (number,)))
    _late[-1].daemon = True
    _late[-1].start()
    raise Stopped(number)


def end(number: int) -> None:
    """Say what is kept, and end the process now."""
    cursor = "\x1b[?25h" if sys.stderr is not None and sys.stderr.isatty() else ""
    # Not through Python's buffers: this may have interrupted one of them.
    os.write(2, f"{cursor}\n{said(number)}\n".encode())
    os._exit(128 + number)
