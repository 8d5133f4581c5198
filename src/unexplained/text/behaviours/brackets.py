"""Brackets: which kind was opened last of those that are still open.

The corruption opens the other kind; where two are open, or one has been closed already, their
kinds change places, so that looking for any opening bracket is not enough, and neither is looking
for the first or for the last: what was opened last may be closed already.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice, product

from unexplained.text.behaviours import Orbit, Rule, Side, Variable, deck, exchange, side, words

ORBITS = 1500

KINDS = {"round": ("(", ")"), "square": ("[", "]"), "curly": ("{", "}")}
COUPLES = [("round", "square"), ("round", "curly"), ("square", "curly")]
WORDS = words("""
    red green blue apple table river stone house garden winter bread glass paper water music train
    market silver bridge letter cotton small large first last north south open empty heavy
""")
TEMPLATES = {
    "one open": "{name} = {last}{a}, {b}, {c}",
    "one open, in words": "The {name} of the {a} {last}{b} {c}",
    "two open": "{name} = {other}{a}, {last}{b}, {c}",
    "one closed": "{name} = {other}{a}, {b}{closed} + {last}{b}, {c}",
    "inner closed": "{name} = {last}{a}, {other}{b}{closed}, {c}",
    "inner closed, in words": "The {name} of the {last}{a} {other}{b}{closed} {c}",
}
NAMES = words("items values data result list names words pairs keys parts rows group set order")

VARIABLES = (
    Variable("template", stratum=True),
    Variable("bracket", relation="changed", stratum=True),
    Variable("last opened", "last", "changed"),
    Variable("other opened", "other", "changed"),
    Variable("other closed", "closed", "changed"),
    Variable("name", "name"),
    Variable("first word", "a"),
    Variable("second word", "b"),
    Variable("third word", "c"),
)

_OPENS = {closes: opens for opens, closes in KINDS.values()}

SHORTCUTS: dict[str, Rule] = {
    "the bracket that was opened first": lambda prompt, word: (
        -prompt.index(_OPENS[word]) if _OPENS[word] in prompt else -math.inf
    ),
    "the bracket that was opened last": lambda prompt, word: prompt.rfind(_OPENS[word]),
    "a bracket that is not closed": lambda prompt, word: (
        prompt.count(_OPENS[word]) - prompt.count(word)
    ),
}


def orbits() -> Iterator[Orbit]:
    """Orbits of prompts in which two kinds of brackets have changed places."""
    filling, names = deck(WORDS, "words"), deck(NAMES, "names")
    kinds = deck(list(product(sorted(TEMPLATES), COUPLES)), "kinds")
    for _ in range(ORBITS):
        template, (one, other) = next(kinds)
        three = list(islice(filling, 3))
        filled = [next(names), *three]
        if len(set(three)) < 3:  # the end of one deck and the beginning of the next
            continue
        yield exchange(_side(template, filled, one, other), _side(template, filled, other, one))


def _side(template: str, filled: list[str], last: str, other: str) -> Side:
    """A prompt in which the last bracket opened is of the first of two kinds."""
    name, a, b, c = filled
    opens, closes = KINDS[last]
    before, closed = KINDS[other]
    return side(
        VARIABLES,
        TEMPLATES[template],
        closes,
        {
            **{"template": template, "bracket": last, "name": name},
            **{"last opened": opens, "other opened": before, "other closed": closed},
            **{"first word": a, "second word": b, "third word": c},
        },
    )
