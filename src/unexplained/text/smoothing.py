"""From counts to probabilities: Witten–Bell and modified Kneser–Ney, both interpolated. No torch.

Both take something from what was seen after a context h and give it to the shorter context h′:

    P(w|h) = kept(hw) / total(h) + left(h) P(w|h′)
    left(h) = Σ_w given(hw) / total(h),    total(h) = Σ_w (kept(hw) + given(hw))

down to the uniform distribution over the vocabulary, so every P sums to 1, none is zero, and a
context that was never seen gives P(w|h′) exactly. They differ in `kept` and `given`:

| | kept | given | counts of shorter n-grams |
|---|---|---|---|
| Witten–Bell | c | 1 | how often they were seen |
| Kneser–Ney | c − D(c) | D(c) | after how many different tokens they were seen |

Witten and Bell (1991), method C; Chen and Goodman (1999), eq. 16 (interpolated). Kneser and Ney
(1995) for the counts of shorter n-grams; the three discounts D(1), D(2), D(3+) are those of Chen and
Goodman (1999), section 3, eqs. 26 and 27.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from unexplained.ledger import Floats
from unexplained.text.counts import Counts, Ints, runs

Smoothing = Literal["Witten–Bell", "Kneser–Ney"]
SMOOTHINGS: tuple[Smoothing, ...] = get_args(Smoothing)

FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where too few n-grams were seen to estimate any; those of KenLM."""


@dataclass(frozen=True, eq=False)
class ContextCounts:
    """What is known after contexts of one length."""

    contexts: Ints
    """Keys of the contexts that were seen, ascending."""
    left: Floats
    """(contexts,) the share that each leaves to the shorter one."""
    offsets: Ints
    """(contexts + 1,) where the n-grams of each begin and end."""
    keys: Ints
    """(n,) of the n-grams, ascending."""
    stored: Floats
    """(n,) their probabilities, what comes from shorter contexts included."""


@dataclass(frozen=True, eq=False)
class Smoothed:
    """Probabilities of one order."""

    lower: Floats
    """(vocabulary,) after a context that was never seen."""
    levels: tuple[ContextCounts, ...]
    """After contexts of one token, of two, …"""


def smooth(counts: Counts, order: int, smoothing: Smoothing) -> Smoothed:
    """Probabilities of an order: 0 (uniform), 1, 2 or 3."""
    size = counts.vocabulary
    lower = np.full(size, 1 / size)
    levels: list[ContextCounts] = []
    for length in range(1, order + 1):
        seen = counts.seen(length)
        continued = smoothing == "Kneser–Ney" and length < order
        below = levels[-1].stored[seen.shorter] if levels else np.full(len(seen.keys), 1 / size)
        amounts = seen.different if continued else seen.times
        levels.append(_level(seen.keys, amounts, size, below, smoothing))
    if levels:
        lower *= levels[0].left
        lower[levels[0].keys] = levels[0].stored
    return Smoothed(lower, tuple(levels[1:]))


def _level(
    keys: Ints, amounts: Ints, size: int, below: Floats, smoothing: Smoothing
) -> ContextCounts:
    after = keys // size
    starts = runs(after)
    offsets = np.append(starts, len(keys))
    given = np.ones(len(keys))
    kept = amounts.astype(np.float64)
    if smoothing == "Kneser–Ney":
        given = np.array([0.0, *discounts(amounts)])[np.minimum(amounts, 3)]
        kept -= given
    total = np.add.reduceat(kept + given, starts)
    left = np.add.reduceat(given, starts) / total
    lengths = np.diff(offsets)
    stored = kept / np.repeat(total, lengths) + np.repeat(left, lengths) * below
    return ContextCounts(after[starts], left, offsets, keys, stored)


def discounts(amounts: Ints) -> tuple[float, float, float]:
    """What is taken from n-grams seen once, twice, and three times or more.

    D(k) = k − (k + 1) Y n_{k+1} / n_k with Y = n₁ / (n₁ + 2 n₂), where n_k n-grams were seen k times
    (Chen and Goodman 1999, eqs. 26 and 27). Where that is undefined or outside ]0, k], Y of all (Kneser
    and Ney 1995); where not even Y is, `FALLBACK`.
    """
    n = np.bincount(np.minimum(amounts, 5), minlength=6)[1:5].tolist()
    if not (n[0] and n[1]):
        return FALLBACK
    plain = n[0] / (n[0] + 2 * n[1])
    if all(n):
        found = [k - (k + 1) * plain * n[k] / n[k - 1] for k in (1, 2, 3)]
        if all(0 < value <= k for k, value in enumerate(found, start=1)):
            return found[0], found[1], found[2]
    return plain, plain, plain


def loss(smoothed: Smoothed, counts: Counts) -> float:
    """Mean loss (nats per token) on what was counted."""
    size = counts.vocabulary
    found = smoothed.lower[counts.keys % size]
    for length, level in enumerate(smoothed.levels, start=2):
        keys = counts.keys % size**2 if length == 2 else counts.keys
        context, known = _places(level.contexts, keys // size)
        found = np.where(known, level.left[context] * found, found)
        place, known = _places(level.keys, keys)
        found = np.where(known, level.stored[place], found)
    return float(-(counts.times * np.log(found)).sum() / counts.times.sum())


def _places(keys: Ints, wanted: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each stands in an ascending table, and whether it does."""
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return place, keys[place] == wanted
