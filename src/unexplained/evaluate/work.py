"""What is measured batch by batch, whatever that is: cut into tasks that any worker can do.

A `Work` holds everything that a worker needs; a `Task` names one batch and what to measure on it.
Whoever does a task gets the same result: how a batch is run is planned from the work alone, never
from what happens to be finished already. What a task computes is the work's kind: losses of
conditions (`job`), or arrays such as scores of an attribution and values of sites (`arrays`). Who
does the tasks, keeps what they give and finds it again is the same for all kinds (`runner`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar

from unexplained.evaluate.batches import Plan, plan
from unexplained.evaluate.conditions import AnotherModel, Condition, Other
from unexplained.evaluate.store import Store
from unexplained.hashing import home_of
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
    def plans(self) -> list[Plan]:
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

    def arrived(self, result: R) -> None:
        """Told of every result as it comes, found or done; may refuse to go on."""
