"""Blocks of a text side by side: documents of like length, padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unexplained.subject import Batch
from unexplained.text import Block, Pair


@dataclass(frozen=True)
class BatchPlan:
    """One batch: the indices of its blocks and the blocks themselves."""

    rows: tuple[int, ...]
    blocks: tuple[Block, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Rows, and positions with padding."""
        return len(self.blocks), max(len(block.tokens) for block in self.blocks)

    def batch(self, device: torch.device) -> Batch:
        """Tokens, validity and row numbers as tensors."""
        longest = max(len(block.tokens) for block in self.blocks)
        tokens = np.zeros((len(self.blocks), longest), dtype=np.int64)
        valid = np.zeros(tokens.shape, dtype=bool)
        for i, block in enumerate(self.blocks):
            tokens[i, : len(block.tokens)] = block.tokens
            valid[i, : len(block.tokens)] = True
        corrupted = None
        pairs = [block for block in self.blocks if isinstance(block, Pair)]
        if len(pairs) == len(self.blocks):
            others = np.zeros_like(tokens)
            for i, pair in enumerate(pairs):
                others[i, : len(pair.corrupted)] = pair.corrupted
            corrupted = torch.from_numpy(others).to(device)
        return Batch(
            torch.from_numpy(tokens).to(device),
            torch.from_numpy(valid).to(device),
            torch.tensor(self.rows, device=device),
            tuple(block.document for block in self.blocks),
            corrupted=corrupted,
        )

    @property
    def shared(self) -> int:
        """Leading positions that are the same in both prompts of every pair; 0 for running text."""
        return min(block.shared if isinstance(block, Pair) else 0 for block in self.blocks)

    def scored(self, device: torch.device) -> Scored:
        """Which predictions are scored, and against what."""
        longest = max(len(block.tokens) for block in self.blocks)
        where = np.zeros((len(self.blocks), longest), dtype=bool)
        for i, block in enumerate(self.blocks):
            where[i, block.scored] = True
        targets = np.concatenate([block.targets for block in self.blocks]).astype(np.int64)
        wrong = [block.wrong for block in self.blocks if isinstance(block, Pair)]
        return Scored(
            torch.from_numpy(where).to(device),
            torch.from_numpy(targets).to(device),
            torch.tensor(wrong, device=device) if len(wrong) == len(self.blocks) else None,
        )


@dataclass(frozen=True)
class Scored:
    """The predictions of a batch that are scored.

    `where` (batch, position) bool; of its n true places, row by row: `targets` (n,), the tokens
    that were to be predicted, and of pairs `wrong` (n,), the ones that they are held against.
    """

    where: Tensor
    targets: Tensor
    wrong: Tensor | None


def plan(blocks: Sequence[Block], tokens: int) -> list[BatchPlan]:
    """Cut blocks into batches of at most `tokens` padded tokens, longest first; pairs by their prefix.

    A batch is the same whatever is measured on it, which is what makes results reproducible to
    the last bit: float32 products depend on the shape of the batch.
    """

    def like(i: int) -> tuple[int, int, int]:
        block = blocks[i]
        return -len(block.tokens), -block.shared if isinstance(block, Pair) else 0, i

    order = sorted(range(len(blocks)), key=like)
    plans: list[BatchPlan] = []
    start = 0
    while start < len(order):
        longest = len(blocks[order[start]].tokens)
        rows = order[start : start + max(1, tokens // longest)]
        plans.append(BatchPlan(tuple(rows), tuple(blocks[i] for i in rows)))
        start += len(rows)
    return plans
