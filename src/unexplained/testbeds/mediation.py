"""`mediation`: one head that reaches the logits by three paths, with the share of each known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from unexplained.sites import Site
from unexplained.testbeds.background import BACKGROUND, DISTRACTOR_AT, NOTES, PREVIOUS_TOKEN_AT
from unexplained.testbeds.losses import GAIN
from unexplained.testbeds.periodic import attention_at_distance
from unexplained.testbeds.planted import Plan, register
from unexplained.testbeds.testbed import pairs_from
from unexplained.testbeds.vocabulary import WORDS, FloatArray, IntArray
from unexplained.testbeds.weights import at_distance, move, move_all, move_too, scaled

RAISING_AT = Site(1, "H", 0)
LOWERING_AT = Site(1, "H", 2)

PATHS: Mapping[str, float] = MappingProxyType({"direct": 0.25, "L1.H0": 0.75, "L1.H2": -0.375})
"""What arrives in `copied` of one token that L0.H0 attends to, by the way that it takes."""

TRUTH = (
    "L0.H0 attends to the previous position and raises the logit of its token by 2 directly, by 6 "
    "through L1.H0 and by −3 through L1.H2: by 5 in all."
)


def derived_logit(through: Iterable[str] = tuple(PATHS)) -> float:
    """The logit of the previous token when L0.H0's output arrives by these paths alone.

    Everything on the way is linear: heads 0 and 2 of layer 1 look at their own position whatever
    the tokens are. So the total effect of an ablation to zero on this logit is −5, the direct
    effect −2, and what is left, the effect through layer 1, −3.

    Args:
        through: Names in `PATHS`.

    >>> derived_logit(), derived_logit(["direct"]), derived_logit(["L1.H0", "L1.H2"])
    (5.0, 2.0, 3.0)
    """
    return GAIN * sum(PATHS[path] for path in through)


def derived_logit_difference(corrupted: Iterable[str] = ()) -> float:
    """Logit of the answer minus that of the wrong word on `prompts.one_back`.

    In the corrupted prompt L0.H0 holds the wrong word. A path that carries this instead of the
    answer takes its share from the one logit and adds it to the other, so it counts twice.

    Args:
        corrupted: The paths that carry the corrupted prompt's value.

    >>> derived_logit_difference(), derived_logit_difference(["direct"]), derived_logit_difference(PATHS)
    (5.0, 1.0, -5.0)
    """
    gone = set(corrupted)
    return derived_logit(set(PATHS) - gone) - derived_logit(gone)


def derived_loss(answer: float, wrong: float = 0.0) -> float:
    """Loss of the answer with logits for two words and 0 for the others: ln(eᵃ + eʷ + 46) − a.

    Unlike logits, losses of paths do not add up. Ablated to zero, L0.H0 has a direct effect of
    L(3) − L(5), one through layer 1 alone of L(2) − L(5), and L(0) − L(5) in all, which is more
    than the sum. Total less direct, L(0) − L(3), is the effect through layer 1 *after* the direct
    one, and neither of the two is "the" indirect effect.

    >>> intact, direct, through, total = map(derived_loss, (5, 3, 2, 0))
    >>> [round(loss - intact, 3) for loss in (direct, through, total)]
    [0.931, 1.721, 3.596]
    """
    return math.log(math.exp(answer) + math.exp(wrong) + WORDS - 2) - answer


def previous_position(tokens: IntArray) -> FloatArray:
    """The pattern of L0.H0: all attention one position back, at position 0 on itself."""
    return attention_at_distance(tokens, distance=1)


@register
def mediation() -> Plan:
    """Layer 0 head 0 writes to two blocks; layer 1 heads 0 and 2 read one and write the other."""
    here = at_distance(0, see_bos=True) + move("previous", "copied")
    source = at_distance(1, see_bos=True) + move_all("token", "previous")
    return Plan(
        truth=TRUTH,
        sites=(PREVIOUS_TOKEN_AT,),
        text=pairs_from("one_back"),
        decoys=("duplicate_token", "strict_induction"),
        heads={
            **BACKGROUND,
            PREVIOUS_TOKEN_AT: source + move_too("copied", PATHS["direct"]),
            RAISING_AT: scaled(here, PATHS["L1.H0"]),
            LOWERING_AT: scaled(here, PATHS["L1.H2"]),
        },
        rule=previous_position,
        notes={
            DISTRACTOR_AT: NOTES[DISTRACTOR_AT],
            RAISING_AT: "Attends to itself and adds ¾ of what L0.H0 wrote there to `copied`.",
            LOWERING_AT: "Attends to itself and takes ⅜ of what L0.H0 wrote there from `copied`.",
        },
        circuit=frozenset(
            {
                "input->a0.h0<v>",
                "a0.h0->logits",
                "a0.h0->a1.h0<v>",
                "a1.h0->logits",
                "a0.h0->a1.h2<v>",
                "a1.h2->logits",
            }
        ),
    )
