"""What n-gram tables were counted on, and how they are smoothed."""

from __future__ import annotations

from collections.abc import Sequence

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


def counted(known: Sequence[Counted]) -> str:
    """What n-gram tables were counted on, how they are smoothed, and how the other way would do.

    Empty where there are none, as in older records.
    """
    if not known:
        return ""
    said = f"N-gram tables: {known[0].extent}."
    if not any(one.held_out for one in known):
        ways = ", ".join(f"{one.name} {one.smoothing}" for one in known)
        return f"{said} Smoothing, with too few documents to choose it by: {ways}."
    ways = ", ".join(
        f"{one.name} {one.smoothing} {one.held_out[one.smoothing]:.3f}"
        + "".join(
            f" ({name} {loss:.3f})" for name, loss in one.held_out.items() if name != one.smoothing
        )
        for one in known
        if one.held_out
    )
    return f"{said} Smoothing, the better on held-out documents of it (nats per token): {ways}."
