"""How often each token followed which two others, over a whole fit part, in bounded memory. No torch.

Only triples are counted: a document is taken to begin after `nothing`, as if a sign stood there, so
that every predicted token has exactly one triple and pairs and single tokens are sums of triples.
(So does KenLM with its `<s>`; Heafield 2011.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError

LIMIT = 50_000_000
"""Tokens of the pool that are counted unless more or fewer are asked for: all of every text here.
Making tables of so many takes some 5 GB of memory (measured: 1.3 GB of 10.6 million)."""

EVERY = 20
"""One document in so many is held out while a smoothing is chosen, and counted after that."""

CHUNK = 4_000_000
"""Tokens that are counted at once."""

NOTHING = -1
"""What stands before a document's first token."""

_WHAT = "Counts for n-grams"

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Seen:
    """The n-grams of one length that were seen, ascending."""

    keys: Ints
    """Numbers in base `vocabulary`, the predicted token last; of a triple the first digit is one more
    than the token, and 0 stands for nothing before."""
    times: Ints
    """How often each was seen."""
    different: Ints
    """How many different tokens it was seen after: N₁₊(•w) of Kneser and Ney."""
    shorter: Ints
    """Where each stands among the n-grams that are one shorter, without its first token."""


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each token was predicted, and after which two."""

    vocabulary: int
    tokens: int
    """Tokens read, the first of every document included."""
    complete: bool
    """Whether that is all; False where a limit cut it short."""
    keys: Ints
    """Triples, as in `Seen`."""
    times: Ints
    fingerprint: str = ""
    held_out: dict[int, dict[str, float]] = field(default_factory=dict)
    """Order → smoothing → loss (nats per token) on documents of the fit part that were held out."""

    def seen(self, length: int) -> Seen:
        """The n-grams of a length: 1, 2 or 3."""
        return (self._singles, self._pairs, self._triples)[length - 1]

    @cached_property
    def _triples(self) -> Seen:
        shorter = self._suffixes[1]
        return Seen(self.keys, self.times, np.ones_like(self.times), shorter)

    @cached_property
    def _suffixes(self) -> tuple[Ints, Ints]:
        found, place = np.unique(self.keys % self.vocabulary**2, return_inverse=True)
        return found, place

    @cached_property
    def _pairs(self) -> Seen:
        keys, place = self._suffixes
        shorter = np.unique(keys % self.vocabulary, return_inverse=True)[1]
        return Seen(keys, _sums(place, self.times), np.bincount(place), shorter)

    @cached_property
    def _singles(self) -> Seen:
        pairs = self._pairs
        keys = np.unique(pairs.keys % self.vocabulary)
        times = _sums(pairs.shorter, pairs.times)
        return Seen(keys, times, np.bincount(pairs.shorter), np.zeros_like(keys))


def _sums(place: Ints, values: Ints) -> Ints:
    # Sums of whole numbers below 2⁵³ are exact in float64.
    return np.bincount(place, weights=values).astype(np.int64)


def count(
    documents: Iterable[NDArray[np.int32]],
    vocabulary: int,
    *,
    limit: int = LIMIT,
    fingerprint: str = "",
    say: Callable[[int], None] = lambda documents: None,
) -> tuple[Counts, Counts]:
    """Count triples inside documents, the last of them cut off at the limit.

    Args:
        documents: Token ids of each.
        vocabulary: How many different ids there are.
        limit: Greatest number of tokens to read.
        fingerprint: What the counts are called.
        say: Told how many documents have been read.

    Returns:
        All counts, and those of every `EVERY`th document alone, which are among them.

    Raises:
        TextError: There is no pair to count, or a token is outside the vocabulary.
    """
    if (vocabulary + 1) * vocabulary**2 > np.iinfo(np.int64).max:
        raise TextError(_WHAT, f"a vocabulary of {vocabulary:,} is too large for triples")
    kept, held = _Running(vocabulary), _Running(vocabulary)
    read, complete = 0, True
    for place, item in enumerate(documents):
        ids = item[: limit - read].astype(np.int64)
        (held if place % EVERY == EVERY - 1 else kept).add(ids)
        read += len(ids)
        if len(ids) < len(item):
            complete = False
            break
        say(place + 1)
    apart = held.finished()
    both = _merged(kept.finished(), apart)
    if not len(both[0]):
        raise TextError(_WHAT, "the fit part has no two tokens in a row")
    return (
        Counts(vocabulary, read, complete, *both, fingerprint),
        Counts(vocabulary, held.tokens, complete, *apart),
    )


def without(counts: Counts, some: Counts) -> Counts:
    """The counts less some that are among them."""
    times = counts.times.copy()
    times[np.searchsorted(counts.keys, some.keys)] -= some.times
    left = times > 0
    return Counts(
        counts.vocabulary, counts.tokens - some.tokens, counts.complete, counts.keys[left],
        times[left],
    )  # fmt: skip


class _Running:
    """Triples of the documents so far: different ones with their counts, and a chunk of tokens."""

    def __init__(self, vocabulary: int) -> None:
        self.vocabulary = vocabulary
        self.tokens = 0
        self._seen: tuple[Ints, Ints] = (np.empty(0, np.int64), np.empty(0, np.int64))
        self._waiting: list[Ints] = []
        self._length = 0

    def add(self, ids: Ints) -> None:
        """Take in a document."""
        self.tokens += len(ids)
        outside = ids[(ids < 0) | (ids >= self.vocabulary)]
        if len(outside):
            raise TextError(
                _WHAT, f"token {outside[0]} is outside the vocabulary of {self.vocabulary:,}"
            )
        ids = np.concatenate([[NOTHING], ids])
        for start in range(0, len(ids) - 2, CHUNK):
            before, context, token = (ids[start + i : start + i + CHUNK] for i in range(3))
            length = min(CHUNK, len(ids) - 2 - start)
            context_key = (before[:length] + 1) * self.vocabulary + context[:length]
            self._waiting.append(context_key * self.vocabulary + token)
            self._length += length
            if self._length >= CHUNK:
                self._merge()

    def finished(self) -> tuple[Ints, Ints]:
        """The triples, ascending, and how often each was seen."""
        self._merge()
        return self._seen

    def _merge(self) -> None:
        if self._waiting:
            new = np.unique(np.concatenate(self._waiting), return_counts=True)
            self._seen = _merged(self._seen, new)
        self._waiting, self._length = [], 0


def runs(ascending: Ints) -> Ints:
    """Where each different value of an ascending array begins."""
    return np.flatnonzero(np.diff(ascending, prepend=-1))


def _merged(one: tuple[Ints, Ints], other: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Two ascending tables as one, the counts of what is in both added up."""
    keys = np.concatenate([one[0], other[0]])
    if not len(keys):
        return one
    order = np.argsort(keys, kind="stable")  # two ascending runs: merged in linear time
    keys = keys[order]
    first = runs(keys)
    times = np.concatenate([one[1], other[1]])[order]
    return keys[first], np.add.reduceat(times, first)
