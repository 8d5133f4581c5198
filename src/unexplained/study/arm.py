"""An arm: a card, the conditions that are measured of it, and the controls that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from unexplained.bars.cards import TOTAL, Card
from unexplained.errors import MeasurementError
from unexplained.evaluate import Condition, Edited
from unexplained.evaluate.conditions import EffectKind


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

    def called(self, name: str, **card: Any) -> Arm:
        """Its total effect under another name; what controls it has are this one's (`Card.of`).

        Args:
            name: Its name.
            **card: Fields of its card that are different.
        """
        fresh = {"name": name, "effects": {TOTAL: name}, "of": self.name}
        named = self.card.model_copy(update=fresh | card)
        return Arm(named, {TOTAL: replace(self.conditions[TOTAL], name=name)})

    def also(self, *effects: EffectKind) -> Arm:
        """The same with other effects of its edits measured too, each under a name of its own.

        Raises:
            MeasurementError: It edits nothing.
        """
        total = self.conditions[TOTAL]
        if not isinstance(total, Edited):
            raise MeasurementError(f"Another effect of '{self.name}'", "it edits nothing")
        every = {**self.conditions} | {
            one: replace(total, name=f"{self.name} ({one})", effect=one) for one in effects
        }
        card = self.card.model_copy(
            update={"effects": {effect: one.name for effect, one in every.items()}}
        )
        return Arm(card, every, self.controls)


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
