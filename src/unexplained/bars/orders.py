"""More and more of a model replaced, in several orders: what each step costs, and how far it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from unexplained.bars.recovered import loss, recovered
from unexplained.bars.rungs import Seeds, ties_with
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.record.bars import Standing, Ties
from unexplained.stats import Settings


@dataclass(frozen=True)
class Step:
    """So many components replaced, in one order."""

    order: int
    """From 0 on."""
    count: int
    explained: Number
    """Loss with the explanations in place (nats per token)."""
    ablated: Number
    """Loss with the same components ablated."""
    recovered: Number
    """(L_abl − L_sub)/(L_abl − L_full) for these components."""
    place: Ties | None = None
    """Where the explained model stands among weaker models; None where there are none."""

    def towards(self, rung: str) -> Standing:
        """How the explained model stands to a weaker one."""
        assert self.place is not None, "there are no weaker models"
        return next(one.standing for one in self.place.comparisons if one.rung == rung)


def in_orders(
    ledger: Ledger,
    measured: Mapping[tuple[int, int], tuple[str, str]],
    weaker: Sequence[str],
    *,
    seeds: Seeds | None = None,
    settings: Settings,
) -> tuple[Step, ...]:
    """What every step costs, and its place among weaker models.

    Args:
        ledger: Holds all that is named.
        measured: For every order and count, the conditions with explanations and with ablations; one
            name twice where they are the same.
        weaker: Conditions of weaker models, in any order.
        seeds: See `ties_with`.
        settings: Level, resamples and seed.

    Raises:
        MeasurementError: A condition was not measured, or on different tokens.
    """
    return tuple(
        Step(
            order=order,
            count=count,
            explained=loss(ledger, explained, settings=settings),
            ablated=loss(ledger, ablated, settings=settings),
            recovered=recovered(ledger, explained, ablated, settings=settings),
            place=ties_with(ledger, explained, weaker, seeds=seeds, settings=settings)
            if weaker
            else None,
        )
        for (order, count), (explained, ablated) in measured.items()
    )


def held(steps: Sequence[Step], rung: str, *standings: Standing) -> tuple[int, ...]:
    """For every order, how many were replaced before the model first stood otherwise to a weaker one.

    What comes after it has fallen below does not count: losses rise and fall by chance.

    Args:
        steps: Of every order, those with fewer replaced first.
        rung: The weaker model.
        standings: Those that hold: `beats`, and `ties` unless it has to be certain.
    """
    counts = []
    for order in dict.fromkeys(step.order for step in steps):
        mine = (step for step in steps if step.order == order)
        kept = takewhile(lambda step: step.towards(rung) in standings, mine)
        counts.append(max((step.count for step in kept), default=0))
    return tuple(counts)
