"""What the intact model's sites hold on a part of a text: the data that fills and maps are fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from unexplained.errors import MeasurementError
from unexplained.evaluate.batches import plan
from unexplained.evaluate.evaluate import BATCH_TOKENS, Progress
from unexplained.sites import Site
from unexplained.subject import Batch, Local, Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

MEMORY = 8e9
"""Bytes of activations that one recording may hold."""


@dataclass(frozen=True)
class Activations:
    """Batches of a text part with the intact model's values at some sites."""

    batches: tuple[tuple[Batch, dict[Site, Tensor]], ...]
    model: str = ""
    """Fingerprint of the model whose values they are: what is fitted to them is of no other."""

    @property
    def tokens(self) -> int:
        """Number of tokens."""
        return sum(int(batch.valid.sum()) for batch, _ in self.batches)

    @property
    def documents(self) -> tuple[str, ...]:
        """Hashes of the documents, in the order of the batches."""
        return tuple(document for batch, _ in self.batches for document in batch.documents)

    def at(self, site: Site) -> Iterator[Local]:
        """The site as an edit would see it there, batch by batch."""
        for batch, values in self.batches:
            yield local(site, batch, values)

    def flat(self, site: Site) -> Tensor:
        """The site's value at every real token, (tokens, …)."""
        return torch.cat([values[site][batch.valid] for batch, values in self.batches])

    @cached_property
    def places(self) -> dict[str, tuple[int, int, int]]:
        """Batch number, row and length of every document."""
        return {
            document: (number, row, int(batch.valid[row].sum()))
            for number, (batch, _) in enumerate(self.batches)
            for row, document in enumerate(batch.documents)
        }

    @cached_property
    def lengths(self) -> dict[str, int]:
        """Every document and how many tokens it has."""
        return {document: size for document, (_, _, size) in self.places.items()}


def local(site: Site, batch: Batch, values: dict[Site, Tensor]) -> Local:
    """A site's `Local` from recorded values."""

    def own(name: str) -> Tensor:
        return values[site.component.at(name) if site.part == "H" else site]

    return Local(site.at("z") if site.part == "H" and not site.value else site, batch, own, values)


@neutrally
def observe(
    subject: Subject,
    text: Text,
    sites: Sequence[Site],
    *,
    part: Literal["eval", "fit"] = "fit",
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress = lambda done, total: None,
) -> Activations:
    """Run the intact model over a part of a text and keep the values at some sites.

    Raises:
        MeasurementError: The values would not fit in memory, or one of them is not finite.
    """
    blocks = text.blocks(part, "What is fitted to the model's values")
    subject.require_sound()
    plans = plan(blocks, batch_tokens)
    kept: list[tuple[Batch, dict[Site, Tensor]]] = []
    size = 0
    for number, batch_plan in enumerate(plans):
        batch = batch_plan.batch(subject.device)
        values = subject.run(batch, keep=sites).values
        values = {site: value.clone() for site, value in values.items()}
        for site, value in values.items():
            if not bool(torch.isfinite(value).all()):
                kind = str(value.dtype).removeprefix("torch.")
                raise MeasurementError(
                    f"Reading {site}",
                    f"the model has NaN or infinity there, in {kind}",
                    "Load it in float32: float16 ends at 65,504." if kind == "float16" else "",
                )
        size += sum(value.nbytes for value in values.values())
        if size > MEMORY:
            raise MeasurementError(
                f"Keeping {len(sites)} sites on {len(blocks)} documents",
                f"they take more than {MEMORY / 1e9:.0f} GB",
                "Use fewer fit documents or fewer sites at a time.",
            )
        kept.append((batch, values))
        progress(number + 1, len(plans))
    return Activations(tuple(kept), subject.remembered)
