"""What changed between two records: number by number, and whether by more than noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unexplained.record.base import Number
from unexplained.record.frame import titles
from unexplained.record.record import Record

HEADERS = ("instrument", "subject", "subject_fingerprint", "level", "resamples", "seed")


@dataclass(frozen=True)
class Change:
    """A number that both records have."""

    where: str
    """Its id."""
    says: str
    """The same in words: its section, row and column, as the second record has them."""
    before: Number
    after: Number

    @property
    def change(self) -> Number:
        """After minus before, as of two measurements that have nothing to do with each other.

        The distances of both ends are added as squares (Zou and Donner 2008, MOVER). Two records of
        the same documents go up and down together: their difference is known better than this.
        """
        one, two = self.before, self.after
        for name, number in (("before", one), ("after", two)):
            if number.value is None:
                return Number(value=None, unit=two.unit, refused=f"{name}: {number.refused}")
        if one.unit != two.unit:
            return Number(value=None, refused=f"the units differ: {one.unit} and {two.unit}")
        assert one.value is not None and two.value is not None
        change = two.value - one.value
        if None in (one.low, one.high, two.low, two.high):
            return Number(value=change, unit=two.unit)
        down = math.hypot(two.value - (two.low or 0.0), (one.high or 0.0) - one.value)
        up = math.hypot((two.high or 0.0) - two.value, one.value - (one.low or 0.0))
        return Number(value=change, low=change - down, high=change + up, unit=two.unit)

    @property
    def beyond(self) -> bool | None:
        """Whether it changed by more than noise; None where nobody can say."""
        change = self.change
        if change.value == 0 or self.before == self.after:
            return False
        if change.low is None or change.high is None:
            return None
        return change.low > 0 or change.high < 0


@dataclass(frozen=True)
class Difference:
    """Two records, compared."""

    headers: dict[str, tuple[str, str]]
    """What differs of how they were measured, by name."""
    changes: tuple[Change, ...]
    """Numbers of both that are not the same, those beyond noise first, the greatest first."""
    verdicts: tuple[str, str]
    same: int
    """How many numbers are the same in both, to the last digit."""
    gone: tuple[str, ...]
    """Ids that the second has not."""
    new: tuple[str, ...]
    """Ids that the first has not."""
    paired: bool
    """Whether both are of the same texts and model: then the intervals here are too wide."""


def difference(before: Record, after: Record) -> Difference:
    """Compare two records number by number, by their ids."""
    old, now, words = dict(before.numbers()), dict(after.numbers()), titles(after)
    both = [Change(where, words[where], old[where], now[where]) for where in old if where in now]
    changed = [one for one in both if one.before != one.after]

    def order(one: Change) -> tuple[int, float]:
        change = one.change
        width = (change.high or 0.0) - (change.low or 0.0)
        size = abs(change.value or 0.0) / width if width else 0.0
        return {True: 0, None: 1, False: 2}[one.beyond], -size

    headers = {
        name: (str(getattr(before, name)), str(getattr(after, name)))
        for name in HEADERS
        if getattr(before, name) != getattr(after, name)
    }
    for name in dict.fromkeys([*before.sheet, *after.sheet]):
        one, two = before.sheet.get(name, "none"), after.sheet.get(name, "none")
        if one != two:
            headers[name] = (one, two)
    for name in ("torch", "unexplained"):
        one, two = before.versions.get(name, ""), after.versions.get(name, "")
        if one != two:
            headers[f"version of {name}"] = (one, two)
    return Difference(
        headers,
        tuple(sorted(changed, key=order)),
        (before.verdict, after.verdict),
        len(both) - len(changed),
        tuple(where for where in old if where not in now),
        tuple(where for where in now if where not in old),
        before.sheet == after.sheet and before.subject_fingerprint == after.subject_fingerprint,
    )
