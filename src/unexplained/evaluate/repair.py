"""What an ablation does to the right token's logit, by the road that it takes: directly, through later parts, through the norm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.errors import MeasurementError
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.batches import BatchPlan
from unexplained.evaluate.conditions import Edited, now
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Batch, Pass, Subject
from unexplained.subject.ambient import neutrally
from unexplained.subject.edits import first_layer
from unexplained.text import Text

ROADS = ("total", "direct", "opposing", "agreeing", "norm")
"""Changes of the right token's logit. `direct`: what the component no longer writes, at the final
norm's intact scale. `opposing` and `agreeing`: what later blocks (a layer's attention, an MLP) write
otherwise, at that scale too, those that go against the direct change and those that go with it, told
token by token. `norm`: what the final norm's other scale does to all of it. The last four add up to
the first."""


@dataclass(frozen=True)
class Roads:
    """A condition's changes of the right token's logit, prediction by prediction."""

    units: tuple[str, ...]
    """Of every document the unit of resampling."""
    documents: tuple[NDArray[np.float64], ...]
    """(prediction, road), in the order of `ROADS`."""


@neutrally
def roads(
    subject: Subject,
    text: Text,
    conditions: Sequence[Edited],
    *,
    batch_tokens: int = BATCH_TOKENS,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> dict[str, Roads]:
    """Every condition's roads on the eval part of a text, by its name.

    Raises:
        MeasurementError: The model bends its logits (soft caps), so that no change of one adds up; or
            as `evaluate`.
    """
    if getattr(subject.anatomy.model.config, "final_logit_softcapping", None) is not None:
        raise MeasurementError(
            f"Roads to a logit of {subject.name}",
            "this model caps its logits softly, and parts of a bent logit do not add up",
            "Measure losses instead: unexplained sweep MODEL.",
        )
    work = _Roads(
        subject=subject, text=text, part="eval", batch_tokens=batch_tokens,
        conditions=tuple(map(now, conditions)),
    )  # fmt: skip
    found = measured(work, folder=folder, workers=workers, progress=progress)
    every: dict[str, Roads] = {}
    for i, condition in enumerate(conditions):
        units, documents = [], []
        for some, arrays in zip(work.plans, found, strict=True):
            counts = [len(block.targets) for block in some.blocks]
            rows = arrays["roads"][i].double().numpy()
            documents += np.split(rows, np.cumsum(counts)[:-1])
            units += [block.unit for block in some.blocks]
        every[condition.name] = Roads(tuple(units), tuple(documents))
    return every


@dataclass(frozen=True, kw_only=True)
class _Roads(ArrayWork):
    """All roads of every condition on a batch."""

    what: ClassVar[str] = "The roads of an effect"

    @property
    def asked(self) -> tuple[str, ...]:
        """Nothing besides the conditions."""
        return ("roads", *ROADS)

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(condition, prediction, road)."""
        predicted = sum(len(block.targets) for block in self.plans[number].blocks)
        return {"roads": (len(self.conditions), predicted, len(ROADS))}

    def arrays(self, number: int) -> dict[str, Tensor]:
        """The intact pass, then each condition from its first layer on."""
        edited = [one for one in self.conditions if isinstance(one, Edited)]
        with torch.no_grad():
            batch = _Batch(self.subject, self.plans[number], edited)
            return {"roads": torch.stack([batch.roads(one) for one in edited])}


class _Batch:
    """One batch: what the right token's logit reads, and the intact pass."""

    def __init__(self, subject: Subject, plan: BatchPlan, edited: Sequence[Edited]) -> None:
        self.subject = subject
        self.batch: Batch = plan.batch(subject.device)
        self.scored = plan.scored(subject.device)
        layers = range(subject.shape.layers)
        self.blocks = [Site(layer, part) for layer in layers for part in ("attn", "mlp")]  # type: ignore[arg-type]
        starts = {self._start(one) for one in edited}
        self.intact = subject.run(self.batch, keep=self.blocks, keep_streams=sorted(starts))
        self.reader = self._reader()
        self.logit = self._logits(self.intact)

    def _start(self, one: Edited) -> int:
        return max(first_layer(one.edits), 0)

    def _logits(self, done: Pass) -> Tensor:
        """The right tokens' logits, (prediction,)."""
        ids = self.scored.targets[:, None]
        return self.subject.logits_of(done.normed[self.scored.where], ids)[:, 0].double()

    def _reader(self) -> Tensor:
        """What a change of the stream is multiplied by, at the intact scale, (prediction, width)."""
        anatomy = self.subject.anatomy
        stream = self.intact.stream[self.scored.where]
        _, scale, gain = anatomy.norm_frame(anatomy.final_norm, stream)
        weight = anatomy.unembed.weight
        assert isinstance(weight, Tensor)
        rows = weight.detach()[self.scored.targets] * gain * scale
        if anatomy.architecture.norm == "layer":  # the norm takes the mean out of whatever it reads
            rows = rows - rows.mean(-1, keepdim=True)
        return rows.double() / anatomy.architecture.logits_divisor(anatomy.model.config)

    def roads(self, one: Edited) -> Tensor:
        """(prediction, road)."""
        start = self._start(one)
        later = [site for site in self.blocks if site.layer >= start]
        done = self.subject.run(self.batch, one.edits, resume=self.intact.resume(start), keep=later)
        where, own = self.scored.where, {edit.where.layer for edit in one.edits}
        direct = torch.zeros_like(self.logit)
        parts = []
        for site in later:
            moved = (done.values[site] - self.intact.values[site])[where].double()
            change = (moved * self.reader).sum(-1)
            if site.part == "attn" and site.layer in own:
                direct = direct + change
            else:
                parts.append(change)
        changes = torch.stack([*parts, torch.zeros_like(direct)])
        against = changes * direct < 0
        total = self._logits(done) - self.logit
        opposing, agreeing = (changes * against).sum(0), (changes * ~against).sum(0)
        norm = total - direct - opposing - agreeing
        return torch.stack([total, direct, opposing, agreeing, norm], -1).float()
