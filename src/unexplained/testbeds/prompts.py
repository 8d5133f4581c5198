"""The pairs of prompts that the planted models are measured on, every word in both roles.

Like `texts`, they are random tokens with known structure. Every orbit has all roles of its words,
so that a preference for one word is a preference for the answer as often as for the wrong word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np

from unexplained.errors import TextError
from unexplained.testbeds.name_bias import FAVOURITE
from unexplained.testbeds.vocabulary import BOS, VOCABULARY, WORDS
from unexplained.text import Text
from unexplained.text.document import Pair

PairsMaker = Callable[[np.random.Generator], tuple[Pair, ...]]
"""Draws one orbit."""

_Roles = tuple[list[int], list[int], int, int, dict[str, str]]
"""Clean and corrupted prompt, answer, wrong word, labels."""

TRIES = 100
"""How often in a row an orbit that is there already is drawn before there are held to be no more."""


def one_back(rng: np.random.Generator) -> tuple[Pair, ...]:
    """Which word came just before? For `mediation`: `a b x y`, where `y` follows the answer x.

    The corrupted prompt has the wrong word in the answer's place. Two pairs to an orbit.

    >>> pair, swap = one_back(np.random.default_rng(0))
    >>> roles = (pair.answer, pair.wrong), (swap.wrong, swap.answer)
    >>> roles[0] == roles[1] == (int(pair.tokens[3]), int(swap.tokens[3]))
    True
    """
    first, second, end, x, w = _words(rng, 5)

    def prompt(word: int) -> list[int]:
        return [BOS, first, second, word, end]

    return _orbit(
        "one back",
        [(prompt(x), prompt(w), x, w, {}), (prompt(w), prompt(x), w, x, {})],
    )


def two_slots(rng: np.random.Generator) -> tuple[Pair, ...]:
    """Which word followed this cue? For `name_bias`: `c x d w s c`, where x followed c.

    One of the two words is `FAVOURITE`. The corrupted prompt has the words exchanged. An orbit has
    four pairs: each word in each slot, asked for by either cue. Labels: `favourite` (`answer` or
    `wrong`), `order` (`answer first` or `answer last`).

    >>> [pair.labels["order"] for pair in two_slots(np.random.default_rng(0))]
    ['answer first', 'answer last', 'answer first', 'answer last']
    """
    cue, other, between, name = _words(rng, 4, without=FAVOURITE)
    pairs: list[_Roles] = []
    for first, second in ((FAVOURITE, name), (name, FAVOURITE)):
        for asked, answer, wrong in ((cue, first, second), (other, second, first)):
            clean = [BOS, cue, first, other, second, between, asked]
            corrupted = [BOS, cue, second, other, first, between, asked]
            labels = {
                "favourite": "answer" if answer == FAVOURITE else "wrong",
                "order": "answer first" if asked == cue else "answer last",
            }
            pairs.append((clean, corrupted, answer, wrong, labels))
    return _orbit("two slots", pairs)


def other_slot(rng: np.random.Generator) -> tuple[Pair, ...]:
    """As `two_slots`, but the corrupted prompt differs in all that the circuit of `soft_induction` reads.

    Clean `c x d w s c`, corrupted `e y f w s f`: other cues, another word in the first slot, and
    the second slot is asked for, which holds the wrong word. Two pairs to an orbit.

    >>> len(other_slot(np.random.default_rng(0)))
    2
    """
    cue, other, cue_too, other_too, between, x, w, y = _words(rng, 8)
    pairs: list[_Roles] = []
    for answer, wrong in ((x, w), (w, x)):
        clean = [BOS, cue, answer, other, wrong, between, cue]
        corrupted = [BOS, cue_too, y, other_too, wrong, between, other_too]
        pairs.append((clean, corrupted, answer, wrong, {}))
    return _orbit("other slot", pairs)


def pairs_text(
    name: str, maker: PairsMaker, *, orbits: int = 12, fit_orbits: int = 12, seed: int = 0
) -> Text:
    """A text of pairs of a planted behaviour, with different orbits in its two parts.

    Args:
        name: What the text is called.
        maker: `one_back`, `two_slots`, `other_slot`.
        orbits: How many orbits to measure on.
        fit_orbits: How many to fit on.
        seed: Which ones are drawn.

    Raises:
        TextError: There are not so many.

    >>> text = pairs_text("names", two_slots, orbits=10, fit_orbits=2)
    >>> len(text.eval), len(text.units), len(text.fit)
    (40, 10, 8)
    """
    rng = np.random.default_rng(seed)
    found: dict[str, tuple[Pair, ...]] = {}
    tries = 0
    while len(found) < orbits + fit_orbits:
        drawn = maker(rng)
        tries = 0 if drawn[0].orbit not in found else tries + 1
        if tries > TRIES:
            raise TextError(
                f"{orbits + fit_orbits} orbits of '{name}'", f"no more than {len(found)} were found"
            )
        found.setdefault(drawn[0].orbit, drawn)
    every = list(found.values())
    return text_of(name, every[:orbits], every[orbits:])


def text_of(
    name: str, measured: Sequence[Sequence[Pair]], fitted: Sequence[Sequence[Pair]] = ()
) -> Text:
    """The text of some pairs; `Text.only` and `dataclasses.replace` take parts of it."""
    evaluated, fit = (
        tuple(pair for orbit in some for pair in orbit) for some in (measured, fitted)
    )
    whole = Text(
        name=name,
        eval=evaluated,
        fit=fit,
        pool=lambda: (np.append(pair.tokens, np.int32(pair.answer)) for pair in fit),
        pool_fingerprint=hashlib.sha256(" ".join(p.document for p in fit).encode()).hexdigest(),
        block=max(len(pair.tokens) for pair in (*evaluated, *fit)),
        vocabulary=len(VOCABULARY),
        fingerprint="",
        notes=(),
        composition={},
    )
    # `first` works out the fingerprint and the composition.
    return whole.first(len(evaluated), len(fit))


def _words(rng: np.random.Generator, count: int, without: int = BOS) -> list[int]:
    """Different tokens."""
    pool = [token for token in range(1, WORDS + 1) if token != without]
    return [int(token) for token in rng.permutation(pool)[:count]]


def _orbit(domain: str, pairs: Sequence[_Roles]) -> tuple[Pair, ...]:
    # Whichever role comes first, the orbit is the same.
    mark = hashlib.sha256(repr((domain, sorted(p[:4] for p in pairs))).encode()).hexdigest()[:16]
    return tuple(
        Pair(
            f"{mark} {number}",
            domain,
            np.array(clean, dtype=np.int32),
            corrupted=np.array(corrupted, dtype=np.int32),
            answer=answer,
            wrong=wrong,
            orbit=mark,
            labels=labels,
        )
        for number, (clean, corrupted, answer, wrong, labels) in enumerate(pairs)
    )
