"""Matched noise: a Gaussian with the site's own mean and covariance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from unexplained.ablations import (
    ABLATIONS,
    AblationError,
    Fill,
    keeping_first,
    value_site,
    without_first,
)
from unexplained.evaluate import Activations
from unexplained.evaluate.conditions import tensor_digest
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Edit, Local

FEWEST = 8
"""Documents that a covariance takes: tokens of one document are alike."""
PER_DIMENSION = 2
"""Tokens that it takes for each dimension of the site."""


def require_covariance(what: str, documents: int, tokens: int, dimensions: int) -> None:
    """Refuse too little for a covariance.

    Raises:
        AblationError: There is too little.
    """
    if documents < FEWEST or tokens < PER_DIMENSION * dimensions:
        raise AblationError(
            f"The covariance of {what}",
            f"the fit part has {documents} documents, with {tokens:,} tokens after the first ones; a "
            f"covariance of {dimensions} dimensions takes {FEWEST} documents and "
            f"{PER_DIMENSION * dimensions:,} tokens",
            _enough(documents, tokens, dimensions),
        )


def _enough(documents: int, tokens: int, dimensions: int) -> str:
    """How many documents like these would be enough."""
    if not tokens:
        return "Use documents of two tokens or more."
    many = max(FEWEST, -(-PER_DIMENSION * dimensions * documents // tokens))
    return f"Fit on {many:,} documents of this length or more (fit_documents=…; --fit-documents)."


def gaussian(activations: Activations, site: Site) -> tuple[Tensor, Tensor]:
    """Mean (size,) and a root of the covariance (size, size) at a site, in float64, first positions left out.

    Raises:
        AblationError: The model is in half precision, or there is too little to fit it on.
    """
    later = without_first(activations)
    documents = sum(int(batch.valid[:, 1:].any(-1).sum()) for batch, _ in activations.batches)
    return gaussian_of(later.flat(value_site(site)), documents, str(site))


def gaussian_of(values: Tensor, documents: int, what: str) -> tuple[Tensor, Tensor]:
    """Mean (size,) and a root of the covariance (size, size) of values (token, …), in float64.

    Raises:
        AblationError: They are in half precision, or there are too few.
    """
    if torch.finfo(values.dtype).bits < 32:
        raise AblationError(
            f"The covariance of {what} in {str(values.dtype).removeprefix('torch.')}",
            "what rounding adds to it is not told from what the model varies by",
            "Load the model in float32.",
        )
    flat = values.double().reshape(len(values), -1)
    require_covariance(what, documents, *flat.shape)
    mean = flat.mean(0)
    centred = flat - mean
    scales, directions = torch.linalg.eigh(centred.T @ centred / (len(flat) - 1))
    # Rounding leaves some a little below zero.
    return mean, directions * scales.clamp_min(0).sqrt()


def drawn(document: str, what: str, seed: int, length: int, size: int) -> Tensor:
    """Standard normal numbers (length, size) of a document: the same however far it is read."""
    draw = np.random.default_rng(int(digest("noise", document, what, str(seed))[:16], 16))
    return torch.from_numpy(draw.standard_normal((length, size)))


def noise(what: str, mean: Tensor, root: Tensor, seed: int) -> Callable[[Local], Tensor]:
    """Draws of a Gaussian, shaped like the value of where it stands; other draws for other names."""

    def fill(local: Local) -> Tensor:
        length, batch = local.value.shape[1], local.batch
        rows = [
            drawn(one, what, seed, batch.start + length, len(mean))[batch.start :]
            for one in batch.documents
        ]
        noise = torch.stack(rows).to(mean.device)
        return (mean + noise @ root.T).to(local.value.dtype).reshape(local.value.shape)

    return fill


@dataclass(frozen=True)
class MatchedNoise:
    """Put a draw from the Gaussian with the site's own mean and covariance there, at every position anew.

    What the site says is gone and how much it varies, in every direction, is not, so later norms
    scale what they are used to. The first position stays, and is left out of mean and covariance.
    One draw per document, by its hash: over many documents the noise of the draw is part of the
    interval. Misleads where the site's values are far from Gaussian (a head that is silent on most
    tokens is made to speak on all), and as real values are alike from token to token and noise is not.
    """

    says: str = "Gaussian noise of the site's own mean and covariance; the first token stays"
    fits_on: Literal["fit"] = "fit"
    asks_much: bool = True

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Mean and covariance over the fit part."""
        fits = [gaussian(activations, site) for site in sites]
        edits = tuple(
            keeping_first(Edit(site, noise(str(site), *fit, seed)))
            for site, fit in zip(sites, fits, strict=True)
        )
        mark = digest(
            "matched noise", str(seed), *map(str, sites), tensor_digest([one for fit in fits for one in fit])
        )  # fmt: skip
        numbers = sum(len(mean) + len(mean) * (len(mean) + 1) // 2 for mean, _ in fits)
        return Fill("matched noise", edits, mark, numbers, fitted_on=activations.model)


ABLATIONS.add("matched noise", MatchedNoise())
