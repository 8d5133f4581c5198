"""What the model lends to an explanation that reads its values: the parameters that compute them.

A component as its own explanation is as long as the component. What a head's value costs are the
matrices between the stream and it; a stream costs all that wrote to it. What several values share
(keys, a layer) is lent once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unexplained.explanations.view import elsewhere
from unexplained.record import Description
from unexplained.sites import HEAD_VALUES, Parameters, Shape, Site

_NEEDS = {
    "q_pre": ("query",), "k_pre": ("key",), "q": ("query",), "k": ("key",), "v": ("value",), "pattern": ("query", "key"),
    "z": ("query", "key", "value"), "out": ("query", "key", "value", "output"),
}  # fmt: skip
"""The matrices from the stream to a head's value."""

LentUnit = tuple[str, int, int]
"""A kind of parameters, the layer, and which of its kind there."""


def lent(reads: Sequence[str], sites: Sequence[Site], shape: Shape) -> int:
    """How many parameters of the model compute what is read of it at some sites."""
    own = [name for name in reads if name in (*HEAD_VALUES, "value")]
    read = [*elsewhere(reads, shape)]
    for site in sites:
        kind = [name for name in own if (name in HEAD_VALUES) == (site.part == "H")]
        read += [site.component.at(name) if name != "value" else site for name in kind]
    units = {unit for site in read for unit in _units(site, shape)}
    whole = {(kind, layer) for kind, layer, _ in units if kind in ("attention", "mlp")}
    counts = _counts(shape)
    return sum(
        getattr(counts, kind)
        for kind, layer, _ in units
        if not ((kind in ("query", "key", "value", "output") and ("attention", layer) in whole)
                or (kind == "neuron" and ("mlp", layer) in whole))
    )  # fmt: skip


def with_lent(
    own: Description, reads: Sequence[str], sites: Sequence[Site], shape: Shape
) -> Description:
    """A description with the parameters that compute what is read of the model at some sites."""
    count = lent(reads, sites, shape)
    return own.model_copy(update={"lent": count, "lent_bits": bits_lent(count, shape)})


def bits_lent(parameters: int, shape: Shape) -> int:
    """Their price: each costs the bits of the type that the model is in."""
    return parameters * _counts(shape).bits


def _units(site: Site, shape: Shape) -> Iterator[LentUnit]:
    layer, part = site.layer, site.part
    if part == "H":
        group = site.index * shape.key_heads // shape.heads
        for kind in _NEEDS[site.value or "z"]:
            yield kind, layer, group if kind in ("key", "value") else site.index
    elif site.along is not None:
        yield from _units(site.home, shape)
    elif part == "N":
        yield "neuron", layer, site.index
    elif part == "mlp":
        yield "mlp", layer, 0
    elif part == "attn":
        yield "attention", layer, 0
    else:
        before = {"resid_pre": layer, "resid_mid": layer, "resid_post": layer + 1,
                  "embed": 0, "final": shape.layers}[part]  # fmt: skip
        yield "embedding", -1, 0
        for below in range(before):
            yield "attention", below, 0
            yield "mlp", below, 0
        if part == "resid_mid":
            yield "attention", layer, 0


def _counts(shape: Shape) -> Parameters:
    """Of the model, or, of sizes alone, what a plain model of those sizes has."""
    if shape.parameters is not None:
        return shape.parameters
    head, width = shape.head_size * shape.width, shape.width
    return Parameters(
        query=head, key=head, value=head, output=head, neuron=width,
        attention=2 * head * (shape.heads + shape.key_heads), mlp=2 * width * shape.neurons,
        embedding=width * shape.vocabulary,
    )  # fmt: skip
