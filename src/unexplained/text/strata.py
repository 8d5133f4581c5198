"""Strata: a label for every predicted token, by which losses are broken down.

Entry i of every partition labels the prediction of `tokens[i + 1]` from `tokens[: i + 1]`.

| partition | labels |
|---|---|
| `recurrence` | `first time`; `recurs, continuation repeats`; `recurs, other continuation` |
| `position` | `first 16`, `16-63`, `64-127`, `128-255`, … (the predicted token's index) |
| `domain` | the document's domain |
| `copy` | `first copy`, `second copy`; only for blocks that were built to repeat themselves |

A pair of prompts has one scored position and its own partitions: `template`, `order`, ….

Users may give partitions of their own (`Text.with_strata`). What is kept is known by those that it
holds: a new one voids nothing. One that has a single label in every block is not even measured: its
rows are those of the whole block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError, near_matches
from unexplained.hashing import digest
from unexplained.text.document import Block, Pair

VERSION = 1
"""Part of every text's fingerprint. Measurements are kept under the code of this file, with the engine's."""

FIRST = "first time"
REPEATS = "recurs, continuation repeats"
OTHER = "recurs, other continuation"

Labels = NDArray[np.str_]


Labeller = Callable[[Block], Sequence[str]]
"""A user's own: from a block to a label for each of its scored positions (of running text all but
the last; entry i is about `tokens[i + 1]`)."""


def strata(block: Block) -> dict[str, Labels]:
    """Partition → labels, one for each scored position of the block; the user's last."""
    return {**own_strata(block), **block.marks}


def own_strata(block: Block) -> dict[str, Labels]:
    """The partitions that every block of its kind has."""
    if isinstance(block, Pair):
        return {partition: np.array([label]) for partition, label in block.labels.items()}
    count = len(block.tokens) - 1
    partitions = {
        "recurrence": recurrence(block.tokens),
        "position": position(count),
        "domain": np.full(count, block.domain),
    }
    if block.second_copy:
        partitions["copy"] = copy(count, block.second_copy)
    return partitions


def marked(block: Block, given: Mapping[str, Labeller | str]) -> Block:
    """The block with a user's strata.

    Args:
        block: The block.
        given: Partition → a function of a block, or the name of a variable of the document.

    Raises:
        TextError: The partition has a name that is taken, a function raised or did not give a label
            for every scored position, or the document lacks the variable.
    """
    made: dict[str, Labels] = {}
    taken = {"all", *own_strata(block), *block.marks}
    for partition, make in given.items():
        asked = f"The stratum '{partition}' of document {block.document}"
        if not isinstance(partition, str) or not partition or partition in taken:
            raise TextError(asked, "that name is taken, or none", "Give it another.")
        count = len(block.targets)
        if isinstance(make, str):
            if make not in block.variables:
                raise TextError(
                    asked,
                    f"the document has no variable '{make}'",
                    near_matches(make, block.variables) if block.variables else "",
                )
            labels: list[str] = [block.variables[make]] * count
        else:
            try:
                labels = list(make(block))
            except Exception as error:  # the user's own code may raise anything
                raise TextError(
                    asked, f"it raised {type(error).__name__}: {error}",
                    "It is called with every block: .document, .domain, .tokens, .targets.",
                ) from error  # fmt: skip
        if len(labels) != count or not all(isinstance(label, str) for label in labels):
            raise TextError(
                asked,
                f"it gave {len(labels)} labels"
                + ("" if all(isinstance(label, str) for label in labels) else ", not all strings"),
                f"Give {count} strings, one for each scored position (tokens[1:] of running text).",
            )
        made[partition] = np.array(labels, dtype=np.str_)
    return replace(block, marks={**block.marks, **made})


def varying(blocks: Sequence[Block]) -> dict[str, str]:
    """The users' partitions that some block has several labels of, and a digest of all labels.

    Only these depend on single positions. The rows of every other partition are those of whole blocks.
    """
    found: dict[str, str] = {}
    partitions = {partition for block in blocks for partition in block.marks}
    for partition in sorted(partitions):
        labels = [block.marks.get(partition, np.empty(0, np.str_)).tolist() for block in blocks]
        if any(len(set(some)) > 1 for some in labels):
            found[partition] = digest(json.dumps([partition, labels]))
    return found


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
