"""Run a circuit: some edges carry what the circuit computes, all others what the corrupted prompt does.

Every destination has an input of its own: the corrupted prompt's stream, plus for each source
with an edge to it what the source writes now less what it wrote in the corrupted prompt. Sources
are computed from such inputs in the order of the pass, so with all edges this is the model on the
clean prompt and with none the model on the corrupted one. (Conmy et al. 2023, arXiv:2304.14997,
with queries, keys and values apart; MIB's "edge-level" circuits.)

A head's queries, keys and values are projected from its own inputs and put in the place of what
the projections of its layer give, so rotary embedding, norms of queries and keys, masks and the
keys of a shared beginning are the model's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unexplained.circuits.graph import CircuitError, Graph
from unexplained.evaluate import Program
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Batch, Pass, Subject
from unexplained.subject.anatomy import Anatomy, ProjectionName
from unexplained.subject.passing import own_hook, passing
from unexplained.subject.placed import first_of

PARTS: tuple[ProjectionName, ...] = ("q", "k", "v")


class _Enough(Exception):
    """Leaves a layer when everything that was wanted of it is there."""


@dataclass(frozen=True)
class Corrupted:
    """The corrupted prompts of one batch after their shared beginning, and what the sources write."""

    batch: Batch
    """The clean prompts, from the first position that differs on."""
    done: Pass
    embed: Tensor
    """Of the clean prompts less that of the corrupted ones."""

    def stream(self, layer: int, part: str) -> Tensor:
        """The stream before attention (`resid_pre`) or before the MLP (`resid_mid`)."""
        return self.done.values[Site(layer, part)]


@dataclass
class Circuits:
    """Makes conditions of circuits of one model; the last batch's corrupted pass is kept."""

    subject: Subject
    graph: Graph
    _last: list[tuple[object, Batch, Corrupted]] = field(default_factory=list)
    """The model's weights by their counters, the batch, and what was made of both."""

    def condition(self, name: str, edges: NDArray[np.bool_]) -> Program:
        """The model with only some edges (edge,) carrying what the circuit computes.

        Raises:
            CircuitError: There is not one entry for each edge, or the model has norms after its
                blocks, where what a block adds is no sum over its heads.
        """
        if edges.shape != (self.graph.edges,) or edges.dtype != np.bool_:
            raise CircuitError(
                f"The circuit '{name}'",
                f"it has {edges.dtype} of shape {edges.shape} for {self.graph.edges:,} edges",
                "Give one truth value for each edge, in the graph's order.",
            )
        require_sums(self.subject.anatomy)
        self.subject.anatomy.require_one_device("A circuit")
        kept = np.zeros(self.graph.real.shape, dtype=bool)
        kept[self.graph.real] = edges

        def run(subject: Subject, batch: Batch) -> Tensor:
            corrupted = self._corrupted(batch)
            with torch.no_grad(), subject.undisturbed():
                return _run(subject.anatomy, self.graph, kept, corrupted)

        return Program(name, run, digest("circuit", np.packbits(edges).tobytes()))

    def _corrupted(self, batch: Batch) -> Corrupted:
        counters = self.subject.counters()
        if not self._last or self._last[0][0] != counters or not _same(self._last[0][1], batch):
            self._last[:] = [(counters, batch, _corrupted(self.subject, batch))]
        return self._last[0][2]


def _same(one: Batch, other: Batch) -> bool:
    """Whether two batches hold the same prompts; role-swapped, they have the same documents."""
    assert one.corrupted is not None and other.corrupted is not None
    return torch.equal(one.tokens, other.tokens) and torch.equal(one.corrupted, other.corrupted)


def require_sums(anatomy: Anatomy) -> None:
    """Refuse models in which what a block adds to the stream is no sum over its heads.

    Raises:
        CircuitError: The model is one.
    """
    if anatomy.architecture.attention_post_norm:
        raise CircuitError(
            f"Edges of a model of type '{anatomy.architecture.name}'",
            "it norms what a block adds (post-norms), so that is no sum over heads",
            "Attribute to nodes, or use a model without post-norms.",
        )


def _corrupted(subject: Subject, batch: Batch) -> Corrupted:
    assert batch.corrupted is not None, "circuits are measured on pairs"
    anatomy = subject.anatomy
    differ = (batch.tokens != batch.corrupted) & batch.valid
    start = int(differ.any(0).nonzero()[0])
    prefix = subject.prefix(batch.tokens[:, :start]) if start else None
    clean = batch.since(start)
    other = Batch(batch.corrupted[:, start:], clean.valid, clean.rows, clean.documents, start=start)
    middle = "resid_pre" if anatomy.parallel else "resid_mid"
    sites = [Site(-1, "embed")]
    for layer in range(anatomy.shape.layers):
        sites += [Site(layer, "resid_pre"), Site(layer, middle), Site(layer, "mlp")]
        sites += [Site(layer, "H", head, "z") for head in range(anatomy.shape.heads)]
    done = subject.run(other, keep=list(dict.fromkeys(sites)), prefix=prefix)
    # The embedding of the clean prompts: all that a circuit takes from them.
    embedded = subject.run(clean, keep=[Site(-1, "embed")], prefix=prefix).values[Site(-1, "embed")]
    return Corrupted(clean, done, embedded - done.values[Site(-1, "embed")])


def _run(anatomy: Anatomy, graph: Graph, kept: NDArray[np.bool_], corrupted: Corrupted) -> Tensor:
    """The final norm's output under a circuit, (batch, position, width), after the shared beginning."""
    embed = corrupted.embed
    weights = torch.from_numpy(kept.T.copy()).to(embed)
    moved = embed.new_zeros((len(graph.sources), *embed.shape))
    moved[0] = embed

    def inputs(first: int, count: int, sources: int, stream: Tensor) -> Tensor:
        """Of some destinations, (destination, batch, position, width)."""
        chosen = weights[first : first + count, :sources]
        return stream + (chosen @ moved[:sources].flatten(1)).view(count, *stream.shape)

    arguments = corrupted.done.resume(anatomy.shape.layers).arguments
    for layer in range(graph.layers):
        first, column = graph.sources_before(layer), graph.destinations_before(layer)
        stream = corrupted.stream(layer, "resid_pre")
        read = inputs(column, 3 * graph.heads, first, stream)
        read = read.view(3, graph.heads, *stream.shape)
        one = _Layer(anatomy, layer, read, stream)
        z = one.attend(arguments[layer])
        for head in range(graph.heads):
            gone = corrupted.done.values[Site(layer, "H", head, "z")]
            moved[first + head] = (z[:, :, head] - gone) @ anatomy.head_weight(layer, head)
        before = first if graph.parallel else first + graph.heads
        middle = corrupted.stream(layer, "resid_pre" if graph.parallel else "resid_mid")
        mlp = one.mlp(arguments[layer], inputs(column + 3 * graph.heads, 1, before, middle)[0])
        moved[first + graph.heads] = mlp - corrupted.done.values[Site(layer, "mlp")]
    final = inputs(len(graph.destinations) - 1, 1, len(graph.sources), corrupted.done.stream)
    normed: Tensor = anatomy.final_norm(final[0])
    return normed


@dataclass
class _Layer:
    """A layer whose heads each read an input of their own."""

    anatomy: Anatomy
    layer: int
    read: Tensor
    """(q, k, v; head; batch, position, width)."""
    stream: Tensor
    """What the layer is called with; nothing of it is used."""

    def attend(self, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> Tensor:
        """Z of every head, (batch, position, head, size).

        Heads that share a key each have a key of their own here: the layer runs once for each
        member of a group, with that member's keys and values in the group's place.
        """
        shape, found = self.anatomy.shape, None
        group = shape.heads // shape.key_heads
        normed = self.anatomy.attention_norm(self.layer)(self.read)
        projected = {part: self._project(part, normed[i]) for i, part in enumerate(PARTS)}
        for member in range(group):
            mine = {
                part: value if part == "q" else value[:, :, member::group]
                for part, value in projected.items()
            }
            z = self._z(arguments, mine)
            found = torch.empty_like(z) if found is None else found
            found[:, :, member::group] = z[:, :, member::group]
        assert found is not None
        return found

    def mlp(self, arguments: tuple[tuple[Any, ...], dict[str, Any]], read: Tensor) -> Tensor:
        """What the MLP adds when it reads that, (batch, position, width)."""
        caught: list[Tensor] = []

        def replace(module: nn.Module, args: tuple[Any, ...]) -> Any:
            return (read, *args[1:])

        def catch(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            caught.append(first_of(output) * self.anatomy.residual_scale)
            raise _Enough

        anatomy = self.anatomy
        with _hooked(
            self,
            anatomy.mlp_reader(self.layer).register_forward_pre_hook(own_hook(self, replace)),
            anatomy.mlp_end(self.layer).register_forward_hook(own_hook(self, catch)),
        ):
            self._call(arguments)
        return caught[0]

    def _project(self, part: ProjectionName, normed: Tensor) -> Tensor:
        """Every query head's projection of its own input: (batch, position, head, size)."""
        heads, batch, length, width = normed.shape
        weight = self.anatomy.projection_weight(self.layer, part)
        bias = self.anatomy.projection(self.layer, part).bias
        weight = weight.repeat_interleave(heads // len(weight), 0)
        found = torch.bmm(normed.reshape(heads, batch * length, width), weight.transpose(1, 2))
        if bias is not None:
            assert isinstance(bias, Tensor)
            by_head = self.anatomy.projected(part, bias.detach())
            found = found + by_head.repeat_interleave(heads // len(by_head), 0)[:, None]
        return found.view(heads, batch, length, -1).permute(1, 2, 0, 3)

    def _z(
        self,
        arguments: tuple[tuple[Any, ...], dict[str, Any]],
        projected: dict[ProjectionName, Tensor],
    ) -> Tensor:
        anatomy, caught = self.anatomy, []

        def put(parts: Sequence[ProjectionName]) -> Any:
            def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
                output = torch.empty_like(output)
                for part in parts:
                    anatomy.projected(part, output).copy_(projected[part])
                return output

            return hook

        def catch(module: nn.Module, args: tuple[Any, ...]) -> None:
            caught.append(args[0].unflatten(-1, (anatomy.shape.heads, anatomy.shape.head_size)))
            raise _Enough

        where: dict[nn.Module, list[ProjectionName]] = {}
        for part in PARTS:
            where.setdefault(anatomy.projection(self.layer, part), []).append(part)
        handles = [
            module.register_forward_hook(own_hook(self, put(parts)))
            for module, parts in where.items()
        ]
        end = anatomy.head_output(self.layer)
        handles.append(end.register_forward_pre_hook(own_hook(self, catch)))
        with _hooked(self, *handles):
            self._call(arguments)
        z: Tensor = caught[0]
        return z

    def _call(self, arguments: tuple[tuple[Any, ...], dict[str, Any]]) -> None:
        args, kwargs = arguments
        try:
            self.anatomy.layers[self.layer](self.stream, *args, **kwargs)
        except _Enough:
            return
        raise AssertionError("the layer never came to what was wanted of it")


@contextmanager
def _hooked(owner: object, *handles: Any) -> Iterator[None]:
    try:
        with passing(owner):
            yield
    finally:
        for handle in handles:
            handle.remove()
