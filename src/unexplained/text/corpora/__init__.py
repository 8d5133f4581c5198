"""The corpora: one file each, discovered by name.

A corpus is a module here with a function `parts(request: Request) -> Parts`; its file's name is
its name. Adding one needs no other change.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from unexplained.text.draw import Parts, Request


def names() -> tuple[str, ...]:
    """The names of the corpora, sorted; `files` is the one that reads the user's own."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def parts_of(request: Request) -> tuple[str, Parts]:
    """The name and the parts of the text that is asked for.

    Raises:
        TextError: The source is neither a corpus nor a readable path, or is too short.
    """
    named = request.source in names()
    module = importlib.import_module(f"{__name__}.{request.source if named else 'files'}")
    name = request.source if named else Path(request.source).name
    return name, module.parts(request)
