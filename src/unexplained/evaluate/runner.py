"""The one runner: tasks are given to workers, what is finished is kept as it comes and found again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Generic, Protocol

import torch

from unexplained.errors import MeasurementError
from unexplained.evaluate.conditions import Edited
from unexplained.evaluate.products import circumstances, take_products
from unexplained.evaluate.store import Store
from unexplained.evaluate.work import R, Task, Work
from unexplained.progress import Count


class Workers(Protocol):
    """Who does the tasks: yields each with its result as it is finished, in any order.

    What `imagines` results (`rehearsal`) is not kept, and keeps nobody out.
    """

    def __call__(self, work: Work[R], tasks: Sequence[Task], /) -> Iterator[tuple[Task, R]]:
        """Do them."""


def in_process(work: Work[R], tasks: Sequence[Task]) -> Iterator[tuple[Task, R]]:
    """Do the tasks here, one after another."""
    for task in tasks:
        yield task, work.do(task)


def measured(
    work: Work[R],
    *,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> list[R]:
    """The results of all tasks, in the order of their batches; see `gather`."""
    results: list[R] = []
    gather(
        work, lambda number, result: results.append(result),
        folder=folder, workers=workers, progress=progress,
    )  # fmt: skip
    return results


def gather(
    work: Work[R],
    take: Callable[[int, R], None],
    *,
    folder: Path | None,
    workers: Workers,
    progress: Count,
) -> None:
    """Have all tasks done, and their results taken in the order of their batches.

    Args:
        work: What is to be measured.
        take: Given a batch's number and a result, as soon as all of the batches before are there.
        folder: What is finished is kept here and found again; nothing is kept if None.
        workers: Who does the tasks: this process, or those of a cluster.
        progress: Told about every task that is finished.

    Raises:
        MeasurementError: Something was fitted to another model; somebody changed the weights
            meanwhile; what is finished cannot be kept; another process is measuring into the same
            place; or whatever the work raises.
        SubjectError: A model has been changed since it was opened, other than in its weights.
    """
    take_products(folder, *work.models)
    for model in work.models:
        model.require_sound()
        if folder is not None:
            # Kept under what the models are now; until the end counters are enough.
            model.fingerprint  # noqa: B018
    _require_fitted_here(work)
    store, imagined = None, getattr(workers, "imagines", False)
    if folder is not None:
        # Of whoever computes: the workers of a cluster have a number of their own.
        threads = getattr(workers, "threads", torch.get_num_threads())
        about = circumstances(work, threads)
        store = Store.of(folder, about) if imagined else Store.open(folder, about)
        work = work if imagined else work.kept_in(store)
    with nullcontext(True) if store is None or imagined else store.held() as writable:
        order, tasks = _InOrder(take), list[Task]()
        for number in range(len(work.plans)):
            found, todo = work.find(store, number)
            for result in found:
                work.arrived(result)
            order.begin(found, len(todo))
            tasks += todo
        if tasks and not writable:
            raise MeasurementError(
                f"Measuring into {folder}",
                "it can only be read, and not all that was asked for is kept there",
                "Name a folder that you may write to (--run), or set UNEXPLAINED_CACHE to one.",
            )
        for task, fresh in _done(work, tasks, workers, progress):
            if store is not None and not imagined:
                work.keep(store, task, fresh)
            order.add(task.batch, fresh)


class _InOrder(Generic[R]):
    """Gives results on in the order of their batches, whenever they come."""

    def __init__(self, take: Callable[[int, R], None]) -> None:
        self._take = take
        self._waiting: list[list[R]] = []
        self._left: list[int] = []
        """Tasks of every batch that are still to come."""
        self._next = 0

    def begin(self, found: list[R], left: int) -> None:
        """The next batch: what is there of it, and how many tasks are not."""
        self._waiting.append(found)
        self._left.append(left)
        self._give()

    def add(self, number: int, result: R) -> None:
        """A task of a batch is done."""
        self._waiting[number].append(result)
        self._left[number] -= 1
        self._give()

    def _give(self) -> None:
        while self._next < len(self._left) and not self._left[self._next]:
            for result in self._waiting[self._next]:
                self._take(self._next, result)
            self._waiting[self._next] = []
            self._next += 1


def _done(
    work: Work[R], tasks: Sequence[Task], workers: Workers, progress: Count
) -> Iterator[tuple[Task, R]]:
    """Do what is still to be done; progress is told when the caller comes back for the next."""
    before = [model.counters() for model in work.models]
    total = len(work.names) * len(work.plans)
    finished = total - sum(len(task.names) for task in tasks)
    for task, fresh in workers(work, tasks):
        if [model.counters() for model in work.models] != before:
            raise MeasurementError(
                f"Measuring {work.subject.name} on {work.text.name}",
                "weights of it or of a model beside it were changed while it was measured",
                "What was finished before is kept. Needs again when nothing else trains it.",
            )
        work.arrived(fresh)
        yield task, fresh
        finished += len(task.names)
        progress(finished, total)
    if not tasks:
        progress(total, total)


def _require_fitted_here(work: Work[R]) -> None:
    """Refuse what was fitted to another model, or to this one before its weights changed."""
    for condition in work.conditions:
        known = condition.fitted_on if isinstance(condition, Edited) else ""
        if known and known != work.subject.remembered:
            raise MeasurementError(
                f"'{condition.name}' in {work.subject.name}",
                "it was fitted to another model, or to this one before its weights changed",
                "Observe this model as it is now, and fit it again.",
            )
