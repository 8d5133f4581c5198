"""The fuzzer: what is tried against the project, and what must hold of it. `strategies` has the kinds.

Every attempt runs in a sandbox: `here`, in which it may write, beside `outside`, in which nothing may
change. It ends in one of three ways: a clear error (of the project's own, or a usage error of the
command line), accepted and right (held against the unfuzzed result or an independent reading), or a
finding. Runs against older versions of the project as well, so that one can count what was wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

import unexplained
from unexplained.errors import UnexplainedError

CLEAR, RIGHT = "clear error", "accepted and right"
Outcome = Literal["clear error", "accepted and right"]
SECONDS = 20
"""After which an attempt is held to hang."""


class Finding(Exception):
    """Something that must not happen."""


class Hangs(BaseException):
    """An attempt takes too long; no `except Exception` on the way may take it."""


@dataclass
class Box:
    """The sandbox of one strategy."""

    root: Path
    known: dict[str, Any] = field(default_factory=dict)
    """What a strategy prepares once: models, texts, unfuzzed results."""

    @property
    def here(self) -> Path:
        """The only folder that may be written to."""
        return self.root / "here"

    @property
    def outside(self) -> Path:
        """Somebody else's files."""
        return self.root / "outside"

    def make(self) -> None:
        """Both folders, empty but for two files outside."""
        self.here.mkdir(parents=True)
        self.outside.mkdir()
        (self.outside / "victim.json").write_text('{"mine": 1}')
        (self.outside / "secret.txt").write_text("t1 t2 t3\n" * 40)

    def fresh(self) -> None:
        """Empty `here`, whatever stands there."""
        shutil.rmtree(self.here)
        self.here.mkdir()
        os.chdir(self.here)


@dataclass(frozen=True)
class Strategy:
    """One kind of input."""

    name: str
    says: str
    """What is tried, and what right is; for the table in the docs."""
    prepare: Callable[[Box], None]
    cases: SearchStrategy[Any]
    attempt: Callable[[Box, Any], Outcome]


@dataclass
class Count:
    """What came of a strategy."""

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, tuple[int, str]] = field(default_factory=dict)
    """What happened (its last line) → how often, and the first case."""


# --- nothing outside is touched -------------------------------------------------------------------


class Guard:
    """Watches, by Python's audit events, what is written while it is on."""

    WRITES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
              "os.chmod", "os.chown", "shutil.rmtree")  # fmt: skip

    def __init__(self) -> None:
        self.allowed: tuple[str, ...] | None = None
        self.touched: list[str] = []

    def hook(self, event: str, args: tuple[Any, ...]) -> None:
        """For `sys.addaudithook`."""
        if self.allowed is None:
            return
        if event == "open":
            path, mode, flags = args
            flags = flags if isinstance(flags, int) else 0
            writes = any(c in (mode or "") for c in "wax+") or flags & (
                os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
            )
            if writes and not isinstance(path, int):
                self._written(event, path)
        elif event in self.WRITES:
            for path in args[:2]:
                if isinstance(path, str | bytes | os.PathLike):
                    self._written(event, path)

    def _written(self, event: str, path: Any) -> None:
        place = os.path.abspath(os.fsdecode(path))  # noqa: PTH100  (links are not followed)
        assert self.allowed is not None
        if not place.startswith(self.allowed) and "__pycache__" not in place:
            self.touched.append(f"{event} {place}")


GUARD = Guard()
_hooked: list[bool] = []


@contextlib.contextmanager
def guarded(box: Box) -> Iterator[None]:
    """Run something after which `outside` must be as it was, and nothing else written but `here`."""
    if not _hooked:
        sys.addaudithook(GUARD.hook)  # cannot be taken away again
        _hooked.append(True)
    before = snapshot(box.outside)
    GUARD.touched, GUARD.allowed = [], (str(box.here), "/dev/")
    try:
        with in_time():
            yield
    finally:
        GUARD.allowed = None
    if snapshot(box.outside) != before:
        raise Finding("something outside was changed")
    if GUARD.touched:
        name = GUARD.touched[0].replace(str(box.root), "")
        raise Finding(f"written outside: {name}")


def snapshot(folder: Path) -> dict[str, str]:
    """Every path below a folder with a hash of what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else str(path.lstat().st_mode)
        for path in sorted(folder.rglob("*"))
    }


@contextlib.contextmanager
def in_time(limit: int = SECONDS) -> Iterator[None]:
    """Break off what takes longer than some seconds."""

    def over(*_: object) -> None:
        raise Hangs

    old = signal.signal(signal.SIGALRM, over)
    signal.alarm(limit)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, old)


# --- running --------------------------------------------------------------------------------------


def clear(attempt: Callable[[], None]) -> Outcome:
    """Run something that may refuse by an error of the project's own."""
    try:
        attempt()
    except UnexplainedError as error:
        require_three_parts(error)
        return CLEAR
    return RIGHT


def require_three_parts(error: UnexplainedError) -> None:
    """An error says what was asked and what was found."""
    if not error.asked.strip() or not error.found.strip():
        raise Finding(f"an error without a part: {error!r}")


def commanded(words: list[str]) -> tuple[int, str]:
    """The exit code of `unexplained WORDS` in this process, and all it printed."""
    from unexplained.cli import main

    out, argv = io.StringIO(), sys.argv
    sys.argv = ["unexplained", *words]
    code: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main()
    except SystemExit as exit:
        code = exit.code
    finally:
        sys.argv = argv
    code = 0 if code is None else code
    if code not in (0, 1, 2):
        raise Finding(f"exit code {code!r}")
    if "Traceback (most recent call last)" in (said := out.getvalue()):
        raise Finding(f"a traceback was printed: {said.strip().splitlines()[-1]}")
    if any(mark in said for mark in ("\x1b]", "\x1b[2J", "\u202e")):
        raise Finding("control characters of the input reached the terminal")
    if code and not said.strip():
        raise Finding(f"exit code {code} without a word")
    return int(str(code)), said


def explore(
    strategy: Strategy,
    root: Path,
    *,
    examples: int,
    seeded: int = 0,
    until: Callable[[], bool] = lambda: False,
) -> Count:
    """Try a strategy on so many cases, the same ones for the same seed.

    Args:
        strategy: What to try.
        root: A folder for its sandbox, which must not be there.
        examples: How many cases.
        seeded: Which ones.
        until: Asked before each case: whether time is over.
    """
    box, count, place = Box(root), Count(), Path.cwd()
    box.make()
    os.chdir(box.here)
    old = os.environ.get("UNEXPLAINED_CACHE")
    os.environ["UNEXPLAINED_CACHE"] = str(box.here / "cache")

    @seed(seeded)
    @settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(strategy.cases)
    def once(case: Any) -> None:
        if until():
            return
        count.outcomes["tried"] += 1
        try:
            count.outcomes[_one(strategy, box, case)] += 1
        except Finding as found:
            _add(count, str(found), case)

    try:
        strategy.prepare(box)
        once()
    finally:
        os.chdir(place)
        os.environ.pop("UNEXPLAINED_CACHE")
        if old is not None:
            os.environ["UNEXPLAINED_CACHE"] = old
    return count


def _one(strategy: Strategy, box: Box, case: Any) -> Outcome:
    try:
        return strategy.attempt(box, case)
    except Finding:
        raise
    except Hangs:
        raise Finding(f"no answer in {SECONDS} s") from None
    except RecursionError as error:
        raise Finding(f"traceback: RecursionError at {_last_own(error)}") from None
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        kind = type(error).__name__
        if not _own(error):
            raise  # a fault of the fuzzer's
        raise Finding(f"traceback: {kind} at {_last_own(error)}: {_said(error)}") from None


def _last_own(error: BaseException) -> str:
    """The last line of the project's own that an error came through."""
    frame = (_own(error) or traceback.extract_tb(error.__traceback__))[-1]
    return f"{Path(frame.filename).name}:{frame.name}"


def _said(error: BaseException) -> str:
    """The first words of an error, without the names of this sandbox's folders and files."""
    return re.sub(r"\S*/\S*|[0-9a-f]{6,}|\d+", "…", " ".join(str(error).split()))[:80]


def _own(error: BaseException) -> list[traceback.FrameSummary]:
    package = str(Path(unexplained.__file__).parent)
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if frame.filename.startswith(package)]


def _add(count: Count, what: str, case: Any) -> None:
    count.outcomes["findings"] += 1
    shown = repr(case)
    times, first = count.findings.get(what, (0, shown[:400]))
    count.findings[what] = (times + 1, first)


# --- changes to JSON ------------------------------------------------------------------------------


def nodes(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all that is inside some JSON."""
    items = data.items() if isinstance(data, dict) else enumerate(data)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from nodes(value, (*path, key))


def changed(data: Any, where: int, new: Any) -> Any:
    """A copy of JSON with the value at the node of this number replaced, or without it (DELETE)."""
    data = json.loads(json.dumps(data))
    paths = list(nodes(data))
    if not paths:
        return data
    *way, last = paths[where % len(paths)]
    inner = data
    for key in way:
        inner = inner[key]
    if new == DELETE:
        del inner[last]
    else:
        inner[last] = new
    return data


DELETE = "\0delete"


def written_json(data: Any) -> str:
    """JSON as others may write it: NaN, infinity, numbers of any length, any depth."""
    text = json.dumps(data)
    for mark, raw in RAW.items():
        text = text.replace(json.dumps(mark), raw)
    return text


RAW = {
    "\0deep": "[" * 50_000 + "]" * 50_000,
    "\0long": "9" * 6_000,
    "\0over": "1e999",
    "\0twice": '{"a": 1, "a": 2}',
}
"""Values that json.dumps does not write."""
