"""The passes of one batch of pairs from which the scores of all edges are read; see `edges`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from unexplained.circuits import measures
from unexplained.circuits.graph import Graph
from unexplained.circuits.measures import Metric
from unexplained.circuits.methods import EdgeMethod
from unexplained.circuits.paths import WrittenSources, differences, readers, written
from unexplained.evaluate.batches import BatchPlan, Scored
from unexplained.subject import Batch, Resume, Subject
from unexplained.subject.gradients import Recording, record

TAPE_TOKENS = 512
"""Rows times positions of which tapes of all layers are held at once: 0.7 GB in a 135M model."""

TOGETHER = 6
"""Layers whose destinations go into one product: the few of one layer make it half as fast."""


class EdgePasses:
    """One batch of pairs.

    Only positions from the first on at which the prompts differ are run: before it sources write
    the same in both. A prompt is run once: of a pair and its role-swap, each is the other's
    corrupted prompt.
    """

    def __init__(
        self, subject: Subject, graph: Graph, some: BatchPlan, measure: Metric, steps: int
    ) -> None:
        self.subject, self.graph, self.measure, self.steps = subject, graph, measure, steps
        whole, start = some.batch(subject.device), some.shared
        self.clean = whole.since(start)
        scored = some.scored(subject.device)
        self.scored = Scored(scored.where[:, start:], scored.targets, scored.wrong)
        self.prefix = subject.prefix(whole.tokens[:, :start]) if start else None
        assert whole.corrupted is not None
        # Where each corrupted prompt is: a row of the clean ones or, after these, of the others.
        same = (whole.corrupted[:, None] == whole.tokens).all(-1)
        self.corrupted = same.int().argmax(-1)
        alone = ~same.any(-1)
        self.others = self._others(alone) if alone.any() else None
        self.corrupted[alone] = len(same) + torch.arange(int(alone.sum()), device=same.device)
        self.found = torch.zeros(
            len(some.blocks), *graph.real.shape, device=subject.device, dtype=torch.float64
        )

    def _others(self, which: Tensor) -> WrittenSources:
        """What sources write in corrupted prompts that are no pair's clean one here."""
        graph, clean = self.graph, self.clean
        assert clean.corrupted is not None
        rows = which.nonzero()[:, 0]
        batch = Batch(
            clean.corrupted[rows],
            clean.valid[rows],
            clean.rows[rows],
            tuple(clean.documents[i] for i in rows.tolist()),
            clean.start,
        )
        prefix = None if self.prefix is None else self.prefix.rows(rows)
        keep = written(graph.layers, graph.heads)
        return WrittenSources.of_pass(self.subject.run(batch, keep=keep, prefix=prefix), graph)

    def _sources(self, clean: WrittenSources) -> Tensor:
        """Corrupted less clean, of every source (pair, source, position, width)."""
        corrupted = clean.then(self.others).rows(self.corrupted)
        return differences(self.subject.anatomy, clean, corrupted)

    def scores(self, method: EdgeMethod) -> Tensor:
        """(pair, source, destination), float64; what is no edge holds anything."""
        if method == "eap-ig-activations":
            self._by_activations()
            return self.found.div_(self.steps)
        steps = 1 if method == "eap" else self.steps
        chunks = list(self._chunks(range(steps, 0, -1)))
        first = self._record(chunks[0], steps)
        # The last step of the average, and the first here, is the clean prompt.
        rows = slice(0, len(self.clean.tokens))
        sources = self._sources(WrittenSources.of_tapes(first.tapes, rows))
        normed = first.normed[rows].detach()
        self._add(first, sources, len(chunks[0]), normed)
        del first
        for some in chunks[1:]:
            self._add(self._record(some, steps), sources, len(some), normed)
        return self.found.div_(steps)

    def _record(self, ks: Sequence[int], steps: int) -> Recording:
        """Points on the way from the corrupted prompts' embeddings to the clean ones'."""
        away = torch.tensor([1 - k / steps for k in ks])[:, None, None, None]

        def points(clean: Tensor) -> Tensor:
            both = clean if self.others is None else torch.cat([clean, self.others.embed])
            return (clean + away.to(clean) * (both[self.corrupted] - clean)).flatten(0, 1)

        anatomy = self.subject.anatomy
        return record(anatomy, self.clean, prefix=self.prefix, points=points)

    def _chunks(self, ks: Sequence[int]) -> Iterator[Sequence[int]]:
        size = max(1, TAPE_TOKENS // self.clean.tokens.numel())
        for i in range(0, len(ks), size):
            yield ks[i : i + size]

    def _by_activations(self) -> None:
        """One group of sources after another, each with passes of its own."""
        graph = self.graph
        clean = self.subject.run(
            self.clean,
            keep=written(graph.layers, graph.heads),
            keep_streams=range(graph.layers),
            prefix=self.prefix,
        )
        sources = self._sources(WrittenSources.of_pass(clean, graph))
        for layer in range(-1, graph.layers):
            first = graph.sources_before(layer) if layer >= 0 else 0
            after = clean.resume(layer + 1)
            if layer >= 0:
                heads = slice(first, first + graph.heads)
                self._group(heads, sources, clean.resume(layer), clean.normed, inside=True)
                first += graph.heads
            self._group(slice(first, first + 1), sources, after, clean.normed, inside=False)

    def _group(
        self, which: slice, sources: Tensor, start: Resume, clean: Tensor, *, inside: bool
    ) -> None:
        """Edges out of the sources of one group.

        They write into the stream that `start` holds or, if `inside`, into the attention output
        of the layer there.
        """
        moved = sources[:, which].sum(1)
        for some in self._chunks(range(1, self.steps + 1)):
            away = torch.tensor([1 - k / self.steps for k in some]).to(moved)
            push = (away[:, None, None, None] * moved).flatten(0, 1)
            stream = start.stream.repeat(len(some), 1, 1)
            if not inside:
                stream, added = stream + push, {}
            else:
                added = {start.layer: push}
            here = Resume(start.layer, stream, start.arguments)
            done = record(self.subject.anatomy, here, added=added)
            self._add(done, sources, len(some), clean, which)

    def _add(
        self,
        done: Recording,
        sources: Tensor,
        copies: int,
        clean: Tensor,
        which: slice | None = None,
    ) -> None:
        """Add the scores of edges (out of some sources) with the gradients of a recorded pass."""
        anatomy, graph = self.subject.anatomy, self.graph
        at_end = measures.gradient(
            self.subject, done.normed.detach(), self.scored, self.measure, clean
        )
        gradient = done.back(at_end)
        total = gradient.view(copies, -1, *gradient.shape[1:]).sum(0)
        last = len(graph.destinations) - 1
        self._product(sources, total[:, None], len(graph.sources), last, which)
        each = 3 * graph.heads + 1
        buffer = total.new_empty((len(total), TOGETHER * each, *total.shape[1:]))
        last = graph.layers - 1
        for tape in reversed(done.tapes):
            place = tape.layer % TOGETHER
            here = buffer[:, place * each : (place + 1) * each]
            gradient = readers(anatomy, tape, gradient, copies, here)
            tape.parts.clear()
            if place == 0 or tape is done.tapes[0]:
                before = graph.sources_before(last) + (0 if graph.parallel else graph.heads)
                column = graph.destinations_before(tape.layer)
                read = buffer[:, place * each : (last % TOGETHER + 1) * each]
                self._product(sources, read, before, column, which)
                last = tape.layer - 1

    def _product(
        self, sources: Tensor, read: Tensor, before: int, column: int, which: slice | None
    ) -> None:
        """Scores of the edges from the first `before` sources to destinations from `column` on."""
        rows = slice(0, before) if which is None else slice(which.start, min(which.stop, before))
        if rows.start >= rows.stop:
            return
        columns = slice(column, column + read.shape[1])
        for pair, left, right in zip(self.found, sources, read, strict=True):
            pair[rows, columns] += left[rows].flatten(1) @ right.flatten(1).T
