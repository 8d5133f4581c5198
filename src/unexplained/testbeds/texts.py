"""The texts that the planted models are measured on: random tokens with known structure.

Every function returns an integer array (document, position) with BOS at position 0, drawn from
the generator that it is given and from nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from unexplained.errors import TextError
from unexplained.testbeds.vocabulary import (
    BOS,
    COPIED,
    FOLLOWED,
    VOCABULARY,
    WORDS,
    IntArray,
    successor,
)
from unexplained.text import Block, Text

FRESH_RUN = (2, 6)
"""Shortest and longest run of new random tokens in `irregular`."""

COPIED_RUN = (4, 12)
"""Shortest and longest segment that `irregular` copies from earlier on."""


def repeated(
    rng: np.random.Generator, documents: int, n: int, words: Sequence[int] | None = None
) -> IntArray:
    """BOS, then a random segment of n different tokens, twice.

    No token occurs twice within the segment, so strict induction has exactly one place to look
    at. On this text it cannot be told from attention at the fixed distance n − 1, except at the
    one position where the second copy begins.

    Args:
        rng: Source of randomness.
        documents: Number of documents.
        n: Length of the segment.
        words: Ids to draw from; all but BOS when None.

    Returns:
        (documents, 2n + 1).

    Raises:
        TextError: The segment is empty or longer than the number of ids.

    >>> repeated(np.random.default_rng(0), 1, 3).shape
    (1, 7)
    """
    segment = _distinct(rng, documents, n, words)
    return _with_bos(np.concatenate([segment, segment], axis=1))


def interrupted(rng: np.random.Generator, documents: int, n: int, replaced: int) -> IntArray:
    """As `repeated`, with some tokens of the second copy replaced by tokens that are new.

    The places are random, never the first or the last of the copy, and never side by side; a
    replacement occurs once in the document. After a replacement there is nothing to induce from,
    while attention at the fixed distance n − 1 carries on.

    Args:
        rng: Source of randomness.
        documents: Number of documents.
        n: Length of the segment.
        replaced: Number of replaced tokens.

    Returns:
        (documents, 2n + 1).

    Raises:
        TextError: There are not enough tokens, or not enough places that are not side by side.
    """
    if not 0 <= replaced <= (n - 1) // 2:
        raise TextError(
            f"{replaced} replaced tokens in a copy of {n}",
            f"at most {max(0, (n - 1) // 2)} fit between its ends without touching",
        )
    drawn = _distinct(rng, documents, n + replaced, None)
    first, second = drawn[:, :n], drawn[:, :n].copy()
    for row in range(documents):
        # k of m − k + 1 places, each pushed on by those before it: k of m without neighbours.
        places = rng.choice(n - 1 - replaced, size=replaced, replace=False)
        places = np.sort(places) + np.arange(replaced) + 1
        second[row, places] = drawn[row, n:]
    return _with_bos(np.concatenate([first, second], axis=1))


def irregular(rng: np.random.Generator, documents: int, length: int) -> IntArray:
    """Random tokens in which segments of random length come back at random distances.

    Runs of new tokens (`FRESH_RUN`) alternate with segments copied from anywhere earlier
    (`COPIED_RUN`). Tokens recur by chance too, so a token is followed now by what followed it
    before and now by something else: strict induction is right, half right and wrong.

    Args:
        rng: Source of randomness.
        documents: Number of documents.
        length: Number of tokens in a document, BOS included.

    Returns:
        (documents, length).

    Raises:
        TextError: A document would be shorter than two tokens.
    """
    if length < 2:
        raise TextError(f"Documents of {length} tokens", "nothing is predicted in them")
    return np.stack([_irregular_document(rng, length) for _ in range(documents)])


def two_rules(rng: np.random.Generator, documents: int, pairs: int, segment: int) -> IntArray:
    """BOS, pairs (token of class B, its successor), then a segment of class A, twice.

    No token of the pairs occurs again. What can be predicted is `pairs` tokens by their
    predecessor and `segment − 1` tokens by induction, and nothing is predicted wrongly.

    Args:
        rng: Source of randomness.
        documents: Number of documents.
        pairs: Number of pairs.
        segment: Length of the segment.

    Returns:
        (documents, 1 + 2 pairs + 2 segment).

    Raises:
        TextError: pairs + segment is more than the number of tokens in class A.
    """
    if pairs < 0:
        raise TextError(f"{pairs} pairs", "their number cannot be negative")
    drawn = _distinct(rng, documents, pairs + segment, COPIED)
    follower = {successor(token): token for token in FOLLOWED}
    body = np.empty((documents, 2 * pairs), dtype=np.int64)
    body[:, 0::2] = np.vectorize(follower.get, otypes=[np.int64])(drawn[:, :pairs])
    body[:, 1::2] = drawn[:, :pairs]
    copy = drawn[:, pairs:]
    return _with_bos(np.concatenate([body, copy, copy], axis=1))


def text_of(name: str, measured: IntArray, fitted: IntArray, *, second_copy: int = 0) -> Text:
    """A text of given tokens; of documents that both parts have, those to measure on stay."""
    seen: set[str] = set()

    def blocks(tokens: IntArray) -> tuple[Block, ...]:
        found = []
        for row in tokens.astype(np.int32):
            mark = hashlib.sha256(row.tobytes()).hexdigest()[:16]
            if mark not in seen:
                seen.add(mark)
                found.append(Block(mark, name, row, second_copy))
        return tuple(found)

    first, second = blocks(measured), blocks(fitted)
    whole = Text(
        name=name,
        eval=first,
        fit=second,
        pool=lambda: (block.tokens for block in second),
        pool_fingerprint=hashlib.sha256(" ".join(b.document for b in second).encode()).hexdigest(),
        block=max(measured.shape[1], fitted.shape[1]),
        vocabulary=len(VOCABULARY),
        fingerprint="",
        notes=(),
        composition={},
    )
    # `first` works out the fingerprint and the composition.
    return whole.first(len(first), len(second))


def _distinct(
    rng: np.random.Generator, documents: int, n: int, words: Sequence[int] | None
) -> IntArray:
    pool = np.arange(1, WORDS + 1) if words is None else np.asarray(words, dtype=np.int64)
    if not 1 <= n <= len(pool):
        raise TextError(
            f"{n} different tokens in a document",
            f"there are {len(pool)} to draw from",
            f"Ask for 1 to {len(pool)}.",
        )
    return rng.permuted(np.tile(pool, (documents, 1)), axis=1)[:, :n]


def _irregular_document(rng: np.random.Generator, length: int) -> IntArray:
    tokens = [BOS, *rng.integers(1, WORDS + 1, size=COPIED_RUN[1]).tolist()]
    while len(tokens) < length:
        run = int(rng.integers(COPIED_RUN[0], COPIED_RUN[1] + 1))
        start = int(rng.integers(1, len(tokens) - run + 1))
        tokens += tokens[start : start + run]
        tokens += rng.integers(1, WORDS + 1, size=rng.integers(*FRESH_RUN, endpoint=True)).tolist()
    return np.asarray(tokens[:length], dtype=np.int64)


def _with_bos(body: IntArray) -> IntArray:
    return np.pad(body, ((0, 0), (1, 0)), constant_values=BOS)
