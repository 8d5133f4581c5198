"""How a refit is done: what is refitted, for how many steps, on which documents; and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from unexplained.errors import MeasurementError, TextError
from unexplained.evaluate.batches import plan
from unexplained.repairs.later import Later
from unexplained.subject import Subject
from unexplained.text import Text

THIRD = 5
"""Every fifth document of the fit part is not trained on: it says when to stop."""

SMALL = 2e7
"""Later weights up to so many are all refitted; more get changes of low rank."""

RANK = 8

WARM = 0.1
"""Share of the steps over which the rate rises."""

BATCH_TOKENS = 1024
"""Padded tokens of a step."""

MOST_PASSES = 10
"""How often a refit may go through what it is trained on. In planted models that go through theirs 40 times
right claims that were only put in clumsily were told to be wrong; at 10 they were not."""


@dataclass(frozen=True)
class RefitSettings:
    """How a refit is done: the same for every condition."""

    steps: int = 200
    rank: int = 0
    """Of the changes; 0: all later weights themselves."""
    rate: float = 1e-2
    """Greatest of AdamW's."""

    def rate_at(self, step: int) -> float:
        """Rises over the first tenth of the steps, then falls like a cosine to nothing."""
        warm = max(1, round(WARM * self.steps))
        if step < warm:
            return self.rate * (step + 1) / warm
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, self.steps - warm)))

    @classmethod
    def for_model(cls, subject: Subject, first: int, steps: int) -> RefitSettings:
        """All weights of a small rest, low rank of a large one."""
        many = sum(w.numel() for w in Later(subject.anatomy, first).weights().values())
        return cls(steps, 0 if many <= SMALL else RANK)

    @property
    def says(self) -> str:
        """In words."""
        what = f"changes of rank {self.rank} to every matrix" if self.rank else "all weights"
        return f"{what} of the later layers, {self.steps} steps of AdamW (rate {self.rate:g})"


def first_later(subject: Subject, layers: Sequence[int]) -> int:
    """The first layer that comes after all of some layers.

    Raises:
        MeasurementError: There is none.
    """
    first, many = max(layers) + 1, subject.shape.layers
    if first >= many:
        raise MeasurementError(
            f"A refit of {subject.name} after layer {first - 1}",
            f"it has {many} layers, so none comes after it and nothing can be refitted",
            f"Explain components of layers up to {many - 2}." if many > 1 else "",
        )
    return first


def third_of(text: Text) -> set[str]:
    """The units of the fit part that a refit is not trained on and stops by.

    Raises:
        TextError: There are too few.
    """
    units = list(dict.fromkeys(block.unit for block in text.blocks("fit", "A refit")))
    if len(units) < 2 * THIRD:
        raise TextError(
            f"A refit on the fit part of {text.name}",
            f"it has {len(units)} documents, of which every fifth says when to stop",
            f"Give {2 * THIRD} or more (fit_documents=…; --fit-documents).",
        )
    return set(units[THIRD - 1 :: THIRD])


def require_passes(text: Text, steps: int) -> None:
    """Refuse so many steps that a refit would learn its documents by heart.

    What it then learns of them does not carry over, more so over a claim than over the intact model,
    which has less to learn: a loss that is nobody's fault would count as wrong.

    Raises:
        TextError: There are too few documents, for so many steps or at all.
    """
    third = third_of(text)
    training = [one for one in text.blocks("fit", "A refit") if one.unit not in third]
    passes = steps / len(plan(training, BATCH_TOKENS))
    if passes > MOST_PASSES:
        raise TextError(
            f"A refit of {steps} steps on the fit part of {text.name}",
            f"it would go through its {len(training)} documents {passes:.0f} times; at most {MOST_PASSES} "
            "times, or it learns them by heart",
            "Give more documents (fit_documents=…; --fit-documents), or fewer steps (steps=…; --steps).",
        )
