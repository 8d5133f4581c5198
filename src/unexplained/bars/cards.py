"""What is known of a condition besides its losses: whose claim it is, and what it has to give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from unexplained.record import Counted, Description, Method
from unexplained.record.base import Frozen
from unexplained.record.blocks import Role
from unexplained.record.format import in_short

CLAIMS = ("explanation", "fitted")
"""Roles of arms that claim something of the model: these have controls, or belong to one that has."""
TOTAL = "total"
"""The effect that everything downstream reacts to."""


NOTHING_RECOVERED = "nothing recovered: not above 0 by more than noise, or for certain under a tenth of what the claim recovers"
"""What is expected of a control that gives `nothing`."""


class Must(Frozen):
    """What a control has to give."""

    gives: Literal["the same", "nothing", "cannot tell"]
    """`the same`: in every document the loss of `of`. `nothing`: no more than noise above 0 of what
    `of` costs, or for certain under a tenth of what the claim recovers. `cannot tell`: no control of this kind can, and `expected` says why."""
    of: str
    """A condition."""
    tolerance: float = 0.0
    """Nats per token by which losses that are to be the same may differ: the noise floor, 0 where
    the same arithmetic is done."""
    expected: str
    """In words."""


def claimed(name: str, says: str) -> str:
    """What a claim says, for whoever sees its name and not its code; empty where it says nothing.

    >>> claimed("induction", "Attend to what came after.")
    '“induction” says: Attend to what came after.'
    """
    return f"“{name}” says: {says}" if says else ""


SAID = 2
"""Of several claims, so many are written out where little room is."""


def claimed_of(claims: Iterable[tuple[str, str]]) -> str:
    """What several claims say, the first of them written out.

    Args:
        claims: Name and sentence of each, those that matter most first.

    >>> claimed_of([("a", "One."), ("b", "Two."), ("c", "Three.")])
    '“a” says: One. “b” says: Two. 1 more below: c.'
    """
    said = [(name, says) for name, says in claims if says]
    words = [claimed(name, says) for name, says in said[:SAID]]
    rest = [name for name, _ in said[SAID:]]
    return " ".join([*words, f"{len(rest)} more below: {in_short(rest)}."] if rest else words)


class Card(Frozen):
    """What stands on the card of an arm; torch-free, so that a reading can be read anywhere."""

    name: str
    role: Role
    """A candidate is measured on the fit part to be chosen from: it claims nothing."""
    says: str = ""
    """What is claimed, or done, in a sentence."""
    method: Method = "internals"
    """Item 107's tag: mechanistic, high-level, other internals, black-box."""
    reads: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    description: Description | None = None
    scalars: dict[str, float] = Field(default_factory=dict)
    """Of what was fitted the scalar of every component, where there is one."""
    effort: str = ""
    """What was spent on coming by it, such as searches and fits; empty where nothing was."""
    fit_tokens: int | None = None
    """On how many tokens of the fit part a program was calibrated; None where it was not."""
    counted: Counted | None = None
    """Of a table of counts: what was counted, and how it is smoothed."""
    effects: dict[str, str] = Field(default_factory=dict)
    """For each effect, the condition in the ledger."""
    of: str = ""
    """The claim that it belongs to: of a control that which it controls; of a claim without controls
    of its own (a part of another, or one that is only compared with it) that whose controls there are."""
    must: Must | None = None

    @property
    def claimed(self) -> str:
        """What is claimed, by its name; empty where it says nothing."""
        return claimed(self.name, self.says)

    @property
    def condition(self) -> str:
        """The condition of its total effect."""
        return self.effects[TOTAL]
