"""What can be done to a pass: an `Edit` stands at a site, sees a `Local`, returns a new value.

An edit that returns None only looks: reading and editing are one mechanism.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unexplained.errors import MeasurementError, SiteError
from unexplained.sites import Site

Lookup = Callable[[str], Tensor]


@dataclass(frozen=True)
class Batch:
    """Documents side by side, padded on the right (exact for causal models).

    `tokens` (batch, position) int64; `valid` (batch, position) bool; `rows` (batch,) the
    documents' indices in the part of the text that they come from.
    """

    tokens: Tensor
    valid: Tensor
    rows: Tensor
    documents: tuple[str, ...]
    start: int = 0
    """Position of the first column: above 0 where a prefix that all share is not run again."""
    corrupted: Tensor | None = None
    """The other prompts of a batch of pairs, (batch, position)."""

    def since(self, position: int) -> Batch:
        """The columns from a position on."""
        if position == self.start:
            return self
        cut = slice(position - self.start, None)
        return replace(
            self,
            tokens=self.tokens[:, cut],
            valid=self.valid[:, cut],
            start=position,
            corrupted=None if self.corrupted is None else self.corrupted[:, cut],
        )

    def on(self, device: torch.device) -> Batch:
        """The batch there; the very same one where it is there already."""
        if self.tokens.device == device:
            return self
        return replace(
            self,
            tokens=self.tokens.to(device),
            valid=self.valid.to(device),
            corrupted=None if self.corrupted is None else self.corrupted.to(device),
        )

    @classmethod
    def of(cls, tokens: Tensor) -> Batch:
        """A batch of whole rows of tokens, with documents named by their place."""
        count = tokens.shape[0]
        return cls(
            tokens,
            torch.ones_like(tokens, dtype=torch.bool),
            torch.arange(count, device=tokens.device),
            tuple(str(i) for i in range(count)),
        )


@dataclass(frozen=True)
class Local:
    """What an edit sees where it stands, in the pass that is running."""

    site: Site
    batch: Batch
    _own: Lookup
    _elsewhere: Mapping[Site, Tensor]

    @property
    def tokens(self) -> Tensor:
        """(batch, position) int64."""
        return self.batch.tokens

    def own(self, name: str) -> Tensor:
        """A value of the same component: a head's `q` `k` `v` `pattern` `z` `out`, else `value`.

        Values before the site already carry the edits made to them in this pass.
        """
        return self._own(name)

    @property
    def value(self) -> Tensor:
        """The value at the site itself, before this edit."""
        return self._own(self.site.value or ("z" if self.site.part == "H" else "value"))

    def elsewhere(self, site: Site) -> Tensor:
        """The value of another site that this edit declared in `reads`."""
        if site not in self._elsewhere:
            raise SiteError(
                f"Reading {site} from {self.site}",
                "it was not declared, or it comes later in the pass",
                "Declare it in `reads`; only sites before the edited one can be read.",
            )
        return self._elsewhere[site]


@dataclass(frozen=True)
class Edit:
    """One intervention. `function` returns the site's new value, or None to leave it."""

    site: Site
    function: Callable[[Local], Tensor | None]
    reads: tuple[Site, ...] = ()
    """Sites elsewhere that it reads; values of its own component need no entry."""
    standing: Callable[[], str] | None = None
    """Tells what the function depends on at this moment, where that may change."""
    calls: tuple[object, ...] = ()
    """What the function calls that its own module does not import: their code is in the key too."""

    @property
    def where(self) -> Site:
        """The exact value it stands on: a whole head means its z."""
        site = self.site
        return site.at("z") if site.part == "H" and not site.value else site

    @property
    def first_layer(self) -> int:
        """The first layer whose forward it needs to see."""
        return min([self.site.layer, *(site.layer for site in self.reads)])

    def __call__(self, local: Local) -> Tensor | None:
        """The new value, checked for shape and finiteness.

        Raises:
            MeasurementError: The new value has the wrong shape, or NaN or infinity in it.
        """
        new = self.function(local)
        if new is None:
            return None
        old = local.value
        if new.shape != old.shape:
            raise MeasurementError(
                f"An edit of {self.site}",
                f"its value has shape {tuple(new.shape)} where the model's has {tuple(old.shape)}: "
                f"{self.where.axes}",
            )
        if not _finite(new):
            raise MeasurementError(f"An edit of {self.site}", "its value has NaN or infinity in it")
        if new.dtype != old.dtype and not _finite(new := new.to(old.dtype)):
            raise MeasurementError(
                f"An edit of {self.site}",
                f"its value is beyond the range of {str(old.dtype).removeprefix('torch.')}",
                "Load the model in float32.",
            )
        return new


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(value).all())


def first_layer(edits: Sequence[Edit], none: int = 0) -> int:
    """The first layer that any of the edits touches or reads; -1 stands for the embedding."""
    return min((edit.first_layer for edit in edits), default=none)
