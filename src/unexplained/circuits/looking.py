"""Which heads look at the position before, and which at their own: what paths of tokens go through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

MOSTLY = 0.5
"""Of a head's attention: more than this at its own position, and it hands the token on that is there."""


@dataclass(frozen=True)
class Looks:
    """Mean attention by head from the third position on, where there are places to choose from."""

    own: dict[Site, float]
    """On its own position."""
    before: dict[Site, float]
    """On the position before."""

    @property
    def previous(self) -> Site:
        """The head before the last layer that looks most at the position before."""
        last = max(site.layer for site in self.before)
        return max((s for s in self.before if s.layer < last), key=self.before.__getitem__)

    @property
    def least(self) -> Site:
        """Of the other heads of that layer the one that looks there least, those that look at their own left out if others are."""
        found = self.previous
        others = [s for s in self.before if s.layer == found.layer and s != found]
        free = [s for s in others if self.own[s] <= MOSTLY] or others
        return min(free, key=self.before.__getitem__)

    @property
    def is_previous(self) -> bool:
        """Whether that head looks mostly at the position before."""
        return self.before[self.previous] > MOSTLY

    @property
    def rewriting(self) -> tuple[Site, ...]:
        """Heads up to its layer that look mostly at their own position, that head itself apart."""
        found = self.previous
        mostly = (site for site, share in self.own.items() if share > MOSTLY)
        return tuple(site for site in mostly if site.layer <= found.layer and site != found)


@neutrally
def looks(
    subject: Subject,
    text: Text,
    *,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> Looks:
    """Where heads look on the fit part of a text.

    Raises:
        UnexplainedError: As `evaluate`.
    """
    work = _Looks(subject=subject, text=text, part="fit", batch_tokens=BATCH_TOKENS)
    shape = subject.shape
    sums, count = torch.zeros(2, shape.layers, shape.heads, dtype=torch.float64), 0.0
    for arrays in measured(work, folder=folder, workers=workers, progress=progress):
        sums += arrays["sums"]
        count += float(arrays["count"][0])
    shares = sums / max(count, 1.0)
    own, before = (
        {
            Site(layer, "H", head): float(some[layer, head])
            for layer in range(shape.layers)
            for head in range(shape.heads)
        }
        for some in shares
    )
    return Looks(own, before)


@dataclass(frozen=True, kw_only=True)
class _Looks(ArrayWork):
    """Sums over a batch."""

    what: ClassVar[str] = "Where heads look"
    asked: ClassVar[tuple[str, ...]] = ("own and before",)

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(own or before, layer, head), and the destinations."""
        return {"sums": (2, self.subject.shape.layers, self.subject.shape.heads), "count": (1,)}

    def arrays(self, number: int) -> dict[str, Tensor]:
        """One pass."""
        shape = self.subject.shape
        batch = self.plans[number].batch(self.subject.device)
        every = [
            Site(i, "H", h, "pattern") for i in range(shape.layers) for h in range(shape.heads)
        ]
        with torch.no_grad():
            done = self.subject.run(batch, keep=every)
        counted = batch.valid[:, 2:]
        sums = torch.zeros(2, shape.layers, shape.heads, dtype=torch.float64)
        for site in every:
            pattern = done.values[site]
            for which, back in enumerate((0, 1)):
                there = pattern.diagonal(-back, -2, -1)[:, 2 - back :]
                sums[which, site.layer, site.index] = float((there * counted).sum())
        return {"sums": sums, "count": counted.sum().double()[None].cpu()}
