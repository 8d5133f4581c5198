"""The random-weight twin of a measurement: what it gives where nothing was learned.

"More structure than a random model would have" is the least that a score has to show. The twin is
drawn by the architecture's own initialisation; it is measured as the model is, on few documents,
and what that takes is stated apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unexplained.text import Block, Text

TWIN = "the random-weight twin"
"""What a record calls it where it says how long it took."""
TWIN_DOCUMENTS = 16
"""Documents, or prompts of pairs, of each part on which the random-weight twin is measured."""


def few(text: Text) -> Text:
    """The beginning of a text on which a twin is measured; orbits of pairs stay whole.

    Of the fit part the longest documents, so that what the model's own fit part reaches (donors as
    long as a document, means of late positions) the twin's reaches too.

    Args:
        text: What the model itself is measured on.
    """
    units = text.units[: TWIN_DOCUMENTS // 2 if text.pairs else TWIN_DOCUMENTS]
    return text.only(units).fitting_on(_longest(text.fit))


def _longest(fit: Sequence[Block]) -> set[str]:
    """The longest documents of a fit part, in its order where they are as long; orbits whole."""
    units: dict[str, list[Block]] = defaultdict(list)
    for block in fit:
        units[block.unit].append(block)
    kept: set[str] = set()
    for unit in sorted(units.values(), key=lambda unit: -max(len(b.tokens) for b in unit)):
        if kept and len(kept) + len(unit) > TWIN_DOCUMENTS:
            break
        kept |= {block.document for block in unit}
    return kept
