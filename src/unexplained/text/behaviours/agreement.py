"""Agreement: the verb has the number of the subject, not of the noun before it.

The corruption puts the subject into the other number; the noun between it and the verb, the
attractor, stays, and has the subject's number in one of the two prompts and the other in its
role-swap.

Source: Linzen, Dupoux and Goldberg 2016, "Assessing the ability of LSTMs to learn syntax-sensitive
dependencies"; the words and templates are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from unexplained.text.behaviours import OfValues, Orbit, Variable, deck, exchange, side, words

ORBITS = 1500

SUBJECTS = words("""
    key/keys book/books letter/letters picture/pictures door/doors box/boxes house/houses
    car/cars idea/ideas report/reports story/stories song/songs road/roads bridge/bridges
    student/students teacher/teachers doctor/doctors farmer/farmers artist/artists dog/dogs
    bird/birds tree/trees flower/flowers machine/machines computer/computers window/windows
    chair/chairs boat/boats animal/animals stone/stones
""")
ATTRACTORS = words("""
    cabinet/cabinets school/schools city/cities garden/gardens table/tables building/buildings
    river/rivers king/kings office/offices museum/museums wall/walls tower/towers park/parks
    hospital/hospitals neighbor/neighbors village/villages hotel/hotels church/churches
    friend/friends forest/forests
""")
PREPOSITIONS = ["near", "beside", "behind", "from", "next to", "close to"]
VERBS = {"be": (" is", " are"), "be, past": (" was", " were"), "have": (" has", " have")}
NUMBERS = ("singular", "plural")

FORM = "The {subject} {preposition} the {noun}"

VARIABLES = (
    Variable("number", relation="changed", stratum=True),
    Variable("attractor", relation="changed", stratum=True),
    Variable("verb", stratum=True),
    Variable("subject", "subject", "changed"),
    Variable("preposition", "preposition"),
    Variable("attractor's noun", "noun"),
)

_PLURALS = {one.split("/")[1] for one in (*SUBJECTS, *ATTRACTORS)}
_PLURAL_VERBS = {plural for _, plural in VERBS.values()}


def _nearest_noun(values: Mapping[str, str], word: str) -> float:
    return (values["attractor's noun"] in _PLURALS) == (word in _PLURAL_VERBS)


def _any_plural(values: Mapping[str, str], word: str) -> float:
    nouns = {values["subject"], values["attractor's noun"]}
    return (not _PLURALS.isdisjoint(nouns)) == (word in _PLURAL_VERBS)


SHORTCUTS = {
    "the number of the nearest noun": OfValues(_nearest_noun),
    "plural if any noun is": OfValues(_any_plural),
}


def orbits() -> Iterator[Orbit]:
    """Orbits of prompts that differ in the number of the subject."""
    kinds = deck(list(product(sorted(VERBS), NUMBERS)), "kinds")
    subjects, attractors = deck(SUBJECTS, "subjects"), deck(ATTRACTORS, "attractors")
    prepositions = deck(PREPOSITIONS, "prepositions")
    for _ in range(ORBITS):
        verb, number = next(kinds)
        attractor = dict(zip(NUMBERS, next(attractors).split("/"), strict=True))[number]
        subject, preposition = next(subjects), next(prepositions)
        sides = [
            side(
                VARIABLES,
                FORM,
                answer,
                {
                    "number": own,
                    "attractor": "same number" if own == number else "other number",
                    "verb": verb,
                    "subject": form,
                    "preposition": preposition,
                    "attractor's noun": attractor,
                },
            )
            for form, answer, own in zip(subject.split("/"), VERBS[verb], NUMBERS, strict=True)
        ]
        yield exchange(*sides)
