"""Indirect object: of two people named, one gives something, and to whom is asked.

The corruption names the other one as the giver, so that the answer flips. The orbit of `When Mary
and John went to the store, John gave a drink to` has the order ABB (the answer is named first) and
its role-swap BAB, so every text has as many of one as of the other. Names, places, objects and
templates are dealt from decks: all equally often before the split into parts.

Source: Wang et al. 2022, "Interpretability in the Wild"; the words and templates are ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from unexplained.text.behaviours import Orbit, Variable, deck, exchange, side, words

ORBITS = 1500

NAMES = words("""
    Mary John Tom James Dan Amy Emma Anna Sarah Kate Lisa Paul Mark Peter David Jack Alice Bob
    Emily Laura Susan Michael Robert Helen Julia Simon Adam Ben Sam Max Lucy Jane Ruth Henry
    George Charles William Thomas Daniel Joseph Andrew Brian Kevin Steve Frank Karen Linda Maria
    Rachel Jennifer Nancy Margaret Claire Sophie Olivia Ryan Jason Nick Alex Chris Matthew
    Anthony Patrick Edward
""")
PLACES = words("""
    store park school office library restaurant garden station market museum beach church hospital
    house theater hotel farm airport zoo lake village festival party concert
""")
OBJECTS = words("""
    drink book ball ring letter gift key ticket flower sandwich cup hat bag basket coin pen card
    map cake box bottle lamp blanket jacket watch toy
""")
TEMPLATES = {
    "when": "When {one} and {two} went to the {place}, {giver} gave a {object} to",
    "after": "After {one} and {two} arrived at the {place}, {giver} handed a {object} to",
    "while": "While {one} and {two} were at the {place}, {giver} showed a {object} to",
    "then": "Then {one} and {two} went to the {place}. There {giver} gave a {object} to",
    "friends": "The friends {one} and {two} met at the {place}, and {giver} passed a {object} to",
    "yesterday": "Yesterday {one} and {two} visited the {place}, where {giver} gave a {object} to",
}


VARIABLES = (
    Variable("template", stratum=True),
    Variable("order", relation="changed", stratum=True),
    Variable("first name", "one"),
    Variable("second name", "two"),
    Variable("giver", "giver", "the wrong word"),
    Variable("place", "place"),
    Variable("object", "object"),
)


def orbits() -> Iterator[Orbit]:
    """Orbits of prompts that differ in one name, the giver's."""
    people, places, objects = deck(NAMES, "names"), deck(PLACES, "places"), deck(OBJECTS, "objects")
    templates = deck(sorted(TEMPLATES), "templates")
    for _ in range(ORBITS):
        one, two, template = next(people), next(people), next(templates)
        place, object = next(places), next(objects)
        if one == two:  # the end of one deck and the beginning of the next
            continue
        both = {
            "template": template,
            "first name": one,
            "second name": two,
            "place": place,
            "object": object,
        }
        yield exchange(
            *(
                side(VARIABLES, TEMPLATES[template], f" {answer}",
                     {**both, "giver": giver, "order": order})
                for giver, answer, order in ((two, one, "ABB"), (one, two, "BAB"))
            )
        )  # fmt: skip
