"""Position-mean ablation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unexplained.ablations import ABLATIONS, AblationError, Fill, value_site
from unexplained.ablations.mean import mean_of
from unexplained.evaluate import Activations
from unexplained.evaluate.conditions import tensor_digest
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Edit, Local

FEWEST = 8
"""Positions seen in fewer documents than this take the mean over all positions."""


def reaching(table: Tensor, mean: Tensor, length: int) -> Tensor:
    """Means by position (length, …), with one mean for the positions that the table does not reach."""
    beyond = mean.expand(max(0, length - len(table)), *mean.shape)
    return torch.cat([table[:length], beyond])


def means_by_position(activations: Activations, site: Site) -> tuple[Tensor, Tensor]:
    """The mean value at every position that the fit part has (position, …), and over all of them.

    At positions that fewer than `FEWEST` documents reach it is the mean over all.
    """
    mean = mean_of(activations, site)
    longest = max(batch.tokens.shape[1] for batch, _ in activations.batches)
    total = torch.zeros(longest, *mean.shape, dtype=torch.float64, device=mean.device)
    count = torch.zeros(longest, dtype=torch.float64, device=mean.device)
    for batch, values in activations.batches:
        value = values[value_site(site)].double()
        shown = batch.valid.double().reshape(*batch.valid.shape, *[1] * mean.dim())
        length = batch.tokens.shape[1]
        total[:length] += (value * shown).sum(0)
        count[:length] += batch.valid.sum(0)
    enough = (count >= FEWEST).reshape(-1, *[1] * mean.dim())
    per_document = total / count.clamp(min=1).reshape(enough.shape)
    return torch.where(enough, per_document, mean.double()).to(mean.dtype), mean


def _by_position(table: Tensor, mean: Tensor) -> Callable[[Local], Tensor]:
    return lambda local: reaching(table, mean, local.value.shape[1]).expand_as(local.value)


@dataclass(frozen=True)
class PositionMean:
    """Put the site's mean at this position there.

    Keeps what depends on position alone (attention to the first token, say). Positions that fewer
    than `FEWEST` fit documents reach take the mean over all positions. An attention pattern is
    averaged query by query: every document that reaches a query has the same keys up to it. There
    is no mean of queries of different length, so a document with queries that fewer than `FEWEST`
    fit documents reach is refused (`AblationError`).
    """

    says: str = "the mean over the fit part at the same position"
    fits_on: Literal["fit"] = "fit"

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Average by position over the documents of the fit part."""
        fits = {
            site: (_of_queries if site.value == "pattern" else self._table)(activations, site)
            for site in sites
        }
        tables = [table for table, _ in fits.values()]
        edits = tuple(Edit(site, fill) for site, (_, fill) in fits.items())
        mark = digest("position mean", *map(str, sites), tensor_digest(tables))
        return Fill(
            "position mean",
            edits,
            mark,
            sum(t.numel() for t in tables),
            fitted_on=activations.model,
        )

    def _table(
        self, activations: Activations, site: Site
    ) -> tuple[Tensor, Callable[[Local], Tensor]]:
        table, mean = means_by_position(activations, site)
        return table, _by_position(table, mean)


def _of_queries(activations: Activations, site: Site) -> tuple[Tensor, Callable[[Local], Tensor]]:
    """Mean rows of an attention pattern, (query, key), as far as `FEWEST` documents reach."""
    longest = max(batch.tokens.shape[1] for batch, _ in activations.batches)
    first = activations.batches[0][1][site]
    total = torch.zeros(longest, longest, dtype=torch.float64, device=first.device)
    count = torch.zeros(longest, dtype=torch.float64, device=first.device)
    for batch, values in activations.batches:
        length = batch.tokens.shape[1]
        total[:length, :length] += (values[site].double() * batch.valid[..., None]).sum(0)
        count[:length] += batch.valid.sum(0)
    reached = int((count >= FEWEST).sum())
    table = (total[:reached, :reached] / count[:reached, None]).to(first.dtype)

    def fill(local: Local) -> Tensor:
        length = local.value.shape[1]
        if length > len(table):
            raise AblationError(
                f"The position mean of {site} at {length} tokens",
                f"{FEWEST} documents of the fit part reach {len(table)} tokens, no further",
                "Fit on more or longer documents, or use zero or resample.",
            )
        return table[:length, :length].expand_as(local.value)

    return table, fill


ABLATIONS.add("position mean", PositionMean())
