"""Another document, drawn by hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unexplained.donors import DONORS, require_nothing
from unexplained.errors import TextError
from unexplained.text import Text


def drawn(document: str, others: Sequence[str], seed: int) -> str:
    """One of some documents: it depends on the two documents' names and the seed alone."""
    return min(others, key=lambda d: hashlib.sha256(f"{seed}{document}{d}".encode()).digest())


@dataclass(frozen=True)
class Another:
    """Another document at least as long, drawn by hash.

    What comes of it is the same however the text is batched. Misleads where documents are alike:
    what is put there is then no foreign value.
    """

    says: str = "another document"
    fingerprint: str = "another"

    def of(self, document: str, length: int, there: Mapping[str, int], seed: int) -> str:
        """One of those that are long enough."""
        others = [d for d, size in there.items() if size >= length and d != document]
        if not others:
            raise TextError(
                f"A donor for document {document}",
                f"no other document of the fit part has its {length} tokens",
                "Use more fit documents or shorter blocks.",
            )
        return drawn(document, others, seed)


def _another(text: Text, about: Sequence[str]) -> Another:
    require_nothing("another", about)
    return Another()


DONORS.add("another", _another)
