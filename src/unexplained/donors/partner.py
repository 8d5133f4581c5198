"""The other prompt of a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unexplained.donors import DONORS, require_nothing
from unexplained.errors import TextError
from unexplained.text import Text

WHAT = "the corrupted prompt of the pair"


@dataclass(frozen=True)
class Partner:
    """The corrupted prompt, where it was those that were run (`Text.swapped`): of the same name."""

    says: str = WHAT
    fingerprint: str = "partner"

    def of(self, document: str, length: int, there: Mapping[str, int], seed: int) -> str:
        """The pair itself, as it was run."""
        if document not in there:
            raise TextError(
                f"Patching document {document}",
                "its corrupted prompt was not run",
                "Patching is for texts of pairs, such as ioi; on running text use resample.",
            )
        return document


def _partner(text: Text, about: Sequence[str]) -> Partner:
    require_nothing("partner", about)
    text.swapped()
    return Partner()


DONORS.add("partner", _partner)
