"""Zero ablation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from unexplained.ablations import ABLATIONS, Fill
from unexplained.evaluate import Activations
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Edit, Local


def _zeros(local: Local) -> torch.Tensor:
    return torch.zeros_like(local.value)


@dataclass(frozen=True)
class Zero:
    """Put zeros there.

    Misleads where the site's mean matters: it measures that the mean is gone, and it shrinks the
    stream, so later norms scale everything else up.
    """

    says: str = "zeros"
    fits_on: Literal["fit"] = "fit"

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Nothing is fitted."""
        edits = tuple(Edit(site, _zeros) for site in sites)
        return Fill("zero", edits, digest("zero", *map(str, sites)), 0)


ABLATIONS.add("zero", Zero())
