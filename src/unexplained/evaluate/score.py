"""Losses from final streams, a few rows of logits at a time.

The logits of a batch are never held at once (9 x 4096 x 49,152 floats would be 7 GB). All
conditions go through a chunk of rows together, so the intact model's logits are computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Rows = Callable[[slice], Tensor]
"""Logits (or log probabilities) of some of the rows, (rows, vocabulary)."""

CHUNK = 128
"""Rows of logits at a time: large enough for the matrix product, small enough for the cache."""


@dataclass(frozen=True)
class Scores:
    """Per predicted token: loss and KL from the intact model (nats), top-1 prediction."""

    loss: Tensor
    kl: Tensor
    predicted: Tensor


def score(intact: Rows, conditions: Mapping[str, Rows], targets: Tensor) -> dict[str, Scores]:
    """Score conditions against the targets and against the intact model.

    Args:
        intact: The intact model's logits by row.
        conditions: Every condition's logits by row.
        targets: (n,) the tokens that were to be predicted.

    Returns:
        Scores for every condition and, under the name `intact`, for the intact model. KL is
        sum_w p(w) log p(w)/q(w) with p the intact model; the intact model's own is exactly 0.
    """
    count = targets.shape[0]
    parts: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {"intact": []}
    parts |= {name: [] for name in conditions}
    for start in range(0, count, CHUNK):
        rows = slice(start, min(start + CHUNK, count))
        wanted = targets[rows, None]
        base = intact(rows).float()
        base_lse = base.logsumexp(-1)
        probabilities = (base - base_lse[:, None]).exp_()
        zero = torch.zeros_like(base_lse)
        parts["intact"].append((_loss(base, base_lse, wanted), zero, base.argmax(-1)))
        for name, logits_of in conditions.items():
            logits = logits_of(rows).float()
            lse = logits.logsumexp(-1)
            loss, predicted = _loss(logits, lse, wanted), logits.argmax(-1)
            # p·(z_p − z_q) rather than p·z_p − p·z_q: the difference is small where KL is.
            kl = torch.linalg.vecdot(probabilities, base - logits) + lse - base_lse
            parts[name].append((loss, kl, predicted))
    return {
        name: Scores(*(torch.cat(column) for column in zip(*rows_of, strict=True)))
        for name, rows_of in parts.items()
    }


def _loss(logits: Tensor, lse: Tensor, wanted: Tensor) -> Tensor:
    return lse - logits.gather(-1, wanted)[:, 0]
