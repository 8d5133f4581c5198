"""A projection: a component's own value, or a head's query or key, kept on a few directions and at its mean in all others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from unexplained.donors import Donors, places_of
from unexplained.donors.another import Another
from unexplained.errors import ExplanationError, Why
from unexplained.evaluate import Activations
from unexplained.evaluate.conditions import tensor_digest
from unexplained.explanations.description import PARAMETER_BITS, source_of
from unexplained.explanations.directions import Directions, Principal, basis_of, refusal
from unexplained.explanations.ends import IDENTITY, NOTHING
from unexplained.explanations.find_directions import find_directions
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

_STANDS = {"": "z", "q": "q_pre", "k": "k_pre", "v": "v", "z": "z", "out": "out"}
"""What is replaced of a head: queries and keys before rotary embedding."""
_WORDS = {"q": "the query", "k": "the key", "v": "the values", "out": "the output"}
_LEAVES = {"q": "keys and values of a head", "k": "queries and values of a head", "v": "pattern of a head",
           "out": "what reads the stream"}  # fmt: skip

Stand = Callable[[Local], Tensor]


@dataclass(frozen=True)
class Projection:
    """A value on some directions; the rest of it at the mean of the fit part.

    Unless others are given, directions are those in which the value varies most on the fit part, of
    every component its own. It claims that these are what the model uses of the value, and not what
    they mean: it reads the value itself. Misleads where little variance matters much: what varies
    most is not what the model reads (a head that writes a constant large signal and a small useful one
    loses the second first); and where a direction that is not read varies with one that is read and
    does not (Makelov, Lange and Nanda 2023): `unexplained subspace` tells them apart.
    """

    rank: int | None
    """How many directions; None for all of them, which is the component itself."""
    on: Directions | None = None
    """Which; those in which the value varies most if None."""
    at: str = ""
    """Which value of heads: `q` or `k` (before rotary embedding), `v`, `z`, `out`; z if not said."""
    outside: Literal["mean", "zero"] = "mean"
    """What the rest is set to."""
    shuffled: bool = False
    moved: bool = False
    donors: Donors = field(default_factory=Another)
    own_name: str = ""
    method: Method = "internals"
    gives: str = OWN
    intermediates: ClassVar[tuple[()]] = ()
    last: ClassVar[None] = None

    @property
    def name(self) -> str:
        """What is kept."""
        of = f" of {_WORDS[self.at]}" if self.at in _WORDS else ""
        rest = ", zero outside" if self.outside == "zero" else ""
        return self.own_name or f"projection{of} on {self._directions}{rest}"

    @property
    def says(self) -> str:
        """What is claimed."""
        if self.rank == 0:
            return "Nothing is said, so the mean stands everywhere."
        if self.rank is None:
            return "The component as its own explanation: complete, and as long as the component."
        many = "direction" if self.rank == 1 else f"{self.rank} directions"
        which = f"the {many} in which it varies most" if self.on is None else self.on.name
        word = _WORDS.get(self.at, "value").removeprefix("the ")
        rest = "zero" if self.outside == "zero" else "its mean"
        kept = f"Its {word} on {which}, {rest} on all others."
        if not self.shuffled:
            return kept
        where = ", and put at other positions" if self.moved else ""
        return f"{kept} The value is that of {self.donors.says}{where}."

    @property
    def reads(self) -> tuple[str, ...]:
        """Its own value, or which of a head's, unless nothing is kept of it."""
        return () if self.rank == 0 else (self.at or OWN,)

    @property
    def leaves(self) -> tuple[str, ...]:
        """What reads the value."""
        return (_LEAVES.get(self.at, "output matrix of a head"),)

    @property
    def is_fitted(self) -> bool:
        """Its directions are."""
        return self.rank not in (0, None)

    def refuses(self, site: Site, shape: Shape) -> Why | None:
        """More directions than the value has, or others; or a value that is given by name."""
        if site.value in HEAD_VALUES:
            return Why(
                f"it is one value of a head, and a projection keeps {OWN}s of components",
                f"Give the head, {site.component}, and the value's name before the number: projection:q=8.",
            )  # fmt: skip
        if self.at and site.part != "H":
            word = _WORDS.get(self.at, "z")
            return Why(
                f"it keeps {word} of heads, and that is no head", "Name heads, such as L0.H0."
            )
        if self.rank is None:
            return None
        return refusal(self._kept, self.stands_at(site), shape, self._size(site, shape))

    def observes(self, sites: Sequence[Site], shape: Shape) -> list[Site]:
        """The values themselves."""
        return list(dict.fromkeys(map(self.stands_at, sites)))

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
                raise ExplanationError(f"The {self.name} at {site}", *why)
            where = self.stands_at(site)
            projected, held = self._projecting(where, shape, activations)
            say = self._sayer(where, projected, activations, seed)
            calls = (self.donors,) if self.shuffled else ()
            edits.append(Edit(where, say, calls=calls))
            tensors += held
        another = (self.donors.fingerprint, str(seed), str(self.moved), *activations.documents)
        whole = any(self._whole(site, shape) for site in sites)
        mark = digest(
            "projection", self.at, self.outside, str(whole), *(another if self.shuffled else ()), *map(str, sites),
            tensor_digest(tensors),
        )  # fmt: skip
        parameters = sum(tensor.numel() for tensor in tensors)
        return Fitted(
            self, tuple(sites), tuple(edits), mark, parameters, {}, shape, activations.model
        )

    def described(self, parameters: int, sites: Sequence[Site], shape: Shape) -> Description:
        """The code of a projection, its numbers, and the parameters that compute the value."""
        own = [_STANDS[self.at] if site.part == "H" else "value" for site in sites]
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

    def with_zeros(self) -> Projection | None:
        """With zero where it has the mean; none where nothing of that is left."""
        if self.rank is None or self.shuffled:
            return None
        named = f"{self.own_name}, zero outside" if self.own_name else ""
        return replace(self, own_name=named, outside="zero")

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
        for site in map(self.stands_at, sites):
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

    def stands_at(self, site: Site) -> Site:
        """Which value of a component is replaced."""
        return site.component.at(_STANDS[self.at]) if site.part == "H" else site

    @property
    def _directions(self) -> str:
        return "all directions" if self.rank is None else self._kept.name

    @property
    def _kept(self) -> Directions:
        return Principal(self.rank or 0) if self.on is None else self.on

    def _size(self, site: Site, shape: Shape) -> int:
        if site.is_number:
            return 1
        return shape.head_size if site.part == "H" and self.at != "out" else shape.width

    def _whole(self, site: Site, shape: Shape) -> bool:
        return self.rank is None or self.rank == self._size(site, shape)

    def _projecting(
        self, site: Site, shape: Shape, activations: Activations
    ) -> tuple[Callable[[Tensor], Tensor], list[Tensor]]:
        """What is made of a value there, and the numbers that were fitted for it."""
        if self._whole(site, shape):
            return lambda value: value, []
        values = activations.flat(site)
        mean = values.double().mean(0).to(values.dtype)
        if self.outside == "zero":
            mean = torch.zeros_like(mean)
        if self.rank == 0:
            return lambda value: mean.expand_as(value), [mean]
        basis = basis_of(self._kept, site, activations).to(values.device, wide_type(values.dtype))
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


def _projection(about: str) -> Any:
    """`projection:8`, `projection:all`; with a value and directions `projection:q=head:L0.H4:8`.

    Raises:
        ExplanationError: What is written there is no number of directions, nor where they come from.
    """
    value, equals, which = about.partition("=")
    if not equals:
        value, which = "", about
    elif value not in _STANDS:
        raise ExplanationError(
            f"The projection '{about}'",
            f"'{value}' is no value of a head that is projected",
            f"Those are {', '.join(filter(None, _STANDS))}: write projection:q=8.",
        )
    if which == "all":
        return Projection(None, at=value)
    found = find_directions(which or "1")
    return Projection(found.rank, None if isinstance(found, Principal) else found, value)


STAND_INS.add("projection", _projection)
