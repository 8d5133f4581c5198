"""Files that users bring: decoded with an error that says where, JSON lines with their numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unexplained.errors import TextError


def decoded(path: Path) -> str:
    """A file's text.

    Raises:
        TextError: It cannot be read, or is not UTF-8 (at which byte).
    """
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise TextError(
            f"The file '{path}'",
            f"it is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}",
            "Convert it, for example with iconv.",
        ) from error
    except OSError as error:
        raise TextError(f"The file '{path}'", f"it cannot be read ({error.strerror})") from error


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Every line that is not blank: what to call it in an error, and what it holds.

    Raises:
        TextError: As for `decoded`, or a line is not JSON (which).
    """
    for number, line in enumerate(decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"Line {number} of '{path}'"
        try:
            yield where, json.loads(line)
        except json.JSONDecodeError as error:
            raise TextError(where, f"it is not JSON ({error})") from error
