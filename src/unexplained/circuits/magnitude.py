"""The order that takes no thought of the behaviour: by how much each source differs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unexplained.circuits.graph import Graph
from unexplained.circuits.paths import Written, differences, written
from unexplained.evaluate.batches import plan
from unexplained.subject import Batch, Subject
from unexplained.text import Text

BATCH_TOKENS = 512


def edge_sizes(
    subject: Subject, text: Text, *, part: Literal["eval", "fit"] = "eval"
) -> NDArray[np.float64]:
    """Root mean square of what each edge's source changes between the prompts, (edge,).

    No gradient and no measure enters: it says where the prompts differ inside the model, not what
    that does. All edges out of a source have the same size.
    """
    graph = Graph.of(subject.shape, parallel=subject.anatomy.parallel)
    total, count = np.zeros(len(graph.sources)), 0
    for some in plan(text.blocks(part, "Sizes of changes"), BATCH_TOKENS):
        batch = some.batch(subject.device)
        assert batch.corrupted is not None
        other = Batch(batch.corrupted, batch.valid, batch.rows, batch.documents)
        keep = written(graph.layers, graph.heads)
        clean, corrupted = (
            Written.of_pass(subject.run(one, keep=keep), graph) for one in (batch, other)
        )
        moved = differences(subject.anatomy, clean, corrupted)
        size = moved.pow(2).mean(-1) * batch.valid[:, None]
        total += size.sum((0, 2)).double().cpu().numpy()
        count += int(batch.valid.sum())
    return np.asarray(np.sqrt(total / count)[graph.ends[:, 0]])
