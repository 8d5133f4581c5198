"""Directions of the stream as those of a value, by the weights between them; and what reads a value, how strongly.

To a query or key as that reads them, to z and the output as those write them.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from unexplained.sites import Site
from unexplained.subject import Batch, Subject

DEPENDENT = 1e-6
"""A direction of which others give all but this share is one of theirs."""
HARDLY = 0.01
"""Directions that together hold less than this share of the squared weights of what reads them are hardly read."""
MADE = {"q_pre": "q", "k_pre": "k", "v": "v"}
"""Values that are made by a matrix of the head's from the stream."""


def carried(subject: Subject, site: Site, rows: Tensor, writes: str) -> Tensor:
    """Directions of the stream (n, width) as directions of a site's value.

    Args:
        subject: The model.
        site: Where the value stands.
        rows: The directions.
        writes: `v` where values are taken as they write these directions, else as they read them.
    """
    if site.part != "H":
        return rows
    if site.value in MADE and site.value != writes:
        return rows @ projection_of(subject, site, MADE[site.value]).T  # type: ignore[arg-type]
    if site.value == "out":
        return rows
    return rows @ written_by(subject, site).T


def reading(subject: Subject, site: Site) -> Tensor | None:
    """How strongly what reads a head's value reads each of its directions: a symmetric (size, size).

    A direction u is read with strength uᵀ M u: z and values by the head's output matrix, a query by the
    matrix of its keys and a key by that of its queries, at any distance where rotary embedding turns
    them against each other. None where all that comes later reads the value.

    Args:
        subject: The model.
        site: Where the value stands.
    """
    if site.part != "H" or site.value not in ("q_pre", "k_pre", "v", "z"):
        return None
    if site.value in ("v", "z"):
        written = written_by(subject, site)
        return written @ written.T
    turned = _turned(subject, site.layer)
    other: Literal["q", "k"] = "k" if site.value == "q_pre" else "q"
    weight = projection_of(subject, site, other, bias=other == "q" or turned > 0)
    strength = weight @ weight.T
    if turned:
        half = turned // 2
        pairs = strength.diagonal()[:turned].reshape(2, half).mean(0).repeat(2)
        strength[:turned] = strength[:, :turned] = 0
        strength.diagonal()[:turned] = pairs
    return strength


def read_and_not(basis: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
    """A subspace (size, rank) in two: within the directions that are read, and within those that hardly are.

    Both as rows, orthonormal; what one part has nothing of has no row.
    """
    vectors, unread = _unread(strength)
    return tuple(
        span_of(vectors[:, some] @ (vectors[:, some].T @ basis)) for some in (~unread, unread)
    )  # type: ignore[return-value]


def hardly_read(strength: Tensor) -> int:
    """How many directions of a value hardly are."""
    return int(_unread(strength)[1].sum())


def _unread(strength: Tensor) -> tuple[Tensor, Tensor]:
    """Directions as columns, the least read first, and which are hardly read."""
    size, vectors = torch.linalg.eigh(strength)
    size = size.clamp(min=0)
    return vectors, torch.cumsum(size, 0) < HARDLY * size.sum()


def _turned(subject: Subject, layer: int) -> int:
    """How many entries of a head's query or key rotary embedding turns in a layer."""
    module = subject.anatomy.layers[layer].get_submodule(subject.anatomy.architecture.attention)
    if not getattr(module, "use_rope", True):
        return 0
    return subject.run(Batch.of(torch.zeros(1, 1, dtype=torch.long, device=subject.device))).turned(
        layer
    )


def span_of(columns: Tensor) -> Tensor:
    """Orthonormal rows that span some columns, each taken at length 1; none for what is zero."""
    length = columns.norm(dim=0)
    kept = columns[:, length > DEPENDENT * length.max().clamp(min=1e-300)]
    if not kept.shape[1]:
        return columns.new_zeros(0, len(columns))
    left, size, _ = torch.linalg.svd(kept / kept.norm(dim=0), full_matrices=False)
    spanned: Tensor = left[:, size > DEPENDENT * size[0]].T
    return spanned


def spanned_by(rows: Tensor) -> Tensor:
    """Orthonormal rows that span some directions, however long each is; none for what is zero."""
    # By their largest entry first: squares of 1e-200 are zero.
    rows = rows / rows.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    return span_of(rows.T)


def gain_of(subject: Subject, norm: torch.nn.Module) -> Tensor:
    """What one of the model's norms multiplies every entry by."""
    stream = next(norm.parameters()).detach()
    return subject.anatomy.norm_frame(norm, stream[None].expand(1, -1))[2].double().cpu()


def projection_of(
    subject: Subject, site: Site, name: Literal["q", "k", "v"], *, bias: bool = False
) -> Tensor:
    """A head's query, key or value as a matrix (size, width) of the stream, norms' gains in it, scales not."""
    anatomy, shape = subject.anatomy, subject.shape
    heads = shape.heads if name == "q" else shape.key_heads
    group = site.index * heads // shape.heads
    weight = anatomy.projection_weight(site.layer, name)[group].double().cpu()
    if anatomy.architecture.attention_norm:
        weight = weight * gain_of(subject, anatomy.attention_norm(site.layer))
        if anatomy.architecture.norm == "layer":
            weight = weight - weight.mean(-1, keepdim=True)
    own = anatomy.projection(site.layer, name).bias
    if bias and own is not None:
        assert isinstance(own, Tensor)
        by_head = anatomy.projected(name, own.detach()).double().cpu()
        weight = torch.cat([weight, by_head[group][:, None]], -1)
    if name != "v" and anatomy.architecture.head_norms:
        path = anatomy.architecture.head_norms["qk".index(name)]
        gain = gain_of(subject, anatomy.layers[site.layer].get_submodule(path))
        weight = (
            weight
            * gain.reshape(-1, shape.head_size)[group if len(gain) > shape.head_size else 0][
                :, None
            ]
        )
    return weight


def written_by(subject: Subject, site: Site) -> Tensor:
    """What a head's z adds to the stream, (size, width), a post-norm's gain in it."""
    anatomy = subject.anatomy
    weight = anatomy.head_weight(site.layer, site.index).double().cpu()
    if anatomy.architecture.attention_post_norm:
        weight = weight * gain_of(subject, anatomy.attention_end(site.layer))
    return weight
