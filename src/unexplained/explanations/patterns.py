"""Attention patterns stated on tokens: building blocks for explanations. All (batch, to, from).

Rows are destinations, columns sources. A row may sum to less than 1: what to do with the rest is
the explanation's own statement (`rest`).
"""

from __future__ import annotations

import torch
from torch import Tensor


def previous(tokens: Tensor) -> Tensor:
    """1 from every position to the one before it.

    >>> previous(torch.tensor([[5, 5, 7]]))[0].int().tolist()
    [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    """
    batch, length = tokens.shape
    shifted = torch.diag(torch.ones(max(length - 1, 0), device=tokens.device), diagonal=-1)
    return shifted.expand(batch, length, length)


def earlier_occurrence(tokens: Tensor) -> Tensor:
    """True where the source is before the destination and holds the same token.

    >>> earlier_occurrence(torch.tensor([[5, 7, 5]]))[0].int().tolist()
    [[0, 0, 0], [0, 0, 0], [1, 0, 0]]
    """
    return (tokens[:, :, None] == tokens[:, None, :]).tril(-1)


def after_earlier_occurrence(tokens: Tensor, match: int = 1) -> Tensor:
    """True where the source comes just after an earlier occurrence of the last `match` tokens.

    >>> after_earlier_occurrence(torch.tensor([[5, 7, 5]]))[0].int().tolist()
    [[0, 0, 0], [0, 0, 0], [0, 1, 0]]
    """
    same = earlier_occurrence(tokens)
    targets = _shifted(same, 0, 1)
    for back in range(1, match):
        targets = targets & _shifted(same, back, back + 1)
    return targets


def match_length(tokens: Tensor, longest: int = 8) -> Tensor:
    """How many tokens before the source equal those up to the destination, at most `longest`.

    0 where the source does not come after an earlier occurrence of the destination's token.
    """
    lengths = torch.zeros(*tokens.shape, tokens.shape[1], dtype=torch.long, device=tokens.device)
    for match in range(1, longest + 1):
        targets = after_earlier_occurrence(tokens, match)
        if not bool(targets.any()):
            break
        lengths += targets
    return lengths


def evenly(targets: Tensor) -> Tensor:
    """Attention spread evenly over the targets of each row; rows without any stay zero.

    >>> evenly(torch.tensor([[[True, True], [False, False]]])).tolist()
    [[[0.5, 0.5], [0.0, 0.0]]]
    """
    return targets / targets.sum(-1, keepdim=True).clamp(min=1)


def most_recent(targets: Tensor) -> Tensor:
    """True at the last target of each row.

    >>> most_recent(torch.tensor([[[True, True], [False, False]]])).int().tolist()
    [[[0, 1], [0, 0]]]
    """
    later = targets.flip(-1).cumsum(-1).flip(-1)
    return targets & (later == 1)


def _shifted(same: Tensor, rows: int, columns: int) -> Tensor:
    """result[t, s] = same[t − rows, s − columns], False outside."""
    result = torch.zeros_like(same)
    length = same.shape[-1]
    if length > max(rows, columns):
        result[:, rows:, columns:] = same[:, : length - rows, : length - columns]
    return result
