"""The terms of where a gap between two models lives."""

from __future__ import annotations

from unexplained.report.term import Term

GAP: tuple[Term, ...] = (
    Term(
        "bounded index",
        "The area between curve and diagonal as in the concentration index, relative to the sum "
        "of all tokens' gaps whatever their sign: between −1 and 1.",
    ),
    Term(
        "concentration factor",
        "mean of the product of both pairs' gaps on a token ÷ product of their mean gaps. 1: as "
        "even as can be. 1/p: as if a share p of the tokens carried everything. Chance that the "
        "two pairs do not share drops out.",
    ),
    Term(
        "concentration index",
        "Twice the area between the curve and the diagonal. 0: the order says nothing of the gap. "
        "Near 1: few tokens carry it. Above 1 where other tokens give some of it back.",
    ),
    Term(
        "crucial tokens",
        "The tokens on which the second pair's gap is largest.",
        ("crucial token", "crucial"),
    ),
    Term(
        "effective share",
        "1 ÷ concentration factor: the gap is as concentrated as if this share of the tokens "
        "carried all of it evenly (share).",
    ),
    Term(
        "even gap",
        "A gap that is the same on every token: any share of the tokens carries the same share.",
    ),
    Term(
        "near-zero loss",
        "A loss so low that the token is all but certain: 0.1 nats are a probability of 90%.",
        ("all but certain",),
    ),
    Term(
        "net gap",
        "Mean over all tokens of the weaker model's loss minus the strong model's (nats per "
        "token): what is gained on some tokens less what is given back on others.",
    ),
    Term(
        "own gap",
        "The gap of the two models that are scored. In its order chance alone looks concentrated, "
        "because a token comes early where the strong model was lucky.",
        ("own order",),
    ),
    Term(
        "second pair",
        "Another strong and another weaker model, whose gap puts the tokens in order, so that "
        "nothing is scored by the losses that chose it.",
    ),
)
