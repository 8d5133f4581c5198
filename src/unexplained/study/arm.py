"""An arm: a card, the conditions that are measured of it, and the controls that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from unexplained.bars.cards import TOTAL, Card
from unexplained.evaluate import Condition


@dataclass(frozen=True)
class Arm:
    """What is measured under one name."""

    card: Card
    conditions: Mapping[str, Condition]
    """For each effect (`total`, `direct`, …) what has to be run."""
    controls: tuple[Arm, ...] = field(default=(), compare=False)
    """What `Run.measure` measures beside a claim, unasked."""

    @property
    def name(self) -> str:
        """What it is called."""
        return self.card.name


def arm(
    condition: Condition, *, name: str = "", controls: tuple[Arm, ...] = (), **card: Any
) -> Arm:
    """An arm of one condition, whose total effect is asked for.

    Args:
        condition: What is run.
        name: What the arm is called; by default as its condition.
        controls: What is measured beside it.
        card: The other fields of its card.
    """
    effects = {TOTAL: condition.name}
    return Arm(
        Card(name=name or condition.name, effects=effects, **card), {TOTAL: condition}, controls
    )
