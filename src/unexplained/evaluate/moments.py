"""Every neuron of a model against a label: how its activation goes with yes and no."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.hashing import digest
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

TOKENS = 2048
"""Padded tokens of a batch: all neurons of all layers are held at once."""


@dataclass(frozen=True, kw_only=True)
class _Moments(ArrayWork):
    """Sums over a batch's tokens: of activations, their squares, and activations where the label says yes."""

    what: ClassVar[str] = "Neurons under a label"

    yes: Mapping[str, NDArray[np.bool_]]

    @property
    def asked(self) -> tuple[str, ...]:
        """What the label says of every document."""
        return ("moments", digest(*(f"{k} {v.tobytes().hex()}" for k, v in self.yes.items())))

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """Three sums by layer and neuron; how many tokens, and how many yes."""
        shape = self.subject.shape
        return {"sums": (3, shape.layers, shape.neurons), "counts": (2,)}

    def arrays(self, number: int) -> dict[str, Tensor]:
        """One pass."""
        shape, some = self.subject.shape, self.plans[number]
        batch = some.batch(self.subject.device)
        every = [
            [Site(layer, "N", i) for i in range(shape.neurons)] for layer in range(shape.layers)
        ]
        values = self.subject.run(batch, keep=[site for row in every for site in row]).values
        said = np.concatenate([self.yes[block.document] for block in some.blocks])
        yes = torch.from_numpy(said).to(self.subject.device).double()
        sums = torch.zeros(3, shape.layers, shape.neurons, dtype=torch.float64)
        for layer, row in enumerate(every):
            acts = torch.stack([values.pop(site)[batch.valid] for site in row], -1).double()
            sums[:, layer] = torch.stack([acts.sum(0), acts.square().sum(0), yes @ acts]).cpu()
        counts = torch.tensor([float(yes.numel()), float(yes.sum())], dtype=torch.float64)
        return {"sums": sums, "counts": counts}


@neutrally
def correlations(
    subject: Subject,
    text: Text,
    yes: Mapping[str, NDArray[np.bool_]],
    *,
    part: Literal["eval", "fit"] = "fit",
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> NDArray[np.float64]:
    """Correlation of every neuron's activation with a label's yes, (layer, neuron); 0 where one is constant.

    Args:
        subject: The model.
        text: Where it is run.
        yes: Document → what the label says of every token.
        part: Of the text.
        folder: What is summed is kept here and found again.
        workers: Who does the work.
        progress: Told (batches done, batches in all).

    Raises:
        UnexplainedError: As `evaluate`.
    """
    work = _Moments(subject=subject, text=text, part=part, batch_tokens=TOKENS, yes=yes)
    found = list(measured(work, folder=folder, workers=workers, progress=progress))
    total, square, with_yes = np.sum([one["sums"].numpy() for one in found], axis=0)
    tokens, many = np.sum([one["counts"].numpy() for one in found], axis=0)
    share = many / tokens
    covariance = with_yes / tokens - share * total / tokens
    variance = np.maximum(square / tokens - (total / tokens) ** 2, 0.0)
    spread = np.sqrt(np.maximum(variance * share * (1 - share), 0.0))
    # What is constant but for rounding goes with nothing.
    varies = variance > 1e-12 * np.maximum(square / tokens, np.finfo(float).tiny)
    return np.asarray(np.where(varies, covariance / np.where(spread > 0, spread, 1.0), 0.0))
