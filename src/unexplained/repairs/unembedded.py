"""Losses and their gradient from the final norm's output, a few rows of logits at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from unexplained.subject.anatomy import Anatomy

LOGITS = 2**23
"""At once: memory of this size is used again from step to step and not asked for anew."""


def losses(anatomy: Anatomy, normed: Tensor, targets: Tensor) -> Tensor:
    """Of every row (n, width) against its target, (n,) nats."""
    found = [
        cross_entropy(anatomy.logits(some).float(), goal, reduction="none")
        for some, goal in _few(anatomy, normed, targets)
    ]
    return torch.cat(found)


def pull(anatomy: Anatomy, normed: Tensor, targets: Tensor) -> Tensor:
    """The gradient of the mean loss with respect to the rows, (n, width).

    Of all rows at once the logits and what belongs to them would be written four times over.
    """
    pulls = list[Tensor]()
    for some, goal in _few(anatomy, normed, targets):
        some.requires_grad_()
        with torch.enable_grad():
            logits = anatomy.logits(some)
        away = logits.detach().float().softmax(-1)
        away[torch.arange(len(goal), device=goal.device), goal] -= 1
        pulls += torch.autograd.grad(logits, some, away.to(logits.dtype))
    return torch.cat(pulls) / len(targets)


def _few(anatomy: Anatomy, normed: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows with their targets, as many together as there is room for."""
    many = max(1, LOGITS // anatomy.shape.vocabulary)
    return zip(torch.split(normed, many), torch.split(targets, many), strict=True)
