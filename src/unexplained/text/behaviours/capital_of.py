"""Capital of: the capital of a country.

The corruption asks for another country, whose capital is the wrong answer. Every country stands in
one orbit of each template, with a partner drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator

from unexplained.text.behaviours import Orbit, Variable, couples, exchange, side, words

CAPITALS = words("""
    France/Paris Italy/Rome Germany/Berlin Spain/Madrid Portugal/Lisbon England/London
    Ireland/Dublin Scotland/Edinburgh Wales/Cardiff Norway/Oslo Sweden/Stockholm Finland/Helsinki
    Denmark/Copenhagen Poland/Warsaw Russia/Moscow Greece/Athens Egypt/Cairo
    Kenya/Nairobi Japan/Tokyo China/Beijing India/Delhi Iran/Tehran Iraq/Baghdad
    Syria/Damascus Cuba/Havana Canada/Ottawa Peru/Lima Chile/Santiago Austria/Vienna
    Hungary/Budapest Belgium/Brussels Switzerland/Bern Bulgaria/Sofia
    Korea/Seoul Afghanistan/Kabul
    Australia/Canberra Tunisia/Tunis Jamaica/Kingston
""")
TEMPLATES = {
    "is": "The capital of {country} is",
    "city is": "The capital city of {country} is",
    "called": "The capital of {country} is called",
    "question": "Question: What is the capital of {country}? Answer:",
    "possessive": "The name of {country}'s capital is",
    "travel": "They travelled to {country} and visited its capital,",
    "pupils": "The pupils learned that the capital of {country} is",
    "embassy": "The embassy in {country} is in the capital,",
    "list": "Capitals: Mexico - Mexico City, {country} -",
    "book": "According to the book, the capital of {country} is",
    "government": "The government of {country} sits in the capital,",
    "largest": "We flew to the capital of {country}, which is",
    "map": "On this map of {country}, the capital is marked:",
    "born": "She was born in the capital of {country},",
    "airport": "The airport of the capital of {country} is the airport of",
    "minister": "The prime minister of {country} flew back to the capital,",
}


VARIABLES = (Variable("template", stratum=True), Variable("country", "country", "changed"))


def orbits() -> Iterator[Orbit]:
    """Orbits of two countries."""
    countries = [pair.split("/") for pair in CAPITALS]
    for template, form in TEMPLATES.items():
        for one, other in couples(countries, template):
            yield exchange(
                *(
                    side(VARIABLES, form, f" {answer}", {"template": template, "country": country})
                    for country, answer in (one, other)
                )
            )
