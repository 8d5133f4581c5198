"""Documents that begin like another one: kept apart, they would sit on both sides of the split."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

WINDOW = 12
"""Words in a row that must agree."""
OPENING = 200
"""Words at the start that are compared; blocks are cut from there."""

_MIX = np.uint64(0x9E3779B97F4A7C15)


def near_duplicates(texts: Iterable[str], *, share: float = 0.2) -> NDArray[np.bool_]:
    """Which texts mostly repeat the openings of texts that were kept before them.

    A text is a near duplicate if more than `share` of the runs of 12 words in its first 200 words
    occur in the first 200 words of texts that come earlier and were kept. A text of fewer than 12
    words has no such run and is always kept.

    Misleads on boilerplate: a file that opens with a common licence counts as a repeat of the
    first file that did. For blocks cut from the opening that is what is wanted.

    Args:
        texts: Texts in the order of preference.
        share: Fraction of runs above which a text is a repeat.

    >>> long = " ".join(str(n) for n in range(30))
    >>> near_duplicates([long, "0 1 2", "x " + long, long[::-1]]).tolist()
    [False, False, True, False]
    """
    numbers: dict[str, int] = {}
    kept: set[int] = set()
    repeated: list[bool] = []
    for text in texts:
        words = text.split(None, OPENING)[:OPENING]
        runs = _runs(np.array([numbers.setdefault(word, len(numbers)) for word in words]))
        repeats = len(runs) > 0 and sum(run in kept for run in runs) > share * len(runs)
        repeated.append(repeats)
        if not repeats:
            kept.update(runs)
    return np.array(repeated, dtype=np.bool_)


def _runs(words: NDArray[np.int64]) -> list[int]:
    """A 64-bit hash of every run of `WINDOW` words."""
    count = len(words) - WINDOW + 1
    if count < 1:
        return []
    total = np.zeros(count, dtype=np.uint64)
    mixed = (words.astype(np.uint64) + np.uint64(1)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    for offset in range(WINDOW):
        total = total * _MIX + mixed[offset : offset + count]
    return [int(run) for run in total]
