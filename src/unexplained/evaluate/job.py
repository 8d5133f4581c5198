"""Losses of conditions: how a batch is planned, run and scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from unexplained.errors import MeasurementError
from unexplained.evaluate import imagining
from unexplained.evaluate.conditions import Condition, Edited, Program, key
from unexplained.evaluate.kept import Required, load, save
from unexplained.evaluate.store import Store
from unexplained.evaluate.unit import Unit
from unexplained.evaluate.work import Task, Work
from unexplained.hashing import digest
from unexplained.ledger import Ledger
from unexplained.subject.edits import first_layer
from unexplained.text import Pair
from unexplained.text.strata import varying

Needs = Literal["all", "logit difference"]
"""Everything that a ledger has, or of pairs the logit difference alone, which needs two columns of logits."""

GROUP = {"cpu": 32, "cuda": 256}
"""Conditions that go through the unembedding together and are kept together: their final streams
are held at once, and they are what a killed process may have to measure again."""

STACK = {"cpu": 384, "cuda": 32768}
"""Padded tokens that are worth running side by side. On two cores single heads on 8 pairs, of which
5 positions run, take the same time 9 or 32 at once. On an H100 270 heads on 1,024 tokens took 5.3 to
7.3 s one at a time, 3.1 to 4.2 s two at a time and 2.0 s 32 at a time; more was not measured."""

MEMORY = 4e9
"""Bytes of kept streams and final streams that a worker may hold."""


@dataclass(frozen=True)
class Layout:
    """How a batch is run."""

    start: int
    """The first position that is run for every condition; before it nothing changes."""
    stack: int
    """Conditions side by side."""
    group: int
    """Conditions that are finished together."""
    window: int
    """Streams that are kept at once; conditions side by side begin within one window of layers."""
    unit: str
    """Under which name what is finished is kept."""


@dataclass(frozen=True, kw_only=True)
class Job(Work[Ledger]):
    """Losses of conditions, the intact model's among them, on a part of a text."""

    keep_tokens: frozenset[str]
    measure: Needs
    memory: float

    @cached_property
    def by_name(self) -> dict[str, Condition]:
        """The conditions by name."""
        return {condition.name: condition for condition in self.conditions}

    @cached_property
    def keys(self) -> dict[str, str]:
        """What every condition is, by its name."""
        return {condition.name: key(condition) for condition in self.conditions}

    @cached_property
    def ordered(self) -> list[Condition]:
        """By the layer where they begin, so that those that share a start come together."""
        return sorted(self.conditions, key=self.start_layer)

    def start_layer(self, condition: Condition) -> int:
        """The first layer that has to be run again for it."""
        layers = self.subject.shape.layers
        if isinstance(condition, Edited) and not condition.is_direct:
            return min(max(first_layer(condition.edits), 0), layers)
        return layers

    def layout(self, number: int) -> Layout:
        """How the batch of that number is run.

        Raises:
            MeasurementError: The memory budget does not hold what one condition needs.
        """
        batch = self.plans[number]
        rows, longest = batch.size
        changed = [c for c in self.conditions if isinstance(c, Edited | Program)]
        start = batch.shared if all(c.after_prefix for c in changed) else 0
        size = rows * (longest - start)
        kind = self.subject.device.type if self.subject.device.type in STACK else "cuda"
        stack = max(1, STACK[kind] // size)
        stream = size * self.subject.shape.width * self.item
        if self.memory < 4 * stream:
            raise MeasurementError(
                f"A memory budget of {self.memory / 1e9:.2g} GB",
                f"one condition on a batch of {rows} x {longest - start} tokens takes "
                f"{4 * stream / 1e9:.2g} GB",
                "Give that much or more (--memory), or measure with fewer tokens in a batch.",
            )
        group = int(min(GROUP[kind], self.memory / 2 // stream))
        stack = min(stack, group)
        names = [block.document for block in batch.blocks]
        # Side by side, low bits depend on the company, so another company is another unit.
        # A quarter: beside the streams of the first pass, those that are made again are held.
        window = max(1, int(self.memory / 4 // stream))
        keys = [self.keys[one.name] for one in self.ordered]
        company = digest(str(group), str(window), *keys) if stack > 1 else ""
        unit = digest(self.part, self.measure, str(start), str(stack), company, *names)
        return Layout(start, stack, group, window, unit)

    @property
    def item(self) -> int:
        """Bytes of one number."""
        return next(self.subject.anatomy.model.parameters()).element_size()

    def tasks(self, number: int, known: Sequence[str]) -> list[Task]:
        """What is still to be done on a batch, where some conditions are known.

        Conditions that run side by side stay together, known or not.
        """
        layout, finished = self.layout(number), set(known)
        wanted = self.ordered
        if layout.stack == 1:
            wanted = [c for c in wanted if c.name not in finished]
        groups = [wanted[i : i + layout.group] for i in range(0, len(wanted), layout.group)]
        names = [tuple(c.name for c in group) for group in groups]
        return [Task(number, some) for some in names if not finished.issuperset(some)]

    @property
    def names(self) -> tuple[str, ...]:
        """The conditions'."""
        return tuple(condition.name for condition in self.conditions)

    def unit(self, number: int) -> str:
        """Under which name what is finished of a batch is kept."""
        return self.layout(number).unit

    def do(self, task: Task) -> Ledger:
        """Measure the conditions of a task on its batch; its intact pass serves the next task too."""
        if not self._worker or self._worker[0][0] != task.batch:
            self._worker[:] = [(task.batch, Unit(self, task.batch))]
        unit: Unit = self._worker[0][1]
        return unit.measure([self.by_name[name] for name in task.names])

    def find(self, store: Store | None, number: int) -> tuple[list[Ledger], list[Task]]:
        """What is known of a batch's conditions, and the groups that are still to be measured."""
        if store is None:
            return [], self.tasks(number, ())
        names = {mark: name for name, mark in self.keys.items()}
        known = load(store, self.asked(number), names, self.keep_tokens)
        todo = self.tasks(number, known.conditions)
        again = {name for task in todo for name in task.names}
        return [known.only([c for c in known.conditions if c not in again])], todo

    def keep(self, store: Store, task: Task, result: Ledger) -> None:
        """Keep the rows of a task."""
        keys = {name: self.keys[name] for name in result.conditions}
        save(store, self.unit(task.batch), result, keys, varying(self.plans[task.batch].blocks))

    def imagined(self, task: Task) -> Ledger:
        """Rows of a task with made-up numbers."""
        return Unit(self, task.batch).imagined(task)

    def amounts(self, tasks: Sequence[Task]) -> dict[str, float]:
        """FLOPs of every kind of step."""
        return imagining.amounts(self, tasks)

    def held(self, tasks: Sequence[Task]) -> float:
        """Bytes of streams, and of what is inside a pass."""
        return imagining.held(self, tasks)

    def tried(self, tasks: Sequence[Task]) -> tuple[Job, list[Task]]:
        """A batch with some conditions of every kind."""
        return imagining.tried(self, tasks)

    def asked(self, number: int) -> Required:
        """What a kept unit of a batch must have."""
        blocks = self.plans[number].blocks
        pairs = all(isinstance(block, Pair) for block in blocks)
        columns = {"logit_difference", "preferred"} if pairs else set()
        if self.measure == "all":
            columns |= {"loss", "kl", "agree", "correct"}
        documents = tuple((block.unit, len(block.targets)) for block in blocks)
        return Required(self.unit(number), documents, frozenset(columns), varying(blocks))
