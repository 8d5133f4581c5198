"""A projection: the component's own value, kept on a few directions and at its mean in all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from unexplained.donors import Donors, places_of
from unexplained.donors.another import Another
from unexplained.errors import ExplanationError
from unexplained.evaluate import Activations
from unexplained.evaluate.conditions import tensor_digest
from unexplained.explanations.description import PARAMETER_BITS, source_of
from unexplained.explanations.ends import IDENTITY, NOTHING
from unexplained.explanations.fit import Fitted, displaced, wide_type
from unexplained.explanations.invariance import TELLS
from unexplained.explanations.lent import with_lent
from unexplained.explanations.stand_in import STAND_INS, Control
from unexplained.hashing import digest
from unexplained.record import Description, Method
from unexplained.sites import HEAD_VALUES, Shape, Site
from unexplained.subject import Edit, Local

OWN = "own value"
"""What it gives and reads: a head's z, the value of every other component."""

Stand = Callable[[Local], Tensor]


@dataclass(frozen=True)
class Projection:
    """The component's value on its first principal directions; the rest of it at the mean.

    Directions are those in which the value varies most on the fit part, of every component its own.
    It claims that so many dimensions are what the model uses of a component, and not what they
    mean: it reads the value itself. Misleads where little variance matters much: what varies most
    is not what the model reads (a head that writes a constant large signal and a small useful one
    loses the second first).
    """

    rank: int | None
    """How many directions; None for all of them, which is the component itself."""
    shuffled: bool = False
    moved: bool = False
    donors: Donors = field(default_factory=Another)
    own_name: str = ""
    method: Method = "internals"
    gives: str = OWN

    @property
    def name(self) -> str:
        """What is kept."""
        return self.own_name or f"projection on {_directions(self.rank)}"

    @property
    def says(self) -> str:
        """What is claimed."""
        if self.rank == 0:
            return "Nothing is said, so the mean stands everywhere."
        if self.rank is None:
            return "The component as its own explanation: complete, and as long as the component."
        many = "direction" if self.rank == 1 else f"{self.rank} directions"
        kept = f"Its value on the {many} in which it varies most, its mean on all others."
        if not self.shuffled:
            return kept
        where = ", and put at other positions" if self.moved else ""
        return f"{kept} The value is that of {self.donors.says}{where}."

    @property
    def reads(self) -> tuple[str, ...]:
        """Its own value, unless nothing is kept of it."""
        return () if self.rank == 0 else (OWN,)

    @property
    def leaves(self) -> tuple[str, ...]:
        """What reads the value."""
        return ("output matrix of a head",)

    @property
    def is_fitted(self) -> bool:
        """Its directions are."""
        return self.rank not in (0, None)

    def refuses(self, site: Site, shape: Shape) -> str:
        """More directions than the value has, or a value that is given by name."""
        size = _size(site, shape)
        if site.value in HEAD_VALUES:
            return f"it is one value of a head, and a projection keeps {OWN}s of components"
        if self.rank is not None and self.rank > size:
            return f"it keeps {self.rank} directions, and the value there has {size}"
        return ""

    def observes(self, sites: Sequence[Site], shape: Shape) -> list[Site]:
        """The values themselves."""
        return list(dict.fromkeys(_stands_at(site) for site in sites))

    def fit(
        self, sites: Sequence[Site], shape: Shape, activations: Activations, seed: int
    ) -> Fitted:
        """Take the mean and the first eigenvectors of the covariance of the fit part's values.

        Raises:
            ExplanationError: A component has fewer directions.
        """
        edits: list[Edit] = []
        tensors: list[Tensor] = []
        for site in sites:
            if why := self.refuses(site, shape):
                raise ExplanationError(f"The {self.name} at {site}", why, "Keep fewer.")
            projected, held = self._projecting(_stands_at(site), shape, activations)
            say = self._sayer(_stands_at(site), projected, activations, seed)
            calls = (self.donors,) if self.shuffled else ()
            edits.append(Edit(_stands_at(site), say, calls=calls))
            tensors += held
        another = (self.donors.fingerprint, str(seed), str(self.moved), *activations.documents)
        whole = any(self._whole(site, shape) for site in sites)
        mark = digest(
            "projection", str(whole), *(another if self.shuffled else ()), *map(str, sites),
            tensor_digest(tensors),
        )  # fmt: skip
        parameters = sum(tensor.numel() for tensor in tensors)
        return Fitted(
            self, tuple(sites), tuple(edits), mark, parameters, {}, shape, activations.model
        )

    def described(self, parameters: int, sites: Sequence[Site], shape: Shape) -> Description:
        """The code of a projection, its numbers, and the parameters that compute the value."""
        own = ["z" if site.part == "H" else "value" for site in sites]
        length = Description(
            code_bits=source_of(_projected).bits,
            parameters=parameters,
            parameter_bits=parameters * PARAMETER_BITS,
        )
        return with_lent(length, tuple(dict.fromkeys(own)) if self.reads else (), sites, shape)

    def on_shuffled(self, *, moved: bool = False, donors: Donors | None = None) -> Projection:
        """The value of another document, on the same directions."""
        which = Another() if donors is None else donors
        named = "" if donors is None else f" on {which.says}"
        name = f"{self.name}, {'moved' if moved else 'shuffled'}{named}"
        return replace(self, own_name=name, shuffled=True, moved=moved, donors=which)

    def with_map(self) -> None:
        """None: a linear map of its own value is what it is."""

    def ends(self) -> tuple[Projection, Projection]:
        """All directions, and none."""
        return (
            Projection(None, own_name=IDENTITY.name),
            Projection(0, own_name=NOTHING.name, method=NOTHING.method),
        )

    def control(
        self, sites: Sequence[Site], shape: Shape, activations: Activations, seed: int
    ) -> Control:
        """On another document, as long as its values are others there."""
        another = self.on_shuffled()
        apart = spread = 0.0
        for site in map(_stands_at, sites):
            projected, _ = self._projecting(site, shape, activations)
            own = self._sayer(site, projected, activations, seed)
            its = another._sayer(site, projected, activations, seed)
            ours, theirs = (
                torch.cat([say(local)[local.batch.valid] for local in activations.at(site)])
                for say in (own, its)
            )
            a, b = (x.double() - x.double().mean(0) for x in (ours, theirs))
            apart += float((a - b).square().sum())
            spread += float(a.square().sum() + b.square().sum())
        kept = max(0.0, 1 - apart / spread) if spread > 0 else 1.0
        found = another if kept < TELLS else None
        return Control(found, "the model's own values" if self.reads else "nothing", kept)

    def _whole(self, site: Site, shape: Shape) -> bool:
        return self.rank is None or self.rank == _size(site, shape)

    def _projecting(
        self, site: Site, shape: Shape, activations: Activations
    ) -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
        """What is made of a value there, and the numbers that were fitted for it."""
        if self._whole(site, shape):
            return lambda value: value, []
        values = activations.flat(site)
        mean = values.double().mean(0).to(values.dtype)
        if self.rank == 0:
            return lambda value: mean.expand_as(value), [mean]
        centred = values.double() - values.double().mean(0)
        _, vectors = torch.linalg.eigh(centred.T @ centred)
        basis = vectors[:, -self.rank :].to(wide_type(values.dtype))  # type: ignore[operator]
        return lambda value: _projected(value, mean, basis), [mean, basis]

    def _sayer(
        self, site: Site, projected: Callable[[Tensor], Tensor], activations: Activations, seed: int
    ) -> Stand:
        """What it says at a place, here or on another document."""
        if not self.shuffled:
            return lambda local: projected(local.value)

        def say(local: Local) -> Tensor:
            batch, said = local.batch, torch.zeros_like(local.value)
            places = places_of(self.donors, activations, batch, seed)
            for row, (number, at, length) in enumerate(places):
                there = projected(activations.batches[number][1][site][at, :length])
                if self.moved:
                    there = displaced(there, batch.documents[row], seed, square=False)
                said[row, :length] = there.to(said.dtype)
            return said

        return say


def _projected(value: Tensor, mean: Tensor, basis: Tensor) -> Tensor:
    """Keep what a value has of some directions about its mean."""
    centred = value.to(basis.dtype) - mean.to(basis.dtype)
    return mean.to(basis.dtype) + centred @ basis @ basis.T


def _stands_at(site: Site) -> Site:
    return site.component.at("z") if site.part == "H" else site


def _size(site: Site, shape: Shape) -> int:
    if site.part == "N":
        return 1
    return shape.head_size if site.part == "H" else shape.width


def _directions(rank: int | None) -> str:
    if rank is None:
        return "all directions"
    return f"{rank} direction" + "s" * (rank != 1)


def _projection(about: str) -> Any:
    """`projection:8`, `projection:all`; of one direction where nothing is said.

    Raises:
        ExplanationError: What is written there is no number of directions.
    """
    if about == "all":
        return Projection(None)
    if about and not about.isdecimal():
        raise ExplanationError(
            f"The projection '{about}'", "that is no number of directions", "Write projection:8."
        )
    return Projection(int(about or 1))


STAND_INS.add("projection", _projection)
