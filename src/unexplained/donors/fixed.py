"""One document for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unexplained.donors import DONORS
from unexplained.errors import TextError, near_matches
from unexplained.hashing import digest
from unexplained.text import Text


@dataclass(frozen=True)
class Fixed:
    """Always the same document; no other may be longer.

    The noise of the draw is then one for all documents: an interval over documents does not have it.
    """

    document: str

    @property
    def says(self) -> str:
        """Which one."""
        return f"document {self.document}"

    @property
    def fingerprint(self) -> str:
        """Of its name."""
        return digest("fixed", self.document)

    def of(self, document: str, length: int, there: Mapping[str, int], seed: int) -> str:
        """That document."""
        if there.get(self.document, -1) < length:
            there_is = f"{there[self.document]} tokens" if self.document in there else "not run"
            raise TextError(
                f"The donor {self.document} for document {document} of {length} tokens",
                f"it is {there_is}" if self.document not in there else f"it has {there_is}",
                "Name a document of the fit part that is as long as any that is measured.",
            )
        return self.document


def _fixed(text: Text, about: Sequence[str]) -> Fixed:
    known = [block.document for block in text.fit]
    if len(about) != 1 or about[0] not in known:
        raise TextError(
            f"The fixed donor '{','.join(about)}'",
            "it is no document of the fit part",
            near_matches(",".join(about), known),
        )
    return Fixed(about[0])


DONORS.add("fixed", _fixed)
