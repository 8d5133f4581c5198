"""What sources write and what destinations read, as gradients: the two sides of every edge.

The input of a destination is the stream before its norm. A gradient at queries, keys and values is
carried to the outputs of their projections on the tape, and from there by hand: through the rows of
the head's weights and through the norm. The norm maps x to c·r·g, with c the stream
(less its mean, in a layer norm), r one over its size and g the gain; its transposed derivative of
a vector a is P(r g a) − c (r²/width) (c · r g a), where P takes off the mean in a layer norm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unexplained.circuits.graph import Graph
from unexplained.sites import Site
from unexplained.subject import Pass
from unexplained.subject.anatomy import Anatomy, ProjectionName
from unexplained.subject.gradients import PartName, Tape

WANTED: tuple[PartName, ...] = ("q projected", "k", "v", "mlp normed", "stream")


def written(shape_layers: int, heads: int) -> list[Site]:
    """The sites from which everything follows that sources write: `embed`, every z, every MLP."""
    sites = [Site(-1, "embed")]
    for layer in range(shape_layers):
        sites += [Site(layer, "H", head, "z") for head in range(heads)]
        sites.append(Site(layer, "mlp"))
    return sites


@dataclass(frozen=True)
class WrittenSources:
    """What the sources of one pass write, in a form that takes little memory."""

    embed: Tensor
    """(batch, position, width)."""
    z: Sequence[Tensor]
    """By layer, (batch, position, head, head size)."""
    mlp: Sequence[Tensor]
    """By layer, (batch, position, width)."""

    @classmethod
    def of_pass(cls, done: Pass, graph: Graph) -> WrittenSources:
        """From a pass that kept the sites of `written`."""
        layers, heads, values = range(graph.layers), range(graph.heads), done.values
        z = [
            torch.stack([values[Site(layer, "H", head, "z")] for head in heads], 2)
            for layer in layers
        ]
        mlp = [values[Site(layer, "mlp")] for layer in layers]
        return cls(values[Site(-1, "embed")], z, mlp)

    @classmethod
    def of_tapes(cls, tapes: Sequence[Tape], rows: slice) -> WrittenSources:
        """From some rows of the tapes of a whole pass."""
        return cls(
            tapes[0].parts["stream"][rows].detach(),
            [tape.parts["z"][rows].detach() for tape in tapes],
            [tape.value("mlp")[rows] for tape in tapes],
        )

    def then(self, other: WrittenSources | None) -> WrittenSources:
        """These prompts and after them others."""
        if other is None:
            return self
        return self._each(other, lambda mine, theirs: torch.cat([mine, theirs]))

    def rows(self, which: Tensor) -> WrittenSources:
        """Some of the prompts, in a new order."""
        return self._each(self, lambda mine, _: mine[which])

    def _each(
        self, other: WrittenSources, function: Callable[[Tensor, Tensor], Tensor]
    ) -> WrittenSources:
        return WrittenSources(
            function(self.embed, other.embed),
            list(map(function, self.z, other.z)),
            list(map(function, self.mlp, other.mlp)),
        )


def differences(anatomy: Anatomy, clean: WrittenSources, corrupted: WrittenSources) -> Tensor:
    """What every source writes in the corrupted prompt less what it writes in the clean one.

    (batch, source, position, width). An output layer's bias belongs to no head and cancels.
    """
    batch, length, width = clean.embed.shape
    heads = anatomy.shape.heads
    found = clean.embed.new_empty((batch, 1 + len(clean.z) * (heads + 1), length, width))
    torch.sub(corrupted.embed, clean.embed, out=found[:, 0])
    for layer, (z, mlp) in enumerate(zip(clean.z, clean.mlp, strict=True)):
        first = 1 + layer * (heads + 1)
        moved = (corrupted.z[layer] - z).permute(2, 0, 1, 3).flatten(1, 2)
        rows = moved @ anatomy.head_weights(layer)
        found[:, first : first + heads] = rows.view(heads, batch, length, width).transpose(0, 1)
        torch.sub(corrupted.mlp[layer], mlp, out=found[:, first + heads])
    return found


def readers(anatomy: Anatomy, tape: Tape, gradient: Tensor, copies: int, found: Tensor) -> Tensor:
    """Gradients at the inputs of a layer's destinations, and at the stream before the layer.

    Args:
        anatomy: The model.
        tape: The layer, recorded on copies of a batch, one after another.
        gradient: At the stream after the layer, (copies · batch, position, width).
        copies: How many; the destinations' gradients are summed over them.
        found: Where these go, (batch, destination, position, width), in the graph's order:
            queries, keys, values, MLP.

    Returns:
        The gradient at the stream before the layer, (copies · batch, position, width).
    """
    got = tape.back(gradient, WANTED, keep=True)
    shape, layer = anatomy.shape, tape.layer
    heads = shape.heads
    frame = anatomy.norm_frame(anatomy.attention_norm(layer), tape.parts["stream"].detach())
    small: dict[ProjectionName, Tensor] = {
        "q": anatomy.projected("q", got["q projected"]),
        "k": _keys(anatomy, tape, got["k"]),
        "v": got["v"].transpose(1, 2),
    }
    for i, name in enumerate(small):
        here = found[:, i * heads : (i + 1) * heads]
        weight, layer_norm = (
            anatomy.projection_weight(layer, name),
            anatomy.architecture.norm == "layer",
        )
        _through_weights(here, small[name], weight, frame, copies, layer_norm)
    frame = anatomy.norm_frame(anatomy.mlp_norm(layer), tape.value("mid"))
    _through_norm(anatomy, found[:, -1], got["mlp normed"], frame, copies)
    return got["stream"]


def _keys(anatomy: Anatomy, tape: Tape, gradient: Tensor) -> Tensor:
    """Gradients at rotated keys (rows, head, position, size) carried to the projection's output.

    What rotates a shared key is run once, so each of the heads that share it goes back alone:
    (rows, position, head, size).
    """
    group = anatomy.shape.heads // anatomy.shape.key_heads
    found = torch.empty_like(gradient.transpose(1, 2))
    for member in range(group):
        back = tape.carry("key", gradient[:, member::group], "k projected")
        found[:, :, member::group] = anatomy.projected("k", back)
    return found


def _through_weights(
    found: Tensor,
    gradient: Tensor,
    weight: Tensor,
    frame: tuple[Tensor, Tensor, Tensor],
    copies: int,
    layer_norm: bool,
) -> None:
    """Carry gradients at heads' projected values through their weights and the norm.

    Args:
        found: Where they go, (batch, head, position, width).
        gradient: (rows, position, head, size).
        weight: (head or key head, size, width).
        frame: Of the norm, see `Anatomy.norm_frame`.
        copies: Summed over; the products with the weights are done once for all of them.
        layer_norm: Whether it takes off the mean.
    """
    centred, scale, gain = frame
    batch, heads, length, width = found.shape
    shared, size, _ = weight.shape
    scaled = gradient * scale[..., None]
    read = (centred * gain) @ weight.flatten(0, 1).T
    own = scaled.view(*scaled.shape[:2], shared, -1, size)
    along = (own * read.view(*read.shape[:2], shared, 1, size)).sum(-1).flatten(2)
    along = (along * (scale**2 / -width)).view(copies, batch, length, heads).transpose(2, 3)
    # The heads that share a weight side by side: it is not repeated.
    total = scaled.view(copies, batch, length, heads, size).sum(0).permute(2, 0, 1, 3)
    rows = (total.reshape(shared, -1, size) @ weight).view(heads, batch, length, width)
    torch.mul(rows.transpose(0, 1), gain, out=found)
    if layer_norm:
        found -= found.mean(-1, keepdim=True)
    for one, where in zip(along, centred.view(copies, batch, length, width), strict=True):
        found.addcmul_(one[..., None], where[:, None])


def _through_norm(
    anatomy: Anatomy,
    found: Tensor,
    gradient: Tensor,
    frame: tuple[Tensor, Tensor, Tensor],
    copies: int,
) -> None:
    """Carry a gradient at a norm's output (rows, position, width) to its input; summed over copies."""
    centred, scale, gain = frame
    back = gradient * (scale * gain)
    along = (back * centred).sum(-1, keepdim=True) * (scale**2 / back.shape[-1])
    if anatomy.architecture.norm == "layer":
        back = back - back.mean(-1, keepdim=True)
    back = back.addcmul(along, centred, value=-1)
    torch.sum(back.view(copies, *found.shape), 0, out=found)
