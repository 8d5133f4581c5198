"""Whether claims follow the model where earlier sites are changed: what each says against what its site holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.evaluate.activations import width_of
from unexplained.evaluate.arrays import ArrayWork
from unexplained.evaluate.conditions import Edited, now
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Batch, Edit, Local, Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

AS_IT_IS = ""
"""Nothing is changed."""
Products = NDArray[np.float64]
"""(unit, 5): of what is held the square, of what is said, their product, the square of the difference; tokens."""


def passed_on(edits: Sequence[Edit]) -> tuple[Edit, ...]:
    """The same in one pass, and whoever reads a site that another of them edits is given what that puts there.

    By itself an edit that reads an edited site sees the model's own value.
    """
    put: dict[Site, Tensor] = {}

    def passing(edit: Edit) -> Callable[[Local], Tensor | None]:
        def function(local: Local) -> Tensor | None:
            read = {site: put.get(site, value) for site, value in local._elsewhere.items()}
            new = edit(replace(local, _elsewhere=read))
            put[edit.where] = local.value if new is None else new
            return new

        return function

    return tuple(
        replace(one, function=passing(one), calls=(*one.calls, one.function)) for one in edits
    )


@neutrally
def following(
    subject: Subject,
    text: Text,
    claim: Edited,
    changes: Sequence[Edited],
    *,
    batch_tokens: int = BATCH_TOKENS,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> dict[str, Products]:
    """Of every unit (document) of the eval part sums over tokens and numbers, after the first position.

    Where nothing is changed (`AS_IT_IS`), of values less their means over all tokens, but for the
    difference, which a claimed mean is part of; under a change, of what it changes: in the site, and in what
    the claim says.

    Args:
        subject: The model.
        text: Where it is run.
        claim: Edits one site.
        changes: Of earlier sites.
        batch_tokens: Padded tokens per batch.
        folder: Finished batches are kept here and found again.
        workers: Who does the work: this process, or those of a cluster.
        progress: Told (batches done, batches in all).

    Raises:
        UnexplainedError: As `evaluate`.
    """
    work = _Following(
        subject=subject, text=text, part="eval", batch_tokens=batch_tokens,
        conditions=(now(claim), *map(now, changes)),
    )  # fmt: skip
    found = measured(work, folder=folder, workers=workers, progress=progress)
    names = (AS_IT_IS, *(one.name for one in changes))
    units = [block.unit for some in work.plans for block in some.blocks]
    _, at = np.unique(units, return_inverse=True)
    every: dict[str, Products] = {}
    for i, name in enumerate(names):
        rows = np.concatenate([one[f"{i}"].numpy() for one in found])
        sums = np.zeros((at.max() + 1, rows.shape[1]))
        np.add.at(sums, at, rows)
        every[name] = _centred(sums) if name == AS_IT_IS else sums[:, :5]
    return every


def _centred(rows: Products) -> Products:
    """Squares and products of values less their means over all tokens."""
    sums, tokens = rows[:, :5].copy(), rows[:, 4]
    held, said = np.split(rows[:, 5:], 2, axis=1)
    for column, (one, other) in enumerate(((held, held), (said, said), (held, said))):
        mean, around = one.sum(0) / tokens.sum(), other.sum(0) / tokens.sum()
        sums[:, column] += tokens * (mean @ around) - one @ around - other @ mean
    return sums


@dataclass(frozen=True, kw_only=True)
class _Following(ArrayWork):
    """The intact pass, then one under each change; the claim is asked on what they hold."""

    what: ClassVar[str] = "Whether a claim follows"

    @property
    def asked(self) -> tuple[str, ...]:
        """Nothing besides the conditions: the claim, then the changes."""
        return ("following",)

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """By row: four sums, tokens, and sums of what is held and said."""
        claim = self.conditions[0]
        assert isinstance(claim, Edited)
        width = math.prod(width_of(claim.edits[0].where, self.subject))
        size = (self.plans[number].size[0], 5 + 2 * width)
        return {f"{i}": size for i in range(len(self.conditions))}

    def arrays(self, number: int) -> dict[str, Tensor]:
        """A pass for each change."""
        claim, *changes = (one for one in self.conditions if isinstance(one, Edited))
        (edit,) = claim.edits
        batch = self.plans[number].batch(self.subject.device)
        held, said = self._both(batch, edit, ())
        found = {"0": _sums(batch, held, said)}
        for i, change in enumerate(changes, 1):
            there, then = self._both(batch, edit, change.edits)
            found[f"{i}"] = _sums(batch, there - held, then - said)
        return found

    def _both(self, batch: Batch, claim: Edit, edits: Sequence[Edit]) -> tuple[Tensor, Tensor]:
        """What the site holds under some edits, and what the claim says of it there."""
        seen: list[tuple[Tensor, Tensor]] = []

        def look(local: Local) -> None:
            said = claim(local)
            held = local.value
            seen.append((held.double(), (held if said is None else said).double()))

        self.subject.run(batch, passed_on((*edits, replace(claim, function=look))))
        (both,) = seen
        return both


def _sums(batch: Batch, held: Tensor, said: Tensor) -> Tensor:
    """(row, 5 + twice the width), over real tokens after the first."""
    real = batch.valid.clone()
    real[:, 0] = False
    held, said = (one.reshape(*real.shape, -1) * real[..., None] for one in (held, said))
    pairs = ((held, held), (said, said), (held, said), (held - said, held - said))
    sums = torch.stack([(one * other).sum((1, 2)) for one, other in pairs], -1)
    return torch.cat([sums, real.sum(1, keepdim=True).double(), held.sum(1), said.sum(1)], -1)
