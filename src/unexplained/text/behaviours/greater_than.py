"""Greater than: the last digit of a year must be above, or below, that of the year before it.

Three examples say which: in `1912 -> 1915, 1834 -> 1836, 1651 -> 1658, 1783 -> 178` years go up
and a digit above 3 is right. The corruption exchanges the years of each example, so that they go
down and a digit below 3 is right.

The usual prompt (`The war lasted from 1783 to 178`) cannot be balanced: the right digit is always
above the year's and the wrong one below, so the right ones are the higher ones altogether, and
liking high digits passes for comparing. Hence both directions. And the model likes to go up: it
does so in `The war ended in 1783 and began in 178` as well, so the direction is shown, not told.

What no balance removes: what goes up ends higher, so of two words the higher is right wherever the
examples go up, whatever year is asked about. A rule that reads the direction alone is right in all
pairs, so a logit difference here says that a model knows the direction, not that it compares with the year;
the notes of every text say it too.

Source: Hanna, Liu and Variengien 2023, "How does GPT-2 compute greater-than?", for the question;
the digit, the examples and the balance are ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from unexplained.text.behaviours import OfValues, Orbit, Side, Variable, deck, exchange, side

ORBITS = 1500
EXAMPLES = 3

DECADES = [f"{century}{decade}" for century in (16, 17, 18, 19) for decade in range(10)]
STEPS = (1, 2, 3)
DIGITS = (2, 3, 4, 5, 6, 7)
"""Last digits of the year that is asked about: both neighbours are digits too."""
TEMPLATES = {
    "arrow": ("{} -> {}", ", "),
    "arrow, lines": ("{} -> {}", "\n"),
    "to, lines": ("{} to {}", "\n"),
    "brackets": ("({}, {})", ", "),
}


VARIABLES = (
    Variable("template", stratum=True),
    Variable("direction", relation="changed", stratum=True),
    Variable("examples", "examples", "changed"),
    Variable("year", "year"),
    Variable("decade", "decade"),
)


def _by_direction(values: Mapping[str, str], word: str) -> float:
    return int(word) * {"up": 1, "down": -1}[values["direction"]]


def _by_year(values: Mapping[str, str], word: str) -> float:
    return int(word) > int(values["year"][-1])


SHORTCUTS = {
    "the higher digit where the examples go up, whatever year is asked about": OfValues(
        _by_direction
    ),
    "a digit above that of the year asked about, whatever the examples": OfValues(_by_year),
}


def orbits() -> Iterator[Orbit]:
    """Orbits of prompts that differ in the direction of their examples."""
    spans = [(low, low + step) for step in STEPS for low in range(1, 10 - step)]
    examples, decades = deck(spans, "examples"), deck(DECADES, "decades")
    asked = deck(list(product(sorted(TEMPLATES), DIGITS)), "asked")
    above, below = deck(STEPS, "above"), deck(STEPS, "below")
    for _ in range(ORBITS):
        template, digit = next(asked)
        shown = [(next(decades), *next(examples)) for _ in range(EXAMPLES)]
        up = [(f"{decade}{low}", f"{decade}{high}") for decade, low, high in shown]
        down = [(high, low) for low, high in up]
        high, low = min(9, digit + next(above)), max(0, digit - next(below))
        decade = next(decades)
        yield exchange(
            _side(template, "up", up, f"{decade}{digit}", high),
            _side(template, "down", down, f"{decade}{digit}", low),
        )


def _side(
    template: str, direction: str, shown: list[tuple[str, str]], year: str, right: int
) -> Side:
    """The examples, the year, and another of its decade without the last digit."""
    form, between = TEMPLATES[template]
    before, then, _ = form.split("{}")
    examples = between.join(form.format(*years) for years in shown)
    return side(
        VARIABLES,
        f"{{examples}}{between}{before}{{year}}{then}{{decade}}",
        str(right),
        {"template": template, "direction": direction, "examples": examples, "year": year,
         "decade": year[:-1]},
    )  # fmt: skip
