"""Strata: a label for every predicted token, by which losses are broken down.

Entry i of every family labels the prediction of `tokens[i + 1]` from `tokens[: i + 1]`.

| family | labels |
|---|---|
| `recurrence` | `first time`; `recurs, continuation repeats`; `recurs, other continuation` |
| `position` | `first 16`, `16-63`, `64-127`, `128-255`, … (the predicted token's index) |
| `domain` | the document's domain |
| `copy` | `first copy`, `second copy`; only for blocks that were built to repeat themselves |

A pair of prompts has one scored position and its own families: `template`, `order`, ….
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unexplained.text.document import Block, Pair

VERSION = 1
"""Goes up when a definition changes; part of every text's fingerprint."""

FIRST = "first time"
REPEATS = "recurs, continuation repeats"
OTHER = "recurs, other continuation"

Labels = NDArray[np.str_]


def strata(block: Block) -> dict[str, Labels]:
    """Family → labels, one for each scored position of the block."""
    if isinstance(block, Pair):
        return {family: np.array([label]) for family, label in block.labels.items()}
    count = len(block.tokens) - 1
    families = {
        "recurrence": recurrence(block.tokens),
        "position": position(count),
        "domain": np.full(count, block.domain),
    }
    if block.second_copy:
        families["copy"] = copy(count, block.second_copy)
    return families


def recurrence(tokens: NDArray[np.int32]) -> Labels:
    """Whether the current token came earlier, and whether copying what followed it is right.

    For the prediction of `tokens[i + 1]`:

    - `first time`: no j < i has `tokens[j] == tokens[i]`;
    - `recurs, continuation repeats`: some j < i has `tokens[j] == tokens[i]` and
      `tokens[j + 1] == tokens[i + 1]`: some earlier occurrence was followed by the right token;
    - `recurs, other continuation`: the current token came earlier, but never followed by it.

    The label depends on the token to be predicted, so it is a way to read losses and nothing
    that a model or an explanation could have known. A continuation that repeats is often easy
    for other reasons too (`of` → `the`): compare conditions within a label, not labels.

    >>> recurrence(np.array([1, 2, 1, 2, 1, 3])).tolist()[2:]
    ['recurs, continuation repeats', 'recurs, continuation repeats', 'recurs, other continuation']
    """
    current, following = tokens[:-1].astype(np.int64), tokens[1:].astype(np.int64)
    recurs = _came_before(current)
    repeats = _came_before(current << 32 | following)
    return np.where(repeats, REPEATS, np.where(recurs, OTHER, FIRST))


def position(count: int) -> Labels:
    """Buckets of the predicted token's index (1 … count): up to 15, then doubling from 64.

    >>> position(70)[[0, 14, 15, 62, 63]].tolist()
    ['first 16', 'first 16', '16-63', '16-63', '64-127']
    """
    index = np.arange(1, count + 1)
    edges = [16, 64]
    while edges[-1] <= count:
        edges.append(2 * edges[-1])
    names = np.array(["first 16", *(f"{low}-{high - 1}" for low, high in pairwise(edges))])
    return np.asarray(names[np.searchsorted(edges, index, side="right")], dtype=np.str_)


def copy(count: int, second_copy: int) -> Labels:
    """Whether the current token is in the second copy.

    The first token of the second copy is predicted from the last of the first, where nothing
    tells that a repeat begins: that prediction is labelled `first copy`.

    >>> copy(5, 3).tolist()
    ['first copy', 'first copy', 'first copy', 'second copy', 'second copy']
    """
    return np.where(np.arange(count) >= second_copy, "second copy", "first copy")


def _came_before(values: NDArray[np.int64]) -> NDArray[np.bool_]:
    _, first, which = np.unique(values, return_index=True, return_inverse=True)
    return np.asarray(first[which] < np.arange(len(values)), dtype=np.bool_)
