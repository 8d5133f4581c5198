"""`stand_ins`: two heads with one job, of which either is enough, beside one whose job is its own."""

from __future__ import annotations

import math

import numpy as np

from unexplained.sites import Site
from unexplained.testbeds import texts
from unexplained.testbeds.background import BACKGROUND, NOTES, PLANTED_AT
from unexplained.testbeds.losses import GAIN, RIGHT, SILENT
from unexplained.testbeds.planted import Plan, register
from unexplained.testbeds.strict_induction import after_earlier_occurrence
from unexplained.testbeds.testbed import running_text
from unexplained.testbeds.vocabulary import (
    BOS,
    COPIED,
    FOLLOWED,
    WORDS,
    FloatArray,
    IntArray,
    successor,
)
from unexplained.testbeds.weights import at_distance, match, move, sink

TWIN_AT = Site(1, "H", 2)
SPECIALIST_AT = Site(1, "H", 3)

TRUTH = (
    "L1.H0 and L1.H2 are one head twice: at tokens of class A they attend by strict induction, at "
    "all others to BOS, and raise the logit of the attended tokens; either alone is enough."
)

TWICE = math.log1p((WORDS - 1) * math.exp(-2 * GAIN))
"""Loss where both copy the next token: ln(1 + 47 e⁻¹⁶) = 5.3e-6."""


def induction_at_copied(tokens: IntArray) -> FloatArray:
    """The pattern of either: strict induction at tokens of class A, BOS at all others.

    Args:
        tokens: (document, position), BOS at position 0 and nowhere else.

    Returns:
        (document, position, position); rows sum to 1.

    >>> induction_at_copied(np.array([[0, 1, 25, 1, 25]]))[0, -2:].tolist()
    [[0.0, 0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0, 0.0]]
    """
    rest = np.zeros((tokens.shape[1], tokens.shape[1]))
    rest[:, BOS] = 1.0
    copied = np.isin(tokens, COPIED)[:, :, None]
    return np.where(copied, after_earlier_occurrence(tokens), rest)


def derived_alone(pairs: int, segment: int) -> float:
    """What ablating one of the two costs on `texts.two_rules`, against zero, in nats per token.

    Of 2 (pairs + segment) predictions segment − 1 are theirs; the other one makes them "right"
    where both made them "twice".

    >>> round(derived_alone(pairs=4, segment=8), 4)
    0.0046
    """
    return (segment - 1) * (RIGHT - TWICE) / (2 * (pairs + segment))


def derived_together(pairs: int, segment: int) -> float:
    """What ablating both costs: their predictions are silent. The previous-token head alone, too.

    >>> round(derived_together(pairs=4, segment=8), 4)
    1.1291
    """
    return (segment - 1) * (SILENT - TWICE) / (2 * (pairs + segment))


def derived_interaction(pairs: int, segment: int) -> float:
    """Together minus the sum of each alone; of either of the two and the specialist it is 0.

    The losses add up over predictions, and no prediction is made by both jobs.

    >>> round(derived_interaction(pairs=4, segment=8), 4)
    1.12
    """
    return derived_together(pairs, segment) - 2 * derived_alone(pairs, segment)


def derived_specialist(pairs: int, segment: int) -> float:
    """What ablating the specialist costs: as many predictions as there are pairs are silent.

    >>> round(derived_specialist(pairs=4, segment=8), 4)
    0.6426
    """
    return pairs * (SILENT - RIGHT) / (2 * (pairs + segment))


@register
def stand_ins() -> Plan:
    """Layer 1 heads 0 and 2 have the same weights; head 3 raises the successors of class B."""
    twin = match("previous", COPIED) + sink() + move("token", "copied")
    specialist = (
        at_distance(0, FOLLOWED)
        + sink()
        + move("token", "copied", lambda token: successor(token) if token in FOLLOWED else token)
    )
    return Plan(
        truth=TRUTH,
        sites=(PLANTED_AT, TWIN_AT),
        text=running_text("two rules", lambda rng, count: texts.two_rules(rng, count, 4, 8)),
        decoys=("previous_token", "duplicate_token"),
        heads={**BACKGROUND, PLANTED_AT: twin, TWIN_AT: twin, SPECIALIST_AT: specialist},
        rule=induction_at_copied,
        notes={
            **NOTES,
            SPECIALIST_AT: (
                "At tokens of class B attends to itself and raises the logit of the token's "
                "successor; at all others attends to BOS and writes nothing. Nobody else does this."
            ),
        },
    )
