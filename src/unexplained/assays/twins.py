"""The random-weight twin of a measurement: what it gives where nothing was learned.

"More structure than a random model would have" is the least that a score has to show. The twin is
drawn by the architecture's own initialisation; it is measured as the model is, on few documents,
and what that takes is stated apart.
"""

from __future__ import annotations

from unexplained.text import Text

TWIN_DOCUMENTS = 16
"""Documents, or prompts of pairs, of each part on which the random-weight twin is measured."""


def few(text: Text) -> Text:
    """The beginning of a text on which a twin is measured; orbits of pairs stay whole."""
    units = text.units[: TWIN_DOCUMENTS // 2 if text.pairs else TWIN_DOCUMENTS]
    some = text.only(units)
    return some.first(len(some.eval), fit_documents=TWIN_DOCUMENTS)
