"""What n-gram tables were counted on, and how they are smoothed: data, which measuring depends on."""

from __future__ import annotations

from pydantic import Field

from unexplained.record.base import Frozen

TABLES = ("uniform", "unigram", "bigram", "trigram")
"""Names of the conditions that are tables of counts, or know nothing: no part of the model."""


class Counted(Frozen):
    """An n-gram table that stands among the conditions."""

    name: str
    """`unigram`, `bigram`, `trigram`."""
    smoothing: str
    """The better one on the held-out documents."""
    tokens: int
    """Tokens of the text's fit part that were counted."""
    complete: bool
    """Whether that is all of it; false where a limit cut it short."""
    held_out: dict[str, float] = Field(default_factory=dict)
    """Smoothing → loss (nats per token) on documents of the fit part that were held out for the choice
    and counted afterwards; empty where the fit part has too few."""

    @property
    def extent(self) -> str:
        """How much was counted, in words."""
        rest = "all of the fit part" if self.complete else "a limit: the fit part has more"
        return f"{self.tokens:,} tokens, {rest}"
