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
    sums = attention_by_batch(
        subject, text, batch_tokens, folder=folder, workers=workers, progress=progress
    )
    return {
        rule: torch.stack([one for one, _ in found]).sum(0) / max(sum(n for _, n in found), 1.0)
        for rule, found in sums.items()
    }


def attention_by_batch(
    subject: Subject,
    text: Text,
    batch_tokens: int,
    *,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> dict[str, list[tuple[Tensor, float]]]:
    """Of every rule and batch the attention on its targets, summed (layer, head), and over how many."""
    work = _Attending(subject=subject, text=text, part="eval", batch_tokens=batch_tokens)
    found = list(measured(work, folder=folder, workers=workers, progress=progress))
    return {
        rule: [(one["attention"][i], float(one["destinations"][i])) for one in found]
        for i, rule in enumerate(RULES)
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
