"""Texts of prompt pairs: behaviours with one right and one wrong word, every word in both roles.

Only the prediction at a prompt's end is scored. An orbit, a pair and its role-swap, is the unit:
of the split into parts, of drawing and of resampling.

Why role-swaps: suppose a condition gave every prompt the same logits. Over an orbit its margins
are (a − b) + (b − a) = 0, so over a text too. A preference for a word, however strong, passes for
no part of a behaviour; it can still make the margin large on one half and small on the other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from unexplained.errors import TextError, near_matches
from unexplained.text import behaviours
from unexplained.text.behaviours import Contrast, Orbit, described, files
from unexplained.text.build import Text
from unexplained.text.document import Pair, Part, order_key, part
from unexplained.text.draw import require_disjoint
from unexplained.text.tokens import Tokenized, Tokens

__all__ = ["described", "pairs"]

NOT_ONE = "for a word that is not one token after its prompt"
LENGTHS = "for prompts of unequal length"
SAME = "for prompts or words that are the same tokens"
REPEATED = "for having the tokens of another"
SHARED = "for sharing a prompt with the eval part"

_Passed = tuple[str, str]
"""Why an orbit was passed over, and the line of a file that it is from."""


@dataclass(frozen=True, eq=False)
class _Cut:
    """An orbit in a model's tokens."""

    id: str
    pairs: tuple[Pair, ...]

    @property
    def prompts(self) -> set[bytes]:
        return {ids.tobytes() for pair in self.pairs for ids in (pair.tokens, pair.corrupted)}

    @property
    def kind(self) -> str:
        """What orbits are balanced over: all labels of all pairs."""
        return repr(sorted(sorted(pair.labels.items()) for pair in self.pairs))


def pairs(
    behaviour: str, subject: Tokenized, *, pairs: int = 64, fit_pairs: int = 64, seed: int = 0
) -> Text:
    """Make a text of prompt pairs.

    Orbits fall into the eval part (a fifth) or the fit part by their hash, which depends on
    neither the model nor the seed. Those that the tokenizer does not cut as needed are passed
    over and counted in the notes: a word must be one token after both prompts, and the prompts of
    a pair equally long. The draw takes kinds of labels in turn, so templates are equally frequent
    as long as there are enough of each; a pair and its role-swap stand side by side.

    The pool for n-gram counts has every prompt of the fit part, drawn or not, with its answer.

    When it misleads: words are shared by both parts (prompts are not), so what is fitted has seen
    the words that it is measured on.

    Args:
        behaviour: A name (`described()` lists them) or the path of a `.jsonl` file
            (`behaviours/files.py`). A name wins over a path.
        subject: The model whose tokenizer cuts the prompts.
        pairs: How many pairs to measure on, role-swaps included: an even number, or one less.
        fit_pairs: How many pairs to fit on.
        seed: Which orbits of a part are drawn.

    Raises:
        TextError: There is no such behaviour or file, fewer pairs than asked for, or fewer than
            two are asked for; the tokenizer belongs to another model; or a line of a file is no
            pair.
    """
    notes = [_evenly("pairs", pairs), _evenly("fit_pairs", fit_pairs)]
    name, orbits, more = _orbits(behaviour)
    tokens = Tokens(subject)
    cut, passed = _cut_all(tokens, orbits, name)
    halves: dict[Part, list[_Cut]] = {"eval": [], "fit": []}
    for orbit in cut:
        halves[part(orbit.id)].append(orbit)
    measured = set().union(*(orbit.prompts for orbit in halves["eval"]))
    apart = [orbit for orbit in halves["fit"] if not orbit.prompts & measured]
    passed += [(SHARED, "")] * (len(halves["fit"]) - len(apart))
    halves["fit"] = apart
    _require_enough(behaviour, halves, {"eval": pairs, "fit": fit_pairs}, passed)
    drawn = _draw(halves["eval"], pairs, seed), _draw(halves["fit"], fit_pairs, seed)
    require_disjoint(*drawn)
    notes += [*_reasons(passed), *_about(*drawn)]
    for which, some, asked in zip(("eval", "fit"), drawn, (pairs, fit_pairs), strict=True):
        if len(some) < asked - asked % 2:
            notes.append(f"{which}: whole orbits make {len(some)} pairs of the {asked} asked for.")
    whole = Text(
        name=name,
        eval=drawn[0],
        fit=drawn[1],
        pool=lambda: _pool(apart),
        pool_fingerprint=_fingerprint(tokens, apart),
        block=max(len(pair.tokens) for half in drawn for pair in half),
        vocabulary=subject.shape.vocabulary,
        fingerprint="",
        notes=(tokens.note, *more, *(note for note in notes if note)),
        composition={},
    )
    # `first` works out the fingerprint and the composition, here of all blocks.
    return whole.first(len(drawn[0]), len(drawn[1]))


def _evenly(name: str, asked: int) -> str:
    """What to note about a number of pairs; two is the least."""
    if asked < 2:
        raise TextError(f"A text with {name}={asked}", "the least is 2: a pair and its role-swap")
    return f"{name}={asked} is odd, and role-swaps stay together: {asked - 1}." if asked % 2 else ""


def _orbits(behaviour: str) -> tuple[str, list[Orbit], tuple[str, ...]]:
    """The name, the orbits and what to note about them."""
    if behaviour in described():
        return behaviour, list(behaviours.orbits(behaviour)), ()
    path = Path(behaviour)
    if path.suffix.lower() == ".jsonl":
        return path.name, *files.read(path)
    raise TextError(
        f"The behaviour '{behaviour}'",
        "there is none of that name, and it is not a .jsonl file of pairs",
        near_matches(behaviour, described()),
    )


def _cut_all(tokens: Tokens, orbits: list[Orbit], domain: str) -> tuple[list[_Cut], list[_Passed]]:
    """The orbits whose every pair can be cut, and those that cannot be."""
    strings = sorted({text for orbit in orbits for text in _strings(orbit)})
    encoded = dict(zip(strings, tokens.encode(strings), strict=True))
    found: list[_Cut] = []
    passed: list[_Passed] = []
    taken: set[tuple[bytes, bytes, int, int]] = set()
    for orbit in orbits:
        made = [_pair(encoded, contrast, orbit, domain) for contrast in orbit.contrasts]
        here = [pair for pair in made if isinstance(pair, Pair)]
        keys = {_key(pair) for pair in here}
        where = orbit.contrasts[0].where
        if reasons := [reason for reason in made if isinstance(reason, str)]:
            passed.append((reasons[0], where))
        elif len(keys) < len(here) or keys & taken:
            passed.append((REPEATED, where))
        else:
            taken |= keys
            found.append(_Cut(orbit.id, tuple(here)))
    return found, passed


def _strings(orbit: Orbit) -> Iterator[str]:
    for contrast in orbit.contrasts:
        for prompt in (contrast.clean, contrast.corrupted):
            yield from (prompt, prompt + contrast.answer, prompt + contrast.wrong)


def _pair(
    encoded: dict[str, NDArray[np.int32]], contrast: Contrast, orbit: Orbit, domain: str
) -> Pair | str:
    """The pair in tokens, or why it is passed over; a file's line is told instead."""
    clean, corrupted = encoded[contrast.clean], encoded[contrast.corrupted]
    if len(clean) != len(corrupted):
        if contrast.where:
            raise TextError(
                contrast.where,
                f"its prompts have {len(clean)} and {len(corrupted)} tokens",
                "Activations are exchanged position by position: use words of equally many tokens.",
            )
        return LENGTHS
    ids = []
    for word in (contrast.answer, contrast.wrong):
        # The same token after either prompt: it is also asked for after the corrupted one.
        after = {_word(encoded, prompt, word) for prompt in (contrast.clean, contrast.corrupted)}
        if len(after) > 1 or None in after:
            return NOT_ONE
        ids += [number for number in after if number is not None]
    if np.array_equal(clean, corrupted) or ids[0] == ids[1]:
        return SAME
    return Pair(
        contrast.id,
        domain,
        clean,
        corrupted=corrupted,
        answer=ids[0],
        wrong=ids[1],
        orbit=orbit.id,
        labels=contrast.labels,
    )


def _word(encoded: dict[str, NDArray[np.int32]], prompt: str, word: str) -> int | None:
    """The token that a word is after a prompt; None where it is several or changes the prompt's."""
    before, whole = encoded[prompt], encoded[prompt + word]
    one = len(before) > 0 and len(whole) == len(before) + 1 and np.array_equal(whole[:-1], before)
    return int(whole[-1]) if one else None


def _key(pair: Pair) -> tuple[bytes, bytes, int, int]:
    return pair.tokens.tobytes(), pair.corrupted.tobytes(), pair.answer, pair.wrong


def _draw(orbits: list[_Cut], asked: int, seed: int) -> tuple[Pair, ...]:
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


def _require_enough(
    behaviour: str, halves: dict[Part, list[_Cut]], asked: dict[Part, int], passed: list[_Passed]
) -> None:
    sizes = {which: [len(orbit.pairs) for orbit in half] for which, half in halves.items()}
    there = {which: sum(some) for which, some in sizes.items()}
    if all(
        there[which] >= asked[which] - asked[which] % 2 and min(sizes[which]) <= asked[which]
        for which in halves
    ):
        return
    smallest = max(min(some, default=2) for some in sizes.values())
    raise TextError(
        f"{asked['eval']} pairs to measure and {asked['fit']} to fit of '{behaviour}'",
        f"there are {there['eval']} and {there['fit']} (a fifth to measure, by hash), in orbits of "
        f"{smallest} or more" + "".join(f"; {reason[:-1]}" for reason in _reasons(passed)),
        f"Ask for pairs={there['eval']} and fit_pairs={there['fit']} at most."
        if all(there.values())
        else "Give more pairs, of words that this tokenizer has: 60 or more fill both parts.",
    )


def _reasons(passed: list[_Passed]) -> list[str]:
    """What to note about orbits that were passed over; of a file, the first line."""
    notes = []
    for why, count in Counter(why for why, _ in passed).items():
        first = next(where for reason, where in passed if reason == why)
        notes.append(f"Orbits passed over {why}: {count}{first and f' (first: {first})'}.")
    return notes


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


def _by_orbit(blocks: tuple[Pair, ...]) -> list[_Cut]:
    orbits: dict[str, _Cut] = {}
    for pair in blocks:
        known = orbits.get(pair.orbit, _Cut(pair.orbit, ()))
        orbits[pair.orbit] = replace(known, pairs=(*known.pairs, pair))
    return list(orbits.values())


def _pool(orbits: list[_Cut]) -> Iterator[NDArray[np.int32]]:
    for orbit in orbits:
        for pair in orbit.pairs:
            yield np.append(pair.tokens, np.int32(pair.answer))


def _fingerprint(tokens: Tokens, orbits: list[_Cut]) -> str:
    ids = " ".join(pair.document for orbit in orbits for pair in orbit.pairs)
    return hashlib.sha256(f"pairs {tokens.fingerprint} {ids}".encode()).hexdigest()
