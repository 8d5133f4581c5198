"""A beginning that many passes share, run once: its keys and values are reused.

In a causal model nothing later changes what stands at earlier positions, so where two prompts
begin alike and an intervention is the identity there, only the positions after the beginning
need to be run. The cache gives out prefix and new keys joined and stores nothing, so any number
of passes, one after another or stacked along the batch, can use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from unexplained.subject.anatomy import Anatomy


class ReadOnlyCache(DynamicCache):  # type: ignore[misc]
    """Keys and values of a prefix. `update` joins new ones to them and keeps nothing."""

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Prefix and new keys, prefix and new values; copies of the batch share one prefix."""
        kept = self.layers[layer_idx]
        return _joined(kept.keys, key_states), _joined(kept.values, value_states)


def _joined(kept: Tensor, new: Tensor) -> Tensor:
    copies = new.shape[0] // kept.shape[0]
    return torch.cat([kept.repeat(copies, 1, 1, 1) if copies > 1 else kept, new], dim=-2)


@dataclass(frozen=True)
class Prefix:
    """The beginning of every row of a batch, run through the model."""

    length: int
    """How many positions."""
    cache: ReadOnlyCache

    def rows(self, which: Tensor) -> Prefix:
        """The beginnings of some rows, (n,) indices."""
        kept = [(layer.keys[which], layer.values[which]) for layer in self.cache.layers]
        return Prefix(self.length, ReadOnlyCache(kept))


def run_prefix(anatomy: Anatomy, tokens: Tensor) -> Prefix:
    """Run (batch, position) tokens and keep the keys and values of every layer.

    Rows that are the same are run once: pairs and their role-swaps begin alike.
    """
    anatomy.require_positions(tokens.shape[1])
    anatomy.require_tokens(tokens)
    distinct, which = torch.unique(tokens, dim=0, return_inverse=True)
    filled = DynamicCache()
    with torch.no_grad():
        anatomy.body(input_ids=distinct, past_key_values=filled, use_cache=True)
    kept = [(layer.keys, layer.values) for layer in filled.layers]
    return Prefix(tokens.shape[1], ReadOnlyCache(kept)).rows(which)
