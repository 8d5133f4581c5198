"""`name_bias`: a behaviour between two preferences that have nothing to do with it."""

from __future__ import annotations

from unexplained.sites import Site
from unexplained.testbeds.background import BACKGROUND, NOTES, PLANTED_AT
from unexplained.testbeds.losses import GAIN
from unexplained.testbeds.planted import Plan, register
from unexplained.testbeds.strict_induction import after_earlier_occurrence
from unexplained.testbeds.testbed import pairs_from
from unexplained.testbeds.vocabulary import WORDS
from unexplained.testbeds.weights import at_distance, match, move, say, scaled, sink

FAVOURITE = 1
"""The token that is always preferred."""

BIAS_AT = Site(1, "H", 2)
RECENCY_AT = Site(1, "H", 3)

BIAS, RECENCY = 0.75, 0.5
"""What the two add to `copied`, where strict induction adds 1."""

DISTANCE = 2
"""Positions back at which the recency head looks."""

TRUTH = (
    "Attends evenly to every position whose previous token is the current token, to BOS if there "
    "is none, and raises the logit of the attended tokens by 8."
)


def derived_logit_difference(
    *, favourite: bool, last: bool, behaviour: float = 1, bias: float = 1, recency: float = 1
) -> float:
    """Logit of the answer minus that of the wrong word on a pair of `prompts.two_slots`.

    Everything adds up: 8 for induction, ±6 for the favourite, which is one of the two words, and
    ±4 for the word that stands two positions before the end, which is the other or the same.
    Ablation to zero puts 0 for a factor. Corrupted prompts have the two words exchanged, so
    patching puts −1 for `behaviour` or `recency`; the bias is the same in both and stays.

    Over the four pairs of an orbit the mean is 8 · behaviour, whatever the other two are. A
    single pair gives anything from −2 to 18; with the behaviour gone, from −10 to 10.

    Args:
        favourite: The answer is `FAVOURITE`; otherwise the wrong word is.
        last: The answer is the later of the two words.
        behaviour: Share of its effect that the induction head has.
        bias: The same of the head that prefers one word.
        recency: The same of the head that prefers the later word.

    >>> [derived_logit_difference(favourite=f, last=l) for f in (True, False) for l in (True, False)]
    [18.0, 10.0, 6.0, -2.0]
    """
    preferred = BIAS * bias * (1 if favourite else -1)
    latest = RECENCY * recency * (1 if last else -1)
    return GAIN * (behaviour + preferred + latest)


@register
def name_bias() -> Plan:
    """Layer 1 head 0 is that of `strict_induction`; heads 2 and 3 prefer one word, and a place."""
    return Plan(
        truth=TRUTH,
        sites=(PLANTED_AT,),
        text=pairs_from("two_slots"),
        decoys=("previous_token", "duplicate_token"),
        heads={
            **BACKGROUND,
            PLANTED_AT: match("previous", range(1, WORDS + 1)) + sink() + move("token", "copied"),
            BIAS_AT: sink() + say("copied", FAVOURITE, BIAS),
            RECENCY_AT: at_distance(DISTANCE, see_bos=True)
            + scaled(move("token", "copied"), RECENCY),
        },
        rule=after_earlier_occurrence,
        notes={
            **NOTES,
            BIAS_AT: "Attends to BOS and raises the logit of `t1` by 6, at every position.",
            RECENCY_AT: "Attends two positions back and raises the logit of that token by 4.",
        },
    )
