"""Uniform, unigram and bigram predictions: what a table of counts knows of a text.

All orders are interpolated after Witten and Bell (1991), down to the uniform distribution over the
vocabulary V:

    P_0(w)   = 1 / V
    P_1(w)   = (N(w) + T P_0(w)) / (N + T)
    P_2(w|c) = (N(c, w) + T(c) P_1(w)) / (N(c) + T(c))

N counts predicted tokens (all but the first of every document), T(c) is the number of different
tokens seen after c, and T the number of different tokens seen. No probability is zero, and a
context that was never seen gives P_1 exactly.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.errors import TextError
from unexplained.fetch import cache_folder, new_file, read_kept
from unexplained.subject import Batch
from unexplained.text.build import Text

LIMIT = 2_000_000
"""Tokens of the pool that are counted unless more or fewer are asked for."""
NAMES = ("uniform", "unigram", "bigram")
_VERSION = 1
_FORM = 2
"""Of the file; what is counted is that of `_VERSION`."""


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each token was predicted, and after which token."""

    vocabulary: int
    tokens: int
    """Tokens read, the first of every document included."""
    unigram: NDArray[np.int64]
    """(vocabulary,) times that the token was predicted."""
    pairs: NDArray[np.int64]
    """Seen pairs, ascending, as context × vocabulary + token."""
    pair_counts: NDArray[np.int64]
    fingerprint: str


@dataclass(frozen=True, eq=False)
class NGram:
    """A table that predicts the next token from the one before it, or from nothing."""

    order: int
    """0 uniform, 1 unigram, 2 bigram."""
    name: str
    tokens: int
    """Tokens of the fit part that were counted."""
    fingerprint: str
    parameters: int
    """Stored counts: different tokens, and for a bigram also different pairs."""
    lower: Tensor
    """(vocabulary,) natural logs: the distribution for a context that was never seen."""
    backoff: Tensor
    """(vocabulary,) natural log of the weight that a context leaves to `lower`."""
    offsets: Tensor
    """(vocabulary + 1,) where a context's stored pairs begin and end."""
    following: Tensor
    """Token of each stored pair."""
    stored: Tensor
    """Natural log of the probability of each stored pair."""

    def predict(self, batch: Batch, where: Tensor) -> Callable[[slice], Tensor]:
        """Predictions at the places that `where` (batch, position) marks; see `log_probs`."""
        return self.log_probs(batch.tokens[where])

    def log_probs(self, contexts: Tensor) -> Callable[[slice], Tensor]:
        """Predictions of the next token, to be asked for by slices of the vocabulary.

        Whole rows would be large: 2,048 contexts times 49,152 tokens are 400 MB.

        Args:
            contexts: Token ids, integers of shape (n,).

        Returns:
            A function from a slice with start and stop to natural logs of probabilities, float32,
            of shape (n, columns). Rows may share memory when the order is below 2: do not write
            to the result.
        """
        contexts = contexts.to(self.lower.device, torch.long)
        if self.order < 2:
            return lambda columns: self.lower[columns].expand(len(contexts), -1)
        start, length = self.offsets[contexts], self.offsets.diff()[contexts]
        rows = torch.repeat_interleave(torch.arange(len(contexts), device=start.device), length)
        # The i-th stored pair overall is the (i - pairs of earlier rows)-th of its own row.
        earlier = torch.cumsum(length, 0) - length
        place = torch.arange(len(rows), device=start.device) + (start - earlier)[rows]
        following, order = self.following[place].sort(stable=True)
        rows, stored = rows[order], self.stored[place][order]

        def of(columns: slice) -> Tensor:
            result = self.lower[columns] + self.backoff[contexts, None]
            ends = torch.tensor([columns.start, columns.stop], device=following.device)
            low, high = torch.searchsorted(following, ends).tolist()
            here = slice(low, high)
            result[rows[here], following[here] - columns.start] = stored[here]
            return result

        return of


def ngrams(text: Text, limit: int = LIMIT) -> tuple[NGram, NGram, NGram]:
    """The uniform, unigram and bigram table of a text's fit part, counted once and then cached.

    Args:
        text: Its pool is read, never its eval part.
        limit: Greatest number of tokens to count; the pool is mixed like the text, so the
            beginning stands for the whole.

    Raises:
        FetchError: The counts cannot be kept in the cache.
    """
    key = f"{_VERSION} {text.pool_fingerprint} {text.vocabulary} {limit}"
    fingerprint = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = cache_folder() / "ngrams" / f"{fingerprint}-{_FORM}.npz"
    data = read_kept(path)
    if data is not None:
        counts = _load(data, text.vocabulary, fingerprint)
    else:
        counts = count(text.pool(), text.vocabulary, limit=limit, fingerprint=fingerprint)
        _save(counts, path)
    uniform, unigram, bigram = (ngram(counts, order) for order in range(3))
    return uniform, unigram, bigram


def count(
    documents: Iterable[NDArray[np.int32]],
    vocabulary: int,
    *,
    limit: int = LIMIT,
    fingerprint: str = "",
) -> Counts:
    """Count tokens and pairs inside documents, the last of them cut off at the limit.

    Raises:
        TextError: There is no pair to count, or a token is outside the vocabulary.
    """
    before: list[NDArray[np.int64]] = []
    after: list[NDArray[np.int64]] = []
    read = 0
    for item in documents:
        ids = item[: limit - read].astype(np.int64)
        before.append(ids[:-1])
        after.append(ids[1:])
        read += len(ids)
        if read >= limit:
            break
    contexts = np.concatenate([np.empty(0, dtype=np.int64), *before])
    predicted = np.concatenate([np.empty(0, dtype=np.int64), *after])
    if not len(predicted):
        raise TextError("Counts for n-grams", "the fit part has no two tokens in a row")
    highest = int(max(contexts.max(), predicted.max()))
    if highest >= vocabulary:
        raise TextError(
            "Counts for n-grams", f"token {highest} is outside the vocabulary of {vocabulary:,}"
        )
    pairs, pair_counts = np.unique(contexts * vocabulary + predicted, return_counts=True)
    unigram = np.bincount(predicted, minlength=vocabulary)
    return Counts(vocabulary, read, unigram, pairs, pair_counts, fingerprint)


def ngram(counts: Counts, order: int) -> NGram:
    """The table of one order: 0, 1 or 2."""
    size = counts.vocabulary
    uniform = np.full(size, 1 / size)
    seen, types = counts.unigram.sum(), np.count_nonzero(counts.unigram)
    unigram = (counts.unigram + types * uniform) / (seen + types)
    nothing = np.empty(0, dtype=np.int64)
    pairs, pair_counts = (counts.pairs, counts.pair_counts) if order == 2 else (nothing, nothing)
    contexts, following = np.divmod(pairs, size)
    totals = np.bincount(contexts, weights=pair_counts, minlength=size)
    kinds = np.bincount(contexts, minlength=size)
    left = np.ones(size)
    np.divide(kinds, totals + kinds, out=left, where=kinds > 0)
    lower = unigram if order else uniform
    stored = pair_counts / (totals + kinds)[contexts] + left[contexts] * lower[following]
    return NGram(
        order=order,
        name=NAMES[order],
        tokens=counts.tokens if order else 0,
        fingerprint=f"{counts.fingerprint}-{order}",
        parameters=(int(types) if order else 0) + len(pairs),
        lower=torch.from_numpy(np.log(lower)).float(),
        backoff=torch.from_numpy(np.log(left)).float(),
        offsets=torch.from_numpy(np.concatenate([[0], np.cumsum(kinds)])),
        following=torch.from_numpy(following),
        stored=torch.from_numpy(np.log(stored)).float(),
    )


def _save(counts: Counts, path: Path) -> None:
    with new_file(path, sealed=True) as draft:
        np.savez(
            draft,
            tokens=np.int64(counts.tokens),
            unigram=counts.unigram,
            pairs=counts.pairs,
            pair_counts=counts.pair_counts,
        )


def _load(data: bytes, vocabulary: int, fingerprint: str) -> Counts:
    with np.load(io.BytesIO(data), allow_pickle=False) as kept:
        return Counts(
            vocabulary,
            int(kept["tokens"]),
            kept["unigram"],
            kept["pairs"],
            kept["pair_counts"],
            fingerprint,
        )
