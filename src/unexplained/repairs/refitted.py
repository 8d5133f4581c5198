"""A condition with later weights that were refitted to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unexplained.evaluate import Edited, Program
from unexplained.evaluate.conditions import key, tensor_digest
from unexplained.hashing import digest
from unexplained.repairs.later import Later, LayerWeights
from unexplained.subject import Batch, Resume, Subject


class Refitted(NamedTuple):
    """A condition with later weights that were refitted to it."""

    condition: Program
    looks: np.ndarray
    """Loss (nats per token) on the third part: before the first step, and after each eighth of them."""
    steps: np.ndarray
    """After how many steps that was."""

    @property
    def stopped(self) -> int:
        """After how many steps it was best there: these weights are the condition's."""
        return int(self.steps[self.looks.argmin()])


@dataclass(frozen=True)
class Start:
    """The model under a condition, up to the layers that are refitted; the last batch's stream is kept.

    So what comes before them is run once for all seeds, which are measured one after another.
    """

    base: Edited
    first: int
    _last: list[tuple[Batch, object, Resume]] = field(default_factory=list, repr=False)

    def of(self, subject: Subject, batch: Batch) -> Resume:
        """The stream there."""
        weights = subject.counters()
        if not self._last or self._last[0][0] is not batch or self._last[0][1] != weights:
            done = subject.run(batch, self.base.edits, keep_streams=[self.first])
            self._last[:] = [(batch, weights, done.resume(self.first))]
        return self._last[0][2]


def condition_with(name: str, start: Start, changed: LayerWeights) -> Program:
    """The model under a condition, its later weights changed."""
    first = start.first
    mark = digest(
        "later weights", key(start.base), str(first), *changed,
        tensor_digest(list(changed.values())),
    )  # fmt: skip

    def run(subject: Subject, batch: Batch) -> Tensor:
        there = start.of(subject, batch)
        with torch.no_grad(), subject.undisturbed():
            return Later(subject.anatomy, first).normed(there, changed)

    edited = tuple(one for edit in start.base.edits for one in (edit.function, *edit.calls))
    return Program(name, run, mark, after_prefix=False, calls=edited)
