"""A subject's tokenizer, asked in one way and checked against the model that it is said to fit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError
from unexplained.sites import Shape
from unexplained.text.document import Document

_BATCH = 64


class Tokenized(Protocol):
    """What a text needs of a subject."""

    @property
    def name(self) -> str:
        """The model's name."""

    @property
    def tokenizer(self) -> Any:
        """A fast tokenizer of transformers."""

    @property
    def shape(self) -> Shape:
        """The model's sizes."""


@dataclass(frozen=True)
class Tokens:
    """The tokenizer with its own defaults: special tokens are added where it adds them."""

    subject: Tokenized

    @property
    def prefix(self) -> tuple[int, ...]:
        """The special tokens that the tokenizer puts before every text; often none."""
        plain = self._ids(["a"], special=False)[0]
        special = self._ids(["a"], special=True)[0]
        return tuple(special[: special.index(plain[0])]) if plain else ()

    @property
    def note(self) -> str:
        """Says whether blocks begin with a special token."""
        if not self.prefix:
            return "The tokenizer adds no token at the start: blocks begin with ordinary text."
        names = " ".join(self.subject.tokenizer.convert_ids_to_tokens(list(self.prefix)))
        return f"The tokenizer adds {names} at the start of every block."

    @property
    def ordinary(self) -> NDArray[np.int64]:
        """Ids that are neither special nor added to the vocabulary afterwards, ascending."""
        tokenizer = self.subject.tokenizer
        known = set(tokenizer.get_vocab().values())
        known -= {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
        ids = np.array(sorted(known), dtype=np.int64)
        self.require_known(ids)
        return ids

    @property
    def fingerprint(self) -> str:
        """A hash of everything that the tokenizer is made of."""
        made_of: str = self.subject.tokenizer.backend_tokenizer.to_str()
        return hashlib.sha256(made_of.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def encode(self, texts: list[str]) -> list[NDArray[np.int32]]:
        """The token ids of every text.

        Raises:
            TextError: An id lies outside the model's embedding, so the tokenizer belongs to
                another model.
        """
        found = [np.array(ids, dtype=np.int32) for ids in self._ids(texts, special=True)]
        for ids in found:
            self.require_known(ids)
        return found

    def encode_all(
        self, documents: Iterable[Document]
    ) -> Iterator[tuple[Document, NDArray[np.int32]]]:
        """Every document with its token ids, lazily and in batches."""
        source = iter(documents)
        while batch := list(islice(source, _BATCH)):
            yield from zip(batch, self.encode([item.text for item in batch]), strict=True)

    def _ids(self, texts: list[str], *, special: bool) -> list[list[int]]:
        # verbose=False: no warning about a length that only matters if the model were run on it.
        asked = {"add_special_tokens": special, "truncation": False, "verbose": False}
        ids: list[list[int]] = self.subject.tokenizer(texts, **asked)["input_ids"]
        return ids

    def require_known(self, ids: NDArray[Any]) -> None:
        """Refuse ids that the model has no embedding for.

        Raises:
            TextError: There is one.
        """
        highest = int(ids.max(initial=-1))
        if highest >= self.subject.shape.vocabulary:
            raise TextError(
                f"The tokenizer {self.subject.tokenizer.name_or_path or '(unnamed)'}",
                f"it gives token {highest}, but the model {self.subject.name} has "
                f"{self.subject.shape.vocabulary:,} embeddings",
                "Load the model together with its own tokenizer.",
            )
