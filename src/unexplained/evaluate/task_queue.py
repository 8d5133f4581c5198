"""Which task which worker gets next, and when a task is given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from unexplained.errors import MeasurementError
from unexplained.evaluate.work import Task, Work

ATTEMPTS = 3
"""Workers that may die on one task, or one after another before they begin."""


class TaskQueue:
    """Tasks to give out: those of one batch to one worker while there are other batches.

    A worker keeps the intact pass of the batch that it worked on last.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._batches: dict[int, deque[Task]] = {}
        for task in tasks:
            self._batches.setdefault(task.batch, deque()).append(task)
        self._last: deque[Task] = deque()
        self._at: dict[object, int] = {}
        self.left = len(tasks)
        """Tasks that are not finished."""

    def take(self, worker: object) -> Task | None:
        """The next task for a worker: of its batch, of one that nobody has, or of the longest."""
        mine = self._batches.get(self._at.get(worker, -1))
        if mine:
            return mine.popleft()
        self._at.pop(worker, None)
        waiting = {number: tasks for number, tasks in self._batches.items() if tasks}
        free = [number for number in waiting if number not in self._at.values()]
        if free:
            self._at[worker] = free[0]
            return waiting[free[0]].popleft()
        if waiting:
            return max(waiting.values(), key=len).pop()
        return self._last.popleft() if self._last else None

    def put_back(self, task: Task, *, last: bool = False) -> None:
        """Give it out again; last of all if a worker died on it, so that the others are done."""
        if last:
            self._last.append(task)
        else:
            self._batches[task.batch].appendleft(task)

    def gone(self, worker: object) -> None:
        """Its batch is anybody's."""
        self._at.pop(worker, None)


class WorkerFailures:
    """How often workers died, and on what."""

    def __init__(self, job: Work[Any]) -> None:
        self._job = job
        self._on: dict[Task, int] = {}
        self.before_the_start = 0

    def note(self, task: Task | None, error: Exception) -> MeasurementError | None:
        """Count one; the error to stop with where another try would not help."""
        if task is None:
            self.before_the_start += 1
            if self.before_the_start < ATTEMPTS:
                return None
            return MeasurementError(
                "Starting workers",
                f"{ATTEMPTS} died one after another before they had the model "
                f"({_first_line(error)})",
                "Is there memory enough for it, and is unexplained installed there?",
            )
        self._on[task] = self._on.get(task, 0) + 1
        if self._on[task] < ATTEMPTS:
            return None
        documents = [block.document for block in self._job.plans[task.batch].blocks]
        return MeasurementError(
            f"Measuring {', '.join(map(repr, task.names))} on batch {task.batch} (unit "
            f"{self._job.unit(task.batch)}, documents {documents[0]} to {documents[-1]})",
            f"{ATTEMPTS} workers died on it, one after another ({_first_line(error)})",
            "What was finished is kept. Give workers more memory or batches fewer tokens, or "
            "look at what is asked for.",
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
