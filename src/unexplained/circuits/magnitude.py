"""The order that takes no thought of the behaviour: by how much each source differs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from unexplained.circuits.graph import Graph
from unexplained.circuits.paths import WrittenSources, differences, written
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.evaluate.work import Task, pass_bytes
from unexplained.progress import Count
from unexplained.subject import Batch, Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

BATCH_TOKENS = 512


@neutrally
def edge_sizes(
    subject: Subject,
    text: Text,
    *,
    part: Literal["eval", "fit"] = "eval",
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> NDArray[np.float64]:
    """Root mean square of what each edge's source changes between the prompts, (edge,).

    No gradient and no measure enters: it says where the prompts differ inside the model, not what
    that does. All edges out of a source have the same size.

    Args:
        subject: The model.
        text: Pairs of prompts.
        part: Where it is measured.
        folder: What is finished is kept here and found again; nothing is kept if None.
        workers: Who does the work: this process, or those of a cluster.
        progress: Told (batches done, batches in all).
    """
    graph = Graph.of(subject.shape, parallel=subject.anatomy.parallel)
    work = _Sizes(subject=subject, text=text, part=part, batch_tokens=BATCH_TOKENS, graph=graph)
    total, count = np.zeros(len(graph.sources)), 0
    for arrays in measured(work, folder=folder, workers=workers, progress=progress):
        total += arrays["squares"].numpy()
        count += int(arrays["tokens"])
    return np.asarray(np.sqrt(total / count)[graph.ends[:, 0]])


@dataclass(frozen=True, kw_only=True)
class _Sizes(ArrayWork):
    """Mean squares over the width, summed over a batch's tokens."""

    what: ClassVar[str] = "Sizes of changes"
    asked: ClassVar[tuple[str, ...]] = ()

    graph: Graph

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """By source; and one number."""
        return {"squares": (len(self.graph.sources),), "tokens": ()}

    def held(self, tasks: Sequence[Task]) -> float:
        """What every source writes in both prompts, and the difference."""
        shape, sources = self.subject.shape, len(self.graph.sources)
        sizes = [self.plans[task.batch].size for task in tasks]
        return max(
            3 * sources * math.prod(size) * shape.width * self.item
            + pass_bytes(shape, *size, self.item)
            for size in sizes
        )

    def arrays(self, number: int) -> dict[str, Tensor]:
        """The clean and the corrupted prompts, each in a pass."""
        batch = self.plans[number].batch(self.subject.device)
        assert batch.corrupted is not None
        other = Batch(batch.corrupted, batch.valid, batch.rows, batch.documents)
        keep = written(self.graph.layers, self.graph.heads)
        clean, corrupted = (
            WrittenSources.of_pass(self.subject.run(one, keep=keep), self.graph)
            for one in (batch, other)
        )
        moved = differences(self.subject.anatomy, clean, corrupted)
        size = moved.pow(2).mean(-1) * batch.valid[:, None]
        return {"squares": size.sum((0, 2)).double(), "tokens": batch.valid.sum()}
