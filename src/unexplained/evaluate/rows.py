"""From scores per token to the rows of a ledger: sums by document and stratum, in float64."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from torch import Tensor

from unexplained.evaluate.batches import BatchPlan
from unexplained.evaluate.score import Scores
from unexplained.ledger import ALL, COLUMNS, SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.text import Block
from unexplained.text.strata import varying


def rows_of(
    scores: Mapping[str, Scores],
    errors: Mapping[str, Tensor],
    intact: Tensor | None,
    targets: Tensor,
    plan: BatchPlan,
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
        labels: Of every block, partition → label of every scored token.
        keep_tokens: Conditions of which every token's loss is kept.
    """
    strata = _Strata.of(plan.blocks, labels)
    values = _values(scores, errors, intact, targets)
    rows, names = len(strata.tokens), list(scores)
    table: dict[str, pa.Array] = {
        "condition": pa.array([name for name in names for _ in range(rows)], pa.string()),
        "document": pa.array(strata.document * len(names), pa.string()),
        "partition": pa.array(strata.partition * len(names), pa.string()),
        "label": pa.array(strata.label * len(names), pa.string()),
        "tokens": pa.array(np.tile(strata.tokens, len(names))),
    }
    for column in COLUMNS:
        sums, missing = np.zeros((len(names), rows)), np.ones((len(names), rows), dtype=bool)
        for i, name in enumerate(names):
            if name in values[column]:
                sums[i], missing[i] = strata.sums(values[column][name]), False
        kind = SCHEMA.field(column).type
        flat = sums.ravel().astype(kind.to_pandas_dtype())
        table[column] = pa.array(flat, kind, mask=missing.ravel())
    return Ledger(pa.table(table, SCHEMA), _kept(scores, values["loss"], plan.blocks, keep_tokens))


def with_whole_blocks(ledger: Ledger, blocks: Sequence[Block]) -> Ledger:
    """A batch's rows, and those of the user's strata that whole blocks are in.

    Such a stratum has of a block either all tokens or none, so its row is the block's own.
    """
    measured = varying(blocks)
    wholly = [
        (place, partition, str(labels[0]))
        for place, block in enumerate(blocks)
        for partition, labels in block.marks.items()
        if partition not in measured and len(labels)
    ]
    if not wholly:
        return ledger
    places, partitions, labels = zip(*wholly, strict=True)
    parts = [ledger.table]
    for condition in ledger.conditions:
        rows = ledger.only([condition]).table
        added = rows.filter(pc.equal(rows["partition"], ALL[0])).take(list(places))
        for name, column in (("partition", partitions), ("label", labels)):
            at = SCHEMA.get_field_index(name)
            added = added.set_column(at, SCHEMA.field(at), pa.array(column, pa.string()))
        parts.append(added)
    return Ledger(pa.concat_tables(parts), ledger.tokens)


@dataclass(frozen=True)
class _Strata:
    """The rows that every condition has in a batch, and which tokens each is about."""

    document: list[str]
    partition: list[str]
    label: list[str]
    tokens: NDArray[np.int64]
    """How many tokens a row has."""
    members: NDArray[np.int64]
    """The tokens of all rows, one row after another."""
    row: NDArray[np.int64]
    """Which row each of those is of."""

    @classmethod
    def of(cls, blocks: Sequence[Block], labels: Sequence[Mapping[str, np.ndarray]]) -> _Strata:
        """Every block's rows: all of its tokens, then each (partition, label) that is not empty."""
        document: list[str] = []
        partition: list[str] = []
        label: list[str] = []
        members: list[NDArray[np.int64]] = []
        first = 0
        for block, some in zip(blocks, labels, strict=True):
            places = np.arange(first, first + len(block.targets))
            first += len(places)
            found = {ALL: places}
            for name, values in some.items():
                for one in dict.fromkeys(values.tolist()):
                    found[name, one] = places[values == one]
            document += [block.unit] * len(found)
            partition += [name for name, _ in found]
            label += [one for _, one in found]
            members += found.values()
        counts = np.array([len(some) for some in members])
        row = np.repeat(np.arange(len(counts)), counts)
        return cls(document, partition, label, counts, np.concatenate(members), row)

    def sums(self, values: np.ndarray) -> NDArray[np.float64]:
        """Of one number per token, the sum of every row."""
        return np.asarray(np.bincount(self.row, values[self.members], len(self.tokens)), np.float64)


def _values(
    scores: Mapping[str, Scores],
    errors: Mapping[str, Tensor],
    intact: Tensor | None,
    targets: Tensor,
) -> dict[str, dict[str, np.ndarray]]:
    """Of every column of a ledger, the conditions that have it, per token."""
    predicted = {n: s.predicted for n, s in scores.items() if s.predicted is not None}
    logit_differences = {
        n: s.logit_difference for n, s in scores.items() if s.logit_difference is not None
    }
    found: dict[str, Mapping[str, Tensor]] = {
        "loss": {n: s.loss for n, s in scores.items() if s.loss is not None},
        "kl": {n: s.kl for n, s in scores.items() if s.kl is not None},
        "agree": {} if intact is None else {n: p.eq(intact) for n, p in predicted.items()},
        "correct": {n: p.eq(targets) for n, p in predicted.items()},
        "logit_difference": logit_differences,
        "preferred": {n: m > 0 for n, m in logit_differences.items()},
        "error": {n: e for n, e in errors.items() if n in scores},
    }
    assert tuple(found) == COLUMNS
    return {column: _numpy(some) for column, some in found.items()}


def _numpy(values: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """In float64; what is on a GPU comes over in one piece."""
    if not values:
        return {}
    whole = torch.stack(list(values.values())).double().cpu().numpy()
    return dict(zip(values, whole, strict=True))


def _kept(
    scores: Mapping[str, Scores],
    losses: Mapping[str, np.ndarray],
    blocks: Sequence[Block],
    wanted: Collection[str],
) -> pa.Table:
    """The rows per token of the conditions that are wanted."""
    found: dict[str, list[object]] = {field: [] for field in TOKEN_SCHEMA.names}
    ends = np.cumsum([len(block.targets) for block in blocks]).tolist()
    for name, got in scores.items():
        if name in wanted and name in losses and got.predicted is not None:
            predicted = got.predicted.cpu().numpy()
            for block, end in zip(blocks, ends, strict=True):
                here = slice(end - len(block.targets), end)
                row = (name, block.unit, losses[name][here].tolist(), predicted[here].tolist())
                for field, entry in zip(TOKEN_SCHEMA.names, row, strict=True):
                    found[field].append(entry)
    return pa.table(found, TOKEN_SCHEMA)
