"""The same measurements on several processes or machines, through Ray.

One model per worker; a task is given out, its result comes back, and what the `runner` does with it
does not change: the whole is the same bit for bit, and so is what is kept. A worker that dies is
replaced and what it had not finished is given out again.
"""

from __future__ import annotations

import platform
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from unexplained.errors import MeasurementError
from unexplained.evaluate.ray_session import capacity, import_ray, session
from unexplained.evaluate.shipping import Blueprint, Shipped, pack, parts_of, unpack
from unexplained.evaluate.task_queue import TaskQueue, WorkerFailures
from unexplained.evaluate.work import R, Task, Work
from unexplained.hashing import code_digest, digest, everything
from unexplained.subject import Subject
from unexplained.subject.precision import Precision

IN_FLIGHT = 2
"""Tasks that a worker has been given: one that it does and one that waits, so that it never does."""

PATIENCE = 5.0
"""Seconds without a result after which it is asked whether there is still a machine."""


def ray_workers(
    address: str | None = None,
    workers: int | None = None,
    threads: int = 1,
    gpus_per_worker: float | None = None,
    load: Callable[[], Subject] | None = None,
) -> RayWorkers:
    """Workers for `evaluate(…, workers=…)` and all that takes `workers`: processes of a Ray cluster, each with the model.

    In a `with` block they are kept from one evaluation to the next; without one they are started
    and ended by each. Ray is started if it is not running and then ended too; what was running
    before stays. Same bits as in one process: on the same kind of processor and device, with the
    same number of threads.

    Trust: edits and `load` travel as code (cloudpickle), and whoever can reach a Ray cluster can
    run code on it: that is Ray's way. Use a cluster of your own, on a network of your own.
    Nothing that was pickled is ever read from a file.

    Args:
        address: `host:port` of a cluster (`auto`: the one on this machine); a Ray of its own on
            this machine if None.
        workers: How many; as many as there is room for if None.
        threads: Of each worker, and what Ray counts as its CPUs. The low bits depend on it.
        gpus_per_worker: None: one where the model here is on a GPU, else none. More than one for
            a model whose `load` spreads it with `device_map`.
        load: How a worker gets the model, such as `lambda: ux.load("/models/large",
            device_map="auto")`. If None, the weights of the model here are sent once.

    Raises:
        MeasurementError: Ray is not installed, or (on measuring) there is no cluster there, no
            machine has room for a worker, or a task killed every worker that tried it.
    """
    import_ray()
    for name, number in (("workers", workers), ("threads", threads)):
        if number is not None and number < 1:
            raise MeasurementError(f"{name}={number}", "it must be 1 or more")
    return RayWorkers(address, workers, threads, gpus_per_worker, load)


@dataclass
class RayWorkers:
    """Made by `ray_workers`."""

    address: str | None
    workers: int | None
    threads: int
    """What a result depends on: `evaluate` keeps it under this number of threads."""
    gpus_per_worker: float | None
    load: Callable[[], Subject] | None
    _kept: bool = field(default=False, init=False)
    _pool: WorkerPool | None = field(default=None, init=False)

    def __enter__(self) -> RayWorkers:
        """Keep the workers until the block ends."""
        self._kept = True
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers, and Ray if it was started for them."""
        self._kept = False
        self.close()

    def close(self) -> None:
        """End the workers; the next evaluation starts others."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def __call__(self, job: Work[R], tasks: Sequence[Task], /) -> Iterator[tuple[Task, R]]:
        """Do the tasks; each is yielded once, as it is finished."""
        if not tasks:
            return
        device = job.subject.device.type
        gpus = float(device == "cuda") if self.gpus_per_worker is None else self.gpus_per_worker
        if gpus and device != "cuda":
            raise MeasurementError(
                f"Workers with {gpus:g} GPUs",
                f"the model here is on the {device}, and how a batch is run is planned from it",
                "Load it on a GPU here too, or ask for gpus_per_worker=0.",
            )
        if self._pool is None or self._pool.gpus != gpus:
            self.close()
            self._pool = WorkerPool(self.address, self.workers, self.threads, gpus)
        pool = self._pool
        pool.turn = turn = pool.turn + 1
        try:
            yield from pool.work(job, tasks, self.load)
        finally:
            # An evaluation that was broken off may end here only after the next one has begun.
            if not self._kept and self._pool is pool and pool.turn == turn:
                self.close()


@dataclass(eq=False)
class _Member:
    """A worker as seen from here."""

    actor: Any
    flight: deque[tuple[Any, Task | None]] = field(default_factory=deque)
    """What it has been asked, in order; no task stands for its preparation."""
    model: str = ""
    """Which model it has been told to open."""


class WorkerPool:
    """The workers and what each has been given."""

    def __init__(self, address: str | None, workers: int | None, threads: int, gpus: float) -> None:
        self.gpus, self._threads = gpus, threads
        self.turn = 0
        """Which evaluation it is working for."""
        self._session = session(address, workers, threads, gpus)
        self._ray = self._session.__enter__()
        self._members: list[_Member] = []
        self._models: dict[str, Any] = {}
        try:
            room = self._room()
            self._size = workers or room
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers, and what was started for them."""
        for member in self._members:
            self._ray.kill(member.actor)
        self._members.clear()
        self._session.__exit__(None, None, None)

    def work(
        self, job: Work[R], tasks: Sequence[Task], load: Callable[[], Subject] | None
    ) -> Iterator[tuple[Task, R]]:
        """Give tasks out and yield what comes back."""
        ray, queue, failures = self._ray, TaskQueue(tasks), WorkerFailures(job)
        prepare = partial(self._prepare, *self._shipped(job, load))
        while len(self._members) < min(self._size, len(tasks)):
            self._members.append(self._hire())
        for member in self._members:
            if any(task is None for _, task in member.flight):
                member.model = ""  # it may have failed to open it
            member.flight.clear()  # an evaluation was broken off: nobody waits for its tasks
            prepare(member)
        while queue.left:
            heads = {member.flight[0][0]: member for member in self._members if member.flight}
            ready, _ = ray.wait(list(heads), num_returns=1, timeout=PATIENCE)
            if not ready:
                self._room()
                continue
            member = heads[ready[0]]
            try:
                result = ray.get(ready[0])
            except ray.exceptions.RayTaskError as error:
                yield from self._arrived(member)
                raise (error.cause if isinstance(error.cause, Exception) else error) from None
            except ray.exceptions.RayError as error:
                if given_up := failures.note(member.flight[0][1], error):
                    yield from self._arrived(member, begun=True)
                    raise given_up from None
                prepare(self._replace(member, queue))
                continue
            task = member.flight.popleft()[1]
            self._give(member, queue)
            if task is None:
                failures.before_the_start = 0
            else:
                queue.left -= 1
                yield task, result

    def _room(self) -> int:
        """For how many workers there is room on the machines that are there now."""
        room = capacity(self._ray, self._threads, self.gpus)
        if room == 0:
            raise MeasurementError(
                f"A worker with {self._threads} CPUs and {self.gpus:g} GPUs",
                "no machine of the cluster has so many",
                "What was finished is kept. Ask for fewer, or look at `ray status`.",
            )
        return room

    def _shipped(
        self, job: Work[Any], load: Callable[[], Subject] | None
    ) -> tuple[str, tuple[Any, ...], Any]:
        """The model's name, what a worker needs to open it, and the job."""
        expected = _facts(job.subject)
        model = digest(*expected.values(), str(id(load)))
        if model not in self._models:
            _refuse_spread(job.subject, load)
            self._models = {model: self._ray.put(pack(load or Blueprint.of(job.subject)))}
        source = (self._models[model], job.subject.precision, expected)
        # The pool is only for counting n-grams, and may hold all tokens of a corpus.
        lean = replace(job, text=replace(job.text, pool=_no_pool), _worker=[])
        return model, source, self._ray.put(pack(lean, parts_of(job.subject)))

    def _hire(self) -> _Member:
        actor = self._ray.remote(
            num_cpus=self._threads, num_gpus=self.gpus, max_restarts=0, max_task_retries=0
        )(Worker)
        return _Member(actor.remote(self._threads))

    def _prepare(self, model: str, source: tuple[Any, ...], shipped: Any, member: _Member) -> None:
        if member.model != model:
            member.flight.append((member.actor.open.remote(*source), None))
            member.model = model
        member.flight.append((member.actor.take.remote(shipped), None))

    def _give(self, member: _Member, queue: TaskQueue) -> None:
        """Fill up what a worker has been given, once it is prepared."""
        if any(task is None for _, task in member.flight):
            return
        while len(member.flight) < IN_FLIGHT and (task := queue.take(member)) is not None:
            member.flight.append((member.actor.do.remote(task), task))

    def _replace(self, member: _Member, queue: TaskQueue) -> _Member:
        """Another worker for one that died, and its tasks back: it died on the first of them."""
        self._ray.kill(member.actor)  # unreachable is not dead: it must not do anything twice
        self._members.remove(member)
        queue.gone(member)
        first, *others = [task for _, task in member.flight]
        for task in reversed(others):
            if task is not None:
                queue.put_back(task)
        if first is not None:
            queue.put_back(first, last=True)
        for other in self._members:
            self._give(other, queue)  # one that had run out of tasks can have these
        self._members.append(self._hire())
        return self._members[-1]

    def _arrived(self, failed: _Member, begun: bool = False) -> Iterator[tuple[Task, Any]]:
        """What the other workers have finished by now; with `begun`, what they were given too."""
        for member in self._members:
            while member is not failed and member.flight:
                head, task = member.flight[0]
                # One that still prepares may be waiting for a machine that is gone.
                if not self._ended(head, waits=begun and task is not None):
                    break
                try:
                    result = self._ray.get(head)
                except self._ray.exceptions.RayError:
                    break
                member.flight.popleft()
                if task is not None:
                    yield task, result

    def _ended(self, asked: Any, waits: bool) -> bool:
        """Whether something has been done; waited for as long as there is a machine, if it is."""
        while not self._ray.wait([asked], timeout=PATIENCE if waits else 0)[0]:
            if not waits:
                return False
            self._room()
        return True


class Worker:
    """One process with the model: a Ray actor."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._subject: Subject | None = None
        self._job: Work[Any] | None = None

    def open(self, source: Shipped, precision: Precision, expected: dict[str, str]) -> None:
        """Get the model, and refuse one that would give other numbers than the one asked about."""
        self._job = self._subject = None  # before the next, for they may not fit side by side
        # How products are computed is decided once, where the evaluation was begun.
        self._subject = replace(unpack(source)(), precision=precision)
        found = _facts(self._subject)
        for what, wanted in expected.items():
            if found[what] != wanted:
                raise MeasurementError(
                    f"A worker on {platform.node()}",
                    f"its {what} is {found[what]}, and {wanted} was asked about",
                    "Install the same versions there and load the same weights.",
                )

    def take(self, shipped: Shipped) -> None:
        """Get what is to be measured."""
        assert self._subject is not None
        self._job = unpack(shipped, parts_of(self._subject))

    def do(self, task: Task) -> Any:
        """Measure."""
        assert self._job is not None
        return self._job.do(task)


def _facts(subject: Subject) -> dict[str, str]:
    weight = next(subject.anatomy.model.parameters())
    return {
        "model": subject.fingerprint,
        "code of unexplained": code_digest(*everything()),
        "torch": torch.__version__,
        "device": subject.device.type,
        "type": str(weight.dtype),
    }


def _refuse_spread(subject: Subject, load: Callable[[], Subject] | None) -> None:
    devices = {str(weight.device) for weight in subject.anatomy.model.parameters()}
    if load is None and len(devices) > 1:
        raise MeasurementError(
            f"Sending {subject.name} to workers",
            f"it is spread over {', '.join(sorted(devices))}",
            "Say how a worker loads it: load=lambda: ux.load(…, device_map=…).",
        )


def _no_pool() -> Iterator[Any]:
    return iter(())
