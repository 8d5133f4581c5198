"""What is measured batch by batch, whatever that is: cut into tasks that any worker can do.

A `Work` holds everything that a worker needs; a `Task` names one batch and what to measure on it.
Whoever does a task gets the same result: how a batch is run is planned from the work alone, never
from what happens to be finished already. What a task computes is the work's kind: losses of
conditions (`job`), or arrays such as scores of an attribution and values of sites (`arrays`). Who
does the tasks, keeps what they give and finds it again is the same for all kinds (`runner`).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

from unexplained.evaluate.batches import BatchPlan, plan
from unexplained.evaluate.conditions import AnotherModel, Condition, Other
from unexplained.evaluate.store import Store
from unexplained.hashing import home_of
from unexplained.sites import Shape
from unexplained.subject import Subject
from unexplained.text import Text
from unexplained.text.document import Part

R = TypeVar("R")


@dataclass(frozen=True)
class Task:
    """One batch, and what is measured on it."""

    batch: int
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Work(ABC, Generic[R]):
    """What is to be measured on a part of a text; a task of it gives an R."""

    what: ClassVar[str] = "A measurement"
    """For errors."""

    subject: Subject
    text: Text
    part: Part
    batch_tokens: int
    """Padded tokens of a batch, at most."""
    conditions: tuple[Condition, ...] = ()
    """Named ways to predict that take part."""
    _worker: list[Any] = field(default_factory=list, repr=False)
    """What a worker keeps from one task for the next."""

    @cached_property
    def plans(self) -> list[BatchPlan]:
        """The batches: they do not depend on what is measured."""
        return plan(self.text.blocks(self.part, self.what), self.batch_tokens)

    @property
    def engine(self) -> str:
        """The module that measures: with all that it imports, the code that results depend on."""
        return home_of(type(self))

    @property
    def models(self) -> list[Subject]:
        """The models that are run, the subject first."""
        others = [c.predictor for c in self.conditions if isinstance(c, Other)]
        return [self.subject, *(one.subject for one in others if isinstance(one, AnotherModel))]

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What is measured on every batch."""

    @abstractmethod
    def unit(self, number: int) -> str:
        """Under which name what is finished of a batch is kept."""

    @abstractmethod
    def do(self, task: Task) -> R:
        """Measure."""

    @abstractmethod
    def find(self, store: Store | None, number: int) -> tuple[list[R], list[Task]]:
        """What is kept of a batch, and what is still to be done."""

    @abstractmethod
    def keep(self, store: Store, task: Task, result: R) -> None:
        """Keep what a task gave."""

    def kept_in(self, store: Store) -> Self:
        """The same, which may keep there how far an unfinished task is."""
        return self

    def arrived(self, result: R) -> None:
        """Told of every result as it comes, found or done; may refuse to go on."""

    # What it would take, without running it: see `rehearsal`.

    @abstractmethod
    def imagined(self, task: Task) -> R:
        """What a task might give: of the right shapes, with numbers that are made up."""

    @abstractmethod
    def amounts(self, tasks: Sequence[Task]) -> Mapping[str, float]:
        """How much of each kind of step tasks take (FLOPs, or whatever grows as the time does)."""

    @abstractmethod
    def held(self, tasks: Sequence[Task]) -> float:
        """Bytes that a worker holds at most while it does such tasks, the model's own apart."""

    @abstractmethod
    def tried(self, tasks: Sequence[Task]) -> tuple[Work[R], list[Task]]:
        """A small piece of it, and tasks that have steps of every kind: first the plainest."""

    def over(self, batch: BatchPlan, **changes: Any) -> Self:
        """The same on one batch alone."""
        found = replace(self, _worker=[], **changes)
        found.__dict__["plans"] = [batch]
        return found

    def small(self, batch: BatchPlan) -> BatchPlan:
        """The first rows of a batch, as few as are timed well: what is small already is whole."""
        _, longest = batch.size
        row = longest * layers_cost(self.subject.shape)
        rows = max(math.ceil(TRIED / row), math.ceil(TRIED_TOKENS / longest))
        return BatchPlan(batch.rows[:rows], batch.blocks[:rows])

    @property
    def item(self) -> int:
        """Bytes of one number of the model's."""
        return next(self.subject.anatomy.model.parameters()).element_size()


TRIED, TRIED_TOKENS = 5e10, 256
"""FLOPs, and tokens, of a pass that is timed: less would be told wrong by what every pass takes anyway."""


def layer_cost(shape: Shape) -> float:
    """FLOPs of a token in one layer, attention over the others left out."""
    heads = 2 * (shape.heads + shape.key_heads) * shape.head_size
    return 2.0 * shape.width * (heads + 3 * (shape.neurons + shape.expert_neurons))


def layers_cost(shape: Shape) -> float:
    """FLOPs of a token in all layers."""
    return shape.layers * layer_cost(shape)


def unembedding_cost(shape: Shape) -> float:
    """Of a token that is predicted: the product, and what the online softmax does with each logit."""
    return (2.0 * shape.width + SOFTMAX) * shape.vocabulary


SOFTMAX = 400.0
"""FLOPs that take as long as exponentials and sums over one logit: about 4 ns on a core of 1e11 a second."""


def pass_bytes(shape: Shape, rows: int, length: int, item: int) -> float:
    """What a layer holds at most of a batch: streams, what is inside attention and the MLP, a pattern."""
    inside = 4 * shape.width + 3 * (shape.neurons + shape.expert_neurons)
    inside += 4 * shape.heads * shape.head_size
    return item * rows * (length * inside + 3.0 * shape.heads * length**2)
