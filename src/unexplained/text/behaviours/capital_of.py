"""Capital of: the capital of a country.

The corruption asks for another country, whose capital is the wrong answer. Every country stands in
one orbit of each template, with a partner drawn at random.
"""

from __future__ import annotations

from collections.abc import Iterator

from unexplained.text.behaviours import Orbit, Side, couples, exchange, words

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
    "is": "The capital of {} is",
    "city is": "The capital city of {} is",
    "called": "The capital of {} is called",
    "question": "Question: What is the capital of {}? Answer:",
    "possessive": "The name of {}'s capital is",
    "travel": "They travelled to {} and visited its capital,",
    "pupils": "The pupils learned that the capital of {} is",
    "embassy": "The embassy in {} is in the capital,",
    "list": "Capitals: Mexico - Mexico City, {} -",
    "book": "According to the book, the capital of {} is",
    "government": "The government of {} sits in the capital,",
    "largest": "We flew to the capital of {}, which is",
    "map": "On this map of {}, the capital is marked:",
    "born": "She was born in the capital of {},",
    "airport": "The airport of the capital of {} is the airport of",
    "minister": "The prime minister of {} flew back to the capital,",
}


def orbits() -> Iterator[Orbit]:
    """Orbits of two countries."""
    countries = [pair.split("/") for pair in CAPITALS]
    for template, form in TEMPLATES.items():
        for one, other in couples(countries, template):
            labels = {"template": template}
            yield exchange(
                Side(form.format(one[0]), f" {one[1]}", labels),
                Side(form.format(other[0]), f" {other[1]}", labels),
            )
