"""Documents, and the two things that follow from a document alone: its name and its part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError

Part = Literal["eval", "fit"]

EVAL_SHARE = 5
"""One document in so many is in the eval part."""


@dataclass(frozen=True)
class Document:
    """A piece of text from one place."""

    id: str
    """The first 16 hexadecimal digits of the SHA-256 of the text in UTF-8."""
    text: str
    domain: str


@dataclass(frozen=True, eq=False)
class Block:
    """The tokens of one document that are measured."""

    document: str
    domain: str
    tokens: NDArray[np.int32]
    """One-dimensional; the first token is never predicted."""
    second_copy: int = 0
    """Index at which the block begins to repeat itself; 0 where it was not built to."""


@dataclass(frozen=True)
class Corpus:
    """The documents of a source and how they are to be mixed."""

    documents: tuple[Document, ...]
    weights: dict[str, float]
    """Domain → its share of the text; need not add up to 1."""
    notes: tuple[str, ...] = field(default=())


def document(text: str, domain: str) -> Document:
    """The document with that text.

    Raises:
        TextError: The text has a lone surrogate, so it cannot be written as UTF-8.

    >>> document("abc", "letters").id
    'ba7816bf8f01cfea'
    """
    try:
        digest = hashlib.sha256(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise TextError(
            f"A document of {domain}",
            f"character {error.start} is a lone surrogate, which is no text",
            "Remove it, or decode the file that it came from as UTF-8.",
        ) from error
    return Document(digest.hexdigest()[:16], text, domain)


def part(identity: str) -> Part:
    """The part that a document is in: a fifth is `eval`, by the hash of its id.

    The same for every model, sample and user, so nothing fitted by one person on the fit part is
    ever measured by another on the same document.

    >>> [part(document(text, "x").id) for text in "abcdefg"].count("eval")
    1
    """
    number = int(hashlib.sha256(f"{identity}split".encode()).hexdigest(), 16)
    return "eval" if number % EVAL_SHARE == 0 else "fit"


def order_key(identity: str, seed: int) -> str:
    """What documents are sorted by: a stable order that looks random, one for each seed."""
    return hashlib.sha256(f"{identity}order{seed}".encode()).hexdigest()


def deduplicate(documents: Iterable[Document]) -> tuple[tuple[Document, ...], int]:
    """The documents without exact repeats, first ones kept, and how many were dropped."""
    found: dict[str, Document] = {}
    count = 0
    for item in documents:
        count += 1
        found.setdefault(item.id, item)
    return tuple(found.values()), count - len(found)
