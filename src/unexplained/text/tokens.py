"""A subject's tokenizer, asked in one way and checked against the model that it is said to fit.

Running text is tokenised as text: where a document spells a special token (`<|end|>`) it has the
letters, as the model would have met them in a document about special tokens, and not the token,
which only whoever builds a prompt may set. Prompts of pairs are built for a model, so there a
special token that is spelt out is that token (a chat prompt has many). Both are said in the notes.
A token that the tokenizer puts at the end of every text is left off everywhere: a block is the
beginning of a document and not its end, and after a prompt comes the answer.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError
from unexplained.sites import Shape
from unexplained.text.document import Document

_BATCH = 64

OPENING = 32
"""Characters of a document that are tokenised for each token of a block; where they give fewer
than `AMPLE` times the block (long runs of one letter do), more are, until they do."""
AMPLE = 2
"""How many blocks' tokens the piece must give, so that where it is cut changes no block."""
_FURTHER = 8
"""So many times as much is tokenised at the next try."""


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
class Encoder:
    """The tokenizer with its own defaults: special tokens are added where it adds them."""

    subject: Tokenized

    @property
    def prefix(self) -> tuple[int, ...]:
        """The special tokens that the tokenizer puts before every text; often none."""
        return self._around[0]

    @property
    def suffix(self) -> tuple[int, ...]:
        """The special tokens that it puts after every text, and that are left off here."""
        return self._around[1]

    @cached_property
    def _around(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        probes = ["a", "0", "the", "。"]  # a tokenizer may drop what it does not know
        try:
            self._ids(probes, special=False)
        except TextError:  # or refuse it: then words of its own
            named = set(self.subject.tokenizer.all_special_tokens)
            probes = [word for word in self.subject.tokenizer.get_vocab() if word not in named]
        both = (self._ids(probes[:4], special=special) for special in (False, True))
        for plain, whole in zip(*both, strict=True):
            for start in range(len(whole) - len(plain) + 1):
                stop = start + len(plain)
                if plain and whole[start:stop] == plain:
                    return tuple(whole[:start]), tuple(whole[stop:])
        return (), ()

    @cached_property
    def special(self) -> dict[str, int]:
        """The special tokens and their ids, without one that only stands for the unknown."""
        tokenizer = self.subject.tokenizer
        named = dict(zip(tokenizer.all_special_tokens, tokenizer.all_special_ids, strict=True))
        for number, one in tokenizer.added_tokens_decoder.items():
            if one.special:
                named[str(one)] = number
        roles = [role for role, one in tokenizer.special_tokens_map.items()
                 if one == tokenizer.unk_token]  # fmt: skip
        if roles == ["unk_token"]:
            named.pop(str(tokenizer.unk_token), None)
        return named

    @cached_property
    def _special_ids(self) -> NDArray[np.int64]:
        return np.array(sorted(self.special.values()), dtype=np.int64)

    @cached_property
    def _spelt(self) -> re.Pattern[str]:
        longest_first = sorted(filter(None, self.special), key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    @property
    def notes(self) -> tuple[str, ...]:
        """Say whether blocks begin with a special token, and whether one is left off at the end."""
        starts, ends = (
            " ".join(self.subject.tokenizer.convert_ids_to_tokens(list(ids)))
            for ids in (self.prefix, self.suffix)
        )
        first = "The tokenizer adds no token at the start: blocks begin with ordinary text."
        if starts:
            first = f"The tokenizer adds {starts} at the start of every block."
        last = f"The tokenizer adds {ends} at the end of every text; it is left off here."
        return (first, last) if ends else (first,)

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

    def encode(self, texts: list[str], *, spelt: bool = False) -> list[NDArray[np.int32]]:
        """The token ids of every text, without what the tokenizer adds at the end.

        Args:
            texts: What to cut.
            spelt: Take a special token that a text spells out for that token, and not for text.

        Raises:
            TextError: An id lies outside the model's embedding, so the tokenizer belongs to
                another model.
        """
        last = -len(self.suffix) or None
        found = [
            np.array(ids[:last], dtype=np.int32)
            for ids in self._ids(texts, special=True, spelt=spelt)
        ]
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

    def openings(
        self, documents: Iterable[Document], length: int
    ) -> Iterator[tuple[Document, NDArray[np.int32]]]:
        """Every document with the token ids of its beginning: `length` of them, or all it has.

        The documents are given back cut to what was read.
        """
        source = iter(documents)
        reach = OPENING * length
        while batch := list(islice(source, _BATCH)):
            pieces = [replace(item, text=item.text[:reach]) for item in batch]
            for item, (piece, ids) in zip(batch, self.encode_all(pieces), strict=True):
                read, found = len(piece.text), ids
                while len(found) < AMPLE * length and read < len(item.text):
                    read *= _FURTHER
                    found = self.encode([item.text[:read]])[0]
                yield replace(item, text=item.text[:read]), found[:length]

    def is_text(self, ids: NDArray[np.int32]) -> bool:
        """Whether ids hold no special token but those at the start that every text has."""
        return not np.isin(ids[len(self.prefix) :], self._special_ids).any()

    def unknown(self, ids: NDArray[np.int32]) -> int:
        """How many of some ids are the one for all that the tokenizer does not know."""
        return 0 if self._unknown is None else int((ids == self._unknown).sum())

    @cached_property
    def _unknown(self) -> int | None:
        tokenizer = self.subject.tokenizer
        if tokenizer.unk_token_id in self.special.values():
            return None  # GPT-2 calls its end of text that, which no text becomes
        if tokenizer.unk_token_id is not None:
            return int(tokenizer.unk_token_id)
        model = tokenizer.backend_tokenizer.model
        name = getattr(model, "unk_token", None)
        found: int | None = model.token_to_id(name) if isinstance(name, str) else None
        return found

    def spelt(self, text: str) -> frozenset[str]:
        """The special tokens that a text spells out."""
        return frozenset(self._spelt.findall(text))

    def pieces(self, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """The ids of a text by itself and the characters that each is of; none are added."""
        asked = {"add_special_tokens": False, "return_offsets_mapping": True}
        found = self._asked(text, spelt=False, **asked)
        return found["input_ids"], found["offset_mapping"]

    def _ids(self, texts: list[str], *, special: bool, spelt: bool = False) -> list[list[int]]:
        ids: list[list[int]] = self._asked(texts, spelt=spelt, add_special_tokens=special)[
            "input_ids"
        ]
        return ids

    def _asked(self, texts: str | list[str], *, spelt: bool, **asked: bool) -> Any:
        tokenizer = self.subject.tokenizer
        backend = tokenizer.backend_tokenizer
        before = backend.encode_special_tokens
        # verbose=False: no warning about a length that only matters if the model were run on it.
        try:
            return tokenizer(
                texts, truncation=False, verbose=False, split_special_tokens=not spelt, **asked
            )
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise TextError(
                f"A text in the tokens of {self.subject.name}",
                f"its tokenizer cannot cut it ({error})",
                "It has no token for what it does not know: use a text of its own words (of a "
                "testbed: testbed:NAME).",
            ) from error
        finally:
            backend.encode_special_tokens = before  # transformers leaves it as it was asked last

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
