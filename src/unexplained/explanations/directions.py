"""Directions of a value, from wherever they come: which part of it is claimed to matter.

Directions of the stream (a token's unembedding, what another head writes) are carried to the value
where they are claimed: to a query or key as that reads them, to z and the output as those write them.
Queries and keys are taken before rotary embedding, where a direction is the same at every position.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from unexplained.errors import ExplanationError
from unexplained.evaluate import Activations
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Batch, Subject

DEPENDENT = 1e-6
"""A direction of which others give all but this share is one of theirs."""
HARDLY = 0.01
"""Directions that together hold less than this share of the squared weights of what reads them are hardly read."""


@runtime_checkable
class Directions(Protocol):
    """Some directions of a value."""

    @property
    def name(self) -> str:
        """What they are, as in "its query on …"."""

    @property
    def rank(self) -> int:
        """How many."""

    @property
    def width(self) -> int | None:
        """Of how many entries; None where they suit any value."""

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """One direction a row, (rank, size of the value), of any length.

        Raises:
            ExplanationError: There are none at that site.
        """


@dataclass(frozen=True)
class Principal:
    """Those in which the value varies most on the fit part."""

    rank: int
    width: None = None

    @property
    def name(self) -> str:
        """How many."""
        return _many(self.rank, "direction")

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """The last eigenvectors of the covariance."""
        values = activations.flat(site).double()
        centred = values - values.mean(0)
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        principal: Tensor = vectors[:, -self.rank :].T
        return principal


@dataclass(frozen=True)
class Random:
    """Drawn evenly from all directions."""

    rank: int
    seed: int = 0
    width: None = None

    @property
    def name(self) -> str:
        """How many, and which draw."""
        return f"{self.rank} random directions (draw {self.seed})"

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """Gaussian numbers, of every site its own."""
        draw = torch.Generator().manual_seed(
            int(digest("directions", str(site), str(self.seed)), 16) >> 1
        )
        size = activations.flat(site).shape[-1]
        return torch.randn(self.rank, size, generator=draw, dtype=torch.float64)


@dataclass(frozen=True)
class Given:
    """Numbers that somebody gives, the same at every site."""

    numbers: np.ndarray = field(compare=False, repr=False)
    """(rank, size)."""
    name: str
    mark: str

    @classmethod
    def of(cls, numbers: object, name: str) -> Given:
        """Check what was given.

        Raises:
            ExplanationError: It is no table of finite numbers with a direction a row, or there is none.
        """
        asked = f"The directions of {name}"
        try:
            array = np.asarray(numbers, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ExplanationError(asked, "they are no numbers", "One direction a row.") from error
        array = array[None] if array.ndim == 1 else array
        if array.ndim != 2 or not array.size:
            shape = " × ".join(map(str, array.shape))
            raise ExplanationError(
                asked, f"they are {shape} numbers", "Give a table: one direction a row."
            )
        if not np.isfinite(array).all():
            raise ExplanationError(asked, "some numbers are NaN or infinite", "Give finite ones.")
        return cls(array, name, digest(array.tobytes().hex(), str(array.shape)))

    @property
    def rank(self) -> int:
        """Rows."""
        return len(self.numbers)

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.numbers.shape[1])

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """As they are."""
        return torch.from_numpy(self.numbers)


@dataclass(frozen=True)
class Unembedding:
    """What raises the logits of some tokens, through the final norm's gain."""

    tokens: tuple[int, ...]
    width: None = None

    @property
    def rank(self) -> int:
        """A direction a token."""
        return len(self.tokens)

    @property
    def name(self) -> str:
        """Which tokens."""
        some = ", ".join(map(str, self.tokens[:4])) + ", …" * (self.rank > 4)
        return f"the unembedding of {_many(self.rank, 'token')} ({some})"

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """Rows of the unembedding, carried to the site."""
        subject = _opened(activations, self.name)
        anatomy = subject.anatomy
        outside = [token for token in self.tokens if not 0 <= token < subject.shape.vocabulary]
        if outside:
            raise ExplanationError(
                f"The unembedding of token {outside[0]}",
                f"the model has tokens 0 to {subject.shape.vocabulary - 1:,}",
            )
        weight = anatomy.unembed.weight
        assert isinstance(weight, Tensor)
        chosen = weight.detach()[list(self.tokens)].double().cpu()
        return carried(subject, site, chosen * _gain(subject, anatomy.final_norm), "v")


@dataclass(frozen=True)
class WrittenBy:
    """Those that another head writes most: its value and output matrices' first singular vectors."""

    head: Site
    rank: int
    width: None = None

    @property
    def name(self) -> str:
        """Whose, and how many."""
        return f"{_many(self.rank, 'direction')} that {self.head} writes"

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """Right singular vectors of W_V W_O, carried to the site."""
        subject = _opened(activations, self.name)
        shape, head = subject.shape, self.head
        if head.layer >= shape.layers or head.index >= shape.heads:
            raise ExplanationError(
                f"What {head} writes", f"the model has {shape.layers} layers of {shape.heads} heads"
            )
        if self.rank > shape.head_size:
            raise ExplanationError(
                f"{self.rank} directions that {head} writes",
                f"a head has {shape.head_size}",
                "Take fewer.",
            )
        if site.value in _READ and head.layer >= site.layer:
            raise ExplanationError(
                f"What {head} writes as directions of {site}", "the head does not come before it"
            )
        value = _projection(subject, head, "v")
        _, shrunk = torch.linalg.qr(value.T)
        _, _, found = torch.linalg.svd(shrunk @ _written(subject, head), full_matrices=False)
        return carried(subject, site, found[: self.rank], "")


_READ = {"q_pre": "q", "k_pre": "k", "v": "v"}
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
    if site.value in _READ and site.value != writes:
        return rows @ _projection(subject, site, _READ[site.value]).T  # type: ignore[arg-type]
    if site.value == "out":
        return rows
    return rows @ _written(subject, site).T


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
        written = _written(subject, site)
        return written @ written.T
    turned = _turned(subject, site.layer)
    other: Literal["q", "k"] = "k" if site.value == "q_pre" else "q"
    weight = _projection(subject, site, other, bias=other == "q" or turned > 0)
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
        _span(vectors[:, some] @ (vectors[:, some].T @ basis)) for some in (~unread, unread)
    )  # type: ignore[return-value]


def hardly_read(strength: Tensor) -> int:
    """How many directions of a value hardly are."""
    return int(_unread(strength)[1].sum())


def _unread(strength: Tensor) -> tuple[Tensor, Tensor]:
    """Directions as columns, the least read first, and which are hardly read."""
    size, vectors = torch.linalg.eigh(strength)
    size = size.clamp(min=0)
    return vectors, torch.cumsum(size, 0) < HARDLY * size.sum()


@dataclass(frozen=True)
class Part:
    """Of some directions, what is read, or what hardly is, by what reads the value: see `reading`."""

    of: Directions
    read: bool
    width: None = None

    @property
    def rank(self) -> int:
        """At most as many."""
        return self.of.rank

    @property
    def name(self) -> str:
        """Which part."""
        return f"{self.of.name}, {'as far as it is read' if self.read else 'what is hardly read of it'}"

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """That part's own directions; fewer where it has none of some, and none where all are read."""
        strength = strength_at(site, activations)
        basis = basis_of(self.of, site, activations).cpu()
        if strength is None:
            return basis.T if self.read else basis.T[:0]
        return read_and_not(basis, strength)[0 if self.read else 1]


def strength_at(site: Site, activations: Activations) -> Tensor | None:
    """`reading`, of the model whose values these are."""
    return reading(_opened(activations, f"what reads {site}"), site)


def basis_of(directions: Directions, site: Site, activations: Activations) -> Tensor:
    """An orthonormal basis (size, rank) of what some directions span at a site.

    Raises:
        ExplanationError: They have another width than the value, or some depend on the others.
    """
    rows = directions.rows(site, activations).double()
    size = activations.flat(site).shape[-1]
    asked = f"The directions of {site}: {directions.name}"
    if rows.shape[1] != size:
        raise ExplanationError(
            asked, f"they have {rows.shape[1]} entries, and the value has {size}", "Give that many."
        )
    if not bool(torch.isfinite(rows).all()):
        raise ExplanationError(asked, "some numbers are NaN or infinite", "Give finite ones.")
    if isinstance(directions, Principal | Part):
        return rows.T  # orthonormal as they are, of a part perhaps fewer or none
    spanned = _span(rows.T)
    if len(spanned) < len(rows):
        raise ExplanationError(
            asked,
            f"the {len(rows)} span {len(spanned)}: some are sums of the others, or zero",
            "Leave those out.",
        )
    return spanned.T


def _turned(subject: Subject, layer: int) -> int:
    """How many entries of a head's query or key rotary embedding turns in a layer."""
    module = subject.anatomy.layers[layer].get_submodule(subject.anatomy.family.attention)
    if not getattr(module, "use_rope", True):
        return 0
    return subject.run(Batch.of(torch.zeros(1, 1, dtype=torch.long, device=subject.device))).turned(
        layer
    )


def _span(columns: Tensor) -> Tensor:
    """Orthonormal rows that span some columns, each taken at length 1; none for what is zero."""
    length = columns.norm(dim=0)
    kept = columns[:, length > DEPENDENT * length.max().clamp(min=1e-300)]
    if not kept.shape[1]:
        return columns.new_zeros(0, len(columns))
    left, size, _ = torch.linalg.svd(kept / kept.norm(dim=0), full_matrices=False)
    spanned: Tensor = left[:, size > DEPENDENT * size[0]].T
    return spanned


def _opened(activations: Activations, what: str) -> Subject:
    if activations.subject is None:
        raise ExplanationError(f"Directions: {what}", "no model was given to read them of")
    return activations.subject


def _gain(subject: Subject, norm: torch.nn.Module) -> Tensor:
    """What one of the model's norms multiplies every entry by."""
    stream = next(norm.parameters()).detach()
    return subject.anatomy.norm_frame(norm, stream[None].expand(1, -1))[2].double().cpu()


def _projection(
    subject: Subject, site: Site, name: Literal["q", "k", "v"], *, bias: bool = False
) -> Tensor:
    """A head's query, key or value as a matrix (size, width) of the stream, norms' gains in it, scales not."""
    anatomy, shape = subject.anatomy, subject.shape
    heads = shape.heads if name == "q" else shape.key_heads
    group = site.index * heads // shape.heads
    weight = anatomy.projection_weight(site.layer, name)[group].double().cpu()
    if anatomy.family.attention_norm:
        weight = weight * _gain(subject, anatomy.attention_norm(site.layer))
        if anatomy.family.norm == "layer":
            weight = weight - weight.mean(-1, keepdim=True)
    own = anatomy.projection(site.layer, name).bias
    if bias and own is not None:
        assert isinstance(own, Tensor)
        by_head = anatomy.projected(name, own.detach()).double().cpu()
        weight = torch.cat([weight, by_head[group][:, None]], -1)
    if name != "v" and anatomy.family.head_norms:
        path = anatomy.family.head_norms["qk".index(name)]
        gain = _gain(subject, anatomy.layers[site.layer].get_submodule(path))
        weight = (
            weight
            * gain.reshape(-1, shape.head_size)[group if len(gain) > shape.head_size else 0][
                :, None
            ]
        )
    return weight


def _written(subject: Subject, site: Site) -> Tensor:
    """What a head's z adds to the stream, (size, width), a post-norm's gain in it."""
    anatomy = subject.anatomy
    weight = anatomy.head_weight(site.layer, site.index).double().cpu()
    if anatomy.family.attention_post_norm:
        weight = weight * _gain(subject, anatomy.attention_end(site.layer))
    return weight


def refusal(directions: Directions, size: int) -> str:
    """Why some directions cannot be those of a value of so many entries; empty if they can."""
    if directions.rank > size:
        return f"it keeps {directions.rank} directions, and the value there has {size}"
    if directions.width not in (None, size):
        return f"its directions have {directions.width} entries, and the value there has {size}"
    return ""


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)
