"""A user's own explanations: a Python file of theirs, the only code of others that is ever run."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from unexplained import files
from unexplained.errors import ExplanationError
from unexplained.explanations.carried import counted
from unexplained.explanations.given import raised
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.protocol import Explanation
from unexplained.text import Text

FACTORY = "for_text"
"""A function of this name in a file makes an explanation for a text, with a table of it for one."""
OF_WORDS = "for_vocabulary"
"""One of this name makes an explanation for a tokenizer, or several, of the text of every token."""

_CALLED = (
    f"A file is read by itself; then {FACTORY}(text) is called with the text, and {OF_WORDS}(words) "
    "with the strings of all tokens."
)


def find_explanation(
    name: str, text: Text | None = None, words: Sequence[str] | None = None
) -> tuple[Explanation, ...]:
    """Explanations by library name, or all of a file (`claims.py`), or one (`claims.py:name`).

    Args:
        name: What to find.
        text: Given to the file's `for_text(text)`, if it has that function.
        words: The text of every token, given to the file's `for_vocabulary(words)`.

    Raises:
        ExplanationError: There is no such explanation or file, the file raised, or one
            depends on what no description length counts.
    """
    path, _, wanted = name.partition(":")
    if not path.endswith(".py"):
        return (LIBRARY.get(name.replace(" ", "_").replace("-", "_")),)
    found = _load(Path(path), text, words)
    if not wanted:
        inside = [id(one) for whole in found.values() for _, one in whole.intermediates]
        return tuple(one for one in found.values() if id(one) not in inside)
    if wanted not in found:
        raise ExplanationError(
            f"The explanation '{wanted}' of {path}",
            "the file does not define it with @explanation",
            "It defines: " + ", ".join(found) + ".",
        )
    return (found[wanted],)


def needs(name: str, factory: str = f"{FACTORY}|{OF_WORDS}") -> bool:
    """Whether an explanation's file makes it of a text, or of the text of every token.

    Args:
        name: `claims.py`, or `claims.py:name`.
        factory: The functions that are looked for: by name, wherever they come from.
    """
    path = Path(name.partition(":")[0])
    if path.suffix != ".py" or not path.is_file():
        return False
    return bool(re.search(rf"\b(?:{factory})\b", path.read_text("utf-8", errors="replace")))


def _load(path: Path, text: Text | None, words: Sequence[str] | None) -> dict[str, Explanation]:
    asked = f"The explanation file {path}"
    files.require_regular(path, asked, ExplanationError)
    # Not the file's own name: a json.py of the user's must not stand in for Python's.
    spec = importlib.util.spec_from_file_location(f"_explanations_of_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        for factory, given in ((FACTORY, text), (OF_WORDS, words)):
            made = getattr(module, factory, None)
            if given is not None and callable(made):
                given = made(given)
                every: list[Any] = list(given) if isinstance(given, Iterable) else [given]
                if not all(isinstance(one, Explanation) for one in every):
                    kinds = ", ".join(sorted({type(one).__name__ for one in every}))
                    why = f"what its {factory} gives ({kinds}) is no explanation"
                    raise ExplanationError(asked, why, "Let it give what is under @explanation(…).")
                for one in every:
                    setattr(module, one.written.replace(" ", "_"), one)
    except ExplanationError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code may raise anything
        raise raised(asked, error, str(path), _CALLED) from error
    found = {k: v for k, v in vars(module).items() if isinstance(v, Explanation)}
    if not found:
        for factory, given, what in (
            (FACTORY, text, "one text, and none or several are measured here"),
            (OF_WORDS, words, "the text of every token, and no model is given here"),
        ):
            if given is None and callable(getattr(module, factory, None)):
                raise ExplanationError(asked, f"its {factory} makes its explanation of {what}")
        raise ExplanationError(asked, "it has no explanation", "Mark one with @explanation(…).")
    for one in found.values():
        counted(one)  # before a model is opened
    return found
