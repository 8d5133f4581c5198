"""`evaluate`: the one road from conditions to a ledger.

Per batch: one intact pass, which keeps the stream before every layer where some condition
begins and measures all direct effects; then each condition from its first edited layer on; then
all of them through the unembedding together, a block of the vocabulary at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from unexplained.errors import MeasurementError
from unexplained.evaluate.batches import Plan, plan
from unexplained.evaluate.conditions import Condition, Edited, Intact, Table, digest, key
from unexplained.evaluate.score import Columns, Scores, score
from unexplained.evaluate.store import Store, code_digest
from unexplained.ledger import ALL, SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.subject import Batch, Edit, Pass, Subject
from unexplained.subject.edits import first_layer
from unexplained.text import Block, Text

BATCH_TOKENS = 2048
"""Padded tokens per batch. Whole passes took 2.4, 2.1 and 1.8 s per 1,024 tokens at 1,024, 2,048
and 4,096 on two AVX2 cores; a batch is also what a killed process may have to measure again."""

GROUP = 32
"""Conditions that go through the unembedding together and are kept together: their final streams
are held at once, and they are what a killed process may have to measure again."""

Progress = Callable[[int, int], None]
"""Called with (done, in all), in conditions times batches."""


def evaluate(
    subject: Subject,
    text: Text,
    conditions: Sequence[Condition],
    *,
    part: Literal["eval", "fit"] = "eval",
    keep_tokens: Iterable[str] = (),
    folder: Path | None = None,
    batch_tokens: int = BATCH_TOKENS,
    progress: Progress = lambda done, total: None,
) -> Ledger:
    """Measure conditions on a text.

    Args:
        subject: The model.
        text: Where its eval part (or fit part) is measured.
        conditions: What to measure; the intact model is always measured as `intact`.
        part: `fit` only for looking at how well something fitted its own data.
        keep_tokens: Conditions whose every token's loss is kept, for the token view.
        folder: What is finished is kept here and found again; nothing is kept if None.
        batch_tokens: Padded tokens per batch. Part of what a result depends on, in the low bits.
        progress: Told about every finished group of conditions in a batch.

    Raises:
        MeasurementError: Two conditions share a name; a loss is NaN or infinite (which condition,
            site and document); a finished batch cannot be kept.
    """
    wanted = _with_intact(conditions)
    blocks = text.eval if part == "eval" else text.fit
    tokens_of = set(keep_tokens)
    store = (
        None if folder is None else Store.open(folder, _circumstances(subject, text, batch_tokens))
    )
    names = {key(condition): condition.name for condition in wanted}
    keys = {condition.name: key(condition) for condition in wanted}
    plans = plan(blocks, batch_tokens)
    done: list[Ledger] = []
    for number, batch_plan in enumerate(plans):
        unit = digest(part, *(block.document for block in batch_plan.blocks))
        known = Ledger.empty() if store is None else store.load(unit, names, tokens_of)
        missing = [c for c in wanted if c.name not in known.conditions]
        work = _Unit(subject, text, batch_plan, tokens_of, missing)
        done.append(known)
        for start in range(0, len(missing), GROUP):
            fresh = work.measure(missing[start : start + GROUP])
            if store is not None:
                store.save(unit, fresh, {name: keys[name] for name in fresh.conditions})
            done.append(fresh)
            behind = len(wanted) - max(len(missing) - start - GROUP, 0)
            progress(number * len(wanted) + behind, len(plans) * len(wanted))
        if not missing:
            progress((number + 1) * len(wanted), len(plans) * len(wanted))
    return _in_order(Ledger.concat(done), wanted, blocks)


def _with_intact(conditions: Sequence[Condition]) -> list[Condition]:
    wanted: list[Condition] = [Intact(), *(c for c in conditions if not isinstance(c, Intact))]
    names = [condition.name for condition in wanted]
    for name in names:
        if names.count(name) > 1:
            raise MeasurementError(f"The condition '{name}'", "two conditions have this name")
    known: dict[str, str] = {}
    for condition in wanted:
        other = known.setdefault(key(condition), condition.name)
        if other != condition.name:
            # Their finished units would be kept, and found again, under one key.
            raise MeasurementError(
                f"The conditions '{other}' and '{condition.name}'",
                "their fingerprints are the same, so they are one condition",
                "Give each a fingerprint of all that it depends on.",
            )
    return wanted


def _circumstances(subject: Subject, text: Text, batch_tokens: int) -> dict[str, str]:
    weight = next(subject.anatomy.model.parameters())
    return {
        "model": subject.fingerprint,
        "text": text.fingerprint,
        "code": code_digest(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "device": str(weight.device.type),
        "type": str(weight.dtype),
        "products": subject.precision.setting,
        "batch tokens": str(batch_tokens),
    }


def _in_order(ledger: Ledger, wanted: Sequence[Condition], blocks: Sequence[Block]) -> Ledger:
    """Rows by condition, then document as in the text: independent of batches and of resuming."""
    conditions = {condition.name: i for i, condition in enumerate(wanted)}
    documents = {block.document: i for i, block in enumerate(blocks)}

    def ordered(table: pa.Table) -> pa.Table:
        by_condition = np.array([conditions[c] for c in table["condition"].to_pylist()], int)
        by_document = np.array([documents[d] for d in table["document"].to_pylist()], int)
        order = np.lexsort((np.arange(table.num_rows), by_document, by_condition))
        return table.take(pa.array(order))

    return Ledger(ordered(ledger.table), ordered(ledger.tokens))


@dataclass(frozen=True)
class _Unit:
    """One batch on which some conditions are to be measured, a group of them at a time."""

    subject: Subject
    text: Text
    plan: Plan
    keep_tokens: set[str]
    conditions: Sequence[Condition]

    @cached_property
    def batch(self) -> Batch:
        """The batch on the model's device."""
        return self.plan.batch(self.subject.device)

    @cached_property
    def groups(self) -> dict[str, tuple[Edit, ...]]:
        """Edits whose direct effects are wanted; free and frozen norm are two readings of one."""
        return {
            c.fingerprint: c.edits
            for c in self.conditions
            if isinstance(c, Edited) and c.effect != "total"
        }

    @cached_property
    def intact(self) -> Pass:
        """One pass of the intact model, with the streams and direct effects that all will need."""
        starts = {self._start(c) for c in self.conditions if isinstance(c, Edited)}
        return self.subject.run(
            self.batch, keep_streams=sorted(starts), direct=list(self.groups.values())
        )

    def measure(self, conditions: Sequence[Condition]) -> Ledger:
        """Measure some of the conditions, always with the intact model for comparison."""
        batch, intact = self.batch, self.intact
        effects = dict(zip(self.groups, intact.direct, strict=True))
        predicted = batch.valid[:, 1:]
        logits: dict[str, Columns] = {}
        errors: dict[str, Tensor] = {}
        for condition in conditions:
            match condition:
                case Edited(name=name, effect="total"):
                    resume = intact.resume(self._start(condition))
                    done = self.subject.run(batch, condition.edits, resume=resume)
                    logits[name] = self._unembedded(done.normed, predicted)
                case Edited(name=name, fingerprint=mark, effect=effect):
                    frozen = effect == "direct, norm frozen"
                    normed = self._direct(intact, effects[mark].added, frozen)
                    logits[name] = self._unembedded(normed, predicted)
                    errors[name] = effects[mark].error[:, :-1][predicted]
                case Table(name=name, table=table):
                    logits[name] = table.log_probs(batch.tokens[:, :-1][predicted])
                case Intact():
                    pass
        base = self._unembedded(intact.normed, predicted)
        scores = score(base, logits, batch.tokens[:, 1:][predicted], self.subject.shape.vocabulary)
        self._check(conditions, scores, batch)
        asked = {condition.name: scores[condition.name] for condition in conditions}
        return self._ledger(asked, errors, scores["intact"].predicted)

    def _start(self, condition: Edited) -> int:
        return min(max(first_layer(condition.edits), 0), self.subject.shape.layers)

    def _unembedded(self, normed: Tensor, predicted: Tensor) -> Columns:
        picked = normed[:, :-1][predicted]
        return lambda columns: self.subject.logits(picked, columns)

    def _direct(self, intact: Pass, added: Tensor, frozen: bool) -> Tensor:
        with torch.no_grad(), self.subject.precision.applied():
            if frozen:
                return self.subject.anatomy.frozen_norm(intact.stream, added)
            normed: Tensor = self.subject.anatomy.final_norm(intact.stream + added)
            return normed

    def _check(
        self, conditions: Sequence[Condition], scores: Mapping[str, Scores], batch: Batch
    ) -> None:
        row = torch.repeat_interleave(
            torch.arange(len(batch.documents), device=batch.valid.device),
            batch.valid[:, 1:].sum(-1),
        )
        for condition in conditions:
            bad = ~torch.isfinite(scores[condition.name].loss)
            if bool(bad.any()):
                document = batch.documents[int(row[bad][0])]
                sites = (
                    [str(e.site) for e in condition.edits] if isinstance(condition, Edited) else []
                )
                raise MeasurementError(
                    f"The loss of '{condition.name}'"
                    + (f" at {', '.join(sites)}" if sites else ""),
                    f"it is NaN or infinite in document {document}",
                    "What was finished is kept. Try float32, or look at the fitted values.",
                )

    def _ledger(
        self, scores: Mapping[str, Scores], errors: Mapping[str, Tensor], intact: Tensor
    ) -> Ledger:
        """Sum up by document and stratum, in float64."""
        columns: dict[str, list[object]] = {field: [] for field in SCHEMA.names}
        per_token: dict[str, list[object]] = {field: [] for field in TOKEN_SCHEMA.names}
        ends = np.cumsum([len(block.tokens) - 1 for block in self.plan.blocks])
        labels = [_masks(self.text.labels(block)) for block in self.plan.blocks]
        for name, got in scores.items():
            loss, kl = _float64(got.loss), _float64(got.kl)
            predicted = got.predicted.cpu().numpy()
            agree = (got.predicted == intact).cpu().numpy()
            error = _float64(errors[name]) if name in errors else None
            for block, end, masks in zip(self.plan.blocks, ends, labels, strict=True):
                here = slice(int(end) - (len(block.tokens) - 1), int(end))
                for (family, label), mask in masks.items():
                    _append(
                        columns,
                        (name, block.document, family, label, int(mask.sum())),
                        (loss[here][mask].sum(), kl[here][mask].sum(), agree[here][mask].sum()),
                        None if error is None else error[here][mask].sum(),
                    )
                if name in self.keep_tokens:
                    values = (
                        name,
                        block.document,
                        got.loss[here].tolist(),
                        predicted[here].tolist(),
                    )
                    for field, value in zip(TOKEN_SCHEMA.names, values, strict=True):
                        per_token[field].append(value)
        return Ledger(pa.table(columns, SCHEMA), pa.table(per_token, TOKEN_SCHEMA))


def _append(
    columns: dict[str, list[object]],
    head: tuple[str, str, str, str, int],
    sums: tuple[float, float, int],
    error: float | None,
) -> None:
    for field, value in zip(SCHEMA.names, (*head, *sums, error), strict=True):
        columns[field].append(value)


def _masks(labels: Mapping[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """Which tokens of a block belong to each (family, label); empty ones are left out."""
    some = next(iter(labels.values()))
    masks = {ALL: np.ones(len(some), dtype=bool)}
    for family, values in labels.items():
        for label in dict.fromkeys(values.tolist()):
            masks[family, label] = values == label
    return masks


def _float64(values: Tensor) -> np.ndarray:
    return values.double().cpu().numpy()
