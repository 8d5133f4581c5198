"""Where every head looks: how much of its attention goes where a rule would send it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from unexplained.errors import MeasurementError
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.explanations import patterns
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Edit, Local, Subject
from unexplained.text import Text

RULES: dict[str, Callable[[Tensor], Tensor]] = {
    "induction": patterns.after_earlier_occurrence,
    "previous_token": patterns.previous,
    "duplicate_token": patterns.earlier_occurrence,
}
"""Where each rule would attend, (batch, to, from)."""


def attention_on_targets(
    subject: Subject,
    text: Text,
    batch_tokens: int,
    *,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> dict[str, Tensor]:
    """Mean attention on every rule's targets over the destinations that have any, (layer, head).

    Raises:
        MeasurementError: A pattern is not finite; or as `evaluate` where there is a folder.
    """
    work = _Attending(subject=subject, text=text, part="eval", batch_tokens=batch_tokens)
    shape = subject.shape
    attention = torch.zeros(len(RULES), shape.layers, shape.heads, dtype=torch.float64)
    destinations = torch.zeros(len(RULES), dtype=torch.float64)
    for arrays in measured(work, folder=folder, workers=workers, progress=progress):
        attention += arrays["attention"]
        destinations += arrays["destinations"]
    return {
        rule: total / max(float(count), 1.0)
        for rule, total, count in zip(RULES, attention, destinations, strict=True)
    }


@dataclass(frozen=True, kw_only=True)
class _Attending(ArrayWork):
    """Sums over a batch."""

    what: ClassVar[str] = "The attention of heads"
    asked: ClassVar[tuple[str, ...]] = ()

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """(rule, layer, head) and (rule,)."""
        shape = self.subject.shape
        sizes = (len(RULES), shape.layers, shape.heads)
        return {"attention": sizes, "destinations": sizes[:1]}

    def arrays(self, number: int) -> dict[str, Tensor]:
        """One pass, on which every head is watched."""
        batch = self.plans[number].batch(self.subject.device)
        targets = [(rule(batch.tokens) > 0) & batch.valid[:, :, None] for rule in RULES.values()]
        masks = [some.float() for some in targets]
        attention = torch.zeros(self.shapes(number)["attention"], dtype=torch.float64)

        def watch(local: Local) -> None:
            for i, mask in enumerate(masks):
                found = float((local.value * mask).sum())
                if not math.isfinite(found):
                    raise MeasurementError(
                        f"The attention of {local.site}", "it is NaN or infinite",
                        "Load the model in float32.",
                    )  # fmt: skip
                attention[i, local.site.layer, local.site.index] = found

        _, layers, heads = attention.shape
        every = [
            Site(layer, "H", head, "pattern") for layer in range(layers) for head in range(heads)
        ]
        self.subject.run(batch, [Edit(site, watch) for site in every])
        rows = [float(some.any(-1).sum()) for some in targets]
        return {"attention": attention, "destinations": torch.tensor(rows, dtype=torch.float64)}
