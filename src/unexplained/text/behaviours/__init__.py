"""The behaviours: one file each, discovered by name.

A behaviour is a module here with `VARIABLES`, in which its prompts vary, and a function `orbits() ->
Iterator[Orbit]`; its file's name is its name and its docstring's first sentence what is shown for it.
Adding one needs no other change.
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

Relation = Literal["same", "changed", "the answer", "the wrong word"]


@dataclass(frozen=True)
class Variable:
    """One thing that prompts of a behaviour vary in, stated once.

    Prompts are filled, strata cut, donors and rules told by what is declared here, and a law holds
    every orbit to it.
    """

    name: str
    place: str = ""
    """The slot of the template where it stands; empty for what is a matter of the whole prompt."""
    relation: Relation = "same"
    """What becomes of it in the corrupted prompt: the same, another value; or it is the right word
    (the wrong one) in each of the two."""
    stratum: bool = False
    """Whether measurements are broken down by it, and draws balanced over it."""


@dataclass(frozen=True)
class OfValues:
    """A rule that is told the values of a prompt's variables, and does not have to look for them."""

    prefers: Callable[[Mapping[str, str], str], float]
    """Values by name, word → how much it prefers the word there."""


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
    """Partition → label of the clean prompt."""
    where: str = ""
    """The file and line that it was read from; empty for one of ours."""
    part: Literal["", "eval", "fit"] = ""
    """Given by the user; empty where it was not."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Variable → value in the clean prompt: the labels, and what is no stratum."""

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
    of the logit differences.
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
    values: Mapping[str, str] = field(default_factory=dict)


def side(variables: Sequence[Variable], form: str, answer: str, values: Mapping[str, str]) -> Side:
    """A prompt in which every variable stands in its place.

    Args:
        variables: All that the behaviour has.
        form: The template, with a slot for each of those that have a place in it.
        answer: The right word.
        values: Of every variable.

    >>> subject = Variable("subject", place="who", relation="changed")
    >>> side([subject], "The {who} near the door", " is", {"subject": "dog"}).prompt
    'The dog near the door'
    """
    assert set(values) == {one.name for one in variables}, "every variable has a value"
    slots = {one.place: values[one.name] for one in variables if one.place}
    labels = {one.name: values[one.name] for one in variables if one.stratum}
    return Side(form.format(**slots), answer, labels, values)


def exchange(one: Side, other: Side) -> Orbit:
    """Each prompt as the corruption of the other: two contrasts that are role-swaps.

    >>> one, other = Side("1 + 1 =", " 2", {}), Side("1 + 2 =", " 3", {})
    >>> [(c.clean, c.answer, c.wrong) for c in exchange(one, other).contrasts]
    [('1 + 1 =', ' 2', ' 3'), ('1 + 2 =', ' 3', ' 2')]
    """
    return Orbit((_contrast(one, other), _contrast(other, one)))


def _contrast(clean: Side, corrupted: Side) -> Contrast:
    words = (clean.prompt, corrupted.prompt, clean.answer, corrupted.answer)
    return Contrast(*words, clean.labels, values=clean.values)


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


def shortcuts(name: str) -> dict[str, Rule | OfValues]:
    """Rules that do less than a behaviour asks for: the behaviour's own `SHORTCUTS`, and `RULES`.

    Only those of `RULES` for a name that is no behaviour, such as a file of pairs.
    """
    own = getattr(_module(name), "SHORTCUTS", {}) if name in described() else {}
    return {**own, **RULES}


def right(rule: Rule | OfValues, contrasts: Iterable[Contrast]) -> float:
    """The share of pairs in which a rule prefers the answer; where it prefers neither, a half.

    >>> swap = exchange(Side("a or b?", "a", {}), Side("b or a?", "b", {}))
    >>> right(RULES["the word that the prompt has first"], swap.contrasts)
    1.0
    """
    preferred = []
    for one in contrasts:
        answer, wrong = (_prefers(rule, one, word) for word in (one.answer, one.wrong))
        preferred.append((answer > wrong) + (answer == wrong) / 2)
    return sum(preferred) / len(preferred)


def _prefers(rule: Rule | OfValues, one: Contrast, word: str) -> float:
    return rule.prefers(one.values, word) if isinstance(rule, OfValues) else rule(one.clean, word)


def variables(name: str) -> tuple[Variable, ...]:
    """What prompts of a behaviour vary in, as its file declares it."""
    return tuple(_module(name).VARIABLES)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def _digest(strings: list[str]) -> str:
    return hashlib.sha256(json.dumps(strings).encode()).hexdigest()[:16]
