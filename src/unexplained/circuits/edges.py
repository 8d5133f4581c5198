"""Edge attribution: what corrupting each edge alone would do, to first order, for all edges at once.

The score of an edge from u to v is Σ (out_u(corrupted) − out_u(clean)) · ∂m/∂(input of v), summed
over positions and width. It is an estimate of how the measure m would change if v read u's
corrupted output and all else stayed clean:

- `eap`: the gradient at the clean prompt (Syed et al. 2023, arXiv:2310.10348).
- `eap-ig-inputs`: averaged over embeddings between the corrupted and the clean prompt, at
  z′ + (k/steps)(z − z′), k = 1 … steps (Hanna et al. 2024, arXiv:2403.17806).
- `eap-ig-activations`: for each group of sources that write at the same time (the embedding, a
  layer's heads, an MLP) averaged over the group's outputs between corrupted and clean, the rest
  of the pass computed from them. MIB's code, by contrast, averages all edges over all groups.

Σ over the edges out of a source is its node's attribution exactly. With many steps the edges out
of the embedding add up to m(corrupted) − m(clean) (`eap-ig-inputs`), and the edges out of a group
to the effect of exchanging what the group writes (`eap-ig-activations`).

It misleads where the measure is not near linear: a saturated softmax has no gradient, and what
cancels in the sum can be large at single positions. Check the edges that matter by patching them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.circuits.edge_passes import TAPE_TOKENS, EdgePasses
from unexplained.circuits.graph import CircuitError, Graph
from unexplained.circuits.measures import Metric
from unexplained.circuits.methods import By, EdgeMethod
from unexplained.errors import require_count
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.batches import BatchPlan, plan
from unexplained.evaluate.runner import Workers, gather, in_process
from unexplained.evaluate.work import Task, pass_bytes
from unexplained.progress import Count
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Block, Text


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """Scores of all edges, in the graph's order."""

    graph: Graph
    mean: NDArray[np.float64]
    """Mean over pairs of the estimated change of the measure: a negative one of a logit difference means
    that the edge helps."""
    error: NDArray[np.float64]
    """Standard error of the mean, with orbits (a pair and its role-swap) as independent units:
    the linearised one of a ratio of sums. NaN with a single orbit."""
    pairs: int
    orbits: int
    method: EdgeMethod
    measure: Metric

    @property
    def cost(self) -> NDArray[np.float64]:
        """By how much corrupting the edge makes the measure worse: a lower logit difference, a higher loss."""
        return -self.mean if self.measure == "logit difference" else self.mean

    def ranking(self, *, by: By) -> NDArray[np.int64]:
        """Edges, first the most important.

        Args:
            by: `signed` puts edges that help first and those that harm last; `absolute` goes by
                size whatever the sign. Published numbers have differed by this choice alone.
        """
        key = self.cost if by == "signed" else np.abs(self.mean)
        return np.argsort(-key, kind="stable")

    def unsettled(self, count: int, *, by: By) -> int:
        """How many edges outside the first `count` could as well be inside.

        Those whose score is within two standard errors (of the difference, taking the two as
        independent) of that of the last edge inside.

        Args:
            count: How many are inside.
            by: By what edges are ordered.
        """
        order = self.ranking(by=by)
        if not 0 < count < len(order):
            return 0
        key = self.cost if by == "signed" else np.abs(self.mean)
        last, rest = order[count - 1], order[count:]
        noise = np.hypot(self.error[rest], self.error[last])
        return int((key[last] - key[rest] <= 2 * noise).sum())


@neutrally
def attribute_edges(
    subject: Subject,
    text: Text,
    *,
    method: EdgeMethod = "eap",
    steps: int = 5,
    measure: Metric = "logit difference",
    part: Literal["eval", "fit"] = "eval",
    batch_pairs: int = 8,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> EdgeScores:
    """Score all edges of a model on pairs of prompts.

    Args:
        subject: The model.
        text: Pairs of prompts.
        method: See the module.
        steps: Points of the average; not used by `eap`.
        measure: What would change. `kl` is of the clean prompt's prediction from the patched
            one's; it has no gradient at the clean prompt, so not with `eap`.
        part: A circuit that is to be measured on the eval part must be found on the fit part.
        batch_pairs: Pairs at a time; what is held grows with it. Pairs and role-swaps stand side by side.
        folder: What is finished is kept here and found again, 8 bytes for every edge and orbit;
            nothing is kept if None.
        workers: Who does the work: this process, or those of a cluster.
        progress: Told (batches done, batches in all).

    Raises:
        CircuitError: The text has no pairs, the model's components do not add up in the stream
            (post-norms), or the measure has no gradient.
        MeasurementError: The model is in half precision; a score is NaN or infinite; or as
            `evaluate` where there is a folder.
    """
    graph = Graph.of(subject.shape, parallel=subject.anatomy.parallel)
    blocks = text.blocks(part, "Attribution to edges")
    require_edges(subject, text, method, measure, steps)
    require_count("batch_pairs", batch_pairs, least=1)
    work = _Attribution(
        subject=subject, text=text, part=part, graph=graph, method=method, measure=measure,
        steps=1 if method == "eap" else steps, batch_pairs=batch_pairs,
        batch_tokens=batch_pairs * max(len(block.tokens) for block in blocks),
    )  # fmt: skip
    sums = _Sums(graph, blocks)
    gather(
        work, lambda number, arrays: sums.add(work.plans[number].blocks, arrays["scores"]),
        folder=folder, workers=workers, progress=progress,
    )  # fmt: skip
    return sums.finished(method, measure)


@dataclass(frozen=True, kw_only=True)
class _Attribution(ArrayWork):
    """Scores of all edges, summed over every orbit that is in the batch as a whole."""

    what: ClassVar[str] = "Attribution to edges"

    graph: Graph
    method: EdgeMethod
    measure: Metric
    steps: int
    batch_pairs: int

    @cached_property
    def plans(self) -> list[BatchPlan]:
        """So many pairs at a time."""
        return list(_batches(self.text.blocks(self.part, self.what), self.batch_pairs))

    @cached_property
    def sizes(self) -> Counter[str]:
        """Of every orbit."""
        return Counter(block.unit for block in self.text.blocks(self.part, self.what))

    @property
    def asked(self) -> tuple[str, ...]:
        """Method, measure and steps."""
        return self.method, self.measure, str(self.steps)

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(orbit or pair, edge)."""
        return {"scores": (len(_together(self.plans[number].blocks, self.sizes)), self.graph.edges)}

    def held(self, tasks: Sequence[Task]) -> float:
        """Tapes of all layers, what every source writes in three ways, and every edge's score."""
        shape, (sources, ends) = self.subject.shape, self.graph.real.shape
        most = 0.0
        for number in (task.batch for task in tasks):
            rows, longest = self.plans[number].size
            length = longest - self.plans[number].shared
            points = max(1, min(self.steps, TAPE_TOKENS // (rows * length)))
            tapes = shape.layers * pass_bytes(shape, rows * points, length, self.item)
            written = 3 * sources * rows * length * shape.width * self.item
            most = max(most, tapes + written + 2 * 8 * rows * sources * ends)
        return most

    def arrays(self, number: int) -> dict[str, Tensor]:
        """All passes of the batch."""
        some = self.plans[number]
        with self.subject.undisturbed(), torch.no_grad():
            passes = EdgePasses(self.subject, self.graph, some, self.measure, self.steps)
            scores = passes.scores(self.method)
            pairs = scores[:, torch.from_numpy(self.graph.real).to(scores.device)].cpu()
        groups = [pairs[rows] for rows in _together(some.blocks, self.sizes)]
        return {"scores": torch.stack([sum(group[1:], group[0]) for group in groups])}


def require_edges(
    subject: Subject, text: Text, method: EdgeMethod, measure: Metric, steps: int
) -> None:
    """Refuse what cannot be scored, before anything is run; see `attribute_edges`."""
    architecture = subject.anatomy.architecture
    subject.require_full_precision("Scores of edges")
    if not text.pairs:
        raise CircuitError(
            f"Scoring edges on {text.name}",
            "it is running text, not pairs of prompts",
            "Use a behaviour, such as ioi, or score nodes: attribute_nodes takes running text.",
        )
    if architecture.attention_post_norm or architecture.mlp_post_norm:
        raise CircuitError(
            f"Scoring edges of {subject.name}",
            f"{architecture.name} has post-norms: what a head adds to the stream depends on the other "
            "heads of its layer, so it has no edges of its own",
            "Patch or ablate its components instead (sweep), or score nodes (attribute_nodes): both "
            "work in every architecture.",
        )
    if measure == "kl" and method == "eap":
        raise CircuitError(
            "Scoring edges by the KL divergence with 'eap'",
            "it is least at the clean prompt, so its gradient there is zero",
            "Use method='eap-ig-inputs', or measure='logit difference'.",
        )
    if method != "eap" and steps < 1:
        raise CircuitError(f"An average over {steps} steps", "the least is 1")


def _batches(blocks: Sequence[Block], size: int) -> Iterator[BatchPlan]:
    """Batches of so many pairs, those of like length and prefix together."""
    total = sum(len(block.tokens) for block in blocks)
    (whole,) = plan(blocks, total * len(blocks)) or [BatchPlan((), ())]
    for start in range(0, len(blocks), size):
        here = slice(start, start + size)
        yield BatchPlan(whole.rows[here], whole.blocks[here])


def _together(blocks: Sequence[Block], sizes: Mapping[str, int]) -> list[list[int]]:
    """Which pairs of a batch are summed: those of an orbit that is all here; the others stay apart.

    In the order of their last pairs, so that sums over all batches do not depend on it.
    """
    rows: dict[str, list[int]] = {}
    for row, block in enumerate(blocks):
        rows.setdefault(block.unit, []).append(row)
    whole = [some for unit, some in rows.items() if len(some) == sizes[unit]]
    apart = [[row] for unit, some in rows.items() if len(some) < sizes[unit] for row in some]
    return sorted([*whole, *apart], key=lambda some: some[-1])


@dataclass
class _Sums:
    """Means and errors over pairs, an orbit at a time, so that pairs need not be kept."""

    graph: Graph
    blocks: Sequence[Block]
    _open: dict[str, tuple[int, NDArray[np.float64]]] = field(default_factory=dict)
    """Orbits of which pairs are still to come: how many came, and their sum."""

    def __post_init__(self) -> None:
        self.sizes = Counter(block.unit for block in self.blocks)
        shape = self.graph.edges
        self.sum, self.squares, self.sized = np.zeros(shape), np.zeros(shape), np.zeros(shape)

    def add(self, blocks: Sequence[Block], scores: Tensor) -> None:
        """Take in a batch, (orbit or pair, edge)."""
        for rows, one in zip(_together(blocks, self.sizes), scores.numpy(), strict=True):
            unit = blocks[rows[0]].unit
            came, total = self._open.pop(unit, (0, np.zeros(self.graph.edges)))
            came, total = came + len(rows), total + one
            if came < self.sizes[unit]:
                self._open[unit] = came, total
                continue
            self.sum += total
            self.squares += total**2
            self.sized += total * came

    def finished(self, method: EdgeMethod, measure: Metric) -> EdgeScores:
        """Means, and errors by the sums over orbits: √(k/(k−1) Σ(s − n·mean)²) / pairs."""
        pairs, orbits = len(self.blocks), len(self.sizes)
        mean = self.sum / pairs
        spread = self.squares - 2 * mean * self.sized
        spread += mean**2 * sum(size**2 for size in self.sizes.values())
        error = np.full_like(mean, np.nan)
        if orbits > 1:
            error = np.sqrt(np.maximum(spread, 0) * orbits / (orbits - 1)) / pairs
        return EdgeScores(self.graph, mean, error, pairs, orbits, method, measure)
