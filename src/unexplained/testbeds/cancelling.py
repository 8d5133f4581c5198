"""`cancelling`: two heads that write opposite things, so that each seems to matter and both do not."""

from __future__ import annotations

import math

from unexplained.sites import Site
from unexplained.testbeds import texts
from unexplained.testbeds.background import BACKGROUND, NOTES, PLANTED_AT
from unexplained.testbeds.losses import GAIN, RIGHT, SILENT, WRONG
from unexplained.testbeds.planted import Plan, register
from unexplained.testbeds.strict_induction import after_earlier_occurrence
from unexplained.testbeds.testbed import running_text
from unexplained.testbeds.vocabulary import WORDS
from unexplained.testbeds.weights import match, move, scaled, sink

OPPONENT_AT = Site(1, "H", 2)

TRUTH = (
    "Both heads attend by strict induction; L1.H0 raises the logit of the attended tokens and "
    "L1.H2 lowers it by as much: together they write nothing."
)

SPARED = math.log(WORDS - 1 + math.exp(-GAIN))
"""Loss where one other token is lowered by GAIN: ln(47 + e⁻⁸) = 3.8502."""

LOWERED = GAIN + SPARED
"""Loss where the next token itself is: 11.8502."""


def derived_alone(n: int, replaced: int) -> tuple[float, float]:
    """What ablating L1.H0 alone and L1.H2 alone costs on `texts.interrupted`, against zero.

    Of 2n predictions r = n − 1 − 2k follow a match whose copy is the next token and k one whose
    copy is not; elsewhere both heads look at BOS and write nothing. The intact model is silent
    everywhere. Without L1.H0 the copies are lowered: r cost "lowered" and k "spared". Without
    L1.H2 they are raised: r cost "right" and k "wrong". Both models do worse than silence as long
    as copying is wrong often enough, k (wrong − silent) > r (silent − right).

    Args:
        n: Length of the segment.
        replaced: k, the number of replaced tokens.

    Returns:
        Nats per token, of L1.H0 and of L1.H2.

    >>> [round(cost, 4) for cost in derived_alone(n=11, replaced=4)]
    [0.7215, 0.403]
    """
    right, wrong, tokens = n - 1 - 2 * replaced, replaced, 2 * n
    lowered = right * (LOWERED - SILENT) + wrong * (SPARED - SILENT)
    raised = right * (RIGHT - SILENT) + wrong * (WRONG - SILENT)
    return lowered / tokens, raised / tokens


def derived_interaction(n: int, replaced: int) -> float:
    """What ablating both costs (nothing) minus the sum of what each alone costs.

    >>> round(derived_interaction(n=11, replaced=4), 4)
    -1.1246
    """
    return -sum(derived_alone(n, replaced))


@register
def cancelling() -> Plan:
    """Layer 1 heads 0 and 2 have the same weights, but for the sign of the output."""
    copying = match("previous", range(1, WORDS + 1)) + sink() + move("token", "copied")
    return Plan(
        truth=TRUTH,
        sites=(PLANTED_AT, OPPONENT_AT),
        text=running_text("interrupted", lambda rng, count: texts.interrupted(rng, count, 11, 4)),
        decoys=("previous_token", "duplicate_token"),
        held_at=(PLANTED_AT,),
        heads={**BACKGROUND, PLANTED_AT: copying, OPPONENT_AT: scaled(copying, -1.0)},
        rule=after_earlier_occurrence,
        notes=NOTES,
    )
