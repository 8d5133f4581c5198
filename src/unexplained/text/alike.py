"""The same stretch of characters under several tokenizers, so that losses can be compared by byte.

Losses per token of different tokenizers are of different events. Their sums over the same
characters are not: −log p of a stretch of text, given what comes before it, is one number whatever
a model cuts it into. (A model could reach the same characters by other tokens too, so the sum is an
upper bound, as everywhere.) The stretch begins where every tokenizer begins a token, some words
into the document, so that nothing depends on who has a token for the beginning of a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError
from unexplained.text.build import Text, fingerprint_of
from unexplained.text.corpora import corpus_of
from unexplained.text.document import Block, Corpus, Document, Pair, order_key, part
from unexplained.text.draw import ENOUGH, WHAT_A_DOCUMENT_IS
from unexplained.text.mixture import mixed
from unexplained.text.tokens import Encoder, Tokenized

OPENING = 64
"""Characters at least that are read before the stretch begins."""

TRIES = 24
"""Beginnings that are tried in a document before it is passed over."""


@dataclass(frozen=True, eq=False)
class Alike:
    """The same documents for several models."""

    texts: tuple[Text, ...]
    """One for each model; block i of all is of the same characters."""
    first: tuple[tuple[int, ...], ...]
    """For each model and block, how many targets come before the stretch."""
    bytes: NDArray[np.int64]
    """UTF-8 bytes of each block's stretch."""
    notes: tuple[str, ...]

    def stretches(self, model: int) -> dict[str, tuple[slice, int]]:
        """By document, which of a model's targets are the stretch, and its bytes."""
        rows = zip(self.texts[model].eval, self.first[model], self.bytes.tolist(), strict=True)
        return {block.document: (slice(at, len(block.targets)), n) for block, at, n in rows}


def alike(
    source: str,
    models: Sequence[Tokenized],
    *,
    documents: int = 64,
    characters: int = 600,
    seed: int = 0,
) -> Alike:
    """Cut the beginnings of a source's eval documents for several tokenizers.

    Args:
        source: A corpus or a path, as for `text`.
        models: Whose tokenizers.
        documents: How many.
        characters: Greatest length of a document's beginning; it ends at the end of a word.
        seed: Which documents are drawn.

    Raises:
        TextError: There is no such text; its documents are too short; or a tokenizer does not
            give the characters back (one that lowers letters, say), which is named.
    """
    name, corpus = require_documents(source, documents, characters)
    there = [item for item in corpus.documents if part(item.unit) == "eval"]
    _require_some(name, corpus, len(there))
    ordered = mixed(sorted(there, key=lambda item: order_key(item.unit, seed)), corpus.weights)
    beginnings = (replace(item, text=_beginning(item.text, characters)) for item in ordered)
    return _cut_all(name, beginnings, models, documents, corpus.notes)


def alike_to(text: Text, models: Sequence[Tokenized]) -> Alike:
    """The characters of a text's blocks for other models beside the one that it was cut for.

    A stretch ends at the last word that a block holds whole, so that nobody has to spell half of one.
    What stands for the first model in the result are beginnings of the text's own blocks: what was
    measured on those need not be measured again.

    Args:
        text: Running text.
        models: The one that the text was cut for, then the others.

    Raises:
        TextError: It is of pairs; or as for `alike`.
    """
    if any(isinstance(block, Pair) for block in text.eval):
        raise TextError(
            f"The characters of {text.name} under other tokenizers",
            "it is of pairs of prompts, which are scored at their last token alone",
            "Give models with the model's own tokenizer, or take running text.",
        )
    own = _Cutter(models[0], Encoder(models[0]))
    whole = (Document(b.document, own.words_of(b), b.domain) for b in text.eval)
    return _cut_all(text.name, whole, models, len(text.eval), ())


def _cut_all(
    name: str,
    items: Iterable[Document],
    models: Sequence[Tokenized],
    documents: int,
    said: Sequence[str],
) -> Alike:
    """Documents, as far as they are to be read, under every tokenizer."""
    cutters = [_Cutter(model, Encoder(model)) for model in models]
    found: list[tuple[Document, list[_Cut], int]] = []
    short = unbroken = 0
    failed = dict.fromkeys((model.name for model in models), 0)
    for item in items:
        if len(found) == documents:
            break
        words = item.text
        if len(words) < 2 * OPENING:
            short += 1
            continue
        begin, cuts, culprit = _first_shared(words, cutters)
        if culprit:
            failed[culprit] += 1
        elif not cuts:
            unbroken += 1
        else:
            found.append((item, cuts, len(words[begin:].encode())))
    _require_found(name, found, short, unbroken, failed)
    notes = [*said]
    if short:
        notes.append(f"passed over for having under {2 * OPENING} characters: {short}.")
    if lost := sum(failed.values()):
        notes.append(
            "passed over because some tokenizer begins no token at a space between words, or does "
            f"not give the characters back: {lost}."
        )
    if unbroken:
        notes.append(f"passed over for having no space between two words: {unbroken}.")
    if len(found) < documents:
        notes.append(f"{documents} documents were asked for and there are {len(found)}.")
    return Alike(
        texts=tuple(
            _text(name, model, [(item, cuts[i]) for item, cuts, _ in found], notes)
            for i, model in enumerate(models)
        ),
        first=tuple(tuple(cuts[i].first for _, cuts, _ in found) for i in range(len(models))),
        bytes=np.array([size for _, _, size in found]),
        notes=tuple(notes),
    )


def _beginning(text: str, characters: int) -> str:
    """At most so many characters, up to the end of a word."""
    if len(text) <= characters:
        return text.rstrip()
    pieces = text[:characters].rsplit(None, 1)
    return pieces[0].rstrip() if len(pieces) > 1 else text[:characters]


def _beginnings(words: str) -> Iterator[int]:
    """Places of single spaces between a letter or digit and another, some way in."""
    tried = 0
    for place in range(OPENING, len(words) - OPENING // 2):
        around = words[place - 1], words[place], words[place + 1]
        if around[1] == " " and around[0].isalnum() and around[2].isalnum():
            tried += 1
            if tried > TRIES:
                return
            yield place


def _ends(words: str) -> Iterator[int]:
    """Places of the last spaces between two words."""
    place, tried = words.rfind(" "), 0
    while place > 0 and tried < TRIES:
        if not words[place - 1].isspace():
            tried += 1
            yield place
        place = words.rfind(" ", 0, place)


@dataclass(frozen=True)
class _Cut:
    tokens: NDArray[np.int32]
    first: int
    """How many targets come before the stretch."""


@dataclass(frozen=True)
class _Cutter:
    model: Tokenized
    tokens: Encoder

    def cut(self, words: str, begin: int) -> _Cut | None:
        """The tokens, if one begins at the place and they give both sides back."""
        ids, places = self.tokens.pieces(words)
        if not self.special.isdisjoint(ids):
            return None  # words of the document that this tokenizer takes for a special token
        before = sum(end <= begin for _, end in places)
        sides = ((ids[:before], words[:begin]), (ids[before:], words[begin:]))
        if not before or not all(self._gives(some, back) for some, back in sides):
            return None
        found = np.array([*self.tokens.prefix, *ids], dtype=np.int32)
        self.tokens.require_known(found)
        return _Cut(found, len(self.tokens.prefix) + before - 1)

    def words_of(self, block: Block) -> str:
        """A block's characters up to the end of a word, of which its own tokens are the tokens."""
        prefix = len(self.tokens.prefix)
        own = block.tokens[prefix:].tolist()
        whole: str = self.model.tokenizer.decode(own, clean_up_tokenization_spaces=False)
        for end in _ends(whole):
            ids, _ = self.tokens.pieces(whole[:end])
            if ids == own[: len(ids)]:
                return whole[:end]
        return ""

    @cached_property
    def special(self) -> frozenset[int]:
        """Ids that no words should become."""
        return frozenset(self.model.tokenizer.all_special_ids)

    def _gives(self, ids: Sequence[int], words: str) -> bool:
        back: str = self.model.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
        # Some decoders drop a space at the start; the token that it is part of is there.
        return back == words or back == words.removeprefix(" ")


def _first_shared(words: str, cutters: Sequence[_Cutter]) -> tuple[int, list[_Cut], str]:
    """The first place where every tokenizer begins a token.

    Without one: the model that could not at the last place that was tried, or nobody where there
    was no place to try.
    """
    culprit = ""
    for begin in _beginnings(words):
        cuts: list[_Cut] = []
        for cutter in cutters:
            cut = cutter.cut(words, begin)
            if cut is None:
                culprit = cutter.model.name
                break
            cuts.append(cut)
        else:
            return begin, cuts, ""
    return 0, [], culprit


def require_documents(source: str, documents: int, characters: int) -> tuple[str, Corpus]:
    """A text's name and documents; asked before any model is opened, it refuses what cannot be cut.

    Raises:
        TextError: There is no such text, or too little of it is asked for.
    """
    if characters < 2 * OPENING or documents < 1:
        raise TextError(
            f"{documents} documents of {characters} characters",
            f"the least are 1 and {2 * OPENING}, of which {OPENING} are only read",
        )
    return corpus_of(source)


def _require_some(name: str, corpus: Corpus, there: int) -> None:
    if not there:
        left_out = f"; left out for beginning like others: {corpus.near}" if corpus.near else ""
        raise TextError(
            f"The documents of {name}",
            f"of {len(corpus.documents)} none fall in the eval part (a fifth do, by hash){left_out}",
            f"Give {ENOUGH} or more that begin differently. {WHAT_A_DOCUMENT_IS}",
        )


def _require_found(
    name: str, found: Sequence[object], short: int, unbroken: int, failed: dict[str, int]
) -> None:
    worst = max(failed, key=lambda model: failed[model])
    if failed[worst] > len(found):
        raise TextError(
            f"The characters of {name} under the tokenizer of {worst}",
            f"in {failed[worst]} documents it begins no token at a space between words, takes words "
            f"for a special token, or does not give the characters back; {len(found)} can be cut",
            "By byte only tokenizers can be compared that lose nothing of the text.",
        )
    if not found:
        raise TextError(
            f"The documents of {name}",
            f"none of them can be cut: {short} are shorter than {2 * OPENING} characters and "
            f"{unbroken} have no space between two words after {OPENING}",
            "Give longer documents with spaces between words.",
        )


def _text(
    name: str, model: Tokenized, cut: Iterable[tuple[Document, _Cut]], notes: Sequence[str]
) -> Text:
    blocks = tuple(Block(item.id, item.domain, one.tokens) for item, one in cut)
    return Text(
        name=name,
        eval=blocks,
        fit=(),
        pool=lambda: iter(()),
        pool_fingerprint="",
        block=max(len(block.tokens) for block in blocks),
        vocabulary=model.shape.vocabulary,
        fingerprint=fingerprint_of(name, blocks, ()),
        notes=tuple(notes),
        composition={},
    )
