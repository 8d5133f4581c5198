"""`evaluate`: the one road from conditions to a ledger.

Per batch: one intact pass, which keeps the stream before every layer where some condition
begins and measures all direct effects; then each condition from its first edited layer on; then
all of them through the unembedding together, a block of the vocabulary at a time. `job` plans
and does that; here it is handed out, kept and put in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from numbers import Real
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import torch

from unexplained.errors import MeasurementError, TextError, require_choice, require_count
from unexplained.evaluate.conditions import (
    AnotherModel,
    Condition,
    Edited,
    Intact,
    Other,
    key,
    now,
)
from unexplained.evaluate.job import MEMORY, Job, Measure, Task
from unexplained.evaluate.kept import Asked
from unexplained.evaluate.products import circumstances, take_products
from unexplained.evaluate.rows import with_whole_blocks
from unexplained.evaluate.store import Store
from unexplained.ledger import Ledger
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Block, Pair, Text
from unexplained.text.document import Part
from unexplained.text.strata import varying

BATCH_TOKENS = 2048
"""Padded tokens per batch. Whole passes took 2.4, 2.1 and 1.8 s per 1,024 tokens at 1,024, 2,048
and 4,096 on two AVX2 cores; a batch is also what a killed process may have to measure again."""

Progress = Callable[[int, int], None]
"""Called with (done, in all), in conditions times batches."""

Workers = Callable[[Job, Sequence[Task]], Iterator[tuple[Task, Ledger]]]
"""Who does the tasks: yields each with its rows as it is finished, in any order."""


def in_process(job: Job, tasks: Sequence[Task]) -> Iterator[tuple[Task, Ledger]]:
    """Do the tasks here, one after another."""
    for task in tasks:
        yield task, job.do(task)


@neutrally
def evaluate(
    subject: Subject,
    text: Text,
    conditions: Sequence[Condition],
    *,
    part: Literal["eval", "fit"] = "eval",
    measure: Measure = "all",
    keep_tokens: Iterable[str] = (),
    folder: Path | None = None,
    batch_tokens: int = BATCH_TOKENS,
    memory: float = MEMORY,
    workers: Workers = in_process,
    progress: Progress = lambda done, total: None,
) -> Ledger:
    """Measure conditions on a text.

    Args:
        subject: The model.
        text: Where its eval part (or fit part) is measured.
        conditions: What to measure; the intact model is always measured as `intact`.
        part: `fit` only for looking at how well something fitted its own data.
        measure: `margin` computes of pairs of prompts the logit difference alone.
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
        subject, text, part, tuple(wanted), frozenset(keep_tokens), measure, batch_tokens, memory
    )
    models = _models(job)
    take_products(folder, *models)
    for model in models:
        model.require_sound()
        if folder is not None:
            # Kept under what the models are now; until the end counters are enough.
            model.fingerprint  # noqa: B018
    _require_fitted_here(subject, wanted)
    store = None
    # Of whoever computes: the workers of a cluster have a number of their own.
    threads = getattr(workers, "threads", torch.get_num_threads())
    if folder is not None:
        store = Store.open(folder, circumstances(models, text, batch_tokens, threads))
    with nullcontext(True) if store is None else store.held() as writable:
        done, tasks = _known(job, store)
        if tasks and not writable:
            raise MeasurementError(
                f"Measuring into {folder}",
                "it can only be read, and not all that was asked for is kept there",
                "Name a folder that you may write to (--run), or set UNEXPLAINED_CACHE to one.",
            )
        done += _measured(job, tasks, models, store, workers, progress)
    parts = [
        with_whole_blocks(ledger, job.plans[number].blocks)
        for number, ledger in sorted(done, key=lambda pair: pair[0])
    ]
    return _in_order(Ledger.concat(parts), wanted, text.eval if part == "eval" else text.fit)


def _require_fitted_here(subject: Subject, conditions: Sequence[Condition]) -> None:
    """Refuse what was fitted to another model, or to this one before its weights changed."""
    for condition in conditions:
        known = condition.fitted_on if isinstance(condition, Edited) else ""
        if known and known != subject.remembered:
            raise MeasurementError(
                f"'{condition.name}' in {subject.name}",
                "it was fitted to another model, or to this one before its weights changed",
                "Observe this model as it is now, and fit it again.",
            )


def _measured(
    job: Job,
    tasks: Sequence[Task],
    models: Sequence[Subject],
    store: Store | None,
    workers: Workers,
    progress: Progress,
) -> list[tuple[int, Ledger]]:
    """What is still to be done: its rows, with the number of their batch, kept as they come."""
    before = [model.counters() for model in models]
    done: list[tuple[int, Ledger]] = []
    total = len(job.conditions) * len(job.plans)
    finished = total - sum(len(task.names) for task in tasks)
    if not tasks:
        progress(total, total)
    keys = {condition.name: key(condition) for condition in job.conditions}
    for task, fresh in workers(job, tasks):
        if [model.counters() for model in models] != before:
            raise MeasurementError(
                f"Measuring {job.subject.name} on {job.text.name}",
                "weights of it or of a model beside it were changed while it was measured",
                "What was finished before is kept. Measure again when nothing else trains it.",
            )
        if store is not None:
            names = {name: keys[name] for name in fresh.conditions}
            strata = varying(job.plans[task.batch].blocks)
            store.save(job.layout(task.batch).unit, fresh, names, strata)
        done.append((task.batch, fresh))
        finished += len(task.names)
        progress(finished, total)
    return done


def _models(job: Job) -> list[Subject]:
    """The models whose predictions are measured."""
    others = [c.predictor for c in job.conditions if isinstance(c, Other)]
    return [job.subject, *(other.subject for other in others if isinstance(other, AnotherModel))]


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
    require_choice("measure", measure, get_args(Measure))
    if measure == "margin" and not text.pairs:
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
                    subject.sites(str(site))
    require_tokens(subject, text, part)


def require_tokens(subject: Subject, text: Text, *parts: Part) -> None:
    """Refuse a text without documents in a part that is run, or one of another model's tokens.

    Raises:
        TextError: It is one.
    """
    blocks: list[Block] = []
    for part in parts:
        blocks += text.blocks(part, "What was asked")
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


def _known(job: Job, store: Store | None) -> tuple[list[tuple[int, Ledger]], list[Task]]:
    """What is finished, by batch, and what is still to be done."""
    names = {key(condition): condition.name for condition in job.conditions}
    done: list[tuple[int, Ledger]] = []
    tasks: list[Task] = []
    for number in range(len(job.plans)):
        known = Ledger.empty()
        if store is not None:
            known = store.load(_unit(job, number), names, job.keep_tokens)
        todo = job.tasks(number, known.conditions)
        again = {name for task in todo for name in task.names}
        done.append((number, known.only([c for c in known.conditions if c not in again])))
        tasks += todo
    return done, tasks


def _unit(job: Job, number: int) -> Asked:
    """What a kept unit of a batch must have."""
    blocks = job.plans[number].blocks
    pairs = all(isinstance(block, Pair) for block in blocks)
    columns = {"margin", "preferred"} if pairs else set()
    if job.measure == "all":
        columns |= {"loss", "kl", "agree", "correct"}
    documents = tuple((block.unit, len(block.targets)) for block in blocks)
    return Asked(job.layout(number).unit, documents, frozenset(columns), varying(blocks))


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
