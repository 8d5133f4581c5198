"""Mean ablation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from unexplained.ablations import ABLATIONS, Fill, value_site
from unexplained.evaluate import Activations
from unexplained.evaluate.conditions import tensor_digest
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Edit, Local


def mean_of(activations: Activations, site: Site) -> Tensor:
    """The mean value at a site over the tokens of the fit part, in float64 and then the site's type."""
    values = activations.flat(value_site(site))
    return values.double().mean(0).to(values.dtype)


def _constant(value: Tensor) -> Callable[[Local], Tensor]:
    return lambda local: value.expand_as(local.value)


@dataclass(frozen=True)
class Mean:
    """Put the site's mean over the fit part there, the same at every position.

    Misleads where the mean is far from any real value, and it takes the site's variance out of
    the stream, so later norms scale everything else up a little.
    """

    says: str = "the mean over the fit part"
    fits_on: Literal["fit"] = "fit"

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Average over all tokens of the fit part."""
        means = [mean_of(activations, site) for site in sites]
        edits = tuple(Edit(site, _constant(m)) for site, m in zip(sites, means, strict=True))
        mark = digest("mean", *map(str, sites), tensor_digest(means))
        return Fill("mean", edits, mark, sum(m.numel() for m in means), fitted_on=activations.model)


ABLATIONS.add("mean", Mean())
