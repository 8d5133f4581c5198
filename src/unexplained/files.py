"""Files of others: opened only where a file with an end is, and read as JSON with an error of ours.

A pipe waits for ever, a device need not end, and JSON may be deeper or longer than Python takes: each
is an answer here, in the error class of whoever asks. No torch.
"""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any, NoReturn

from unexplained.errors import UnexplainedError, near_matches

LARGEST = 1 << 30
"""Bytes of a JSON file beyond which it is none of ours."""

GREATEST = 1e100
"""Numbers of a record lie far below."""


def require_regular(path: Path, asked: str, error: type[UnexplainedError]) -> int:
    """Refuse what is no file with an end, before it is opened; its size in bytes.

    Args:
        path: Symbolic links are followed.
        asked: The first part of the error.
        error: Of which class it is.

    Raises:
        UnexplainedError: Of that class: it is not there, may not be looked at, or is of another kind.
    """
    try:
        found = path.stat()
    except (OSError, ValueError, RuntimeError) as wrong:  # also a zero byte in its name
        if isinstance(wrong, FileNotFoundError):
            raise error(asked, "there is no such file", _near(path)) from wrong
        raise error(asked, f"it cannot be read ({said(wrong)})") from wrong
    if stat.S_ISDIR(found.st_mode):
        raise error(asked, "it cannot be read: it is a folder", "Name the file in it.")
    if not stat.S_ISREG(found.st_mode):
        raise error(asked, "it is a pipe, a device or a socket", "Write it to a file first.")
    return found.st_size


def read_json(
    path: Path, asked: str, error: type[UnexplainedError], *, bounded: bool = False
) -> Any:
    """What a JSON file holds.

    Args:
        path: The file.
        asked: The first part of the error.
        error: Of which class it is.
        bounded: Refuse NaN, infinity and numbers beyond 1e100, which nobody measures and whose sums
            and axes overflow.

    Raises:
        UnexplainedError: Of that class: as for `require_regular`, or it is larger than a GiB, not
            UTF-8, not JSON, deeper than Python follows or with numbers longer than it reads.
    """
    if require_regular(path, asked, error) > LARGEST:
        raise error(asked, f"it has more than {LARGEST:,} bytes", "Is it the right file?")
    hooks: dict[str, Any] = (
        {"parse_constant": _no_number, "parse_float": _float, "parse_int": _int} if bounded else {}
    )
    try:
        return json.loads(path.read_bytes().decode("utf-8"), **hooks)
    except OSError as wrong:
        raise error(asked, f"it cannot be read ({said(wrong)})") from wrong
    except RecursionError as wrong:
        raise error(asked, "it is not JSON that can be read: it is nested too deep") from wrong
    except ValueError as wrong:  # also of bytes that are no UTF-8, and of endless digits
        raise error(asked, f"it is not JSON ({said(wrong)})", "Is the file whole?") from wrong


def said(error: BaseException) -> str:
    """What an error of others says, in a line without a full stop."""
    words = getattr(error, "strerror", None) or str(error)
    line = (words.strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return line if len(line) <= 300 else f"{line[:300]}…"


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def _float(word: str) -> float:
    number = float(word)
    if abs(number) > GREATEST:
        raise ValueError(f"{word[:20]} is no number that anybody measured")
    return number


def _int(word: str) -> int:
    number = int(word)
    if abs(number) > GREATEST:
        raise ValueError(f"{word[:20]}… is no number that anybody counted")
    return number


def _near(path: Path) -> str:
    """Files beside it whose names are close, or where it was looked for."""
    try:
        names = [one.name for one in path.parent.iterdir() if one.suffix == path.suffix]
    except (OSError, ValueError):
        return f"There is no folder {path.parent} that can be read."
    found = near_matches(path.name, names)
    if found.startswith("Did you mean"):
        return found
    return f"It is looked for in {path.parent.absolute()}."
