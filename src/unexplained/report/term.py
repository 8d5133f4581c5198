"""A term of the glossary, and how it is found in a page."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A term and what it means."""

    name: str
    meaning: str
    """One or two sentences, with the unit where there is one."""
    also: tuple[str, ...] = ()
    """Other spellings by which the term is found in a page."""

    def occurs(self, text: str) -> bool:
        """Whether the term or another spelling of it stands in a text as a word.

        >>> Term("KL", "…").occurs("the KL, in nats"), Term("KL", "…").occurs("ankle")
        (True, False)
        """
        words = "|".join(re.escape(word) for word in (self.name, *self.also))
        # Acronyms are matched as written, so that `CI` is not found in `social`.
        flags = re.NOFLAG if self.name.isupper() else re.IGNORECASE
        return re.search(rf"(?<!\w)(?:{words})(?:s|es)?(?!\w)", text, flags) is not None
