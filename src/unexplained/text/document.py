"""Documents, and the two things that follow from a document alone: its name and its part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
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
    variables: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What the user says of it: name → value."""
    original: str = ""
    """What it is a version of, if anything: translations of one article are resampled together, and
    lie in the same part."""

    @property
    def unit(self) -> str:
        """What it is independent of others by: its original, or itself."""
        return self.original or self.id


@dataclass(frozen=True, eq=False)
class Block:
    """The tokens of one document that are measured."""

    document: str
    domain: str
    tokens: NDArray[np.int32]
    """One-dimensional; the first token is never predicted."""
    second_copy: int = 0
    """Index at which the block begins to repeat itself; 0 where it was not built to."""
    given: Mapping[str, str] = field(default_factory=dict)
    """Variables of the document as a whole, by whoever made the text: name → value."""
    marks: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    """Strata that the user gave (`Text.with_strata`): partition → label of every scored position."""
    original: str = ""
    """As `Document.original`."""

    @property
    def variables(self) -> Mapping[str, str]:
        """What is known of the document as a whole: donors can agree on it."""
        return self.given

    @property
    def unit(self) -> str:
        """What is resampled, and a ledger's `document`: rows of one unit are not independent."""
        return self.original or self.document

    @property
    def scored(self) -> slice:
        """Positions whose prediction is scored: all but the last, which nothing follows."""
        return slice(0, len(self.tokens) - 1)

    @property
    def targets(self) -> NDArray[np.int32]:
        """The token that was to be predicted at each scored position."""
        return self.tokens[1:]


@dataclass(frozen=True, eq=False, kw_only=True)
class Pair(Block):
    """A prompt and its corruption, of equal length; only the prediction at the end is scored.

    The logit difference, logit(answer) − logit(wrong), says whether the model has the behaviour. A single
    pair confounds that with any preference for one of the two words: pairs come with their
    role-swap, in which answer and wrong have changed places, and both are one `orbit`.

    Raises:
        TextError: The prompts differ in length, or are the same.
    """

    corrupted: NDArray[np.int32]
    """The other prompt: the same length, another (or no) right answer."""
    answer: int
    wrong: int
    orbit: str
    """Hash shared by a pair and its role-swap: the unit of resampling."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Partition → label: template, order of names, …"""

    def __post_init__(self) -> None:
        if self.tokens.shape != self.corrupted.shape:
            raise TextError(
                f"The pair {self.document} of {self.domain}",
                f"its prompts have {len(self.tokens)} and {len(self.corrupted)} tokens",
                "Activations are exchanged position by position: use words of equally many tokens.",
            )
        if np.array_equal(self.tokens, self.corrupted):
            raise TextError(
                f"The pair {self.document} of {self.domain}", "its prompts are the same"
            )

    @property
    def variables(self) -> Mapping[str, str]:
        """Its labels are variables too."""
        return {**self.labels, **self.given}

    @property
    def unit(self) -> str:
        """The orbit."""
        return self.orbit

    @property
    def shared(self) -> int:
        """How many leading tokens both prompts share."""
        return int(np.argmax(self.tokens != self.corrupted))

    @property
    def scored(self) -> slice:
        """The last position."""
        return slice(len(self.tokens) - 1, len(self.tokens))

    @property
    def targets(self) -> NDArray[np.int32]:
        """The answer."""
        return np.array([self.answer], dtype=np.int32)

    def swapped(self) -> Pair:
        """The corrupted prompt as the one that is run; answer and wrong stay."""
        return replace(self, tokens=self.corrupted, corrupted=self.tokens)


@dataclass(frozen=True)
class Corpus:
    """The documents of a source and how they are to be mixed."""

    documents: tuple[Document, ...]
    weights: dict[str, float]
    """Domain → its share of the text; need not add up to 1."""
    notes: tuple[str, ...] = field(default=())
    near: int = 0
    """How many were left out for beginning like others; what an empty part is to say."""


def document(
    text: str, domain: str, variables: Mapping[str, str] | None = None, *, original: str = ""
) -> Document:
    """The document with that text, and what is said of it.

    Args:
        text: The words.
        domain: Where they come from: by it strata are cut.
        variables: What else is known of it, by name.
        original: Of which text it is a version; versions of one are one unit of intervals.
            Empty: of its own.

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
    return Document(digest.hexdigest()[:16], text, domain, variables or {}, original)


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
