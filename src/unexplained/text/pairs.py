"""Texts of prompt pairs: behaviours with one right and one wrong word, every word in both roles.

Only the prediction at a prompt's end is scored. An orbit, a pair and its role-swap, is the unit:
of the split into parts, of drawing and of resampling.

Why role-swaps: suppose a condition gave every prompt the same logits. Over an orbit its logit differences
are (a − b) + (b − a) = 0, so over a text too. A preference for a word, however strong, passes for
no part of a behaviour; it can still make the logit difference large on one half and small on the other.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError, near_matches
from unexplained.schemes import home_of_name
from unexplained.shares import in_percent
from unexplained.text import behaviours
from unexplained.text.behaviours import Orbit, described, files
from unexplained.text.build import Text, require_number, require_source
from unexplained.text.cutting import Cut, Passed, cut_all
from unexplained.text.document import Pair, Part, order_key, part
from unexplained.text.draw import require_disjoint
from unexplained.text.enough import SHARED, reasons, require_enough
from unexplained.text.lines import printable
from unexplained.text.tokens import Encoder, Tokenized

__all__ = ["described", "pairs"]

GOOD = 0.6
"""A rule that does less than the behaviour asks for is named where it is right more often."""


def pairs(
    behaviour: str | os.PathLike[str],
    subject: Tokenized,
    *,
    pairs: int = 64,
    fit_pairs: int | None = None,
    seed: int = 0,
) -> Text:
    """Make a text of prompt pairs.

    Orbits of a behaviour fall into the eval part (a fifth) or the fit part by their hash, which
    depends on neither the model nor the seed. Of a file all are measured, unless its lines say
    which `part` they are of, or pairs to fit on are asked for: then the hash decides there too.

    Orbits that the tokenizer does not cut as needed are passed over and counted in the notes: a
    word must be one token after both prompts, and the prompts of a pair equally long. The draw
    takes kinds of labels in turn, so templates are equally frequent as long as there are enough of
    each; a pair and its role-swap stand side by side. A special token that a prompt spells out is
    that token, as chat prompts want, and the notes say so.

    The pool for n-gram counts has every prompt of the fit part, drawn or not, with its answer.

    When it misleads: words are shared by both parts (prompts are not), so what is fitted has seen
    the words that it is measured on.

    Args:
        behaviour: A name (`described()` lists them) or the path of a `.jsonl` file
            (`behaviours/files.py`). A name wins over a path.
        subject: The model whose tokenizer cuts the prompts.
        pairs: How many pairs to measure on, role-swaps included: an even number, or one less. Of
            a file that has fewer, all.
        fit_pairs: How many pairs to fit on; 0 where nothing is fitted, as in patching. None is 64
            of a behaviour, and of a file those whose lines say so.
        seed: Which orbits of a part are drawn.

    Raises:
        TextError: There is no such behaviour or file; a behaviour has fewer pairs than asked for, a
            file none, or fewer than two are asked for; the tokenizer belongs to another model; or
            a line of a file is no pair.
    """
    name = require_source("The behaviour", behaviour)
    asked_fit = 64 if fit_pairs is None else fit_pairs
    notes = [_evenly("pairs", pairs), _evenly("fit_pairs", asked_fit)]
    require_number("seed", seed, 0)
    if (known := home_of_name(name)) is not None:
        home, rest = known
        made: Text = home.open_text(
            rest, subject, documents=pairs // 2, fit_documents=asked_fit // 2, seed=seed
        )
        return made
    source = _orbits(name)
    marked = any(orbit.part for orbit in source.orbits)
    asked: dict[Part, int] = {"eval": pairs, "fit": asked_fit}
    if source.own and fit_pairs is None and not marked:
        asked["fit"] = 0
    tokens = Encoder(subject)
    halves, passed = _halves(tokens, source, fits=asked["fit"] > 0)
    apart = halves["fit"]
    require_enough(name, halves, asked, passed, tokens, own=source.own)
    drawn = _draw(halves["eval"], pairs, seed), _draw(apart, asked["fit"], seed)
    require_disjoint(*drawn)
    notes += [*_spelt(tokens, source.orbits), *reasons(passed, tokens), *_about(*drawn)]
    notes += [_unknown(tokens, drawn), _shortcuts(source, {pair.document for pair in drawn[0]})]
    for which, some in zip(halves, drawn, strict=True):
        notes.append(_fewer(which, halves[which], some, asked[which]))
    whole = Text(
        name=source.name,
        eval=drawn[0],
        fit=drawn[1],
        pool=lambda: _pool(apart),
        pool_fingerprint=_fingerprint(tokens, apart),
        block=max(len(pair.tokens) for half in drawn for pair in half),
        vocabulary=subject.shape.vocabulary,
        fingerprint="",
        notes=(*tokens.notes, *source.notes, *(note for note in notes if note)),
        composition={},
    )
    # `first` works out the fingerprint and the composition, here of all blocks.
    return whole.first(len(drawn[0]), len(drawn[1]))


def left_by_tokenizer(behaviour: str, subject: Tokenized) -> tuple[int, tuple[str, ...]]:
    """How many pairs there are to measure, and what to note about those that are passed over.

    Raises:
        TextError: There is no such behaviour or file, or it cannot be read.
    """
    tokens = Encoder(subject)
    halves, passed = _halves(tokens, _orbits(behaviour), fits=False)
    return sum(len(orbit.pairs) for orbit in halves["eval"]), tuple(reasons(passed, tokens))


def _halves(
    tokens: Encoder, source: _Source, *, fits: bool
) -> tuple[dict[Part, list[Cut]], list[Passed]]:
    """Both parts, and the orbits that are in neither.

    The user's own are all measured unless some are to be fitted on, or say that they are.
    """
    cut, passed = cut_all(tokens, source.orbits, source.name)
    halves: dict[Part, list[Cut]] = {"eval": [], "fit": []}
    for orbit in cut:
        by_hash = fits or not source.own
        halves[orbit.part or (part(orbit.id) if by_hash else "eval")].append(orbit)
    measured = set().union(*(orbit.prompts for orbit in halves["eval"]))
    apart = [orbit for orbit in halves["fit"] if not orbit.prompts & measured]
    known = {orbit.id: orbit for orbit in source.orbits}
    passed += [
        Passed(SHARED, replace(known[orbit.id].contrasts[0], where=""))
        for orbit in halves["fit"]
        if orbit.prompts & measured
    ]
    return {**halves, "fit": apart}, passed


def _unknown(tokens: Encoder, drawn: tuple[tuple[Pair, ...], ...]) -> str:
    """What to note about prompts of which the tokenizer does not know a word."""
    whole = [pair for half in drawn for pair in half]
    count = sum(tokens.unknown(np.append(pair.tokens, pair.corrupted)) > 0 for pair in whole)
    return f"Pairs with words that the tokenizer does not know: {count} of {len(whole)}." * bool(
        count
    )


def _shortcuts(source: _Source, measured: set[str]) -> str:
    """What to note about rules that do less than the behaviour asks for."""
    contrasts = [one for orbit in source.orbits for one in orbit.contrasts if one.id in measured]
    rules = behaviours.shortcuts(source.name if not source.own else "")
    shares = {says: behaviours.right(rule, contrasts) for says, rule in rules.items()}
    good = sorted((says for says in shares if shares[says] > GOOD), key=lambda says: -shares[says])
    if not good:
        return f"Of {len(rules)} simple rules none is right in over {GOOD:.0%} of the eval pairs."
    named = "; ".join(f"{says}: {in_percent(shares[says])}" for says in good)
    return f"Simple rules that are right in over {GOOD:.0%} of the eval pairs: {named}."


def _evenly(name: str, asked: int) -> str:
    """What to note about a number of pairs; two is the least, or none to fit on."""
    if name == "fit_pairs" and asked == 0:
        require_number(name, asked, 0)
        return ""
    require_number(name, asked, 2, "a pair and its role-swap")
    what = "to measure" if name == "pairs" else "to fit on"
    odd = f"{asked} pairs {what} is an odd number, and role-swaps stay together: {asked - 1}."
    return odd if asked % 2 else ""


def _fewer(which: Part, there: list[Cut], drawn: tuple[Pair, ...], asked: int) -> str:
    """What to note where fewer pairs are drawn than asked for."""
    whole = sum(len(orbit.pairs) for orbit in there)
    if len(drawn) >= asked - asked % 2:
        return ""
    if len(drawn) == whole:
        return f"{which}: {asked} pairs were asked for, role-swaps included, and there are {whole}."
    return f"{which}: whole orbits make {len(drawn)} pairs of the {asked} asked for."


def _spelt(tokens: Encoder, orbits: list[Orbit]) -> list[str]:
    """What to note about special tokens that prompts or words spell out."""
    found = Counter(
        token
        for orbit in orbits
        for contrast in orbit.contrasts
        for token in tokens.spelt(f"{contrast.clean}{contrast.answer}")
    )
    if not found:
        return []
    named = ", ".join(f"{token} in {count}" for token, count in found.most_common(5))
    return [f"Pairs that spell a special token, which is read as that token: {named}."]


@dataclass(frozen=True)
class _Source:
    name: str
    orbits: list[Orbit]
    notes: tuple[str, ...] = ()
    own: bool = False
    """The user's, and not one of ours."""


def _orbits(behaviour: str) -> _Source:
    if behaviour in described():
        return _Source(behaviour, list(behaviours.orbits(behaviour)))
    path = Path(behaviour)
    if path.suffix.lower() == ".jsonl":
        return _Source(printable(path.name), *files.read(path), own=True)
    raise TextError(
        f"The behaviour '{printable(behaviour)}'",
        "there is none of that name, and it is not a .jsonl file of pairs",
        near_matches(behaviour, described()),
    )


def _draw(orbits: list[Cut], asked: int, seed: int) -> tuple[Pair, ...]:
    """Whole orbits with at most so many pairs, kinds of labels in turn."""
    ordered = sorted(orbits, key=lambda orbit: order_key(orbit.id, seed))
    turns: Counter[str] = Counter()
    ranked = []
    for place, orbit in enumerate(ordered):
        ranked.append((turns[orbit.kind], place))
        turns[orbit.kind] += 1
    drawn: list[Pair] = []
    for _, place in sorted(ranked):
        if len(drawn) + len(ordered[place].pairs) <= asked:
            drawn += ordered[place].pairs
    return tuple(drawn)


def _about(measured: tuple[Pair, ...], fitted: tuple[Pair, ...]) -> list[str]:
    """What a reader of the numbers should know about the pairs."""
    notes = []
    apart = sum(pair.shared == 0 for pair in (*measured, *fitted))
    if apart:
        notes.append(
            f"Pairs whose prompts differ from the first token on: {apart} of "
            f"{len(measured) + len(fitted)}."
        )
    uses = Counter(prompt for orbit in _by_orbit(measured) for prompt in orbit.prompts)
    again = sum(count > 1 for count in uses.values())
    if again:
        notes.append(
            f"eval: prompts that more than one orbit has: {again} of {len(uses)}; intervals take "
            "orbits for independent."
        )
    return notes


def _by_orbit(blocks: tuple[Pair, ...]) -> list[Cut]:
    orbits: dict[str, Cut] = {}
    for pair in blocks:
        known = orbits.get(pair.orbit, Cut(pair.orbit, ()))
        orbits[pair.orbit] = replace(known, pairs=(*known.pairs, pair))
    return list(orbits.values())


def _pool(orbits: list[Cut]) -> Iterator[NDArray[np.int32]]:
    for orbit in orbits:
        for pair in orbit.pairs:
            yield np.append(pair.tokens, np.int32(pair.answer))


def _fingerprint(tokens: Encoder, orbits: list[Cut]) -> str:
    ids = " ".join(pair.document for orbit in orbits for pair in orbit.pairs)
    return hashlib.sha256(f"pairs {tokens.fingerprint} {ids}".encode()).hexdigest()
