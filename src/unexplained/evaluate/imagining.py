"""What losses of conditions would take, told from what is asked alone, and what they might be.

Amounts are FLOPs, of which only proportions within a kind of step count: how long a step of a kind
takes is timed (`rehearsal`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unexplained.evaluate.conditions import (
    AnotherModel,
    Condition,
    Edited,
    Intact,
    Other,
    Program,
    modules_of,
)
from unexplained.evaluate.score import BLOCK, Scores
from unexplained.evaluate.work import (
    Task,
    layer_cost,
    layers_cost,
    pass_bytes,
    unembedding_cost,
)
from unexplained.hashing import digest

if TYPE_CHECKING:
    from unexplained.evaluate.job import Job

INTACT = "intact"
TRIED_CONDITIONS = 2
"""Of every kind that are timed, where each runs alone."""


def kind_of(condition: Condition) -> str:
    """What takes as long for its amount: the same code, on the same model."""
    if isinstance(condition, Intact):
        return INTACT
    how = condition.effect if isinstance(condition, Edited) else ""
    of = ""
    if isinstance(condition, Other) and isinstance(condition.predictor, AnotherModel):
        of = condition.predictor.subject.name
    return " ".join([type(condition).__name__, how, of, *modules_of(condition)])


def amounts(job: Job, tasks: Sequence[Task]) -> dict[str, float]:
    """FLOPs of every kind of step: intact passes once a batch, then what each condition runs."""
    found: dict[str, float] = defaultdict(float)
    for number in {task.batch for task in tasks}:
        rows, longest = job.plans[number].size
        found[INTACT] += rows * longest * layers_cost(job.subject.shape)
    for task in tasks:
        found[INTACT] += _scored(job, task.batch)  # what all others are compared with
        for name in task.names:
            found[kind_of(job.by_name[name])] += _amount(job, task.batch, job.by_name[name])
    return found


def _scored(job: Job, number: int) -> float:
    """Of one condition's predictions; of pairs' logit differences alone nearly nothing."""
    if job.measure == "logit difference":
        return 0.0
    predicted = sum(len(block.targets) for block in job.plans[number].blocks)
    return predicted * unembedding_cost(job.subject.shape)


def _amount(job: Job, number: int, condition: Condition) -> float:
    shape, (rows, longest) = job.subject.shape, job.plans[number].size
    here = rows * (longest - job.layout(number).start)
    scored = _scored(job, number)
    match condition:
        case Intact():
            return 0.0
        case Other(predictor=AnotherModel(subject=other)):
            return rows * longest * layers_cost(other.shape) + scored
        case Other():
            return scored + rows * longest
        case Program():
            return here * layers_cost(shape)
    layers = shape.layers - job.start_layer(condition)
    return here * layers * layer_cost(shape) + scored


def held(job: Job, tasks: Sequence[Task]) -> float:
    """Kept streams, final streams of a group, and what the pass that holds most has inside.

    Beside these one block of the vocabulary, of the intact model and of one condition at a time.
    """
    shape, most = job.subject.shape, 0.0
    programs = any(isinstance(condition, Program) for condition in job.conditions)
    direct = sum(isinstance(c, Edited) and c.is_direct for c in job.conditions)
    starts = {job.start_layer(c) for c in job.conditions if isinstance(c, Edited)}
    for number in {task.batch for task in tasks}:
        layout, (rows, longest) = job.layout(number), job.plans[number].size
        scored = sum(len(block.targets) for block in job.plans[number].blocks)
        length, count = longest - layout.start, min(layout.group, len(job.conditions))
        stream = rows * length * shape.width * job.item
        streams = min(len(starts), 2 * layout.window) + 2 + 2 * direct
        sources = 2 * (shape.layers * (shape.heads + 4) + 1) if programs else 0
        final = count * scored * shape.width * job.item
        block = scored * BLOCK.get(job.subject.device.type, BLOCK["cuda"]) * 4 * 5
        copies = min(layout.stack, count)
        inside = pass_bytes(shape, rows * copies, length, job.item)
        most = max(most, stream * (streams + sources) + final + max(block, inside))
    return most


def tried(job: Job, tasks: Sequence[Task]) -> tuple[Job, list[Task]]:
    """A batch, small where conditions run one by one, with some conditions of every kind.

    Those that run side by side are as many as do.
    """
    batch = tasks[0].batch
    layout, plan = job.layout(batch), job.plans[batch]
    many = max(TRIED_CONDITIONS, min(2 * layout.stack, layout.group))
    wanted = {name for task in tasks for name in task.names}
    kinds: dict[str, list[Condition]] = {}
    for condition in job.ordered:
        if condition.name in wanted and not isinstance(condition, Intact):
            kinds.setdefault(kind_of(condition), []).append(condition)
    some = [list(_evenly(every, many)) for every in kinds.values()]
    small = job.over(
        plan if layout.stack > 1 else job.small(plan),
        conditions=(Intact(), *(c for every in some for c in every)),
        keep_tokens=frozenset(),
    )
    names = [(INTACT,), *(tuple(c.name for c in every) for every in some)]
    return small, [Task(0, some) for some in names]


def _evenly(every: Sequence[Condition], count: int) -> Iterator[Condition]:
    """So many of them, from the first to the last."""
    count = min(count, len(every))
    for i in range(count):
        yield every[(2 * i + 1) * len(every) // (2 * count)]


def scores(job: Job, task: Task, targets: Tensor, pairs: bool) -> dict[str, Scores]:
    """Numbers like those that a model gives: conditions lose a little, most pairs are right."""
    shared = torch.Generator().manual_seed(task.batch)
    count = len(targets)
    loss = -3 * torch.rand(count, generator=shared, dtype=torch.float64).clamp_min(1e-9).log()
    known = torch.randint(0, 3, (count,), generator=shared) > 0
    found: dict[str, Scores] = {}
    for name in dict.fromkeys([INTACT, *task.names]):
        draw = torch.Generator().manual_seed(int(digest(name, str(task.batch))[:8], 16))
        more = torch.rand(count, generator=draw, dtype=torch.float64) * (name != INTACT)
        logit_difference = 3 - more + 0.1 * torch.randn(count, generator=draw, dtype=torch.float64)
        said = torch.where(
            known & (more < 0.9), targets, (targets + 1) % job.subject.shape.vocabulary
        )
        whole = job.measure == "all"
        found[name] = Scores(
            loss + more if whole else None,
            more / 2 if whole else None,
            said if whole else None,
            logit_difference if pairs else None,
        )
    return found
