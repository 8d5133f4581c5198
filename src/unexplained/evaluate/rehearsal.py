"""A measurement gone through without measuring: what would be run, how long it takes, what it holds.

An instrument chooses what it measures by what it has measured, so it is run as it is, by workers who
do nothing: what is kept is found, and what is not is made up. What they would have done is counted
(`Work.amounts`), and a little of each kind is timed on the model itself. All else that takes time
and memory, such as reading what is kept, fitting and arithmetic, is really done, and so is seen.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from unexplained.evaluate.runner import Workers
from unexplained.evaluate.work import R, Task, Work
from unexplained.subject import Subject


@dataclass
class Stage:
    """One thing that would be measured."""

    what: str
    model: str
    text: str
    documents: int
    tokens: int
    units: str
    """What documents are: `documents` or `prompts`."""
    conditions: int
    total: int
    """Conditions times batches."""
    kept: int
    """Of these what is kept from earlier."""
    amount: float
    """FLOPs of the rest, about."""
    seconds: float
    """Expected for it."""


@dataclass
class Rehearsal:
    """Workers that do nothing, and keep account of what they would have done."""

    workers: Workers
    """Who would do it."""
    imagines = True
    stages: list[Stage] = field(default_factory=list)
    aside: float = 0.0
    """Seconds that the rehearsal itself took: timing, which the measurement does not do."""
    most: float = 0.0
    """Bytes of this process, at most."""
    _rates: dict[tuple[Any, ...], float] = field(default_factory=dict)
    """Seconds for each FLOP of a kind of step, by model and kind of work."""
    _began: float = field(default_factory=time.perf_counter)

    @property
    def threads(self) -> int:
        """Of whoever would do it: what is kept is kept under their number."""
        return int(getattr(self.workers, "threads", torch.get_num_threads()))

    def __call__(self, work: Work[R], tasks: Sequence[Task], /) -> Iterator[tuple[Task, R]]:
        """Take account of tasks, and make up what they give."""
        began = time.perf_counter()
        self.stages.append(stage := _stage(work, tasks))
        if tasks:
            amounts = work.amounts(tasks)
            stage.amount = sum(amounts.values())
            self.most = max(self.most, held_now() + work.held(tasks))
            rates = self._timed(work, tasks)
            together = getattr(self.workers, "workers", None) or 1
            stage.seconds = sum(rates[kind] * much for kind, much in amounts.items()) / together
        self.aside += time.perf_counter() - began
        for task in tasks:
            yield task, work.imagined(task)

    def say(self, what: str, done: int, total: int) -> None:
        """Progress: what is told last of a measurement says what it is called."""
        if self.stages:
            self.stages[-1].what = what

    @property
    def seconds(self) -> float:
        """Expected: for what is to be measured, and all else as it took here."""
        here = time.perf_counter() - self._began - self.aside
        return here + sum(stage.seconds for stage in self.stages)

    @property
    def bytes(self) -> float:
        """Of this process at most: what it has been so far, or what it would hold."""
        return max(self.most, held_most())

    def _timed(self, work: Work[R], tasks: Sequence[Task]) -> dict[str, float]:
        """Seconds for each FLOP, of every kind of step in these tasks."""
        like = type(work), _like(work.subject), getattr(work, "measure", "")
        known = {kind: self._rates.get((*like, kind)) for kind in work.amounts(tasks)}
        if None in known.values():
            trial, some = work.tried(tasks)
            for kind, rate in rates_of(trial, some).items():
                self._rates[(*like, kind)] = rate
        fresh = {kind: self._rates.get((*like, kind), 0.0) for kind in known}
        # What was never tried, as a kind of which no condition was chosen, takes as long as most.
        usual = max(fresh.values(), default=0.0)
        return {kind: rate or usual for kind, rate in fresh.items()}


def rates_of(work: Work[R], tasks: Sequence[Task]) -> dict[str, float]:
    """Seconds for each FLOP of every kind of step, the plainest first: what others need is taken off.

    Args:
        work: A small piece, of one batch.
        tasks: Each with steps of one kind that those before it do not have.
    """
    rates: dict[str, float] = {}
    for task in (tasks[0], *tasks):  # the first time is that of a cold start
        if task is tasks[0]:
            work._worker.clear()
        began = time.perf_counter()
        work.do(task)
        if work.subject.device.type == "cuda":
            torch.cuda.synchronize()
        took = time.perf_counter() - began
        amounts = dict(work.amounts([task]))
        # Of a batch's intact pass the first task alone pays.
        mine = [kind for kind in amounts if kind not in rates]
        if task is tasks[0]:
            mine = list(amounts)
        rest = sum(
            rates[k] * a for k, a in _again(work, task).items() if k in rates and k not in mine
        )
        much = sum(amounts[kind] for kind in mine)
        for kind in mine:
            rates[kind] = max(took - rest, 0.1 * took) / much if much else 0.0
    return rates


def _again(work: Work[R], task: Task) -> dict[str, float]:
    """What a task takes beside another on the same batch: what they share was done before."""
    once, twice = work.amounts([task]), work.amounts([task, task])
    return {kind: twice[kind] - amount for kind, amount in once.items()}


def _stage(work: Work[R], tasks: Sequence[Task]) -> Stage:
    blocks = work.text.blocks(work.part, work.what)
    total = len(work.names) * len(work.plans)
    left = sum(len(task.names) for task in tasks)
    return Stage(
        what=work.what, model=work.subject.name, text=work.text.name, documents=len(blocks),
        tokens=sum(len(block.tokens) for block in blocks),
        units="prompts" if work.text.pairs else "documents",
        conditions=len(work.names), total=total, kept=total - left, amount=0.0, seconds=0.0,
    )  # fmt: skip


def _like(subject: Subject) -> tuple[Any, ...]:
    """What decides how fast a model runs: its twin is as fast as it is."""
    weight = next(subject.anatomy.model.parameters())
    return subject.shape, weight.dtype, weight.device


@dataclass
class Foretelling:
    """Workers who have it told what all will take, before they do the first thing that takes long."""

    workers: Workers
    foretell: Callable[[], None]
    _told: bool = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.workers, name)

    def __call__(self, work: Work[R], tasks: Sequence[Task], /) -> Iterator[tuple[Task, R]]:
        """Do the tasks."""
        if not self._told and sum(work.amounts(tasks).values()) > LONG:
            self._told = True
            self.foretell()
        return self.workers(work, tasks)


LONG = 3e11
"""FLOPs of a first stage from which on it is worth while to find out how long all will take: seconds."""


def held_now() -> float:
    """Bytes of memory that this process has."""
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return float(pages * resource.getpagesize())
    return held_most()


def held_most() -> float:
    """Bytes of memory that this process has had at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
