"""Later weights refitted under a condition: what the rest of a model makes of it when it may adapt.

Whatever is put in a component's place, the layers after it were trained for the component itself. So
they are trained a little further, on the fit part, with the condition standing in. What is then still
lost cannot be blamed on a clumsy substitution; what is regained may have been learned anew, so the
same refit stands beside it over nothing, over what is wrong for certain, and over the intact model,
with the same batches and steps. Early stopping looks at documents of the fit part that are not
trained on (`THIRD`); the eval part is never seen.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from unexplained.errors import MeasurementError
from unexplained.evaluate import Edited
from unexplained.evaluate.arrays import Arrays, ArrayWork
from unexplained.evaluate.batches import BatchPlan, Scored, plan
from unexplained.evaluate.conditions import key, now
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.evaluate.store import Store
from unexplained.evaluate.work import (
    Task,
    layer_cost,
    layers_cost,
    pass_bytes,
    unembedding_cost,
)
from unexplained.hashing import digest
from unexplained.progress import Count
from unexplained.repairs import states, unembedded
from unexplained.repairs.later import Later, LayerWeights, low_rank, principal
from unexplained.repairs.refitted import Refitted, Start, condition_with
from unexplained.repairs.schedule import BATCH_TOKENS, RANK, RefitSettings, third_of
from unexplained.repairs.states import State
from unexplained.subject import Resume, Subject
from unexplained.text import Block, Text

LOOKS = 8
"""How often that is looked at, evenly over the steps, besides before the first."""
LOOKED_AT = 4096
"""Padded tokens of it that are looked at, at most."""
BETAS, CLIP = (0.9, 0.98), 1.0
HALVINGS = 12
"""Of the search for a damage of some size."""


def refit(
    subject: Subject,
    text: Text,
    conditions: Sequence[Edited],
    seeds: Sequence[int],
    *,
    first: int,
    how: RefitSettings,
    damage: float = 0.0,
    batch_tokens: int = BATCH_TOKENS,
    folder: Path | None = None,
    workers: Workers = in_process,
    progress: Count = lambda done, total: None,
) -> dict[str, tuple[Refitted, ...]]:
    """Refit the later weights under every condition, with every seed.

    Args:
        subject: The model, in float32.
        text: On its fit part, the same batches in the same order for every condition of a seed.
        conditions: What stands in; one without edits is the intact model.
        seeds: Of the order of batches.
        first: The first layer that is refitted.
        how: Steps, rank and rate.
        damage: Nats per token that the later weights are made worse by before the first step, in a
            way that the same weights can undo: tells how strong a refit is.
        batch_tokens: Padded tokens of a step.
        folder: What is finished is kept here and found again.
        workers: Who does it; every condition and seed is a task of its own.
        progress: Told of every one that is finished.

    Returns:
        For every condition's name, one for each seed.

    Raises:
        MeasurementError: The model is in half precision; the loss became NaN or infinite.
        TextError: The fit part is too small to be split.
    """
    subject.require_full_precision("A refit")
    work = Refit(
        subject=subject, text=text, part="fit", batch_tokens=batch_tokens,
        conditions=tuple(map(_now, conditions)), seeds=tuple(seeds), first=first, how=how,
        damage=damage,
    )  # fmt: skip
    third_of(text)  # refused before anything is run
    found = measured(work, folder=folder, workers=workers, progress=progress)
    made: dict[str, tuple[Refitted, ...]] = {}
    starts: dict[str, Start] = {}
    for (condition, seed), arrays in zip(work.each, found, strict=True):
        start = starts.setdefault(condition.name, Start(condition, first))
        one = _refitted(subject, start, seed, arrays)
        made[condition.name] = (*made.get(condition.name, ()), one)
    return made


def _now(condition: Edited) -> Edited:
    found = now(condition)
    assert isinstance(found, Edited)
    return found


def _refitted(subject: Subject, start: Start, seed: int, arrays: Mapping[str, Tensor]) -> Refitted:
    weights = {n: w.to(subject.device) for n, w in arrays.items() if n not in ("looks", "steps")}
    program = condition_with(f"{start.base.name}, refitted (seed {seed})", start, weights)
    return Refitted(program, arrays["looks"].numpy(), arrays["steps"].numpy())


class _Ready(NamedTuple):
    """A batch under a condition, up to the layers that are refitted."""

    start: Resume
    scored: Scored


@dataclass(frozen=True, kw_only=True)
class Refit(ArrayWork):
    """Every condition with every seed is one task; its arrays are weights."""

    what: ClassVar[str] = "Later weights refitted"

    seeds: tuple[int, ...]
    first: int
    how: RefitSettings
    damage: float = 0.0
    store: Store | None = field(default=None, repr=False)
    """Where unfinished ones are kept."""

    @cached_property
    def each(self) -> list[tuple[Edited, int]]:
        """Conditions and seeds in the order of tasks."""
        return [(c, seed) for c in self.conditions if isinstance(c, Edited) for seed in self.seeds]

    @cached_property
    def plans(self) -> list[BatchPlan]:
        """One for every task: all of the fit part."""
        blocks = tuple(self.text.blocks(self.part, self.what))
        return [BatchPlan(tuple(range(len(blocks))), blocks)] * len(self.each)

    @cached_property
    def split(self) -> tuple[list[BatchPlan], list[BatchPlan]]:
        """Batches to train on, and those that say when to stop; no unit is in both.

        Raises:
            TextError: There are too few documents.
        """
        third = third_of(self.text)
        kinds: tuple[list[Block], list[Block]] = ([], [])
        for block in self.text.blocks("fit", self.what):
            kinds[block.unit in third].append(block)
        looked, many = list[Block](), 0
        for block in kinds[1]:
            many += len(block.tokens)
            if not looked or many <= LOOKED_AT:
                looked.append(block)
        return plan(kinds[0], self.batch_tokens), plan(looked, self.batch_tokens)

    @property
    def asked(self) -> tuple[str, ...]:
        """Where it begins and how it goes."""
        return (str(self.first), str(self.how), f"{self.damage:.9g}")

    def unit(self, number: int) -> str:
        """By condition and seed."""
        condition, seed = self.each[number]
        return digest(self.part, *self.asked, key(condition), "seed", str(seed))

    def shapes(self, number: int) -> dict[str, tuple[int, ...]]:
        """The weights, and what was looked at."""
        steps = len(self._looks())
        weights = {name: tuple(w.shape) for name, w in self._begin.items()}
        return weights | {"looks": (steps,), "steps": (steps,)}

    @cached_property
    def _begin(self) -> dict[str, Tensor]:
        """The weights before the first step; none is written to."""
        later = Later(self.subject.anatomy, self.first)
        if not self.how.rank:
            return later.weights()
        return low_rank(later, self.how.rank)

    def _looks(self) -> list[int]:
        """After how many steps the third part is looked at."""
        steps = self.how.steps
        return sorted({round(steps * i / LOOKS) for i in range(LOOKS + 1)})

    def arrays(self, number: int) -> dict[str, Tensor]:
        """Train, and give the weights that were best on the third part."""
        condition, seed = self.each[number]
        training, third = self._streams(condition)
        later = Later(self.subject.anatomy, self.first)
        now = self._state(number) or self._start(later, third, seed)
        # In the order of the moments; a file has its own.
        weights = {name: now.weights[name].clone().requires_grad_() for name in self._begin}
        optimizer = torch.optim.AdamW(weights.values(), betas=BETAS, weight_decay=0.0)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": now.moments, "param_groups": groups})
        order = _order(len(training), self.how.steps, seed)
        at, looks, best = self._looks(), list(now.looks), now.best
        kept = time.monotonic()
        with self.subject.undisturbed():
            for step in range(now.step, self.how.steps):
                optimizer.param_groups[0]["lr"] = self.how.rate_at(step)
                self._step(later, training[order[step]], weights, optimizer)
                if step + 1 in at:
                    looks.append(self._loss_on(later, third, weights))
                    if looks[-1] == min(looks):
                        best = {name: weight.detach().clone() for name, weight in weights.items()}
                    if self.store and time.monotonic() - kept >= states.EVERY:
                        moments = optimizer.state_dict()["state"]
                        now = State(step + 1, weights, best, tuple(looks), moments)
                        now.keep(self.store, self.unit(number))
                        kept = time.monotonic()
        if not np.isfinite(looks).all():
            raise MeasurementError(
                f"'{condition.name}' refitted", "the loss became NaN or infinite",
                "Lower the rate, or look at what is put in its sites.",
            )  # fmt: skip
        told = {"looks": torch.tensor(looks, dtype=torch.float64), "steps": torch.tensor(at)}
        return {name: best[name] for name in self._begin} | told

    def kept_in(self, store: Store) -> Self:
        """The same, which keeps there how far it is."""
        return replace(self, store=store)

    def keep(self, store: Store, task: Task, result: Arrays) -> None:
        """Keep the weights, and forget the way to them."""
        super().keep(store, task, result)
        State.forget(store, self.unit(task.batch))

    def _state(self, number: int) -> State | None:
        """How far an interrupted refit was."""
        unit, device = self.unit(number), self.subject.device
        return State.of(self.store, unit, device) if self.store else None

    def _start(self, later: Later, third: Sequence[_Ready], seed: int) -> State:
        begin = self._damaged(later, third, seed) if self.damage else self._begin
        begin = {name: weight.detach().clone() for name, weight in begin.items()}
        with self.subject.undisturbed():
            return State(0, begin, begin, (self._loss_on(later, third, begin),))

    def _damaged(self, later: Later, third: Sequence[_Ready], seed: int) -> dict[str, Tensor]:
        """Weights that are worse by about `damage` on the third part: principal parts weakened unevenly."""
        begin, draw = self._begin, torch.Generator().manual_seed(seed + 1)
        low = begin if self.how.rank else low_rank(later, RANK)
        away = {
            f"{name}.left": -torch.rand(len(own), 1, generator=draw).to(own) * own
            for name in later.matrices()
            for own in (principal(later, name, low[f"{name}.right"]),)
        }
        if not self.how.rank:  # the same, written out
            away = {
                f"{name.removesuffix('.left')}.weight": _written_out(later, name, low, left)
                for name, left in away.items()
            }

        def by(much: float) -> dict[str, Tensor]:
            return begin | {name: begin[name] + much * one for name, one in away.items()}

        with self.subject.undisturbed():
            aim = self._loss_on(later, third, begin) + self.damage
            small, large = 0.0, 1.0
            while self._loss_on(later, third, by(large)) < aim and large < 1e3:
                small, large = large, 2 * large
            for _ in range(HALVINGS):
                middle = (small + large) / 2
                low_enough = self._loss_on(later, third, by(middle)) < aim
                small, large = (middle, large) if low_enough else (small, middle)
        return by(small)

    def _step(
        self,
        later: Later,
        ready: _Ready,
        weights: dict[str, Tensor],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        with torch.enable_grad():
            normed = later.normed(ready.start, weights)[ready.scored.where]
        pull = unembedded.pull(self.subject.anatomy, normed.detach(), ready.scored.targets)
        # Not `backward`: the model's own parameters get no gradient.
        gradients = torch.autograd.grad(normed, list(weights.values()), pull, allow_unused=True)
        size = torch.sqrt(
            sum((g.square().sum() for g in gradients if g is not None), normed.new_zeros(()))
        )
        for weight, gradient in zip(weights.values(), gradients, strict=True):
            weight.grad = None if gradient is None else gradient * (CLIP / size.clamp(min=CLIP))
        optimizer.step()

    def _loss(self, later: Later, ready: _Ready, weights: LayerWeights) -> Tensor:
        """Of every scored prediction."""
        normed = later.normed(ready.start, weights)[ready.scored.where]
        return unembedded.losses(self.subject.anatomy, normed, ready.scored.targets)

    def _loss_on(self, later: Later, some: Sequence[_Ready], weights: LayerWeights) -> float:
        """Per token."""
        with torch.no_grad():
            losses = [self._loss(later, ready, weights).double() for ready in some]
        return float(torch.cat(losses).mean())

    def _streams(self, condition: Edited) -> tuple[list[_Ready], list[_Ready]]:
        """Both parts under a condition, kept for its other seeds."""
        if not self._worker or self._worker[0][0] != condition.name:
            self._worker[:] = []  # before the next are held
            self._worker[:] = [(condition.name, *(self._run(condition, p) for p in self.split))]
        _, training, third = self._worker[0]
        return training, third

    def _run(self, condition: Edited, plans: Sequence[BatchPlan]) -> list[_Ready]:
        device = self.subject.device
        found = list[_Ready]()
        for one in plans:
            done = self.subject.run(one.batch(device), condition.edits, keep_streams=[self.first])
            found.append(_Ready(done.resume(self.first), one.scored(device)))
        return found

    def amounts(self, tasks: Sequence[Task]) -> dict[str, float]:
        """FLOPs: forwards and backwards of steps, forwards of looks, and of every condition its passes once."""
        shape, (training, third) = self.subject.shape, self.split
        later = (shape.layers - self.first) * layer_cost(shape) + unembedding_cost(shape)
        trained, held = (sum(math.prod(one.size) for one in part) for part in (training, third))
        looks = len(self._looks()) + (HALVINGS + 2) * bool(self.damage)
        refit = later * (3 * self.how.steps * trained / len(training) + looks * held)
        passes = len({self.each[task.batch][0].name for task in tasks}) * layers_cost(shape)
        return {f"refit rank {self.how.rank}": len(tasks) * refit + passes * (trained + held)}

    def held(self, tasks: Sequence[Task]) -> float:
        """Streams of the whole part, weights with AdamW's two, a step's layers and logits."""
        shape, (training, third) = self.subject.shape, self.split
        tokens = sum(math.prod(one.size) for one in (*training, *third))
        weights = sum(weight.numel() for weight in self._begin.values())
        inside = (shape.layers - self.first) * max(
            pass_bytes(shape, *one.size, self.item) for one in training
        )
        logits = 3.0 * self.item * min(self.batch_tokens * shape.vocabulary, unembedded.LOGITS)
        return self.item * (tokens * shape.width + 5.0 * weights) + inside + logits

    def imagined(self, task: Task) -> Arrays:
        """Weights near those before the first step: they are put into the model, so they are of its kind."""
        drawn = super().imagined(task)
        near = {n: w * (1 + 1e-3 * drawn[n].to(w)) for n, w in self._begin.items()}
        return drawn | {name: weight.cpu() for name, weight in near.items()}

    def tried(self, tasks: Sequence[Task]) -> tuple[Refit, list[Task]]:
        """A step on one batch, looked at on one; the weights before it are known already."""
        training, third = self.split
        small = replace(self, how=replace(self.how, steps=1), seeds=self.seeds[:1],
                        conditions=self.conditions[:1], store=None, _worker=[])  # fmt: skip
        small.__dict__.update(_begin=self._begin, split=(training[:1], third[:1]))
        return small, [Task(0, self.names)]


def _written_out(later: Later, name: str, low: LayerWeights, left: Tensor) -> Tensor:
    """A change of low rank as a matrix, the way its architecture keeps it."""
    module = later.matrices()[name.removesuffix(".left")]
    product = low[f"{name.removesuffix('.left')}.right"] @ left
    return product.T if isinstance(module, nn.Linear) else product


def _order(batches: int, steps: int, seed: int) -> list[int]:
    """Which batch every step takes: all of them in an order of its own, again and again."""
    rng = np.random.default_rng(seed)
    order = list[int]()
    while len(order) < steps:
        order += rng.permutation(batches).tolist()
    return order[:steps]
