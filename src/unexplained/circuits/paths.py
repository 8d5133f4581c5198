"""What sources write and what destinations read, as gradients: the two sides of every edge.

The input of a destination is the stream before its norm. A gradient at rotated queries, keys and
values is carried to the outputs of their projections on the tape, and from there by hand: through
the rows of the head's weights and through the norm. The norm maps x to c·r·g, with c the stream
(less its mean, in a layer norm), r one over its size and g the gain; its transposed derivative of
a vector a is P(r g a) − c (r²/width) (c · r g a), where P takes off the mean in a layer norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from unexplained.circuits.graph import Graph
from unexplained.sites import Site
from unexplained.subject import Pass
from unexplained.subject.anatomy import Anatomy, Projection
from unexplained.subject.gradients import PartName, Tape

WANTED: tuple[PartName, ...] = ("q", "k", "v", "mlp normed", "stream")


def written(shape_layers: int, heads: int) -> list[Site]:
    """The sites from which everything follows that sources write: `embed`, every z, every MLP."""
    sites = [Site(-1, "embed")]
    for layer in range(shape_layers):
        sites += [Site(layer, "H", head, "z") for head in range(heads)]
        sites.append(Site(layer, "mlp"))
    return sites


@dataclass(frozen=True)
class Written:
    """What the sources of one pass write, in a form that takes little memory."""

    embed: Tensor
    """(batch, position, width)."""
    z: Sequence[Tensor]
    """By layer, (batch, position, head, head size)."""
    mlp: Sequence[Tensor]
    """By layer, (batch, position, width)."""

    @classmethod
    def of_pass(cls, done: Pass, graph: Graph, start: int = 0) -> Written:
        """From a pass that kept the sites of `written`: positions from `start` on."""
        layers, heads = range(graph.layers), range(graph.heads)
        values = {site: value[:, start:] for site, value in done.values.items()}
        z = [
            torch.stack([values[Site(layer, "H", head, "z")] for head in heads], 2)
            for layer in layers
        ]
        mlp = [values[Site(layer, "mlp")] for layer in layers]
        return cls(values[Site(-1, "embed")], z, mlp)

    @classmethod
    def of_tapes(cls, tapes: Sequence[Tape], rows: slice) -> Written:
        """From some rows of the tapes of a whole pass."""
        return cls(
            tapes[0].parts["stream"][rows].detach(),
            [tape.parts["z"][rows].detach() for tape in tapes],
            [tape.parts["mlp"][rows].detach() for tape in tapes],
        )


def differences(anatomy: Anatomy, clean: Written, corrupted: Written) -> Tensor:
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
    small: dict[Projection, Tensor] = {
        "q": anatomy.projected("q", tape.carry("q", got["q"], "q projected")),
        "k": _keys(anatomy, tape, got["k"]),
        "v": got["v"].transpose(1, 2),
    }
    for i, name in enumerate(small):
        weight = anatomy.projection_weight(layer, name) * frame[2]
        if anatomy.family.norm == "layer":
            weight = weight - weight.mean(-1, keepdim=True)
        here = found[:, i * heads : (i + 1) * heads]
        _through_weights(here, small[name], weight, frame, copies)
    frame = anatomy.norm_frame(anatomy.mlp_norm(layer), tape.parts["mid"].detach())
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
) -> None:
    """Carry gradients at heads' projected values through their weights and the norm.

    Args:
        found: Where they go, (batch, head, position, width).
        gradient: (rows, position, head, size).
        weight: With the gain and without the mean, (head or key head, size, width).
        frame: Of the norm, see `Anatomy.norm_frame`.
        copies: Summed over; the products with the weights are done once for all of them.
    """
    centred, scale, _ = frame
    batch, heads, length, width = found.shape
    scaled = gradient * scale[..., None]
    group = heads // len(weight)
    read = (centred @ weight.flatten(0, 1).T).view(*centred.shape[:2], *weight.shape[:2])
    along = (scaled * read.repeat_interleave(group, -2)).sum(-1) * (scale**2 / width)
    total = scaled.view(copies, batch, length, heads, -1).sum(0)
    total = total.permute(2, 0, 1, 3).reshape(heads, batch * length, -1)
    rows = total @ weight.repeat_interleave(group, 0)
    found.copy_(rows.view(heads, batch, length, width).transpose(0, 1))
    back = along.view(copies, batch, length, heads).transpose(2, 3)
    for one, where in zip(back, centred.view(copies, batch, length, width), strict=True):
        found.addcmul_(one[..., None], where[:, None], value=-1)


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
    if anatomy.family.norm == "layer":
        back = back - back.mean(-1, keepdim=True)
    back = back.addcmul(along, centred, value=-1)
    torch.sum(back.view(copies, *found.shape), 0, out=found)
