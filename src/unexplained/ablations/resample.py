"""Resample ablation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from unexplained.ablations import ABLATIONS, Fill, value_site
from unexplained.evaluate import Activations
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Edit, Local


def from_donors(activations: Activations, site: Site, seed: int) -> Callable[[Local], Tensor]:
    """The site's value in another document of the fit part, position by position."""

    def fill(local: Local) -> Tensor:
        new = local.value.clone()
        lengths = local.batch.valid.sum(-1).tolist()
        for row, (document, length) in enumerate(zip(local.batch.documents, lengths, strict=True)):
            number, at = activations.donor(document, length, seed)
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

    says: str = "the value from another document at the same position; the first token stays"
    fits_on: Literal["fit"] = "fit"

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Keep the fit part's values; donors are drawn by hash."""
        edits = tuple(
            Edit(site, from_donors(activations, value_site(site), seed)) for site in sites
        )
        mark = digest("resample", str(seed), *map(str, sites), *activations.documents)
        return Fill("resample", edits, mark, 0, fitted_on=activations.model)


ABLATIONS.add("resample", Resample())
