"""Directions of a value, from wherever they come: which part of it is claimed to matter.

Directions of the stream (a token's unembedding, what another head writes) are carried to the value
where they are claimed: to a query or key as that reads them, to z and the output as those write them.
Queries and keys are taken before rotary embedding, where a direction is the same at every position.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from unexplained.errors import ExplanationError, Why
from unexplained.evaluate import Activations
from unexplained.explanations.stream import (
    MADE,
    carried,
    gain_of,
    projection_of,
    read_and_not,
    reading,
    span_of,
    spanned_by,
    written_by,
)
from unexplained.hashing import digest
from unexplained.sites import Shape, Site, direction
from unexplained.subject import Subject

SKEW = 1e-3
"""A cosine above which two directions are at no right angle."""


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

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """Why there are none at a site of such a model, as far as its sizes tell; None if there are."""

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

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """Nothing: any value has them."""
        return None

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """Eigenvectors of the covariance, that of most variance first."""
        values = activations.flat(site).double()
        centred = values - values.mean(0)
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        principal: Tensor = vectors.flip(1)[:, : self.rank].T
        return principal


@dataclass(frozen=True)
class Random:
    """Drawn evenly from all directions that the value can have."""

    rank: int
    seed: int = 0
    width: None = None

    @property
    def name(self) -> str:
        """How many, and which draw."""
        return f"{self.rank} random directions (draw {self.seed})"

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """Nothing: any value has them."""
        return None

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """Gaussian numbers, of every site its own; of what a head writes, within all that it can write."""
        draw = torch.Generator().manual_seed(
            int(digest("directions", str(site), str(self.seed)), 16) >> 1
        )
        size = activations.flat(site).shape[-1]
        if site.part != "H" or site.value != "out" or activations.subject is None:
            return torch.randn(self.rank, size, generator=draw, dtype=torch.float64)
        inside = span_of(written_by(activations.subject, site).T)
        few = min(self.rank, len(inside))
        return torch.randn(few, len(inside), generator=draw, dtype=torch.float64) @ inside


@dataclass(frozen=True)
class GivenDirections:
    """Numbers that somebody gives, the same at every site."""

    numbers: np.ndarray = field(compare=False, repr=False)
    """(rank, size)."""
    name: str
    mark: str

    @classmethod
    def of(cls, numbers: object, name: str) -> GivenDirections:
        """Check what was given.

        Raises:
            ExplanationError: It is no table of finite numbers with a direction a row, or there is none.
        """
        asked = f"The directions of {name}"
        try:
            given = np.asarray(numbers)
        except (TypeError, ValueError) as error:  # rows of different lengths
            raise ExplanationError(asked, "they are no table", "One direction a row.") from error
        if given.dtype.kind not in "biuf":  # of complex numbers half would be lost
            raise ExplanationError(asked, f"they are no real numbers but {given.dtype}", "One direction a row.")  # fmt: skip
        array = given.astype(np.float64)
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

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """Some depend on the others."""
        spanned = len(spanned_by(torch.from_numpy(self.numbers)))
        return dependent(self.rank, spanned) if spanned < self.rank else None

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """As they are."""
        return torch.from_numpy(self.numbers)


@dataclass(frozen=True)
class LogitDirections:
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

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """The model has no such token, or one is given twice."""
        if outside := [token for token in self.tokens if not 0 <= token < shape.vocabulary]:
            return Why(
                f"it has no token {outside[0]}: it has tokens 0 to {shape.vocabulary - 1:,}",
                'Give ids of its own, or the text of tokens: tokens:[" the"].',
            )
        spanned = len(set(self.tokens))
        return dependent(self.rank, spanned) if spanned < self.rank else None

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """Rows of the unembedding, carried to the site."""
        subject = _opened(activations, self.name)
        anatomy = subject.anatomy
        weight = anatomy.unembed.weight
        assert isinstance(weight, Tensor)
        chosen = weight.detach()[list(self.tokens)].double().cpu()
        return carried(subject, site, chosen * gain_of(subject, anatomy.final_norm), "v")


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

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """The model has no such head, it writes fewer, or comes too late."""
        head = self.head
        if head.layer >= shape.layers or head.index >= shape.heads:
            last = Site(shape.layers - 1, "H", shape.heads - 1)
            return Why(
                f"it has no {head}: it has {shape.layers} layers of {shape.heads} heads",
                f"Name one from L0.H0 to {last}.",
            )
        if self.rank > shape.head_size:
            return Why(
                f"a head writes {shape.head_size} directions", f"Take at most {shape.head_size}."
            )
        if site.value in MADE and head.layer >= site.layer:
            return Why(
                f"{head} does not come before {site}",
                f"Name a head of a layer before {site.layer}." if site.layer
                else "Name a later site: nothing comes before the first layer's heads.",
            )  # fmt: skip
        return None

    def rows(self, site: Site, activations: Activations) -> Tensor:
        """Right singular vectors of W_V W_O, carried to the site."""
        subject = _opened(activations, self.name)
        value = projection_of(subject, self.head, "v")
        _, shrunk = torch.linalg.qr(value.T)
        _, _, found = torch.linalg.svd(shrunk @ written_by(subject, self.head), full_matrices=False)
        return carried(subject, site, found[: self.rank], "")


@dataclass(frozen=True)
class ReadPart:
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

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """As the directions themselves."""
        return self.of.refuses(site, shape)

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
    rows = _rows(directions, site, activations)
    if isinstance(directions, Principal | ReadPart):
        return rows.T  # orthonormal as they are, of a part perhaps fewer or none
    # Of what was carried here a row may be rounding, beside which others are long.
    spanned = spanned_by(rows) if isinstance(directions, GivenDirections) else span_of(rows.T)
    if len(spanned) < len(rows):
        raise ExplanationError(
            f"The directions of {site}: {directions.name}", *dependent(len(rows), len(spanned))
        )
    return spanned.T


def _rows(directions: Directions, site: Site, activations: Activations) -> Tensor:
    rows = directions.rows(site, activations).double().cpu()
    size = activations.flat(site).shape[-1]
    asked = f"The directions of {site}: {directions.name}"
    if rows.shape[1] != size:
        raise ExplanationError(
            asked, f"they have {rows.shape[1]} entries, and the value has {size}", "Give that many."
        )
    if not bool(torch.isfinite(rows).all()):
        raise ExplanationError(asked, "some numbers are NaN or infinite", "Give finite ones.")
    return rows


def random_beside(claimed: Directions, rank: int, draws: int, seed: int) -> tuple[Random, ...]:
    """Random directions to hold some against; where these are drawn themselves, other draws.

    Args:
        claimed: What is held against them.
        rank: How many directions each draw has.
        draws: How many draws.
        seed: The number of the first.
    """
    own = claimed.seed if isinstance(claimed, Random) else None
    others = (number for number in itertools.count(seed) if number != own)
    return tuple(Random(rank, number) for number in itertools.islice(others, draws))


def lines_of(
    directions: Directions, site: Site, activations: Activations, first: int = 0
) -> tuple[Site, ...]:
    """Each of some directions of a value as a site of its own, at which one number stands.

    Each is put elsewhere without moving what the value has along the others, so they are at right angles.

    Args:
        directions: Which.
        site: Whose value.
        activations: The value on the fit part.
        first: The number of the first.

    Raises:
        ExplanationError: As `basis_of`, or two of them are at no right angle.
    """
    rows = _rows(directions, site, activations)
    basis_of(directions, site, activations)
    rows = rows / rows.norm(dim=1, keepdim=True)
    angles = (rows @ rows.T - torch.eye(len(rows), dtype=rows.dtype)).abs()
    if float(angles.max()) > SKEW:
        one, other = sorted(divmod(int(angles.argmax()), len(rows)))
        raise ExplanationError(
            f"The directions of {site}: {directions.name}",
            f"{one + 1} and {other + 1} are at no right angle (cosine {float(rows[one] @ rows[other]):.2f}), "
            "so that to put one elsewhere moves the other",
            "Give them one at a time.",
        )
    return tuple(
        direction(site, row.tolist(), first + i, digest("line", str(site), str(row.tolist()))[:8])
        for i, row in enumerate(rows)
    )


def _opened(activations: Activations, what: str) -> Subject:
    if activations.subject is None:
        raise ExplanationError(f"Directions: {what}", "no model was given to read them of")
    return activations.subject


def refusal(directions: Directions, site: Site, shape: Shape, size: int) -> Why | None:
    """Why some directions cannot be those of a site's value of so many entries; None if they can."""
    if directions.rank > size:
        return Why(
            f"it keeps {directions.rank} directions, and the value there has {size}",
            f"Take fewer than {size}.",
        )
    if directions.width not in (None, size):
        return Why(
            f"its directions have {directions.width} entries, and the value there has {size}",
            f"Give directions of {size} entries, one a row.",
        )
    return directions.refuses(site, shape)


def dependent(many: int, spanned: int) -> Why:
    """That fewer directions would be the same."""
    return Why(
        f"the {many} span {spanned}: some are sums of the others, or zero", "Leave those out."
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)
