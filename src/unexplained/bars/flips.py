"""Orders that turn round when the ablation is another: of components by damage, of claims by what they recover.

A flip is said only where both orders are told from a tie: the first under one ablation and the
opposite under another, each by an interval that is corrected for all orders that were asked
(Bonferroni: of m intervals at level 1 − α/m all hold the truth with a chance of 1 − α, and then
nothing is a flip that is none).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from unexplained.bars.recovered import increase, recovered
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.stats import Settings

Conditions = Mapping[str, Mapping[str, str]]
"""Ablation → component (or explanation) → the condition in the ledger."""
EXPLANATIONS = "loss of explanations"
"""By what explanations of the same components are ordered."""
ReadOrder = Callable[[str, str, str], int]
"""1 where under an ablation the first is more than the second, −1 where less, 0 where that is not told."""


@dataclass(frozen=True)
class Flip:
    """Under `one` the first is more than the second; under `other` the second is."""

    first: str
    second: str
    one: str
    other: str


def turned(
    ledger: Ledger,
    ablated: Conditions,
    claimed: Mapping[str, Conditions],
    filled: Conditions,
    settings: Settings,
) -> dict[str, list[Flip]]:
    """Pairs of which one is more under one ablation and the other under another, by what orders them.

    Components by damage (under the key ""), differences paired by document, and by what every claim recovers
    there, told apart where two intervals are: that is stricter than it need be, for they are of the same
    documents. Explanations of the same components by their loss (`EXPLANATIONS`), where they are filled.
    All intervals, of damage, claims and explanations, hold together.
    """
    claims, components = map(_ordered, (filled, ablated))
    asked = (math.comb(len(components), 2) + len(claimed) * len(components)) * len(ablated)
    strict = corrected(settings, asked + math.comb(len(claims), 2) * len(filled))
    found = {EXPLANATIONS: _by_damage(ledger, filled, strict)} if filled else {}
    if ablated:
        found[""] = _by_damage(ledger, ablated, strict)
    return found | {
        claim: _by_recovered(ledger, conditions, ablated, strict)
        for claim, conditions in claimed.items()
    }


def _ordered(conditions: Conditions) -> list[str]:
    """What is put in an order, under every ablation alike."""
    return list(next(iter(conditions.values()), ()))


def apart(ledger: Ledger, conditions: Sequence[str], settings: Settings) -> Number:
    """The loss of the worst of some conditions less that of the best, whichever they are.

    Intervals of all differences hold together, and then it lies between the greatest of their low ends and
    the greatest of their high ones.
    """
    strict = corrected(settings, math.comb(len(conditions), 2))
    found = [
        increase(ledger, one, intact=other, settings=strict)
        for one, other in combinations(conditions, 2)
    ]
    if refused := [one for one in found if one.value is None]:
        return refused[0]
    value = max(abs(one.value or 0.0) for one in found)
    if any(one.low is None or one.high is None for one in found if one.value):
        return Number(value=value, unit=found[0].unit)
    ends = [(one.low or 0.0, one.high or 0.0) for one in found]
    low = max(max(low, -high, 0.0) for low, high in ends)
    return Number(
        value=value, low=low, high=max(max(-low, high) for low, high in ends), unit=found[0].unit
    )


def _by_damage(ledger: Ledger, ablated: Conditions, settings: Settings) -> list[Flip]:
    sites = _ordered(ablated)

    def order(ablation: str, first: str, second: str) -> int:
        mine = ablated[ablation]
        return _side(increase(ledger, mine[first], intact=mine[second], settings=settings))

    return _flips(sites, list(ablated), order)


def _by_recovered(
    ledger: Ledger, claims: Conditions, ablated: Conditions, settings: Settings
) -> list[Flip]:
    sites = _ordered(ablated)
    found: dict[tuple[str, str], Number] = {
        (ablation, site): recovered(
            ledger, claims[ablation][site], ablated[ablation][site], settings=settings
        )
        for ablation in ablated
        for site in sites
    }

    def order(ablation: str, first: str, second: str) -> int:
        one, other = found[ablation, first], found[ablation, second]
        if one.low is not None and other.high is not None and one.low > other.high:
            return 1
        return -int(one.high is not None and other.low is not None and one.high < other.low)

    return _flips(sites, list(ablated), order)


def corrected(settings: Settings, many: int) -> Settings:
    """Intervals at a level at which all of so many hold the truth together."""
    level = 1 - (1 - settings.level) / max(many, 1)
    return replace(
        settings, level=level, resamples=max(settings.resamples, math.ceil(4 / (1 - level)))
    )


def _side(difference: Number) -> int:
    if difference.above_zero:
        return 1
    return -int(difference.below_zero)


def _flips(sites: Sequence[str], ablations: Sequence[str], order: ReadOrder) -> list[Flip]:
    found = []
    for first, second in combinations(sites, 2):
        sides = {ablation: order(ablation, first, second) for ablation in ablations}
        more = [ablation for ablation, side in sides.items() if side > 0]
        less = [ablation for ablation, side in sides.items() if side < 0]
        if more and less:
            found.append(Flip(first, second, more[0], less[0]))
    return found
