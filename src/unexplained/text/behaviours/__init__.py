"""The behaviours: one file each, discovered by name.

A behaviour is a module here with a function `orbits() -> Iterator[Orbit]`; its file's name is its
name and its docstring's first sentence what is shown for it. Adding one needs no other change.
`SHORTCUTS`, if it has them, are rules that do less than the behaviour asks for; how often they are
right is said in the notes of every text.
What it gives is the same for everybody: words are shuffled by their hashes, not by a generator
whose stream may change. Which part an orbit is in follows from its own hash, and a seed only
chooses among the orbits of a part (`unexplained.text.pairs`).
"""

from __future__ import annotations

import hashlib
import importlib
import json
import math
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from types import ModuleType
from typing import Literal, TypeVar

T = TypeVar("T")


Rule = Callable[[str, str], float]
"""A tiny program in a model's place: prompt, word → how much it prefers the word there."""


def _places(prompt: str, word: str) -> list[int]:
    """Where a word stands in a prompt, not as a part of another."""
    own = re.escape(word.strip())
    before, after = (r"\b" if one[:1].isalnum() else "" for one in (own, own[::-1]))
    return [found.start() for found in re.finditer(f"{before}{own}{after}", prompt)]


def _first(prompt: str, word: str) -> float:
    return -min(_places(prompt, word), default=math.inf)


def _last(prompt: str, word: str) -> float:
    return max(_places(prompt, word), default=-math.inf)


def _often(prompt: str, word: str) -> float:
    return len(_places(prompt, word))


def _ending(prompt: str, word: str) -> float:
    """The longest run of letters that ends both the word and some word of the prompt."""
    ends = (
        takewhile(lambda two: two[0] == two[1], zip(word[::-1], other[::-1], strict=False))
        for other in prompt.split()
    )
    return max((len(list(end)) for end in ends), default=0)


def _opposite(rule: Rule) -> Rule:
    return lambda prompt, word: -rule(prompt, word)


RULES: dict[str, Rule] = {
    "the word that the prompt has first": _first,
    "the word that the prompt does not have first": _opposite(_first),
    "the word that the prompt has last": _last,
    "the word that the prompt does not have last": _opposite(_last),
    "the word that the prompt has more often": _often,
    "the word that the prompt has less often": _opposite(_often),
    "the word that ends like a word of the prompt": _ending,
    "the word that ends unlike the words of the prompt": _opposite(_ending),
}
"""Rules that need no understanding, each with its opposite, tried on every text of pairs."""


@dataclass(frozen=True)
class Contrast:
    """Two prompts and the two words that are compared at their end; strings, of no model yet."""

    clean: str
    corrupted: str
    answer: str
    """Right after the clean prompt, with its leading space where it has one."""
    wrong: str
    labels: Mapping[str, str] = field(default_factory=dict)
    """Stratum family → label of the clean prompt."""
    where: str = ""
    """The file and line that it was read from; empty for one of ours."""
    part: Literal["", "eval", "fit"] = ""
    """Given by the user; empty where it was not."""

    @property
    def id(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the four strings as JSON."""
        return _digest([self.clean, self.corrupted, self.answer, self.wrong])

    def role_swapped(self) -> Contrast:
        """The other prompt as the clean one, and the other word as the right one."""
        return replace(
            self,
            clean=self.corrupted,
            corrupted=self.clean,
            answer=self.wrong,
            wrong=self.answer,
        )


@dataclass(frozen=True)
class Orbit:
    """Contrasts in which every word is right as often as it is wrong.

    So a preference for a word that does not depend on the prompt adds exactly nothing to the sum
    of the margins.
    """

    contrasts: tuple[Contrast, ...]
    name: str = ""
    """Given by the user; empty where the contents name it."""
    part: Literal["", "eval", "fit"] = ""
    """Given by the user; empty where the hash decides."""

    @property
    def id(self) -> str:
        """A hash of the name, or else of the contrasts, in whatever order they come."""
        known = [self.name] if self.name else sorted(contrast.id for contrast in self.contrasts)
        return _digest(known)


@dataclass(frozen=True)
class Side:
    """A prompt, its right answer and the labels of its strata."""

    prompt: str
    answer: str
    labels: Mapping[str, str]


def exchange(one: Side, other: Side) -> Orbit:
    """Each prompt as the corruption of the other: two contrasts that are role-swaps.

    >>> one, other = Side("1 + 1 =", " 2", {}), Side("1 + 2 =", " 3", {})
    >>> [(c.clean, c.answer, c.wrong) for c in exchange(one, other).contrasts]
    [('1 + 1 =', ' 2', ' 3'), ('1 + 2 =', ' 3', ' 2')]
    """
    return Orbit(
        (
            Contrast(one.prompt, other.prompt, one.answer, other.answer, one.labels),
            Contrast(other.prompt, one.prompt, other.answer, one.answer, other.labels),
        )
    )


def shuffled(items: Sequence[T], key: str) -> list[T]:
    """The items in an order that looks random: by the hash of each with the key.

    >>> shuffled([1, 2, 3], "a") == shuffled([3, 1, 2], "a")
    True
    """
    return sorted(items, key=lambda item: hashlib.sha256(f"{key} {item!r}".encode()).digest())


def deck(items: Sequence[T], key: str) -> Iterator[T]:
    """The items over and over, shuffled anew each time, so that all are used equally often."""
    turn = 0
    while True:
        yield from shuffled(items, f"{key} {turn}")
        turn += 1


def couples(items: Sequence[T], key: str) -> Iterator[tuple[T, T]]:
    """A random matching: every item in one couple; of an odd number the last is left over."""
    order = shuffled(items, key)
    return zip(order[::2], order[1::2], strict=False)


def words(text: str) -> list[str]:
    """The words of a list that is written as text."""
    return text.split()


def names() -> tuple[str, ...]:
    """The names of the behaviours, sorted; `files` is the one that reads the user's own pairs."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def described() -> dict[str, str]:
    """Name → what it is, in one sentence, for the behaviours that can be asked for by name."""
    modules = {name: _module(name) for name in names() if name != "files"}
    return {name: (found.__doc__ or "").split("\n\n")[0] for name, found in modules.items()}


def orbits(name: str) -> Iterator[Orbit]:
    """The orbits of a behaviour; one that has a prompt of an earlier one is left out.

    So no prompt is on both sides of a split, and orbits of one text have no prompt in common.
    """
    seen: set[str] = set()
    for orbit in _module(name).orbits():
        prompts = {contrast.clean for contrast in orbit.contrasts}
        if not prompts & seen:
            seen |= prompts
            yield orbit


def shortcuts(name: str) -> dict[str, Rule]:
    """Rules that do less than a behaviour asks for: the behaviour's own `SHORTCUTS`, and `RULES`.

    Only those of `RULES` for a name that is no behaviour, such as a file of pairs.
    """
    own = getattr(_module(name), "SHORTCUTS", {}) if name in described() else {}
    return {**own, **RULES}


def right(rule: Rule, contrasts: Iterable[Contrast]) -> float:
    """The share of pairs in which a rule prefers the answer; where it prefers neither, a half.

    >>> swap = exchange(Side("a or b?", "a", {}), Side("b or a?", "b", {}))
    >>> right(RULES["the word that the prompt has first"], swap.contrasts)
    1.0
    """
    preferred = [
        (rule(one.clean, one.answer) > rule(one.clean, one.wrong))
        + (rule(one.clean, one.answer) == rule(one.clean, one.wrong)) / 2
        for one in contrasts
    ]
    return sum(preferred) / len(preferred)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def _digest(strings: list[str]) -> str:
    return hashlib.sha256(json.dumps(strings).encode()).hexdigest()[:16]
