"""Uniform, unigram, bigram and trigram predictions: what a table of counts knows of a text.

Tables are counted on the whole fit part (`counted`) and smoothed in the way, Witten–Bell or modified
Kneser–Ney (`smoothing`), that is better on documents of the fit part which were held out for that
choice and counted afterwards. So "bigram" is the better of two bigrams, and both losses are said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unexplained.errors import TextError
from unexplained.progress import Progress
from unexplained.record import Counted
from unexplained.record.counts import TABLES
from unexplained.subject import Batch
from unexplained.text.build import Text
from unexplained.text.counted import counts_of
from unexplained.text.counts import LIMIT, NOTHING, Counts
from unexplained.text.smoothing import SMOOTHINGS, Smoothing, smooth

NAMES = TABLES


@dataclass(frozen=True)
class _Known:
    """What is known after some contexts: n-grams by their token, with the row of their context."""

    backoff: Tensor
    rows: Tensor
    following: Tensor
    stored: Tensor

    def put(self, shorter: Tensor, columns: slice) -> Tensor:
        """Predictions from those of the shorter contexts, (rows, columns) or the same for all."""
        result = shorter + self.backoff[:, None]
        ends = self.following.new_tensor([columns.start, columns.stop])
        low, high = torch.searchsorted(self.following, ends).tolist()
        here = slice(low, high)
        place = self.following[here].long() - columns.start
        result[self.rows[here], place] = self.stored[here]
        return result


@dataclass(frozen=True, eq=False)
class NGram:
    """A table that predicts the next token from the two before it, the one, or nothing.

    What is known after a context is at its *node*: a token is a node, and every two tokens after which
    something was seen are one; the last has nothing, for those after which nothing was.
    """

    order: int
    """0 uniform, 1 unigram, 2 bigram, 3 trigram."""
    name: str
    counted: Counted | None
    """What was counted and how it is smoothed; None for the uniform table."""
    fingerprint: str
    parameters: int
    """Stored counts: different tokens, for a bigram also different pairs, for a trigram triples."""
    lower: Tensor
    """(vocabulary,) natural logs: the distribution for a context that was never seen."""
    backoff: Tensor
    """(nodes,) natural log of the weight that a context leaves to the shorter one."""
    offsets: Tensor
    """(nodes + 1,) where a context's stored n-grams begin and end."""
    following: Tensor
    """Token of each stored n-gram, int32."""
    stored: Tensor
    """Natural log of the probability of each stored n-gram."""
    pairs: Tensor
    """The contexts of two tokens, ascending, as (first + 1) × vocabulary + second; node `vocabulary` is
    the first."""

    @property
    def says(self) -> str:
        """What it is, in words."""
        if self.counted is None:
            return "No model at all: every token is as likely as any other."
        return (
            f"No model at all: the {self.name} table of {self.counted.extent}, "
            f"{self.counted.smoothing} smoothing."
        )

    @property
    def tokens(self) -> int:
        """Tokens of the fit part that were counted."""
        return 0 if self.counted is None else self.counted.tokens

    @property
    def held(self) -> tuple[Tensor, ...]:
        """Everything that its predictions are made of."""
        return (
            self.lower, self.backoff, self.offsets, self.following, self.stored, self.pairs,
        )  # fmt: skip

    def predict(self, batch: Batch, where: Tensor) -> Callable[[slice], Tensor]:
        """Predictions at the places that `where` (batch, position) marks; see `log_probs`."""
        assert batch.start == 0, "the tokens before the batch are not in it"
        return self.log_probs(self.contexts(batch.tokens)[where])

    def contexts(self, tokens: Tensor) -> Tensor:
        """What is looked at to predict what comes after each position of some documents.

        Args:
            tokens: (batch, position), each row a document from its beginning.

        Returns:
            (batch, position): the token there; for a trigram (batch, position, 2): the one before it,
            −1 where there is none, and the one there.
        """
        if self.order < 3:
            return tokens
        before = torch.nn.functional.pad(tokens[:, :-1], (1, 0), value=NOTHING)
        return torch.stack([before, tokens], dim=-1)

    def log_probs(self, contexts: Tensor) -> Callable[[slice], Tensor]:
        """Predictions of the next token, to be asked for by slices of the vocabulary.

        Whole rows would be large: 2,048 contexts times 49,152 tokens are 400 MB.

        Args:
            contexts: Token ids, integers of shape (n,), of a trigram (n, 2); see `contexts`.

        Returns:
            A function from a slice with start and stop to natural logs of probabilities, float32,
            of shape (n, columns). Rows may share memory when the order is below 2: do not write
            to the result.

        Raises:
            TextError: Contexts are of another length, or hold what is no token.
        """
        wanted = (2,) if self.order == 3 else ()
        if contexts.shape[1:] != wanted:
            raise TextError(
                f"Predictions of a {self.name} table for contexts of shape {tuple(contexts.shape)}",
                f"it takes (n{', 2' * (self.order == 3)})",
                "Make them of whole documents: table.contexts(tokens).flatten(0, 1).",
            )
        if contexts.is_floating_point() or contexts.is_complex() or contexts.dtype == torch.bool:
            raise TextError(
                f"Predictions of a {self.name} table", f"contexts are {contexts.dtype}",
                "Give token ids as integers.",
            )  # fmt: skip
        contexts = contexts.to(self.lower.device, torch.long)
        self._require_known(contexts)
        if self.order < 2:
            return lambda columns: self.lower[columns].expand(len(contexts), -1)
        # Frequent tokens come again and again and have most followers: once each is far quicker.
        tokens = contexts if self.order == 2 else contexts[:, 1]
        single, row = torch.unique(tokens, return_inverse=True)
        after_one = self._known(single)
        after_two = self._known(self._pair_nodes(contexts)) if self.order == 3 else None

        def of(columns: slice) -> Tensor:
            result = after_one.put(self.lower[columns], columns)[row]
            return result if after_two is None else after_two.put(result, columns)

        return of

    def _require_known(self, contexts: Tensor) -> None:
        """Refuse ids outside the vocabulary; before the first token of a trigram there is nothing."""
        wrong = (contexts < 0) | (contexts >= len(self.lower))
        if self.order == 3:
            wrong[:, 0] &= contexts[:, 0] != NOTHING
        if wrong.any():
            raise TextError(
                f"Predictions of a {self.name} table",
                f"token id {int(contexts[wrong][0])} is outside its {len(self.lower)} tokens",
                "Give ids of the tokenizer by which it was counted.",
            )

    def _pair_nodes(self, contexts: Tensor) -> Tensor:
        """The nodes of some contexts of two tokens."""
        size = len(self.lower)
        keys = (contexts[:, 0] + 1) * size + contexts[:, 1]
        place = torch.searchsorted(self.pairs, keys).clamp(max=len(self.pairs) - 1)
        return size + torch.where(self.pairs[place] == keys, place, len(self.pairs))

    def _known(self, nodes: Tensor) -> _Known:
        """What is known at some nodes."""
        start, length = self.offsets[nodes], self.offsets[nodes + 1] - self.offsets[nodes]
        rows = torch.repeat_interleave(torch.arange(len(nodes), device=start.device), length)
        # The i-th stored n-gram overall is the (i - n-grams of earlier rows)-th of its own row.
        earlier = torch.cumsum(length, 0) - length
        place = torch.arange(len(rows), device=start.device) + (start - earlier)[rows]
        following, order = self.following[place].sort(stable=True)
        return _Known(self.backoff[nodes], rows[order], following, self.stored[place][order])


def ngrams(
    text: Text, limit: int = LIMIT, say: Progress = lambda what, done, total: None
) -> tuple[NGram, NGram, NGram, NGram]:
    """The uniform, unigram, bigram and trigram table of a text's fit part.

    Args:
        text: Its pool is read, never its eval part.
        limit: Greatest number of tokens to count.
        say: Told about progress, where the pool has to be counted.

    Raises:
        FetchError: The counts cannot be kept in the cache.
        TextError: There is nothing to count.
    """
    counts = counts_of(text, limit, say)
    uniform, unigram, bigram, trigram = (ngram(counts, order) for order in range(4))
    return uniform, unigram, bigram, trigram


def table(
    text: Text, order: int, limit: int = LIMIT, say: Progress = lambda what, done, total: None
) -> NGram:
    """One of the tables of `ngrams`, where no other is needed."""
    return ngram(counts_of(text, limit, say), order)


def ngram(counts: Counts, order: int, smoothing: Smoothing | None = None) -> NGram:
    """The table of one order, 0 to 3.

    Args:
        counts: What was counted.
        order: 0 uniform, 1 unigram, 2 bigram, 3 trigram.
        smoothing: How; if not given the better one on held-out documents, and Witten–Bell where there
            are none.
    """
    losses = counts.held_out.get(order, {})
    best = min(SMOOTHINGS, key=lambda name: losses.get(name, 0.0))
    way = best if smoothing is None else smoothing
    smoothed = smooth(counts, order, way)
    size = counts.vocabulary
    left, lengths = np.ones(size), np.zeros(size, dtype=np.int64)
    pairs = np.empty(0, dtype=np.int64)
    for level in smoothed.levels[:1]:
        left[level.contexts], lengths[level.contexts] = level.left, np.diff(level.offsets)
    for level in smoothed.levels[1:]:
        pairs = level.contexts
        left = np.append(left, level.left)
        lengths = np.append(lengths, np.diff(level.offsets))
    keys = np.concatenate([np.empty(0, np.int64), *(level.keys for level in smoothed.levels)])
    stored = np.concatenate([np.empty(0), *(level.stored for level in smoothed.levels)])
    return NGram(
        order=order,
        name=NAMES[order],
        counted=Counted(
            name=NAMES[order],
            smoothing=way,
            tokens=counts.tokens,
            complete=counts.complete,
            held_out=losses,
        )
        if order
        else None,
        fingerprint=f"{counts.fingerprint}-{order}-{way if order else ''}",
        parameters=sum(len(counts.seen(length).keys) for length in range(1, order + 1)),
        lower=torch.from_numpy(np.log(smoothed.lower)).float(),
        backoff=torch.from_numpy(np.log(np.append(left, 1.0))).float(),
        offsets=torch.from_numpy(np.concatenate([[0], np.cumsum(np.append(lengths, 0))])),
        following=torch.from_numpy((keys % size).astype(np.int32)),
        stored=torch.from_numpy(np.log(stored)).float(),
        pairs=torch.from_numpy(pairs),
    )
