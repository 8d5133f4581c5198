"""`evaluate`: the one road from conditions to a ledger.

Per batch: one intact pass, which keeps the stream before every layer where some condition
begins and measures all direct effects; then each condition from its first edited layer on; then
all of them through the unembedding together, a block of the vocabulary at a time. `job` plans
and does that; `runner` hands it out and keeps it; here it is put in order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from numbers import Real
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa

from unexplained.errors import MeasurementError, TextError, require_choice, require_count
from unexplained.evaluate.conditions import Condition, Edited, Intact, key, now
from unexplained.evaluate.job import MEMORY, Job, Needs
from unexplained.evaluate.rows import with_whole_blocks
from unexplained.evaluate.runner import Workers as Workers
from unexplained.evaluate.runner import gather
from unexplained.evaluate.runner import in_process as in_process
from unexplained.ledger import Ledger
from unexplained.progress import Count
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Block, Text
from unexplained.text.document import Pair, Part

BATCH_TOKENS = 2048
"""Padded tokens per batch. Whole passes took 2.4, 2.1 and 1.8 s per 1,024 tokens at 1,024, 2,048
and 4,096 on two AVX2 cores; a batch is also what a killed process may have to measure again."""


@neutrally
def evaluate(
    subject: Subject,
    text: Text,
    conditions: Sequence[Condition],
    *,
    part: Literal["eval", "fit"] = "eval",
    measure: Needs = "all",
    keep_tokens: Iterable[str] = (),
    folder: Path | None = None,
    batch_tokens: int = BATCH_TOKENS,
    memory: float = MEMORY,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> Ledger:
    """Measure conditions on a text.

    Args:
        subject: The model.
        text: Where its eval part (or fit part) is measured.
        conditions: What to measure; the intact model is always measured as `intact`.
        part: `fit` only for looking at how well something fitted its own data.
        measure: "logit difference" computes of pairs of prompts the logit difference alone.
        keep_tokens: Conditions whose every token's loss is kept, for the token view.
        folder: What is finished is kept here and found again; nothing is kept if None.
        batch_tokens: Padded tokens per batch. Part of what a result depends on, in the low bits.
        memory: Bytes of streams that may be held; those that do not fit are computed again.
        workers: Who does the work: this process, or those of a cluster.
        progress: Told about every finished group of conditions in a batch.

    Raises:
        MeasurementError: Two conditions share a name; a number is NaN or infinite (which
            condition, site and document); a finished batch cannot be kept; the memory budget is
            too small; another process is measuring into the same place; somebody changed the
            weights meanwhile; a condition was fitted to another model; there is no such part, measure or condition to keep tokens of.
        SubjectError: The model has been changed since it was opened, other than in its weights.
        SiteError: A condition edits or reads a site that the model does not have.
        TextError: The part has no documents, or the text is of another model's tokens.
    """
    wanted = _with_intact(conditions)
    _require_asked(subject, text, wanted, part, measure, keep_tokens := tuple(keep_tokens))
    require_count("batch_tokens", batch_tokens, least=1)
    require_memory(memory)
    job = Job(
        subject=subject, text=text, part=part, conditions=tuple(wanted), batch_tokens=batch_tokens,
        keep_tokens=frozenset(keep_tokens), measure=measure, memory=memory,
    )  # fmt: skip
    parts: list[Ledger] = []
    gather(
        job, lambda number, rows: parts.append(with_whole_blocks(rows, job.plans[number].blocks)),
        folder=folder, workers=workers, progress=progress,
    )  # fmt: skip
    return _in_order(Ledger.concat(parts), wanted, text.eval if part == "eval" else text.fit)


def require_memory(memory: float) -> None:
    """Refuse what is no amount of memory.

    Raises:
        MeasurementError: It is none.
    """
    if isinstance(memory, bool) or not isinstance(memory, Real) or not 0 < memory < math.inf:
        gigabytes = f"{memory / 1e9:g} GB" if isinstance(memory, Real) else repr(memory)
        raise MeasurementError(
            f"A memory budget of {gigabytes}",
            "it is no amount of memory",
            "Give a number above 0 (--memory in GB; `memory` in bytes).",
        )


def _require_asked(
    subject: Subject,
    text: Text,
    wanted: Sequence[Condition],
    part: Part,
    measure: str,
    keep_tokens: Sequence[str],
) -> None:
    """Refuse what cannot be measured, before anything is run or kept."""
    require_choice("part", part, ("eval", "fit"))
    require_choice("measure", measure, get_args(Needs))
    if measure == "logit difference" and not text.pairs:
        raise MeasurementError(
            f"The logit difference on {text.name}",
            "it is running text: nothing says which two words to compare",
            "Measure the loss, or use a text of pairs such as ioi.",
        )
    for name in keep_tokens:
        require_choice("keep_tokens", name, [condition.name for condition in wanted])
    for condition in wanted:
        if isinstance(condition, Edited):
            for edit in condition.edits:
                for site in (edit.where, *edit.reads):
                    subject.sites(str(site.home))
    require_tokens(subject, text, part)


def require_tokens(subject: Subject, text: Text, *parts: Part) -> None:
    """Refuse a text without documents in a part that is run, with copies, or of another model's tokens.

    Raises:
        TextError: It is one.
    """
    blocks: list[Block] = []
    for part in parts:
        blocks += text.blocks(part, "What was asked")
    if "eval" in parts:
        _require_no_copies(text)
    subject.anatomy.require_positions(max(len(block.tokens) for block in blocks))
    highest = max(
        max(int(block.tokens.max()), int(block.targets.max(initial=0))) for block in blocks
    )
    if highest >= subject.shape.vocabulary:
        raise TextError(
            f"{text.name} for {subject.name}",
            f"it has the token {highest} and the model embeds {subject.shape.vocabulary:,}: it was "
            "made with another model's tokenizer",
            "Make the text with this model: text(source, subject).",
        )


def _require_no_copies(text: Text) -> None:
    """Refuse to measure documents that have the tokens of another: intervals would count them twice.

    Pairs are told apart by their corruptions and answers, and versions of one original are one unit.
    """
    units: dict[bytes, str] = {}
    copies = [
        block.document
        for block in text.eval
        if not isinstance(block, Pair)
        and units.setdefault(block.tokens.tobytes(), block.unit) != block.unit
    ]
    if copies:
        raise TextError(
            f"{text.name}",
            f"{len(copies)} of its {len(text.eval)} documents to measure on have all tokens of another "
            f"(first {copies[0]})",
            "Intervals take documents for independent: leave copies out, or give those of one "
            "document the same `original`, by which they are resampled together.",
        )


def _with_intact(conditions: Sequence[Condition]) -> list[Condition]:
    changing = (now(c) for c in conditions if not isinstance(c, Intact))
    wanted: list[Condition] = [Intact(), *changing]
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


def _in_order(ledger: Ledger, wanted: Sequence[Condition], blocks: Sequence[Block]) -> Ledger:
    """Rows by condition, then document as in the text: independent of batches and of resuming."""
    conditions = {condition.name: i for i, condition in enumerate(wanted)}
    documents: dict[str, int] = {}
    for block in blocks:
        documents.setdefault(block.unit, len(documents))

    def ordered(table: pa.Table) -> pa.Table:
        by_condition = np.array([conditions[c] for c in table["condition"].to_pylist()], int)
        by_document = np.array([documents[d] for d in table["document"].to_pylist()], int)
        order = np.lexsort((np.arange(table.num_rows), by_document, by_condition))
        return table.take(pa.array(order))

    return Ledger(ordered(ledger.table), ordered(ledger.tokens))
