"""What the ladder is trained on: the fit part of `webmix` as one long row of tokens."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unexplained.fetch import cache_folder, new_file, read_kept
from unexplained.hashing import own_digest
from unexplained.ladder.recipe import Recipe
from unexplained.sites import Shape
from unexplained.text.corpora import webmix
from unexplained.text.document import Document, order_key, part
from unexplained.text.mixture import mixed
from unexplained.text.tokens import Encoder

HELD_OUT = 50
"""Of the fit part one document in so many is not trained on: recipes were chosen by these."""

SHORTEST_SEGMENT, LONGEST_SEGMENT = 8, 39


@dataclass(frozen=True, eq=False)
class Stream:
    """Tokens to train on, and tokens to choose recipes by."""

    train: NDArray[np.int32]
    """All documents of the fit part end to end, a start token before each."""
    held_out: NDArray[np.int32]
    fingerprint: str


def fit_documents() -> list[Document]:
    """The fit part of `webmix`, mixed by length; nothing of the eval part."""
    corpus = webmix.corpus()
    fit = [item for item in corpus.documents if part(item.id) == "fit"]
    fit.sort(key=lambda item: order_key(item.id, 0))
    return list(mixed(fit, corpus.weights, cost=lambda item: len(item.text)))


@dataclass(frozen=True)
class _Untrained:
    """A model that is not there yet: what reads texts asks no more of it."""

    tokenizer: Any
    name: str = "a rung of the ladder"

    @property
    def shape(self) -> Shape:
        return Shape(1, 1, 1, 1, 1, 1, len(self.tokenizer))


def stream(tokenizer: Any) -> Stream:
    """The tokens of the fit part; encoded once and kept in the cache.

    A document that spells the start token has its letters there, as in every text (`text.tokens`);
    none of `webmix` does.
    """
    made_of = tokenizer.backend_tokenizer.to_str()
    about = f"{made_of}{webmix.PACKAGE.sha256}{webmix.RECIPE}{HELD_OUT}"
    name = hashlib.sha256(about.encode()).hexdigest()[:16]
    path = cache_folder() / "ladder" / f"stream-{name}-{own_digest(*webmix.MADE_BY, __name__)}.npz"
    data = read_kept(path)
    if data is None:
        kept: dict[str, list[NDArray[np.int32]]] = {"train": [], "held_out": []}
        for place, (_, ids) in enumerate(
            Encoder(_Untrained(tokenizer)).encode_all(fit_documents())
        ):
            which = "held_out" if place % HELD_OUT == HELD_OUT - 1 else "train"
            kept[which].append(ids)
        with new_file(path, sealed=True) as draft, draft.open("wb") as file:
            train, held_out = (np.concatenate(kept[name]) for name in ("train", "held_out"))
            np.savez(file, train=train, held_out=held_out)
        return Stream(train, held_out, name)
    with np.load(io.BytesIO(data), allow_pickle=False) as found:
        return Stream(found["train"], found["held_out"], name)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, there: int) -> NDArray[np.int64]:
    """The order of an epoch, drawn once and not at every step."""
    return np.random.default_rng([seed, epoch]).permutation(there)


def rows(recipe: Recipe, tokens: NDArray[np.int32], step: int) -> NDArray[np.int64]:
    """The rows of a step: a function of recipe and step alone, so a run can be taken up anywhere.

    A row is a start token and the next `context` − 1 tokens of a place in the stream; places are
    gone through in an order drawn anew for every epoch. In enriched rows a random segment of
    ordinary tokens repeats until the row is full.
    """
    length = recipe.context - 1
    there = len(tokens) // length
    first = step * recipe.rows
    found = np.zeros((recipe.rows, recipe.context), dtype=np.int64)
    for place in range(recipe.rows):
        epoch, index = divmod(first + place, there)
        start = _order(recipe.seed, epoch, there)[index] * length
        found[place, 1:] = tokens[start : start + length]
    rng = np.random.default_rng([recipe.seed, 1, step])
    for place in range(round(recipe.repeats * recipe.rows)):
        size = int(rng.integers(SHORTEST_SEGMENT, LONGEST_SEGMENT + 1))
        segment = rng.integers(1, recipe.vocabulary, size)
        found[place, 1:] = np.resize(segment, length)
    return found
