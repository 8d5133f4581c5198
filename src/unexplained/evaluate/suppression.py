"""Copy suppression by its authors' definition, on the direct path of any heads of a model.

With the final norm's scale frozen, what is taken from a head moves the logits by a product of small
parts: of mean ablation and of QK by its z alone (through W_O, of the head's size), of OV by one number
for each distinct token of the context. So the whole unembedding is multiplied once for a batch by W_O
of every head and by the context's tokens, not once for every condition; and predictions may be drawn,
as each needs its own row of a pattern only.

KL = log E_p exp(Δ − E_p Δ), with p the model's prediction and Δ a condition's change of the logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.batches import BatchPlan
from unexplained.evaluate.conditions import tensor_digest
from unexplained.evaluate.copying import (
    KEPT,
    DistinctTokens,
    Unembedding,
    function_tokens,
    kept_along,
    kept_z,
)
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.evaluate.score import BLOCK
from unexplained.evaluate.work import Task, layers_cost, unembedding_cost
from unexplained.hashing import digest
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Edit, Local, Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Block, Text

BATCH_TOKENS = 2048
"""Padded tokens of a batch: W_O of every head meets the unembedding once in each."""

FEW = 8
"""Heads that are timed for a forecast."""


@dataclass(frozen=True)
class DirectPath:
    """What `CONDITIONS` do on the direct path, by head: sums over the predictions of a document."""

    units: tuple[str, ...]
    """Of every document the unit of resampling."""
    predictions: NDArray[np.float64]
    """(document,)."""
    kl: NDArray[np.float64]
    """From the intact model, (head, document, condition), nats."""


CONDITIONS = ("mean", *KEPT)
"""Nothing is kept, or something (`copying.KEPT`)."""
_LINES = tuple(name for name, kept in KEPT.items() if kept.ov)
_ORDER = tuple(name for name in CONDITIONS if name not in _LINES) + _LINES
"""As they are computed: first those that stay within a head's z."""


@neutrally
def direct_path(
    subject: Subject,
    text: Text,
    heads: Sequence[Site],
    means: Tensor,
    *,
    predictions: int,
    seed: int,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> DirectPath:
    """Every condition at every head on the eval part of a text.

    Args:
        subject: The model.
        text: The text.
        heads: Which heads, each by itself.
        means: Their mean z by position, (head, position, head size).
        predictions: How many of a document are drawn.
        seed: Of that draw.
        folder: What is finished is kept here and found again; nothing is kept if None.
        workers: Who does the work.
        progress: Told (done, in all).

    Raises:
        MeasurementError: The definition does not suit the model (`Unembedding.of`), or a number is not
            finite.
    """
    Unembedding.of(subject)
    work = _DirectPath(
        subject=subject, text=text, part="eval", batch_tokens=BATCH_TOKENS, heads=tuple(heads),
        means=means, predictions=predictions, seed=seed,
    )  # fmt: skip
    found = measured(work, folder=folder, workers=workers, progress=progress)
    sums: list[NDArray[np.float64]] = []
    blocks = [block for some in work.plans for block in some.blocks]
    counts = [len(work.drawn(block)) for block in blocks]
    for some, arrays in zip(work.plans, found, strict=True):
        ends = np.cumsum([len(work.drawn(block)) for block in some.blocks])[:-1]
        sums += [part.sum(1) for part in np.split(arrays["kl"].double().numpy(), ends, axis=1)]
    units = tuple(block.unit for block in blocks)
    return DirectPath(units, np.array(counts, dtype=np.float64), np.stack(sums, axis=1))


@dataclass(frozen=True, kw_only=True)
class _DirectPath(ArrayWork):
    """Divergences of every head and condition at the drawn predictions of a batch."""

    what: ClassVar[str] = "Copy suppression"
    heads: tuple[Site, ...]
    means: Tensor
    predictions: int
    seed: int

    @property
    def asked(self) -> tuple[str, ...]:
        """Heads, their means, what is kept, and which predictions are drawn."""
        about = (str(self.predictions), str(self.seed), *CONDITIONS)
        return ("direct path", *about, *map(str, self.heads), tensor_digest([self.means]))

    def drawn(self, block: Block) -> list[int]:
        """The predictions of a document that are measured: as many, at places drawn by its hash."""
        scored = range(*block.scored.indices(len(block.tokens)))
        if len(scored) <= self.predictions:
            return list(scored)
        draw = np.random.default_rng(int(digest(block.document, str(self.seed)), 16))
        return sorted(draw.choice(scored, self.predictions, replace=False).tolist())

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(head, prediction, condition)."""
        rows = sum(len(self.drawn(block)) for block in self.plans[number].blocks)
        return {"kl": (len(self.heads), rows, len(CONDITIONS))}

    def amounts(self, tasks: Sequence[Task]) -> dict[str, float]:
        """FLOPs of the passes, of the vocabulary by every head, and by every prediction."""
        shape, heads = self.subject.shape, len(self.heads)
        passes = layers_cost(shape) * sum(math.prod(self.plans[t.batch].size) for t in tasks)
        product = 2.0 * shape.width * shape.vocabulary * shape.head_size * len(tasks)
        each = unembedding_cost(shape) * len(CONDITIONS) / 4
        rows = sum(self.shapes(task.batch)["kl"][1] for task in tasks)
        return {self.what: passes + heads * (product + rows * each)}

    def held(self, tasks: Sequence[Task]) -> float:
        """What a pass takes, probabilities, and what every condition of every head moves."""
        shape, inside = self.subject.shape, super().held(tasks)
        rows = max(self.shapes(task.batch)["kl"][1] for task in tasks)
        longest = max(self.plans[task.batch].size[1] for task in tasks)
        each = len(_LINES) * longest + len(CONDITIONS) * shape.head_size
        return inside + self.item * rows * (2 * shape.vocabulary + len(self.heads) * each)

    def tried(self, tasks: Sequence[Task]) -> tuple[_DirectPath, list[Task]]:
        """A few heads on a piece of the first batch."""
        piece = self.small(self.plans[tasks[0].batch])
        few = self.over(piece, heads=self.heads[:FEW], means=self.means[:FEW])
        return few, [Task(0, self.names)]

    def arrays(self, number: int) -> dict[str, Tensor]:
        """One pass, in which every head is looked at; then the vocabulary block by block."""
        with torch.no_grad():
            return {"kl": _Batch(self, self.plans[number]).divergences()}


@dataclass
class _Head:
    """What conditions take from a head and put in its place."""

    weight: Tensor
    """W_O, (head size, width)."""
    z: Tensor
    """(prediction, condition, head size), of `mean` and then of QK alone."""
    along: list[Tensor]
    """Of every document, (prediction, condition, distinct token) of those with OV."""


class _Batch:
    """One batch: what every condition of every head adds to the stream, and what that does."""

    def __init__(self, work: _DirectPath, plan: BatchPlan) -> None:
        self.subject, self.unembedding = work.subject, Unembedding(work.subject)
        self.work, device = work, work.subject.device
        self.places = [torch.tensor(work.drawn(block), device=device) for block in plan.blocks]
        function = function_tokens(self.subject)
        self.documents = [
            DistinctTokens(
                torch.from_numpy(block.tokens).long().to(device), self.unembedding, function
            )
            for block in plan.blocks
        ]
        self.predicted: dict[tuple[int, int], dict[str, Tensor]] = {}
        self.heads: dict[Site, _Head] = {}
        looking = [self._looking(i, site.component) for i, site in enumerate(work.heads)]
        done = self.subject.run(plan.batch(device), looking)
        here = [(row, at) for row, places in enumerate(self.places) for at in places.tolist()]
        rows, columns = (torch.tensor(one, device=device) for one in zip(*here, strict=True))
        self.scale = self.unembedding.scale(done.stream[rows, columns])
        self.p = self.subject.logits(done.normed[rows, columns]).softmax(-1)

    def _looking(self, number: int, head: Site) -> Edit:
        """Looks at a head in the pass, and remembers what each condition makes of it."""
        stream = Site(head.layer, "resid_pre")
        weight = self.subject.anatomy.head_weight(head.layer, head.index)

        def look(local: Local) -> None:
            shifts, along = [], []
            before, means = local.elsewhere(stream), self.work.means[number].to(local.value)
            for row, (document, at) in enumerate(zip(self.documents, self.places, strict=True)):
                known = head.layer, row
                if known not in self.predicted:
                    self.predicted[known] = {
                        name: document.predicted(before[row, at], at, kept)
                        for name, kept in KEPT.items()
                    }
                predicted = self.predicted[known]
                seen = {
                    "pattern": local.own("pattern")[row, at][:, : document.length],
                    "v": local.own("v")[row, : document.length],
                    "mean": means[at],
                }
                less = means[at] - local.value[row, at]
                z = [kept_z(document, predicted[n], **seen) for n in _ORDER[1 : -len(_LINES)]]
                shifts.append(torch.stack([less, *(less + one for one in z)], 1))
                lines = [
                    kept_along(document, predicted[n], **seen, weight=weight, other=KEPT[n].other)
                    for n in _LINES
                ]
                along.append(torch.stack(lines, 1))
            self.heads[head] = _Head(weight, torch.cat(shifts), along)

        return Edit(head, look, reads=(stream,))

    def divergences(self) -> Tensor:
        """KL of all conditions, (head, prediction, condition)."""
        heads = [self.heads[site.component] for site in self.work.heads]
        expected = self.unembedding.folded(self.p @ self.unembedding.weight)
        centres = [self._at(head, expected) for head in heads]
        beyond = torch.zeros(len(heads), *centres[0].shape, dtype=torch.float64)
        vocabulary = self.subject.shape.vocabulary
        width = BLOCK.get(self.p.device.type, BLOCK["cuda"])
        for start in range(0, vocabulary, width):
            columns = slice(start, min(start + width, vocabulary))
            reads, p = self.unembedding.rows(columns).T, self.p[:, None, columns]
            lines = [self._lines(document, reads) for document in self.documents]
            for i, head in enumerate(heads):
                moved = self._moved(head, reads, lines) - centres[i][..., None]
                beyond[i] += ((torch.expm1(moved) - moved) * p).sum(-1).double().cpu()
        return torch.log1p(beyond)[..., [_ORDER.index(name) for name in CONDITIONS]]

    def _lines(self, document: DistinctTokens, reads: Tensor) -> Tensor:
        """What a step along each token does to some logits, or its other's: (condition, token, column)."""
        known = {other: units @ reads for other, units in document.units.items()}
        return torch.stack([known[KEPT[name].other] for name in _LINES])

    def _moved(self, head: _Head, reads: Tensor, lines: list[Tensor]) -> Tensor:
        """What conditions do to some logits, (prediction, condition, column)."""
        plain = head.z @ (head.weight @ reads)
        along = [
            torch.bmm(mine.transpose(0, 1), line).transpose(0, 1)
            for mine, line in zip(head.along, lines, strict=True)
        ]
        both = torch.cat([plain, plain[:, :1] + torch.cat(along)], 1)
        return both * self.scale[:, :, None]

    def _at(self, head: _Head, vectors: Tensor) -> Tensor:
        """The same in one direction for each prediction, (prediction, condition)."""
        plain = torch.einsum("nck,nk->nc", head.z, vectors @ head.weight.T)
        parts = torch.split(vectors, [len(places) for places in self.places])
        along = [
            torch.einsum("nct,ctn->nc", mine, self._lines(document, part.T))
            for mine, document, part in zip(head.along, self.documents, parts, strict=True)
        ]
        both = torch.cat([plain, plain[:, :1] + torch.cat(along)], 1)
        return both * self.scale
