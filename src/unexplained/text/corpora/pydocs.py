"""Python's own reference and the source of its standard library: real text without a download."""

from __future__ import annotations

import platform
import sysconfig
import tokenize
from pathlib import Path
from pydoc_data import topics  # type: ignore[import-untyped, unused-ignore]

from unexplained.text.document import Corpus, Document, deduplicate, document
from unexplained.text.draw import Parts, Request, draw
from unexplained.text.duplicates import without_near_duplicates

LEFT_OUT = {
    *("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"),
    *("encodings", "pydoc_data", "ensurepip"),
}
"""Folders of tests, of other people's packages, of tables, and of the reference itself."""


def parts(request: Request) -> Parts:
    """Two domains of equal weight: `reference` (help topics) and `library` (source files)."""
    return draw(request, corpus())


def corpus() -> Corpus:
    """All documents; they depend on the version of Python that runs."""
    reference = [document(text, "reference") for text in topics.topics.values()]
    library, unread = _library(Path(sysconfig.get_path("stdlib")))
    documents, repeats = deduplicate([*reference, *library])
    kept, near = without_near_duplicates(documents)
    note = (
        f"Text of Python {platform.python_version()}: another version has another text. "
        f"{len(kept)} documents; {repeats + near} that repeat others left out"
    )
    note += f", {unread} files that are not readable source." if unread else "."
    return Corpus(kept, {"reference": 1.0, "library": 1.0}, (note,))


def _library(folder: Path) -> tuple[list[Document], int]:
    found, unread = [], 0
    for path in sorted(folder.rglob("*.py")):
        # The build's own settings name folders of the machine that it was built on.
        if LEFT_OUT & set(path.relative_to(folder).parts) or path.name.startswith("_sysconfigdata"):
            continue
        try:
            with tokenize.open(path) as file:
                found.append(document(file.read(), "library"))
        except (SyntaxError, UnicodeDecodeError):
            unread += 1
    return found, unread
