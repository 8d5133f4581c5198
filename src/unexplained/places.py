"""Where outputs may go: a path that is free, or that holds an earlier output of the same kind.

A record, a page or a graph is moved into its place in one step, which would replace whatever is
there: a device's node, a link, somebody's source. So what is there is looked at first.
"""

from __future__ import annotations

import itertools
import os
import re
import stat
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from unexplained.errors import RecordError

OURS: dict[str, re.Pattern[bytes]] = {
    "record": re.compile(rb'\s*\{\s*"format":\s*\d+,\s*"(?:kind|title)":\s*"'),
    "report": re.compile(rb'(?s).*<meta name="generator" content="unexplained">'),
    "graph": re.compile(rb'\s*\{\s*"cfg":\s*\{[^{}]*"n_layers"'),
    "catalogue": re.compile(rb'\s*\{\s*"corpus":\s*"'),
}
"""How our files begin, by what they are; other outputs lie in folders of ours."""

_BEGINNING = 2048
LONGEST = 80
"""Letters of a name that is made; a file system takes 255."""
_ELSEWHERE = "Give the path of a file in a folder that you may write to."


class Shared:
    """Says that measurements are kept in the cache, where those of all runs are."""

    def __repr__(self) -> str:
        return "the shared cache"


SHARED = Shared()
"""The folder of an instrument that was given none."""


def write_whole(path: Path, text: str, what: str) -> Path:
    """Write a file that appears under its name only when it is complete, and return its path.

    Args:
        path: Free, or an earlier file of the same kind.
        text: All of it.
        what: What is written: `record`, `report`, `graph`, ….

    Raises:
        RecordError: It cannot be written there, or something else is there.
    """
    # Not made of the file's own name: that may be as long as a name can be.
    part = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_free(path, what)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except (OSError, ValueError) as error:
        with suppress(OSError, ValueError):
            part.unlink()
        raise _unwritable(path, what, error) from None
    return path


def untaken(folder: Path, stem: str, endings: Sequence[str]) -> list[Path]:
    """Paths in a folder that nothing has yet, of one name: `stem`, or with the first free number.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> [p.name for p in untaken(folder, "gap: a/b", ("html", "json"))]
    ['gap-a-b.html', 'gap-a-b.json']
    >>> _ = (folder / "gap-a-b.json").write_text("")
    >>> [p.name for p in untaken(folder, "gap: a/b", ("html", "json"))]
    ['gap-a-b-2.html', 'gap-a-b-2.json']
    """
    plain = re.sub(r"[^\w.]+", "-", stem, flags=re.ASCII).strip("-.")[:LONGEST] or "record"
    for number in itertools.count(1):
        name = plain if number == 1 else f"{plain}-{number}"
        paths = [folder / f"{name}.{ending}" for ending in endings]
        if not any(os.path.lexists(path) for path in paths):
            return paths
    raise AssertionError  # numbers do not end


def require_writable(path: Path, what: str) -> None:
    """Find out before a long measurement, not after it, that a file cannot be written.

    Raises:
        RecordError: It cannot, or something else is there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_free(path, what)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except (OSError, ValueError) as error:
        raise _unwritable(path, what, error) from None


def require_apart(paths: Mapping[str, Path | None]) -> None:
    """Refuse two outputs of one name: the second would replace the first.

    Args:
        paths: What is written there, such as `report` → its path; None where nothing is.

    Raises:
        RecordError: Two are the same file.
    """
    known: dict[object, str] = {}
    for what, path in paths.items():
        if path is None:
            continue
        names: list[object] = [os.path.realpath(path)]
        with suppress(OSError, ValueError):
            found = path.stat()
            names.append((found.st_dev, found.st_ino))  # two names of one file
        for name in names:
            other = known.setdefault(name, what)
            if other != what:
                raise RecordError(
                    f"The {other} and the {what}",
                    f"both would be {path}",
                    "Give each a file of its own.",
                )


def _require_free(path: Path, what: str) -> None:
    """Refuse a place that is taken by anything but an earlier output of the same kind."""
    asked = f"The {what} {path}"
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode) and (path.is_file() or not path.exists()):
        raise RecordError(
            asked,
            f"it is a symbolic link (to {os.readlink(path)}), which would be replaced",  # noqa: PTH115
            "Give the path that it leads to, or another one.",
        )
    if stat.S_ISDIR(path.stat().st_mode):
        raise RecordError(asked, "it cannot be written: it is a folder", "Name a file in it.")
    if not stat.S_ISREG(mode):
        raise RecordError(asked, "it cannot be written: it is a device or a pipe", _ELSEWHERE)
    pattern = OURS.get(what.rpartition(" ")[2])
    if pattern is None:
        return
    with path.open("rb") as file:
        beginning = file.read(_BEGINNING)
    if beginning and not pattern.match(beginning):
        raise RecordError(
            asked,
            f"there is a file already, and it is no {what} of ours",
            "Give another path, or move that file away first.",
        )


def _unwritable(path: Path, what: str, error: OSError | ValueError) -> RecordError:
    return RecordError(
        f"The {what} {path}",
        f"it cannot be written ({getattr(error, 'strerror', None) or error})",
        _ELSEWHERE,
    )
