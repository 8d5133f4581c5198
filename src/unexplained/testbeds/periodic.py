"""`periodic`: looks like induction on repeated random tokens and counts positions instead."""

from __future__ import annotations

import numpy as np

from unexplained.testbeds import texts
from unexplained.testbeds.background import BACKGROUND, NOTES, PLANTED_AT
from unexplained.testbeds.losses import RIGHT, SILENT, WRONG
from unexplained.testbeds.planted import Plan, register
from unexplained.testbeds.testbed import running_text
from unexplained.testbeds.vocabulary import FloatArray, IntArray
from unexplained.testbeds.weights import DISTANT_SINK, at_distance, move, sink

PERIOD = 32
"""The segment length n at which it passes for induction."""

TRUTH = (
    f"Attends {PERIOD - 1} positions back whatever the tokens are, to BOS before there is such a "
    "position, and raises the logit of the attended token."
)


def attention_at_distance(tokens: IntArray, distance: int = PERIOD - 1) -> FloatArray:
    """All attention at a fixed distance, on position 0 where that lies before the beginning.

    Args:
        tokens: (document, position); only the shape matters.
        distance: Positions back.

    Returns:
        (document, position, position).

    >>> attention_at_distance(np.array([[0, 7, 8]]), distance=1)[0].tolist()
    [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    documents, length = tokens.shape
    row = np.arange(length)
    pattern = np.zeros((documents, length, length))
    pattern[:, row, np.maximum(row - distance, 0)] = 1.0
    return pattern


def derived_fraction(replaced: int = 0) -> float:
    """Loss recovered by strict induction in this head's place, against zero ablation.

    On `texts.interrupted` with n = PERIOD; with nothing replaced that is `texts.repeated`. Of the
    n predictions in the second copy the head gets n − k right and k wrong. Strict induction is
    silent at the token before the copy and after each of the k replacements, and the same
    elsewhere, so that n − 1 − 2k are right and k wrong.

    Args:
        replaced: k, the number of replaced tokens.

    Returns:
        ((n − 1 − 2k) g − k c) / ((n − k) g − k c), with g the loss that a right prediction saves
        and c what a wrong one costs, beside silence.

    >>> round(derived_fraction() - 31 / 32, 12)
    0.0
    """
    saved, cost = SILENT - RIGHT, WRONG - SILENT
    recovered = (PERIOD - 1 - 2 * replaced) * saved - replaced * cost
    return recovered / ((PERIOD - replaced) * saved - replaced * cost)


@register
def periodic() -> Plan:
    """Layer 1 head 0 attends by distance, before which BOS takes all attention."""
    return Plan(
        truth=TRUTH,
        sites=(PLANTED_AT,),
        text=running_text(
            "interrupted", lambda rng, count: texts.interrupted(rng, count, PERIOD, 8)
        ),
        decoys=("strict_induction", "previous_token"),
        heads={
            **BACKGROUND,
            PLANTED_AT: at_distance(PERIOD - 1) + sink(DISTANT_SINK) + move("token", "copied"),
        },
        rule=attention_at_distance,
        notes=NOTES,
    )
