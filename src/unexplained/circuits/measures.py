"""What attribution is about: one number per scored prediction, and its gradient.

| measure | what | unit |
|---|---|---|
| `logit difference` | logit(answer) − logit(wrong); pairs only | logits |
| `loss` | −log p(target) | nats |
| `kl` | KL of the intact model's prediction from this one | nats |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from unexplained.circuits.graph import CircuitError
from unexplained.evaluate.batches import Scored
from unexplained.subject import Subject

Metric = Literal["logit difference", "loss", "kl"]

ROWS = 64
"""Predictions whose logits are held at once."""


def values(
    subject: Subject, normed: Tensor, scored: Scored, measure: Metric, clean: Tensor | None = None
) -> Tensor:
    """The measure at every scored prediction, float64.

    Args:
        subject: The model.
        normed: The final norm's output, (copies · batch, position, width).
        scored: What of each copy is scored.
        measure: Which number.
        clean: The intact model's, (batch, position, width); for `kl`.

    Returns:
        (copies · predictions,).

    Raises:
        CircuitError: A logit difference of running text.
    """
    with torch.no_grad(), subject.undisturbed():
        picked = normed[_where(normed, scored)]
        parts = _chunks(subject, picked, scored, measure, clean)
        return torch.cat([of(rows).double() for rows, of in parts])


def gradient(
    subject: Subject, normed: Tensor, scored: Scored, measure: Metric, clean: Tensor | None = None
) -> Tensor:
    """Gradient of the sum of the measure with respect to `normed`, of its shape.

    Arguments and errors are those of `values`. Whole rows of logits exist for `ROWS` predictions
    at a time.
    """
    where = _where(normed, scored)
    found = []
    with torch.enable_grad(), subject.undisturbed():
        for rows, of in _chunks(subject, normed.detach()[where], scored, measure, clean):
            leaf = rows.requires_grad_()
            found.append(torch.autograd.grad(of(leaf).sum(), leaf)[0])
    whole = torch.zeros_like(normed)
    whole[where] = torch.cat(found)
    return whole


def _where(normed: Tensor, scored: Scored) -> Tensor:
    return scored.where.repeat(len(normed) // len(scored.where), 1)


def _chunks(
    subject: Subject, picked: Tensor, scored: Scored, measure: Metric, clean: Tensor | None
) -> list[tuple[Tensor, Callable[[Tensor], Tensor]]]:
    """Some predictions at a time, each time with the function that measures them."""
    anatomy = subject.anatomy
    copies = len(picked) // len(scored.targets)
    targets = scored.targets.repeat(copies)
    if measure == "logit difference":
        if scored.wrong is None:
            raise CircuitError(
                "The logit difference of running text",
                "nothing says which word is the wrong one",
                "Use measure='loss', or pairs of prompts.",
            )
        ids = torch.stack([targets, scored.wrong.repeat(copies)], -1)

        def logit_difference(rows: Tensor) -> Tensor:
            logits = anatomy.logits_of(rows, ids)
            return logits[:, 0] - logits[:, 1]

        return [(picked, logit_difference)]
    intact = None if clean is None else clean[scored.where].repeat(copies, 1)

    def measured(start: int) -> Callable[[Tensor], Tensor]:
        here = slice(start, start + ROWS)

        def of(rows: Tensor) -> Tensor:
            log_p = _log_softmax(anatomy.logits(rows))
            if measure == "loss":
                return -log_p.gather(-1, targets[here, None])[:, 0]
            assert intact is not None
            with torch.no_grad():
                base = _log_softmax(anatomy.logits(intact[here]))
            # A word that the intact model rules out (−∞) adds nothing: p log p is 0 there.
            return (base.exp() * (base - log_p).masked_fill(base == -torch.inf, 0.0)).sum(-1)

        return of

    return [(picked[i : i + ROWS], measured(i)) for i in range(0, len(picked), ROWS)]


def _log_softmax(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
