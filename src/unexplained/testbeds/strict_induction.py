"""`strict_induction`: the claim "this head does strict induction" is the whole truth."""

from __future__ import annotations

import numpy as np

from unexplained.testbeds import texts
from unexplained.testbeds.background import BACKGROUND, NOTES, PLANTED_AT
from unexplained.testbeds.planted import Plan, register
from unexplained.testbeds.testbed import running_text
from unexplained.testbeds.vocabulary import WORDS, FloatArray, IntArray
from unexplained.testbeds.weights import match, move, sink

TRUTH = (
    "Attends evenly to every position whose previous token is the current token, to BOS if there "
    "is none, and raises the logit of the attended tokens."
)


def after_earlier_occurrence(tokens: IntArray) -> FloatArray:
    """The pattern of strict induction.

    Args:
        tokens: (document, position), BOS at position 0 and nowhere else.

    Returns:
        (document, position, position); rows sum to 1.

    >>> after_earlier_occurrence(np.array([[0, 7, 8, 7, 9, 7]]))[0, -1].tolist()
    [0.0, 0.0, 0.5, 0.0, 0.5, 0.0]
    """
    documents, length = tokens.shape
    follows = np.zeros((documents, length, length))
    follows[:, :, 1:] = tokens[:, :, None] == tokens[:, None, :-1]
    follows = np.tril(follows)
    follows[:, :, 0] = follows.sum(-1) == 0
    return np.asarray(follows / follows.sum(-1, keepdims=True))


@register
def strict_induction() -> Plan:
    """Layer 1 head 0 matches the current token with every position's previous token."""
    return Plan(
        truth=TRUTH,
        sites=(PLANTED_AT,),
        text=running_text("irregular", lambda rng, count: texts.irregular(rng, count, 40)),
        decoys=("previous_token", "duplicate_token"),
        heads={
            **BACKGROUND,
            PLANTED_AT: match("previous", range(1, WORDS + 1)) + sink() + move("token", "copied"),
        },
        rule=after_earlier_occurrence,
        notes=NOTES,
    )
