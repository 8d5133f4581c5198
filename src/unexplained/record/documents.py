"""Documents shown token by token: what is said of a token is no number that a table owns."""

from __future__ import annotations

from typing import Literal

from unexplained.record.base import Frozen
from unexplained.record.keys import Key


class Token(Frozen):
    """A token in the token view."""

    text: str
    """Raw text: escape it."""
    intact: float | None
    """Loss of this token under the intact model (nats); null for the first token."""
    explained: float | None
    ablated: float | None
    intact_says: str = ""
    explained_says: str = ""
    """Top-1 prediction for this token under the explanation: raw text, escape it."""
    label: str = ""
    """The token's `recurrence` stratum."""


class Example(Frozen):
    """A document of the eval part, or some of it around one token, where an explanation is off."""

    document: str
    domain: str
    row: str
    """Name of the explanation that is shown."""
    excess: float
    """Loss under the explanation minus the intact loss (nats per token), in this document or at `at`."""
    tokens: tuple[Token, ...]
    at: int | None = None
    """Which of the tokens it is about; None: all of a document is shown."""


class Tokens(Frozen):
    """Documents, each token coloured by how far an explanation is off there."""

    block: Literal["tokens"] = "tokens"
    key: Key
    title: str = ""
    caption: str = ""
    examples: tuple[Example, ...]


class Weights(Frozen):
    """Where a head looks from each token."""

    name: str
    role: Literal["intact", "explanation"]
    rows: tuple[tuple[float, ...], ...]
    """Of every token its attention to those up to itself, the first row of one number."""


class Attention(Frozen):
    """Attention on one document, several side by side: what a head does, and what is claimed of it."""

    block: Literal["attention"] = "attention"
    key: Key
    title: str = ""
    caption: str = ""
    document: str
    domain: str
    tokens: tuple[str, ...]
    """Raw text: escape it."""
    panels: tuple[Weights, ...]
