"""Blocks of a text side by side: documents of like length, padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from unexplained.subject import Batch
from unexplained.text import Block


@dataclass(frozen=True)
class Plan:
    """One batch: the indices of its blocks and the blocks themselves."""

    rows: tuple[int, ...]
    blocks: tuple[Block, ...]

    def batch(self, device: torch.device) -> Batch:
        """Tokens, validity and row numbers as tensors."""
        longest = max(len(block.tokens) for block in self.blocks)
        tokens = np.zeros((len(self.blocks), longest), dtype=np.int64)
        valid = np.zeros(tokens.shape, dtype=bool)
        for i, block in enumerate(self.blocks):
            tokens[i, : len(block.tokens)] = block.tokens
            valid[i, : len(block.tokens)] = True
        return Batch(
            torch.from_numpy(tokens).to(device),
            torch.from_numpy(valid).to(device),
            torch.tensor(self.rows, device=device),
            tuple(block.document for block in self.blocks),
        )


def plan(blocks: Sequence[Block], tokens: int) -> list[Plan]:
    """Cut blocks into batches of at most `tokens` padded tokens, longest first.

    A batch is the same whatever is measured on it, which is what makes results reproducible to
    the last bit: float32 products depend on the shape of the batch.
    """
    order = sorted(range(len(blocks)), key=lambda i: (-len(blocks[i].tokens), i))
    plans: list[Plan] = []
    start = 0
    while start < len(order):
        longest = len(blocks[order[start]].tokens)
        rows = order[start : start + max(1, tokens // longest)]
        plans.append(Plan(tuple(rows), tuple(blocks[i] for i in rows)))
        start += len(rows)
    return plans
