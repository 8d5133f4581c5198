"""City and country: the country that a city is in.

The corruption names a city of another country, which is the wrong answer. Every city stands in one
orbit of each template, capitals with capitals and other cities with other cities, so that being a
capital tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from unexplained.text.behaviours import Orbit, Variable, couples, exchange, side

CITIES = {
    "capital": """
        Paris/France Rome/Italy Berlin/Germany Madrid/Spain Lisbon/Portugal London/England
        Dublin/Ireland Edinburgh/Scotland Oslo/Norway Stockholm/Sweden Helsinki/Finland
        Copenhagen/Denmark Warsaw/Poland Moscow/Russia Athens/Greece Cairo/Egypt
        Nairobi/Kenya Tokyo/Japan Beijing/China Delhi/India Tehran/Iran Baghdad/Iraq
        Damascus/Syria Havana/Cuba Ottawa/Canada Lima/Peru Vienna/Austria Budapest/Hungary
        Brussels/Belgium Sofia/Bulgaria
        Kabul/Afghanistan
    """,
    "other city": """
        Munich/Germany Hamburg/Germany Cologne/Germany Frankfurt/Germany Dresden/Germany
        Leipzig/Germany Milan/Italy Naples/Italy Venice/Italy Florence/Italy Bologna/Italy
        Barcelona/Spain Lyon/France Nice/France Manchester/England Liverpool/England
        Birmingham/England Leeds/England Glasgow/Scotland Cork/Ireland Kyoto/Japan
        Hiroshima/Japan Shanghai/China Mumbai/India Calcutta/India Hyderabad/India Toronto/Canada
        Vancouver/Canada Montreal/Canada Calgary/Canada Sydney/Australia Melbourne/Australia
        Brisbane/Australia Perth/Australia Adelaide/Australia Istanbul/Turkey Alexandria/Egypt
        Geneva/Switzerland Zurich/Switzerland Rio/Brazil
        Petersburg/Russia
    """,
}
TEMPLATES = {
    "is a city": "I think that {city} is a city in",
    "the city of": "The city of {city} is in",
    "country of": "The city of {city} is located in the country of",
    "question": "Question: Which country is {city} in? Answer:",
    "live": "She lives in {city}, a city in",
    "flew": "We flew to {city}, which is in",
    "list": "Tallinn - Estonia, Riga - Latvia, {city} -",
    "born": "He was born in {city}, a city in",
    "map": "On the map, {city} is in",
    "trains": "The trains from {city} run to all other cities of",
}


VARIABLES = (
    Variable("template", stratum=True),
    Variable("city", stratum=True),
    Variable("city's name", "city", "changed"),
)


def orbits() -> Iterator[Orbit]:
    """Orbits of two cities of different countries."""
    for kind, listed in CITIES.items():
        cities = [pair.split("/") for pair in listed.split()]
        for template, form in TEMPLATES.items():
            for one, other in couples(cities, f"{kind} {template}"):
                if one[1] == other[1]:
                    continue
                labels = {"template": template, "city": kind}
                yield exchange(
                    *(
                        side(VARIABLES, form, f" {country}", {**labels, "city's name": city})
                        for city, country in (one, other)
                    )
                )
