"""What changed between two records: number by number, and whether by more than noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from unexplained.record.base import Number
from unexplained.record.frame import titles
from unexplained.record.record import Record

HEADERS = ("instrument", "subject", "level", "resamples", "seed")


@dataclass(frozen=True)
class Change:
    """A number that both records have."""

    where: str
    """Its id."""
    says: str
    """The same in words: its section, row and column, as the second record has them."""
    before: Number
    after: Number
    paired: Number | None = None
    """After minus before, by the documents that both are of; None where they cannot be paired."""

    @property
    def change(self) -> Number:
        """After minus before: paired, or as of two measurements that have nothing to do with each other."""
        if self.paired is not None:
            return self.paired
        one, two = self.before, self.after
        for name, number in (("before", one), ("after", two)):
            if number.value is None:
                return Number(value=None, unit=two.unit, refused=f"{name}: {number.refused}")
        if one.unit != two.unit:
            return Number(value=None, refused=f"the units differ: {one.unit} and {two.unit}")
        return between(one, two)

    @property
    def beyond(self) -> bool | None:
        """Whether it changed by more than noise; None where nobody can say."""
        change = self.change
        if change.value == 0 or self.before == self.after:
            return False
        if change.low is None or change.high is None:
            return None
        return change.low > 0 or change.high < 0


def between(before: Number, after: Number, correlation: float = 0.0) -> Number:
    """After minus before, from the distances of both ends (Zou and Donner 2008, MOVER).

    Args:
        before: A number of the same unit, with a value.
        after: Another one.
        correlation: Of the two estimates; 0 where they have nothing to do with each other.
    """
    assert before.value is not None and after.value is not None
    change = after.value - before.value
    if None in (before.low, before.high, after.low, after.high):
        return Number(value=change, unit=after.unit)

    def apart(one: float, two: float) -> float:
        return math.sqrt(max(one**2 + two**2 - 2 * correlation * one * two, 0.0))

    down = apart(after.value - (after.low or 0.0), (before.high or 0.0) - before.value)
    up = apart((after.high or 0.0) - after.value, before.value - (before.low or 0.0))
    return Number(value=change, low=change - down, high=change + up, unit=after.unit)


@dataclass(frozen=True)
class Difference:
    """Two records, compared."""

    headers: dict[str, tuple[str, str]]
    """What differs of how they were measured, by name; two empty words where only digests do."""
    changes: tuple[Change, ...]
    """Numbers of both that are not the same, those beyond noise first, the greatest first."""
    verdicts: tuple[str, str]
    same: int
    """How many numbers are the same in both, to the last digit."""
    gone: tuple[str, ...]
    """Ids that the second has not."""
    new: tuple[str, ...]
    """Ids that the first has not."""


OfTwo = Callable[[Number, Number], Number | None]
"""After minus before, paired by document; None where that cannot be."""


def difference(
    before: Record, after: Record, pair: OfTwo = lambda before, after: None
) -> Difference:
    """Compare two records number by number, by their ids."""
    old, now, words = dict(before.numbers()), dict(after.numbers()), titles(after)
    both = [where for where in old if where in now]
    changed = [
        Change(where, words[where], old[where], now[where], pair(old[where], now[where]))
        for where in both
        if old[where] != now[where]
    ]

    def order(one: Change) -> tuple[int, float]:
        change = one.change
        width = (change.high or 0.0) - (change.low or 0.0)
        size = abs(change.value or 0.0) / width if width else 0.0
        return {True: 0, None: 1, False: 2}[one.beyond], -size

    return Difference(
        dict(_headers(before, after)),
        tuple(sorted(changed, key=order)),
        (before.verdict, after.verdict),
        len(both) - len(changed),
        tuple(where for where in old if where not in now),
        tuple(where for where in now if where not in old),
    )


def _headers(before: Record, after: Record) -> Iterator[tuple[str, tuple[str, str]]]:
    """What differs of how two records were measured."""
    for name in HEADERS:
        one, two = getattr(before, name), getattr(after, name)
        if one != two:
            yield name, (str(one), str(two))
    same = before.subject_fingerprint == after.subject_fingerprint
    if before.subject == after.subject and not same:
        yield f"Weights of {after.subject}", ("", "")
    for name in dict.fromkeys([*before.sheet, *after.sheet]):
        sheets = before.sheet.get(name), after.sheet.get(name)
        if None in sheets:
            one, two = ("none" if digest is None else "there" for digest in sheets)
            yield name, (one, two)
        elif sheets[0] != sheets[1]:
            yield name, ("", "")
    for name in ("torch", "unexplained"):
        one, two = before.versions.get(name, ""), after.versions.get(name, "")
        if one != two:
            yield f"version of {name}", (one, two)
