"""A model folder holds its own files: nothing that leads elsewhere, waits for ever or has no end.

Looked at before anything in it is opened. In a hub's cache files are links into that repository's
`blobs`; a link to anywhere else could show what its maker cannot read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from unexplained.errors import SubjectError
from unexplained.files import read_json, said

TEMPLATES = "additional_chat_templates"
"""The one folder below a model's that transformers looks into."""

SETTINGS = "tokenizer_config.json"


def require_enclosed(asked: str, folder: Path) -> list[str]:
    """Refuse a folder of which an entry is no file of its own; the names in it, sorted.

    Names that begin with a full stop are let be: nothing reads them. So are folders.

    Raises:
        SubjectError: The entry, and what it is.
    """
    home = folder.resolve()
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else None
    names = sorted(_names(asked, folder))
    inner = sorted(_names(asked, folder / TEMPLATES)) if TEMPLATES in names else []
    if TEMPLATES in names:
        _require_own(asked, folder / TEMPLATES, home, None)
    for name in (*names, *(f"{TEMPLATES}/{name}" for name in inner)):
        if not name.startswith("."):
            _require_own(asked, folder / name, home, blobs)
    if SETTINGS in names:
        _require_settings(asked, folder, home)
    return names


def _names(asked: str, folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except NotADirectoryError:
        return []
    except OSError as error:
        raise SubjectError(asked, f"it cannot be looked into ({said(error)})") from error


def _require_own(asked: str, entry: Path, home: Path, blobs: Path | None) -> None:
    name = entry.relative_to(entry.parent if entry.parent.name != TEMPLATES else entry.parents[1])
    try:
        place = entry.resolve(strict=True)
        mode = place.stat().st_mode
    except (OSError, RuntimeError) as error:
        raise SubjectError(
            asked, f"its {name} leads nowhere ({said(error)})", "Is every file there?"
        ) from error
    if stat.S_ISDIR(mode) and entry.name != TEMPLATES:
        return
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise SubjectError(
            asked, f"its {name} is a pipe, a device or a socket", "Only files are read."
        )
    inside = place.is_relative_to(home) or (blobs is not None and place.is_relative_to(blobs))
    if not inside:
        raise SubjectError(
            asked,
            f"its {name} is a link out of the folder, to {place}",
            "Copy the file into the folder, or give the folder that it is in.",
        )


def _require_settings(asked: str, folder: Path, home: Path) -> None:
    """Refuse tokenizer settings that name files elsewhere: a tokenizer may open them."""
    settings = read_json(folder / SETTINGS, f"{asked} has a {SETTINGS}", SubjectError)
    if not isinstance(settings, dict):
        raise SubjectError(
            asked, f"its {SETTINGS} is no object of settings of a tokenizer", "Is it whole?"
        )
    for key, path in _files(settings):
        place = folder / path
        if os.path.exists(place) and not place.resolve().is_relative_to(home):  # noqa: PTH110  (of any string)
            raise SubjectError(
                asked,
                f"its {SETTINGS} sends {key} to '{path}'",
                "Only files in the model's own folder are read: take that entry away.",
            )


def _files(settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in settings.items():
        if key.endswith(("_file", "_files")):
            some = value if isinstance(value, list) else [value]
            yield from ((key, one) for one in some if isinstance(one, str) and "\0" not in one)
