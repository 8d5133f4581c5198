"""The fresh process of `again`: loads a file of explanations, runs them and watches what they touch.

    python -m unexplained.explanations.apart ASKED     # writes answer.json into its folder

The watch is Python's own (`sys.addaudithook`); what compiled code opens by itself it does not see.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from unexplained.errors import ExplanationError
from unexplained.explanations.again import Question, answer_of
from unexplained.explanations.files import find_explanation
from unexplained.explanations.language import _installed
from unexplained.fetch import cache_folder

_FILES = (
    "open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link",
    "os.symlink", "os.truncate", "os.chmod", "os.chown", "sqlite3.connect",
)  # fmt: skip
_REACHES = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork",
    "pty.", "os.putenv", "os.unsetenv", "os.chdir", "os.kill",
)  # fmt: skip
LATER = 400 * 86400.0 + 4321.0
"""Seconds by which the clock is put forward here, so that a day's date differs as well."""


class Watch:
    """What is touched while it is on; doing it is forbidden where `forbids`."""

    def __init__(self) -> None:
        self.on = self.forbids = self.strict = False
        self.seen: list[str] = []

    @contextmanager
    def watching(self, *, forbids: bool, strict: bool) -> Iterator[list[str]]:
        """Watch a while; strictly, the libraries' own files count as well."""
        self.seen, self.forbids, self.strict, self.on = [], forbids, strict, True
        try:
            yield self.seen
        finally:
            self.on = False

    def hook(self, event: str, given: tuple[Any, ...]) -> None:
        """For `sys.addaudithook`."""
        if not self.on:
            return
        said = ""
        if event in _FILES:
            path = given[0] if given else ""
            if not isinstance(path, int) and self._counts(event, os.fsdecode(path or ".")):
                said = f"opens {os.fsdecode(path or '.')}"
        elif event.startswith(_REACHES):
            said = f"reaches out of the process ({event})"
        if said:
            self.note(said)
            if self.forbids:
                raise PermissionError(f"an explanation may not do this: it {said}")

    def note(self, said: str) -> None:
        """Take down something that was touched."""
        if said not in self.seen:
            self.seen.append(said)

    def _counts(self, event: str, path: str) -> bool:
        if self.strict:
            return True
        # What is imported on first use is code, and listed folders are where it is looked for.
        code = path.endswith((".py", ".pyc", ".so", ".pyd")) or event in (
            "os.listdir",
            "os.scandir",
        )
        system = path.startswith(("/proc/", "/sys/", "/dev/"))
        return not (code or system or _installed(path) or path.startswith(str(cache_folder())))


def watch_environment(watch: Watch) -> None:
    """Take down which variables are looked up while strictly watching."""
    kind: Any = type(os.environ)
    whole = kind.__getitem__

    def looked_up(self: Any, name: str) -> str:
        if watch.on and watch.strict:
            watch.note(f"looks up the environment variable {name}")
        found: str = whole(self, name)
        return found

    kind.__getitem__ = looked_up


def put_clock_forward() -> None:
    """What Python's own libraries take for the time."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + LATER
    time.time_ns = lambda: now_ns() + int(LATER * 1e9)


def answers(request: Question) -> dict[str, Any]:
    """What the file says here, each explanation twice, and what was touched."""
    torch.set_num_threads(request.threads)
    torch.set_float32_matmul_precision(request.product)
    watch = Watch()
    sys.addaudithook(watch.hook)
    watch_environment(watch)
    put_clock_forward()
    try:
        with watch.watching(forbids=False, strict=False) as loading:
            explanations = find_explanation(request.name, request.text, request.words)
    except ExplanationError as error:  # whatever the file raises is one
        return {"raised": f"{error.asked} {error.found}", "loading": [], "found": []}
    found = []
    for explanation, sample in zip(explanations, request.samples, strict=True):
        each = []
        for again in (False, True):
            with watch.watching(forbids=True, strict=again) as seen:
                answer = answer_of(explanation, sample, request.vocabulary)
            each.append({**answer, "watched": seen})
        found.append(each)
    return {"raised": "", "loading": loading, "found": found}


def main() -> None:
    """Read what is asked, write the answer."""
    # A file of our own, written a moment ago into a folder that only this user may enter.
    request: Question = torch.load(sys.argv[1], weights_only=False)
    Path("answer.json").write_text(json.dumps(answers(request)), encoding="utf-8")


if __name__ == "__main__":
    main()
