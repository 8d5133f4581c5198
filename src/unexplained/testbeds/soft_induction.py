"""`soft_induction`: a circuit of five edges in a crowd of heads that write where nothing reads."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np

from unexplained.sites import Site
from unexplained.testbeds.background import BACKGROUND, NOTES, PLANTED_AT
from unexplained.testbeds.losses import GAIN
from unexplained.testbeds.planted import Plan, register
from unexplained.testbeds.testbed import pairs_from
from unexplained.testbeds.vocabulary import WORDS, FloatArray, IntArray
from unexplained.testbeds.weights import at_distance, match, move, move_all, scaled, softened

SCORE = 4.0
"""Score of a match; all other positions score 0, BOS too."""

LENGTH = 7
"""Tokens of a prompt of `prompts.other_slot`, among which the last one spreads its attention."""

NOISE = 2.0
"""How much the crowd writes of every token that it copies; the circuit's heads write 1."""

TRUTH = (
    "Attends to every position with weight 1, or e⁴ where the previous token is the current "
    "token, and raises the logit of the attended tokens."
)

QUERY = "input->a1.h0<q>"
KEYS = frozenset({"input->a0.h0<v>", "a0.h0->a1.h0<k>"})
VALUES = "input->a1.h0<v>"
OUT = "a1.h0->logits"

CIRCUIT = KEYS | {QUERY, VALUES, OUT}

MATCHED = math.exp(SCORE) / (math.exp(SCORE) + LENGTH - 1)
"""Attention on the one match in a prompt: e⁴/(e⁴ + 6) = 0.9010."""

PASSED = 1 / (math.exp(SCORE) + LENGTH - 1)
"""Attention on any other position then: 0.0165."""


def soft_pattern(tokens: IntArray) -> FloatArray:
    """The pattern: weight e⁴ after every earlier occurrence of the current token, 1 elsewhere.

    Args:
        tokens: (document, position), BOS at position 0 and nowhere else.

    Returns:
        (document, position, position); rows sum to 1.

    >>> soft_pattern(np.array([[0, 7, 8, 7]]))[0, -1].round(3).tolist()
    [0.017, 0.017, 0.948, 0.017]
    """
    matches = np.zeros((*tokens.shape, tokens.shape[1]))
    matches[:, :, 1:] = tokens[:, :, None] == tokens[:, None, :-1]
    weights = np.tril(np.exp(SCORE * matches))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def derived_logit_difference(edges: Collection[str]) -> float:
    """Logit difference on a pair of `prompts.other_slot` when only these edges carry the clean prompt.

    Write p = `MATCHED`, r = `PASSED`, and slots for the places of the two words. The clean prompt
    has the answer in the first slot and the wrong word in the second, the corrupted one another
    word in the first and the wrong word in the second. With clean queries and keys the first slot
    is matched, with corrupted ones the second; where one is clean and the other is not, none is,
    and each position gets 1/7. Keys are clean if both edges of their path are.

    | | values clean | values corrupted |
    |---|---|---|
    | first slot | 8 (p − r) = 7.0759 | −8 r = −0.1320 |
    | second slot | −8 (p − r) | −8 p = −7.2079 |
    | none | 0 | −8/7 = −1.1429 |

    Without its edge to the logits the head says what it says of the corrupted prompt, −8 p. All
    edges that are not in `CIRCUIT` change nothing, and any four of it keep at most half of the
    way from −8 p to 8 (p − r): the circuit's size is 5.

    >>> round(derived_logit_difference(CIRCUIT), 4), round(derived_logit_difference(CIRCUIT - {QUERY}), 4)
    (7.0759, 0.0)
    """
    kept = set(edges)
    if OUT not in kept:
        return -GAIN * MATCHED
    query, keys, values = QUERY in kept, kept >= KEYS, VALUES in kept
    if query != keys:
        first = second = 1 / LENGTH
    else:
        first, second = (MATCHED, PASSED) if query else (PASSED, MATCHED)
    return GAIN * (first * values - second)


def derived_kept(edges: Collection[str]) -> float:
    """The share of the way from the corrupted prompt's logit difference to the clean one's.

    >>> [round(derived_kept(CIRCUIT - {edge}), 4) for edge in sorted(CIRCUIT)]
    [0.5046, 0.0, 0.5046, 0.5046, 0.4954]
    """
    low, high = derived_logit_difference(()), derived_logit_difference(CIRCUIT)
    return (derived_logit_difference(edges) - low) / (high - low)


def _attributed() -> dict[str, float]:
    slope = GAIN * MATCHED * (1 - MATCHED + PASSED)
    return {
        **dict.fromkeys((QUERY, *KEYS), -SCORE * slope),
        VALUES: -GAIN * MATCHED,
        OUT: -GAIN * (2 * MATCHED - PASSED),
    }


ATTRIBUTED: Mapping[str, float] = MappingProxyType(_attributed())
"""What `eap` gives each edge of the circuit; to all others 0.

The gradient of the logit difference 8 (p₁ − p₂) by the first slot's score is 8 p (1 − p + r). A corrupted
query, or a corrupted key there, takes 4 from this score and adds nothing to another one, since
the query of each prompt matches no key of the other. What follows the softmax is linear.
"""


@register
def soft_induction() -> Plan:
    """Layer 1 head 0 matches tokens softly; six other heads write where nothing reads."""
    loud = scaled(move_all("token", "aside"), NOISE)
    echo = move_all("aside", "aside")
    return Plan(
        truth=TRUTH,
        sites=(PLANTED_AT,),
        text=pairs_from("other_slot"),
        decoys=("previous_token", "strict_induction"),
        heads={
            **BACKGROUND,
            PLANTED_AT: softened(match("previous", range(1, WORDS + 1)), SCORE)
            + move("token", "copied"),
            Site(0, "H", 1): at_distance(0, see_bos=True) + loud,
            Site(0, "H", 2): at_distance(2, see_bos=True) + loud,
            Site(0, "H", 3): loud,
            Site(1, "H", 2): at_distance(0, see_bos=True) + scaled(echo, 0.5),
            Site(1, "H", 3): at_distance(1, see_bos=True) + scaled(echo, -0.5),
        },
        rule=soft_pattern,
        notes={
            **NOTES,
            Site(0, "H", 1): "Attends to itself and writes its token twice where no word is read.",
            Site(0, "H", 2): "Attends two positions back and does the same.",
            Site(0, "H", 3): "Attends evenly to all positions and does the same.",
            Site(1, "H", 2): "Attends to itself and adds half of what those three wrote there.",
            Site(1, "H", 3): "Attends one position back and takes half of that away here.",
        },
        circuit=CIRCUIT,
    )
