"""A head's preference for the induction target, split by what queries hold and what keys hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.circuits.expansion import require_paths
from unexplained.circuits.kept_paths import Multiplied, StreamPart, scaling_of
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.explanations import patterns
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text


@dataclass(frozen=True)
class Preferences:
    """By document, sums over the positions that have an induction target."""

    sums: NDArray[np.float64]
    """(document, head, query part, key part): score of the target less the mean of all other positions'."""
    positions: NDArray[np.float64]
    """(document,)."""


@neutrally
def preferences(
    subject: Subject,
    text: Text,
    sites: Sequence[Site],
    queries: Mapping[str, StreamPart],
    keys: Mapping[str, StreamPart],
    *,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> Preferences:
    """By how much heads score the induction target above other positions, term by term, on the eval part.

    Parts that make up the stream together give terms that add up to the head's own scores.

    Raises:
        CircuitError: The model is none that can be multiplied out.
        UnexplainedError: As `evaluate`.
    """
    require_paths(subject)
    work = _Preferences(
        subject=subject, text=text, part="eval", batch_tokens=BATCH_TOKENS, sites=tuple(sites),
        queries=tuple(queries.values()), keys=tuple(keys.values()),
    )  # fmt: skip
    sums, positions = [], []
    for arrays in measured(work, folder=folder, workers=workers, progress=progress):
        sums.append(arrays["sums"].numpy())
        positions.append(arrays["positions"].numpy())
    return Preferences(np.concatenate(sums), np.concatenate(positions))


@dataclass(frozen=True, kw_only=True)
class _Preferences(ArrayWork):
    """Sums by row of a batch."""

    what: ClassVar[str] = "What scores are made of"
    sites: tuple[Site, ...]
    queries: tuple[StreamPart, ...]
    keys: tuple[StreamPart, ...]

    @cached_property
    def asked(self) -> tuple[str, ...]:  # type: ignore[override]
        """Heads and parts."""
        return (
            "preferences",
            *(str(one) for of in (self.sites, self.queries, self.keys) for one in (*of, "")),
        )

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(row, head, query part, key part), and positions by row."""
        rows = self.plans[number].size[0]
        sizes = (rows, len(self.sites), len(self.queries), len(self.keys))
        return {"sums": sizes, "positions": (rows,)}

    def arrays(self, number: int) -> dict[str, Tensor]:
        """Scores are linear in keys: those of the target less the mean of the others are of one key."""
        batch = self.plans[number].batch(self.subject.device)
        targets = patterns.after_earlier_occurrence(batch.tokens) & batch.valid[:, :, None]
        there = targets.any(-1)
        # What is held against the target: every other position up to the query.
        others = torch.ones_like(targets).tril() & ~targets
        weights = patterns.evenly(targets.float()) - patterns.evenly(others.float())
        weights = weights * there[:, :, None]
        sums = torch.zeros(self.shapes(number)["sums"], dtype=torch.float64)
        with torch.no_grad():
            opened = Multiplied(self.subject, batch)
            for i, site in enumerate(self.sites):
                scaling = scaling_of(self.subject, site.layer)
                apart = [weights @ opened.values(part, site, "k") for part in self.keys]
                for j, part in enumerate(self.queries):
                    query = opened.values(part, site, "q") * scaling
                    for k, key in enumerate(apart):
                        sums[:, i, j, k] = (query * key).sum((1, 2)).double().cpu()
        return {"sums": sums, "positions": there.sum(-1).double().cpu()}
