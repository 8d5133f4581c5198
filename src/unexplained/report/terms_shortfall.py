"""The terms of what a claim falls short of."""

from __future__ import annotations

from unexplained.report.term import Term

SHORTFALL: tuple[Term, ...] = (
    Term(
        "clumsily put in",
        "The part of a shortfall that the substitution is to blame for, not the claim: later parts of the "
        "model were trained with the component there. Bounded from both sides, in nats per token.",
        ("clumsy",),
    ),
    Term(
        "refitted",
        "The weights of all later layers trained a little further, on other documents, with something "
        "standing in the components' place; the unembedding stays.",
        ("refit", "refitting"),
    ),
    Term(
        "shortfall",
        "By how much a claim's loss, or that of saying nothing where that is lower, is above the intact "
        "model's (nats per token).",
        ("falls short",),
    ),
)
