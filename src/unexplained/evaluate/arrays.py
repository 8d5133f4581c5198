"""Arrays of every batch: scores of an attribution, values of sites, and whatever else is summed later.

A kind of measurement says which arrays it gives and computes them; here they are kept, as
safetensors with a seal (`whole`), and believed only if they are what was written.
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from unexplained.errors import MeasurementError
from unexplained.evaluate.conditions import key
from unexplained.evaluate.store import Store
from unexplained.evaluate.work import Task, Work, layers_cost, pass_bytes
from unexplained.hashing import digest
from unexplained.whole import BLANK

Arrays = dict[str, Tensor]
"""By name, on the CPU."""


@dataclass(frozen=True, kw_only=True)
class ArrayWork(Work[Arrays]):
    """Arrays of every batch, all of a batch's in one task."""

    @abstractmethod
    def shapes(self, number: int) -> Mapping[str, tuple[int, ...]]:
        """The arrays of a batch by name, each with its sizes, or the first of them."""

    @abstractmethod
    def arrays(self, number: int) -> Mapping[str, Tensor]:
        """Compute them."""

    @property
    @abstractmethod
    def asked(self) -> tuple[str, ...]:
        """What they depend on besides the model, the text, the conditions and the code."""

    @property
    def names(self) -> tuple[str, ...]:
        """One: they are measured together."""
        return (self.what,)

    def unit(self, number: int) -> str:
        """Under which name what is finished of a batch is kept."""
        rows = map(str, self.plans[number].rows)
        return digest(self.part, *self.asked, *map(key, self.conditions), "rows", *rows)

    def do(self, task: Task) -> Arrays:
        """Measure.

        Raises:
            MeasurementError: A number is NaN or infinite.
        """
        given = self.arrays(task.batch)
        found = {name: array.detach().cpu().contiguous() for name, array in given.items()}
        if why := self.fault(task.batch, found):
            documents = [block.document for block in self.plans[task.batch].blocks]
            raise MeasurementError(
                f"{self.what} of {self.subject.name}",
                f"{why}, in documents {documents[0]} to {documents[-1]}",
                "Load the model in float32, or look at what is put in its sites.",
            )
        return found

    def fault(self, number: int, arrays: Arrays) -> str:
        """Why arrays cannot be those of a batch; "" if they can."""
        shapes = self.shapes(number)
        if arrays.keys() != shapes.keys():
            return "there are other arrays"
        for name, array in arrays.items():
            if tuple(array.shape[: len(shapes[name])]) != shapes[name]:
                return f"{name} is of shape {tuple(array.shape)}"
            if not bool(torch.isfinite(array).all()):
                return f"{name} has NaN or infinity in it"
        return ""

    def imagined(self, task: Task) -> Arrays:
        """Drawn numbers of the right shapes, of which some may be divided by."""
        draw = torch.Generator().manual_seed(task.batch)
        return {
            name: 1 + torch.rand(shape, generator=draw, dtype=torch.float64)
            for name, shape in self.shapes(task.batch).items()
        }

    def amounts(self, tasks: Sequence[Task]) -> dict[str, float]:
        """Padded tokens through all layers: every batch of a kind takes as many passes as another."""
        tokens = sum(math.prod(self.plans[task.batch].size) for task in tasks)
        return {f"{self.what} {digest(*self.asked)}": tokens * layers_cost(self.subject.shape)}

    def held(self, tasks: Sequence[Task]) -> float:
        """What is inside a pass; arrays are there afterwards too, and so seen."""
        sizes = [self.plans[task.batch].size for task in tasks]
        return max(pass_bytes(self.subject.shape, *size, self.item) for size in sizes)

    def tried(self, tasks: Sequence[Task]) -> tuple[ArrayWork, list[Task]]:
        """Its first batch, or less of it."""
        return self.over(self.small(self.plans[tasks[0].batch])), [Task(0, self.names)]

    def find(self, store: Store | None, number: int) -> tuple[list[Arrays], list[Task]]:
        """A batch's arrays if they are kept, else the task to measure them."""
        kept = None if store is None else self._kept(store, number)
        return ([], [Task(number, self.names)]) if kept is None else ([kept], [])

    def keep(self, store: Store, task: Task, result: Arrays) -> None:
        """Keep a batch's arrays."""
        # One entry: of several their order in the file would be drawn.
        about = {"measured": self.what, "circumstances": dict(store.describes)}
        text = json.dumps(about | {"seal": BLANK.decode()}, sort_keys=True)
        store.write(_file(self.unit(task.batch)), save(result, {"unexplained": text}))

    def _kept(self, store: Store, number: int) -> Arrays | None:
        name = _file(self.unit(number))
        data = store.read(name)
        if data is None:
            return None
        try:
            # Copied: what is computed from a tensor can depend on where it lies in memory.
            found = {of: array.clone() for of, array in load(data).items()}
            why = self.fault(number, found)
        except (SafetensorError, ValueError, KeyError) as error:
            why = str(error)
        if why:
            store.reject(name, why)
            return None
        return {of: found[of] for of in self.shapes(number)}


def _file(unit: str) -> str:
    return f"{unit}.safetensors"
