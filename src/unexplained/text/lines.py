"""Files that users bring: decoded with an error that says where, JSON lines with their numbers."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from unexplained import files
from unexplained.errors import TextError

_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def require_regular(path: Path) -> None:
    """Refuse what is no file with an end: reading a pipe or a device would wait for ever.

    Raises:
        TextError: It is not there, may not be looked at, or is of another kind.
    """
    files.require_regular(path, f"The file '{printable(str(path))}'", TextError)


def decoded(path: Path) -> str:
    """A file's text.

    Raises:
        TextError: It cannot be read, is not UTF-8 (at which byte), or holds zero bytes, as files
            do that are no text.
    """
    require_regular(path)
    asked = f"The file '{printable(str(path))}'"
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        kind = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "")
        raise TextError(
            asked,
            f"it is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}"
            + (f", and it begins like {kind}" if kind else ""),
            f"Convert it, for example with iconv{f' -f {kind}' if kind else ''} -t UTF-8.",
        ) from error
    except OSError as error:
        raise TextError(asked, f"it cannot be read ({error.strerror})") from error
    if "\0" in text:
        raise TextError(
            asked,
            f"character {text.index(chr(0))} is a zero byte, which no text has",
            "Is it UTF-16 without a mark, or not a text at all? Convert it, for example with iconv.",
        )
    return text


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Every line that is not blank: what to call it in an error, and what it holds.

    Raises:
        TextError: As for `decoded`, or a line is not JSON (which) or has a key twice.
    """
    for number, line in enumerate(decoded(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"Line {number} of '{printable(str(path))}'"
        try:
            yield where, json.loads(line, object_pairs_hook=_each_once)
        except _Twice as error:
            raise TextError(
                where,
                f"it has the key '{error}' twice, and only one can be meant",
                "Leave one out.",
            ) from error
        except (ValueError, RecursionError) as error:  # also of numbers and depths beyond Python's
            raise TextError(where, f"it is not JSON ({error})") from error


class _Twice(Exception):
    """A key that is in an object twice, where `json` takes the last one without a word."""


def _each_once(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields:
        if name in found:
            raise _Twice(name)
        found[name] = value
    return found


def require_unicode(where: str, field: str, text: str) -> None:
    """Refuse half of a character, which JSON can write and UTF-8 cannot.

    Raises:
        TextError: There is one.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise TextError(
            where,
            f"character {error.start} of {field} is a lone surrogate, which is no text",
            "Write the whole character, or both halves of its escape (\\ud83d\\ude00).",
        ) from error


def strings_of(where: str, row: Mapping[str, Any], name: str) -> dict[str, str]:
    """A field that is an object of strings; empty where the row has none.

    Raises:
        TextError: It is something else, or has half of a character.
    """
    if name not in row:
        return {}
    found = row[name]
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise TextError(where, f"`{name}` is not an object of strings")
    for key, value in found.items():
        require_unicode(where, "a field's name", key)
        require_unicode(where, f"`{key}`", value)
    return found


def printable(name: str) -> str:
    """A name as it can be written anywhere: bytes that are no UTF-8 and zero bytes as escapes."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
