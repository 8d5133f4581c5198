"""Antonyms: the opposite of a word.

The corruption asks for the opposite of another word, whose answer is the wrong one. Every word
stands in one orbit of each template, with a partner drawn at random among the other opposites.
"""

from __future__ import annotations

from collections.abc import Iterator

from unexplained.text.behaviours import Orbit, Variable, couples, exchange, side, words

OPPOSITES = words("""
    hot/cold big/small tall/short up/down left/right old/new good/bad happy/sad fast/slow rich/poor
    dark/light early/late open/closed hard/soft high/low day/night love/hate war/peace black/white
    wet/dry full/empty strong/weak true/false near/far inside/outside beginning/end first/last
    male/female north/south east/west summer/winter success/failure win/lose buy/sell push/pull
    start/stop before/after always/never give/take above/below thick/thin wide/narrow clean/dirty
    safe/dangerous loud/quiet sweet/sour easy/difficult deep/shallow cheap/expensive
    public/private positive/negative increase/decrease input/output accept/reject rise/fall
    heaven/hell friend/enemy life/death question/answer maximum/minimum major/minor front/back
    top/bottom sharp/dull smooth/rough victory/defeat ancient/modern internal/external tight/loose
    guilty/innocent profit/loss forward/backward fact/fiction polite/rude wise/foolish
    absent/present attack/defend horizontal/vertical active/passive add/subtract
    multiply/divide
""")
TEMPLATES = {
    "opposite": "The opposite of {word} is",
    "antonym": "The antonym of {word} is",
    "question": "Question: What is the opposite of {word}? Answer:",
    "not": "If it is not {word}, then it is",
    "the word": "The word {word} is the opposite of the word",
    "list": "Opposites: man and woman, boy and girl, {word} and",
    "arrow": "man -> woman, boy -> girl, {word} ->",
    "teacher": "The teacher explained that the opposite of {word} is",
}


VARIABLES = (Variable("template", stratum=True), Variable("word", "word", "changed"))


def orbits() -> Iterator[Orbit]:
    """Orbits of two words of different opposites."""
    opposites = [pair.split("/") for pair in OPPOSITES]
    both = [(one, other) for pair in opposites for one, other in (pair, pair[::-1])]
    for template, form in TEMPLATES.items():
        for one, other in couples(both, template):
            if set(one) & set(other):
                continue
            yield exchange(
                *(
                    side(VARIABLES, form, f" {answer}", {"template": template, "word": word})
                    for word, answer in (one, other)
                )
            )
