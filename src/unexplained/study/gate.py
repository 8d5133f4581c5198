"""Whether the model has the behaviour that a text of pairs is about, before anything is said of it.

In both roles apart: a model that always goes up is right in half of the pairs without comparing
anything, and with a little noise more often than chance in all of them together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unexplained.bars.measures import measure_of
from unexplained.bars.recovered import INTACT
from unexplained.errors import MeasurementError, TextError
from unexplained.ledger import Sums
from unexplained.record import Number
from unexplained.shares import percent
from unexplained.stats import SHARE, mean_per_token, written
from unexplained.study.run import Run
from unexplained.subject import Subject
from unexplained.text import Pair, Text

CHANCE = 0.5


def fewest_orbits(level: float) -> int:
    """With fewer pairs in a role not even all of them right are told from chance (sign test).

    >>> fewest_orbits(0.95)  # 2⁻⁶ is the first below 2.5%
    6
    """
    return math.ceil(math.log2(2 / (1 - level)))


def require_orbits(text: Text, level: float) -> None:
    """Refuse pairs that are too few for the gate, before anything is run.

    Raises:
        TextError: They are.
    """
    if len(text.units) < (fewest := fewest_orbits(level)):
        raise TextError(
            f"A circuit on {len(text.units)} pairs of {text.name}, each with its role-swap",
            f"it takes {fewest} to tell whether the model has the behaviour",
            f"Ask for {2 * fewest} prompts or more (pairs=…; --pairs). Of a file of your "
            'own lines with "part": "fit" are scored and the others measured; without such lines a '
            "fifth is measured, by hash: then give more, or mark some. Or leave out the gate "
            "(gated=False; --no-gate).",
        )


@dataclass(frozen=True)
class PairRole:
    """The pairs of all orbits whose words have the same parts: one half of a text."""

    says: str
    """What tells them apart, such as `direction up`, if anything does."""
    pairs: int
    accuracy: Number
    orbits: int
    """Pairs that are not each other's variants: what tells."""
    fewest: int
    """With fewer orbits nothing is told."""

    @property
    def enough(self) -> bool:
        """Whether there are enough pairs to tell anything."""
        return self.orbits >= self.fewest

    @property
    def passed(self) -> bool:
        """There are enough pairs, and the whole interval of the accuracy is above chance."""
        return self.enough and self.accuracy.low is not None and self.accuracy.low > CHANCE


@dataclass(frozen=True)
class Gate:
    """The intact model on a text of pairs."""

    accuracy: Number
    """How often it prefers the answer; by chance 0.5."""
    logit_difference: Number
    """Logit of the answer minus logit of the wrong one (logits per pair)."""
    roles: tuple[PairRole, ...]
    """The accuracy in each role apart."""

    @property
    def passed(self) -> bool:
        """In every role the whole interval of the accuracy is above chance."""
        return all(role.passed for role in self.roles)

    @property
    def too_few(self) -> str:
        """Why nothing is told, where there are too few pairs."""
        return _too_few(self.roles)

    @property
    def fails(self) -> str:
        """Where it is not told from chance, or why it cannot be; empty where it passed."""
        if self.too_few:
            return self.too_few
        failed = [role.says for role in self.roles if not role.passed]
        if len(failed) == len(self.roles):
            return "not told from chance"
        return f"not told from chance in {' and '.join(failed)}" if failed else ""


def _too_few(roles: Sequence[PairRole]) -> str:
    few = [role for role in roles if not role.enough]
    if not few:
        return ""
    least = min(role.orbits for role in few)
    return f"too few pairs to tell from chance ({least} in a role; it takes {few[0].fewest})"


def gate(run: Run) -> Gate:
    """Measure how well the run's model does on its pairs, in each role apart.

    Every pair counts with its role-swap, so a preference for one of the two words gives exactly
    one half; one that holds for one role alone is seen there. With too few pairs (`fewest_orbits`)
    nobody passes, and an accuracy is refused: 100% of four pairs says nothing.
    """
    halves, settings = roles(run.text), run.settings
    said = f"asking whether the model does {run.text.name}"
    read = [
        run.on(half).measure(needs="logit difference", what=said).ledger.sums(INTACT)
        for _, half in halves
    ]

    fewest = fewest_orbits(settings.level)

    def mean(column: str, unit: str, *some: Sums) -> Number:
        values, tokens = _by_unit([one.documents for one in some],
                                  [getattr(one, column) for one in some],
                                  [one.tokens for one in some])  # fmt: skip
        if (there := np.count_nonzero(tokens)) < fewest:
            few = f"too few pairs: {there} with their variants, and it takes {fewest}"
            return Number(value=None, unit=unit, refused=few)
        return mean_per_token(values, tokens, settings=settings, unit=unit)

    unit = measure_of("logit difference", pairs=True).unit
    return Gate(
        mean("preferred", SHARE, *read),
        mean("logit_difference", unit, *read),
        tuple(
            PairRole(says, len(half.eval), mean("preferred", SHARE, sums), len(half.units), fewest)
            for (says, half), sums in zip(halves, read, strict=True)
        ),
    )


def roles(text: Text) -> list[tuple[str, Text]]:
    """The pairs that have the roles in which an orbit first shows its words, and the others.

    One text alone where no words change places.
    """
    first: dict[str, set[tuple[int, int]]] = {}
    sides: tuple[list[Pair], list[Pair]] = ([], [])
    for pair in text.eval:
        if not isinstance(pair, Pair):
            continue
        known = first.setdefault(pair.orbit, set())
        swapped = (pair.wrong, pair.answer) in known
        if not swapped:
            known.add((pair.answer, pair.wrong))
        sides[swapped].append(pair)
    names = _told_apart(*sides)
    return [
        (name, text.keeping({pair.document for pair in some}))
        for name, some in zip(names, sides, strict=True)
        if some
    ]


def _told_apart(one: Sequence[Pair], other: Sequence[Pair]) -> tuple[str, str]:
    """The label that all pairs of one role have and none of the other, if there is such a one."""
    for partition in one[0].labels if one and other else ():
        here, there = ({pair.labels.get(partition) for pair in some} for some in (one, other))
        if len(here) == len(there) == 1 and here != there:
            return f"{partition} {here.pop()}", f"{partition} {there.pop()}"
    return "the first role", "the other role"


def _by_unit(
    documents: Sequence[Sequence[str]],
    values: Sequence[np.ndarray],
    tokens: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Sums over both roles for every orbit, sorted by its hash."""
    names, which = np.unique(np.concatenate([np.array(some) for some in documents]),
                             return_inverse=True)  # fmt: skip
    total = np.bincount(which, weights=np.concatenate(values), minlength=len(names))
    count = np.bincount(which, weights=np.concatenate(tokens), minlength=len(names))
    return total, count.astype(np.int64)


def require_behaviour(found: Gate, subject: Subject, text: Text) -> None:
    """Refuse to explain a behaviour that the model does not have.

    Raises:
        MeasurementError: It prefers the right answer no more often than chance, in all pairs or in
            one of the two roles; or there are too few pairs to tell.
    """
    if found.too_few:
        raise MeasurementError(
            f"The behaviour '{text.name}' of {subject.name}",
            found.too_few,
            f"Ask for {2 * found.roles[0].fewest} prompts or more. Or leave the gate out "
            "(gated=False; --no-gate).",
        )
    if not found.passed:
        apart = ", ".join(
            f"of the {role.pairs} in {role.says} {percent(role.accuracy)}" for role in found.roles
        )
        raise MeasurementError(
            f"The behaviour '{text.name}' of {subject.name}",
            f"of {text.predicted} pairs it prefers the right answer in {percent(found.accuracy)} "
            f"({apart}), where chance gives 50% in each; the logit difference is {written(found.logit_difference)} "
            f"{found.logit_difference.unit}",
            "Use a behaviour that this model has, or more pairs. Or leave the gate out "
            "(gated=False; --no-gate).",
        )
