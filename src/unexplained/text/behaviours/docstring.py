"""Docstring: which argument of a Python function its docstring describes next.

The corruption exchanges the argument that comes next and the one after it in the function's
signature, so that the answer flips. Half of the signatures end with these two and half have one
argument more, so the place from the end tells nothing: the last argument but one is the answer in
the first half and the wrong word in the second. Names, descriptions and functions are dealt from
decks. What cannot be balanced: of the two, the answer stands first in the signature.

Source: Heimersheim and Janiak 2023, "A circuit for Python docstrings in a 4-layer attention-only
transformer"; the words and templates are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, product

from unexplained.text.behaviours import OfValues, Orbit, Side, Variable, deck, exchange, side, words

ORBITS = 1500

FUNCTIONS = words("send open read move build find make load save merge update check")
ARGUMENTS = words("""
    size files last line name text path key value count index width height color date time user
    data node first state mode level port item page
""")
WORDS = words("""
    oil crime unit dark column piece water music table river green paper stone house small garden
    winter bread glass wooden train market silver bridge letter cotton
""")
LINES = {":param": "    :param{}: {}", "@param": "    @param{} {}", "dash": "    -{}: {}"}
BEFORE = (1, 2)
"""Arguments that are described already."""
AFTER = (0, 1)
"""Arguments that come after the two."""


HEAD = 'def {function}(self, {arguments}):\n    """{about}\n\n{described}'

VARIABLES = (
    Variable("style", stratum=True),
    Variable("arguments before", stratum=True),
    Variable("arguments after", stratum=True),
    Variable("function", "function"),
    Variable("arguments", "arguments", "changed"),
    Variable("next argument", relation="the answer"),
    Variable("about", "about"),
    Variable("described", "described"),
)


def _last_but_one(values: Mapping[str, str], word: str) -> float:
    return word.strip() == values["arguments"].split(", ")[-2]


def _not_last(values: Mapping[str, str], word: str) -> float:
    return word.strip() != values["arguments"].split(", ")[-1]


SHORTCUTS = {
    "the last argument but one": OfValues(_last_but_one),
    "not the last argument": OfValues(_not_last),
}


def orbits() -> Iterator[Orbit]:
    """Orbits of functions that differ in the order of two arguments."""
    functions, arguments = deck(FUNCTIONS, "functions"), deck(ARGUMENTS, "arguments")
    described = deck(WORDS, "words")
    kinds = deck(list(product(sorted(LINES), BEFORE, AFTER)), "kinds")
    for _ in range(ORBITS):
        style, before, after = next(kinds)
        names = list(islice(arguments, before + 2 + after))
        about = list(islice(described, 2 * before + 2))
        function = next(functions)
        if len(set(names)) < len(names):  # the end of one deck and the beginning of the next
            continue
        swapped = [*names[:before], names[before + 1], names[before], *names[before + 2 :]]
        labels = {
            "style": style,
            "arguments before": str(before),
            "arguments after": str(after),
        }
        yield exchange(
            _side(function, names, before, about, labels),
            _side(function, swapped, before, about, labels),
        )


def _side(
    function: str, names: list[str], before: int, about: list[str], labels: dict[str, str]
) -> Side:
    style = labels["style"]
    described = [
        LINES[style].format(f" {name}", f"{about[2 * i + 2]} {about[2 * i + 3]}")
        for i, name in enumerate(names[:before])
    ]
    values = {
        **labels,
        "function": function,
        "arguments": ", ".join(names),
        "next argument": names[before],
        "about": f"{about[0]} {about[1]}",
        "described": "\n".join([*described, LINES[style].split("{}")[0]]),
    }
    return side(VARIABLES, HEAD, f" {names[before]}", values)
