"""From scores per token to the rows of a ledger: sums by document and stratum, in float64."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
from torch import Tensor

from unexplained.evaluate.batches import Plan
from unexplained.evaluate.score import Scores
from unexplained.ledger import ALL, COLUMNS, SCHEMA, TOKEN_SCHEMA, Ledger


def rows_of(
    scores: Mapping[str, Scores],
    errors: Mapping[str, Tensor],
    intact: Tensor | None,
    targets: Tensor,
    plan: Plan,
    labels: Sequence[Mapping[str, np.ndarray]],
    keep_tokens: Collection[str],
) -> Ledger:
    """Sum up one batch.

    Args:
        scores: Of every condition, per scored token, documents one after another.
        errors: Squared error at the edited sites per token, where that was asked for.
        intact: The intact model's top-1 predictions; None where they were not asked for.
        targets: The tokens that were to be predicted.
        plan: The batch's blocks.
        labels: Of every block, stratum family → label of every scored token.
        keep_tokens: Conditions of which every token's loss is kept.
    """
    counts = [len(block.targets) for block in plan.blocks]
    ends = np.cumsum(counts)
    masks = [_masks(some, count) for some, count in zip(labels, counts, strict=True)]
    columns: dict[str, list[object]] = {field: [] for field in SCHEMA.names}
    per_token: dict[str, list[object]] = {field: [] for field in TOKEN_SCHEMA.names}
    for name, got in scores.items():
        values = _values(got, errors.get(name), intact, targets)
        for block, count, end, of_block in zip(plan.blocks, counts, ends, masks, strict=True):
            here = slice(int(end) - count, int(end))
            for (family, label), mask in of_block.items():
                row: dict[str, object] = {
                    "condition": name, "document": block.unit, "family": family, "label": label,
                    "tokens": int(mask.sum()),
                }  # fmt: skip
                row |= {
                    column: None if value is None else value[here][mask].sum()
                    for column, value in values.items()
                }
                for field, entry in row.items():
                    columns[field].append(entry)
            if name in keep_tokens and got.loss is not None and got.predicted is not None:
                kept = (name, block.unit, got.loss[here].tolist(), got.predicted[here].tolist())
                for field, entry in zip(TOKEN_SCHEMA.names, kept, strict=True):
                    per_token[field].append(entry)
    return Ledger(pa.table(columns, SCHEMA), pa.table(per_token, TOKEN_SCHEMA))


def _values(
    got: Scores, error: Tensor | None, intact: Tensor | None, targets: Tensor
) -> dict[str, np.ndarray | None]:
    """Every column of a ledger per token; None where it was not asked for."""
    tensors = {
        "loss": got.loss,
        "kl": got.kl,
        "agree": None
        if got.predicted is None or intact is None
        else got.predicted.eq(intact).long(),
        "correct": None if got.predicted is None else got.predicted.eq(targets).long(),
        "margin": got.margin,
        "preferred": None if got.margin is None else (got.margin > 0).long(),
        "error": error,
    }
    assert tuple(tensors) == COLUMNS
    return {name: None if value is None else _numpy(value) for name, value in tensors.items()}


def _numpy(values: Tensor) -> np.ndarray:
    wide = values.double() if values.is_floating_point() else values
    return np.asarray(wide.cpu().numpy())


def _masks(labels: Mapping[str, np.ndarray], count: int) -> dict[tuple[str, str], np.ndarray]:
    """Which tokens of a block belong to each (family, label); empty ones are left out."""
    masks = {ALL: np.ones(count, dtype=bool)}
    for family, values in labels.items():
        for label in dict.fromkeys(values.tolist()):
            masks[family, label] = values == label
    return masks
