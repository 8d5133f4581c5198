"""What the intact model's sites hold on a part of a text: the data that fills and maps are fitted to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor

from unexplained.errors import MeasurementError
from unexplained.evaluate.arrays import Arrays, ArrayWork
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.evaluate.store import Store
from unexplained.evaluate.work import Task
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Batch, Local, Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

MEMORY = 8e9
"""Bytes of activations that one recording may hold."""

ON_DISK = 5e8
"""Bytes of them that are kept in a folder, which is as a rule that of all runs and must not fill up.
What is beyond is read again by whoever goes on: all heads of a 135M model on 7,000 tokens are 5e8."""


@dataclass(frozen=True)
class Activations:
    """Batches of a text part with the intact model's values at some sites."""

    batches: tuple[tuple[Batch, dict[Site, Tensor]], ...]
    model: str = ""
    """Fingerprint of the model whose values they are: what is fitted to them is of no other."""
    subject: Subject | None = field(default=None, repr=False, compare=False)
    """The model, for what is fitted to its weights as well."""

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


@dataclass(frozen=True, kw_only=True)
class _Reading(ArrayWork):
    """The intact model's values at some sites."""

    what: ClassVar[str] = "What is fitted to the model's values"

    sites: tuple[Site, ...]
    _bytes: list[int] = field(default_factory=list, repr=False)
    """Of the values that are held."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The sites."""
        return tuple(map(str, self.sites))

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """Of every site row and position first."""
        blocks = self.plans[number].blocks
        return dict.fromkeys(self.asked, (len(blocks), max(len(one.tokens) for one in blocks)))

    def imagined(self, task: Task) -> Arrays:
        """Drawn values; a pattern looks evenly at all before."""
        draw = torch.Generator().manual_seed(task.batch)
        found: Arrays = {}
        for site in self.sites:
            rows, length = size = self.plans[task.batch].size
            if site.value == "pattern":
                seen = torch.ones(length, length).tril()
                value = (seen / seen.sum(-1, keepdim=True)).expand(rows, length, length).clone()
            else:
                value = torch.randn(*size, *width_of(site, self.subject), generator=draw)
            found[str(site)] = value.to(next(self.subject.anatomy.model.parameters()).dtype)
        return found

    def arrays(self, number: int) -> dict[str, Tensor]:
        """One pass."""
        batch = self.plans[number].batch(self.subject.device)
        values = self.subject.run(batch, keep=self.sites).values
        for site, value in values.items():
            if not bool(torch.isfinite(value).all()):
                kind = str(value.dtype).removeprefix("torch.")
                raise MeasurementError(
                    f"Reading {site}",
                    f"the model has NaN or infinity there, in {kind}",
                    "Load it in float32: float16 ends at 65,504." if kind == "float16" else "",
                )
        return {str(site): values[site].clone() for site in self.sites}

    def arrived(self, result: Arrays) -> None:
        """Count what is held."""
        self._bytes.append(sum(value.nbytes for value in result.values()))
        if sum(self._bytes) > MEMORY:
            blocks = self.text.blocks(self.part, self.what)
            raise MeasurementError(
                f"Keeping {len(self.sites)} sites on {len(blocks)} documents",
                f"they take more than {MEMORY / 1e9:.0f} GB",
                "Use fewer fit documents or fewer sites at a time.",
            )

    def keep(self, store: Store, task: Task, result: Arrays) -> None:
        """Keep a batch's values as long as all are not too many."""
        if sum(self._bytes) <= ON_DISK:
            super().keep(store, task, result)


def width_of(site: Site, subject: Subject) -> tuple[int, ...]:
    """Sizes of a site's value besides row and position; a pattern apart."""
    shape = subject.shape
    if site.is_number:
        return ()
    inner = site.part == "H" and site.value != "out"
    return (shape.head_size if inner else shape.width,)


@neutrally
def observe(
    subject: Subject,
    text: Text,
    sites: Sequence[Site],
    *,
    part: Literal["eval", "fit"] = "fit",
    batch_tokens: int = BATCH_TOKENS,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> Activations:
    """Run the intact model over a part of a text and keep the values at some sites.

    Args:
        subject: The model.
        text: Where it is run.
        sites: Whose values.
        part: Of the text.
        batch_tokens: Padded tokens per batch.
        folder: What is read is kept here and found again, up to `ON_DISK` bytes.
        workers: Who does the work: this process, or those of a cluster.
        progress: Told (batches done, batches in all).

    Raises:
        MeasurementError: The values would not fit in memory, or one of them is not finite; or as
            `evaluate` where there is a folder.
    """
    once = tuple(sorted(set(sites)))
    work = _Reading(subject=subject, text=text, part=part, batch_tokens=batch_tokens, sites=once)
    found = measured(work, folder=folder, workers=workers, progress=progress)
    device = subject.device
    batches = tuple(
        (some.batch(device), {site: values[str(site)].to(device) for site in sites})
        for some, values in zip(work.plans, found, strict=True)
    )
    return Activations(batches, subject.remembered, subject)
