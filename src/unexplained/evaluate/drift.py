"""How far conditions take the stream from where the model is used to it: its norm, and the final norm's scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.conditions import Edited, now
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.subject.edits import first_layer
from unexplained.text import Text


@dataclass(frozen=True)
class Drift:
    """Of every document after its first position: edited over intact, less 1."""

    stream: tuple[NDArray[np.float64], ...]
    """The length of the stream after the last edited layer."""
    scale: tuple[NDArray[np.float64], ...]
    """What the final norm multiplies by."""


@neutrally
def drift(
    subject: Subject,
    text: Text,
    conditions: Sequence[Edited],
    *,
    batch_tokens: int = BATCH_TOKENS,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> dict[str, Drift]:
    """Every condition's drift on the eval part of a text, by its name.

    Raises:
        UnexplainedError: As `evaluate`.
    """
    work = _Drift(
        subject=subject, text=text, part="eval", batch_tokens=batch_tokens,
        conditions=tuple(map(now, conditions)),
    )  # fmt: skip
    found = measured(work, folder=folder, workers=workers, progress=progress)
    every: dict[str, Drift] = {}
    for i, condition in enumerate(conditions):
        rows = [
            arrays[f"{i}"][row, 1 : len(block.tokens)].double().numpy()
            for some, arrays in zip(work.plans, found, strict=True)
            for row, block in enumerate(some.blocks)
        ]
        every[condition.name] = Drift(tuple(r[:, 0] for r in rows), tuple(r[:, 1] for r in rows))
    return every


@dataclass(frozen=True, kw_only=True)
class _Drift(ArrayWork):
    """Both ratios of every condition, token by token; only the passes, no predictions."""

    what: ClassVar[str] = "The drift of the stream"

    @property
    def asked(self) -> tuple[str, ...]:
        """Nothing besides the conditions."""
        return ("drift",)

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(row, position, 2)."""
        return {f"{i}": (*self.plans[number].size, 2) for i in range(len(self.conditions))}

    def arrays(self, number: int) -> dict[str, Tensor]:
        """The intact pass, then each condition from its first layer on."""
        subject, layers = self.subject, self.subject.shape.layers
        edited = [one for one in self.conditions if isinstance(one, Edited)]
        starts = [min(max(first_layer(one.edits), 0), layers) for one in edited]
        last = [Site(max(max(e.where.layer for e in one.edits), 0), "resid_post") for one in edited]
        last = [site if site.layer < layers else Site(layers - 1, "resid_post") for site in last]
        batch = self.plans[number].batch(subject.device)
        whole = subject.run(batch, keep=last, keep_streams=starts)
        found = {}
        for i, (one, start, site) in enumerate(zip(edited, starts, last, strict=True)):
            there = subject.run(
                batch, one.edits, resume=whole.resume(start), keep=[site] if start < layers else []
            )
            after = there.values.get(site, whole.values[site])
            ratios = (
                after.double().norm(dim=-1) / whole.values[site].double().norm(dim=-1),
                self._scale(there.stream) / self._scale(whole.stream),
            )
            found[f"{i}"] = torch.stack(ratios, -1) - 1
        return found

    def _scale(self, stream: Tensor) -> Tensor:
        anatomy = self.subject.anatomy
        return anatomy.norm_scale(anatomy.final_norm, stream.double())[..., 0]
