"""Resample ablation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from unexplained.ablations import ABLATIONS, Fill, value_site
from unexplained.donors import Donors, places_of
from unexplained.donors.another import Another
from unexplained.evaluate import Activations
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Edit, Local


def from_donors(
    activations: Activations, site: Site, donors: Donors, seed: int
) -> Callable[[Local], Tensor]:
    """The site's value in another document that was run, position by position."""

    def fill(local: Local) -> Tensor:
        new = local.value.clone()
        for row, (number, at, length) in enumerate(
            places_of(donors, activations, local.batch, seed)
        ):
            # The first token stays: its value is nearly the same in every document, and heads
            # that rest on it would otherwise be hurt by something that is no information.
            donor = activations.batches[number][1][site][at, 1:length]
            if site.value == "pattern":  # its columns are positions too, as many as in its batch
                new[row, 1:length, :length] = donor[:, :length]
            else:
                new[row, 1:length] = donor
        return new

    return fill


@dataclass(frozen=True)
class Resample:
    """Put the site's value from another document there, at the same position.

    All ablated sites take the same donor, so what they hold stays consistent among them. One
    draw per document: over many documents the noise of the draw is part of the interval. May put
    information there that is wrong rather than absent.
    """

    donors: Donors = field(default_factory=Another)
    fits_on: Literal["fit"] = "fit"

    @property
    def says(self) -> str:
        """Whose value, and where."""
        return f"the value from {self.donors.says} at the same position; the first token stays"

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Keep the fit part's values; donors are drawn by hash."""
        edits = tuple(
            Edit(
                site,
                from_donors(activations, value_site(site), self.donors, seed),
                calls=(self.donors,),
            )
            for site in sites
        )
        about = (self.donors.fingerprint, str(seed), *map(str, sites), *activations.documents)
        return Fill("resample", edits, digest("resample", *about), 0, fitted_on=activations.model)


ABLATIONS.add("resample", Resample())
