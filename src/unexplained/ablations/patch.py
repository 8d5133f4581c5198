"""Activation patching: the value from the other prompt of the pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from unexplained.ablations import ABLATIONS, AblationError, Fill, value_site
from unexplained.donors import place_of
from unexplained.donors.partner import WHAT, Partner
from unexplained.evaluate import Activations
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.subject import Edit, Local


def _from_partner(activations: Activations, site: Site) -> Callable[[Local], Tensor]:
    def fill(local: Local) -> Tensor:
        batch = local.batch
        columns = slice(batch.start, batch.start + batch.tokens.shape[1])
        places = [place_of(Partner(), activations, one, 0, seed=0) for one in batch.documents]
        number, first = places[0]
        if places == [(number, first + i) for i in range(len(places))]:
            # Batched as they were recorded: one piece.
            found = activations.batches[number][1][site][first : first + len(places), columns]
            if found.shape[1] == local.value.shape[1]:
                return found
        rows = [activations.batches[number][1][site][row, columns] for number, row in places]
        short = local.value.shape[1]
        return torch.stack(
            [torch.cat([r, r.new_zeros(short - len(r), *r.shape[1:])]) for r in rows]
        )

    return fill


@dataclass(frozen=True)
class Patch:
    """Put the site's value in the corrupted prompt there, position by position.

    The same words change places between the two prompts, so what is exchanged is what depends on
    that alone. Where the prompts share a beginning it is the identity there. Measured on the clean
    prompts it says what is necessary; on the corrupted ones (`Text.swapped`) what is sufficient.
    Misleads where the corruption changes more than the claim is about.
    """

    says: str = f"the value in {WHAT}, at the same position"
    fits_on: Literal["corrupted"] = "corrupted"

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Keep the corrupted prompts' values: `observe(subject, text.swapped(), …, part="eval")`.

        Raises:
            AblationError: A site is an attention pattern or a whole layer's input, where prompts
                of different lengths in one batch have no common shape.
        """
        values = [value_site(site) for site in sites]
        for site in values:
            if site.value == "pattern":
                raise AblationError(
                    f"Patching {site}",
                    "an attention pattern has a row and a column for every position",
                    f"Patch {site.at('q')} and {site.at('k')}.",
                )
        edits = tuple(
            Edit(site, _from_partner(activations, value))
            for site, value in zip(sites, values, strict=True)
        )
        tokens = [batch.tokens.cpu().numpy().tobytes() for batch, _ in activations.batches]
        mark = digest("patch", *map(str, sites), *activations.documents, *tokens)
        return Fill("patch", edits, mark, 0, after_prefix=True, fitted_on=activations.model)


ABLATIONS.add("patch", Patch())
