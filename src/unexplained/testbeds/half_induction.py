"""`half_induction`: a head with two rules, of which the claim names one."""

from __future__ import annotations

import math

import numpy as np

from unexplained.testbeds import texts
from unexplained.testbeds.background import BACKGROUND, NOTES, PLANTED_AT
from unexplained.testbeds.losses import GAIN, RIGHT, SILENT
from unexplained.testbeds.planted import Plan, register
from unexplained.testbeds.strict_induction import after_earlier_occurrence
from unexplained.testbeds.testbed import running_text
from unexplained.testbeds.vocabulary import COPIED, FOLLOWED, FloatArray, IntArray, successor
from unexplained.testbeds.weights import at_distance, match, move, sink

TRUTH = (
    "At tokens of class A attends by strict induction; at tokens of class B attends to itself; "
    "raises the logit of an attended A token and of an attended B token's successor."
)


def either_rule(tokens: IntArray) -> FloatArray:
    """The pattern: strict induction at tokens of class A, itself at tokens of class B.

    Args:
        tokens: (document, position), BOS at position 0 and nowhere else.

    Returns:
        (document, position, position); rows sum to 1.

    >>> either_rule(np.array([[0, 25, 1]]))[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    followed = np.isin(tokens, FOLLOWED)[:, :, None]
    return np.where(followed, np.eye(tokens.shape[1]), after_earlier_occurrence(tokens))


def derived_fraction(pairs: int, segment: int) -> float:
    """Loss recovered by strict induction in this head's place, against zero ablation.

    On `texts.two_rules` the head predicts `pairs` tokens from their predecessor and `segment − 1`
    by induction, all at the same loss, and none wrongly. Strict induction predicts the latter and
    is silent elsewhere, as zero ablation is. The gain cancels.

    Returns:
        (segment − 1) / (segment − 1 + pairs).

    >>> derived_fraction(pairs=11, segment=12)
    0.5
    """
    return (segment - 1) / (segment - 1 + pairs)


def derived_fraction_of_mean(pairs: int, segment: int) -> float:
    """The same against mean ablation, the mean taken over all positions, BOS included.

    Of the 1 + 2 pairs + 2 segment positions, pairs + segment copy a token of class A (the last
    one too, though nothing is predicted there). In expectation the mean raises the logits of
    class A alike, by u = GAIN · (that share) / (size of A). A target of class A then costs
    ln(|A| eᵘ + |B|) − u and one of class B ln(|A| eᵘ + |B|), which is a little less than silence
    in all: knowing which class is more frequent is worth something. With Δ that difference per
    document (negative) and g the loss that a right prediction saves, the fraction is
    ((segment − 1) g + Δ) / ((segment − 1 + pairs) g + Δ).

    Misleads: on a sample the mean is not the same for all of class A, which changes Δ in second
    order (below 0.001 of a nat per token from 200 documents on).

    >>> round(derived_fraction_of_mean(pairs=11, segment=12), 4)
    0.4891
    """
    copies, targets = pairs + segment, 2 * (pairs + segment)
    raised = GAIN * copies / ((1 + targets) * len(COPIED))
    uniform = math.log(len(COPIED) * math.exp(raised) + len(FOLLOWED))
    shift = targets * (uniform - SILENT) - (targets - pairs) * raised
    saved = SILENT - RIGHT
    return ((segment - 1) * saved + shift) / ((segment - 1 + pairs) * saved + shift)


@register
def half_induction() -> Plan:
    """Layer 1 head 0 matches tokens at class A, and looks at itself by distance 0 at class B."""
    return Plan(
        truth=TRUTH,
        sites=(PLANTED_AT,),
        text=running_text("two rules", lambda rng, count: texts.two_rules(rng, count, 11, 12)),
        decoys=("strict_induction", "previous_token"),
        heads={
            **BACKGROUND,
            PLANTED_AT: match("previous", COPIED)
            + at_distance(0, FOLLOWED)
            + sink()
            + move(
                "token", "copied", lambda token: successor(token) if token in FOLLOWED else token
            ),
        },
        rule=either_rule,
        notes=NOTES,
    )
