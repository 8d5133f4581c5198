"""Optimal constant ablation (Li and Janson 2024, arXiv:2409.09951): the constant that costs least."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from unexplained.ablations import (
    ABLATIONS,
    AblationError,
    Fill,
    StandingClaim,
    keeping_first,
    value_site,
    without_first,
)
from unexplained.evaluate import Activations, Edited
from unexplained.evaluate.arrays import Arrays, ArrayWork
from unexplained.evaluate.batches import BatchPlan, plan
from unexplained.evaluate.conditions import key, now, tensor_digest
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.evaluate.work import Task, layers_cost, pass_bytes, unembedding_cost
from unexplained.hashing import digest
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Edit, Local, Pass, Subject
from unexplained.subject.edits import first_layer
from unexplained.text import Text

FEWEST = 8
"""Documents that a constant is fitted on, the held-out ones among them."""
BATCH_TOKENS = 1024
"""Padded tokens of a step."""
CHECKPOINTS = 4
"""How often the held-out loss is looked at on the way."""


@dataclass(frozen=True)
class OptimalConstant:
    """Put the constant vector there with which the model's loss is least.

    What is left of the damage is what no constant can give: the rest of a mean's or zero's was
    that they are wrong constants. By gradient from the mean, or from zero if that costs less (Adam, steps
    falling to none, in units of the site's own spread, at most 1.3 of it in all), on two thirds of the fit part; of the constants on the way that with
    the least loss on the last third is taken, so what is only learned by heart is not. Several
    sites that are ablated together are fitted together. The first position stays.

    Misleads in that a constant is found by what helps the rest of the model and may say things
    that the site never says; and where few documents were fitted on, or so few steps do not reach it
    (the first MLP of a model of two layers gave up another quarter of the gain over the mean in four times
    as many), it is not the best one, so the damage is at most that much too large.
    """

    steps: int = 12
    rate: float = 0.2
    """Of the first step, in units of the site's spread."""
    held_out: float = 1 / 3
    """Share of the fit part's documents that choose among the constants on the way."""
    says: str = "the constant with the least loss, fitted on the fit part; the first token stays"
    fits_on: Literal["fit"] = "fit"
    asks_much: bool = True

    def fit(self, activations: Activations, sites: Sequence[Site], seed: int) -> Fill:
        """Refused: values alone do not say what they cost.

        Raises:
            AblationError: Always.
        """
        raise AblationError(
            "The optimal constant from a site's values",
            "what a constant costs is asked of the model",
            "Call ablations.fitted(ablation, subject, text, [sites], seed).",
        )

    def tune(
        self, subject: Subject, text: Text, groups: Sequence[Sequence[Site]], seed: int, *,
        beside: StandingClaim | None = None, folder: Path | None = None, workers: Workers = in_process,
        progress: Count = lambda done, total: None,
    ) -> list[Fill]:  # fmt: skip
        """Fit by gradient on the text's fit part, group by group; the intact pass serves all.

        Beside a claim it is what is added to what the claim gives; gradients take what it gives at
        one site not to move with the constant at another, and the mean of what is left out, where the
        search begins, is over all of the fit part.

        Raises:
            AblationError: There are too few documents, a site is a pattern, or the model is in half
                precision or spread over devices.
        """
        where = tuple(tuple(map(value_site, sites)) for sites in groups)
        for some in where:
            _require(subject, text, some)
        work = _Search(
            subject=subject, text=text, part="fit", groups=where, seed=seed, how=self,
            batch_tokens=BATCH_TOKENS, conditions=(now(beside.claim),) if beside else (),
            left=_moments(beside.left, where[0]) if beside else (),
        )  # fmt: skip
        found = measured(work, folder=folder, workers=workers, progress=progress)
        return [
            _fill(subject, sites, [one[str(value_site(site))] for site in sites], work.said)
            for sites, one in zip(groups, found, strict=True)
        ]


def _fill(
    subject: Subject, sites: Sequence[Site], found: Sequence[Tensor], said: Sequence[str]
) -> Fill:
    kind = next(subject.anatomy.model.parameters()).dtype
    values = [one.to(subject.device, kind) for one in found]
    edits = tuple(
        keeping_first(Edit(site, _constant(value)))
        for site, value in zip(sites, values, strict=True)
    )
    mark = digest("optimal constant", *said, *map(str, sites), tensor_digest(values))
    numbers = sum(value.numel() for value in values)
    return Fill("optimal constant", edits, mark, numbers, fitted_on=subject.remembered)


def _constant(value: Tensor) -> Callable[[Local], Tensor]:
    return lambda local: value.reshape(local.value.shape[2:]).expand_as(local.value)


def _added(edit: Edit, value: Tensor) -> Edit:
    """What an edit gives, and a constant after the first position."""

    def function(local: Local) -> Tensor:
        with torch.no_grad():
            said = edit(local)
        said = local.value.detach() if said is None else said
        put = _constant(value)(local)
        # Not in place: it is differentiated.
        return said + put if local.batch.start else torch.cat([said[:, :1], (said + put)[:, 1:]], 1)

    return replace(edit, function=function)


def _moments(values: Activations, sites: Sequence[Site]) -> tuple[tuple[Tensor, Tensor], ...]:
    """Of every site the mean, and how far values are from it in the mean over tokens and dimensions.

    First positions are left out.
    """
    later = without_first(values)
    return tuple(_moments_of(later.flat(site)) for site in sites)


def _moments_of(values: Tensor) -> tuple[Tensor, Tensor]:
    wide = values.double()
    mean = wide.mean(0)
    return mean.to(values), (wide - mean).square().mean().sqrt().to(values)


def _require(subject: Subject, text: Text, sites: Sequence[Site]) -> None:
    asked = f"The optimal constant at {', '.join(map(str, sites))}"
    subject.require_full_precision(asked)
    subject.anatomy.require_one_device(asked)
    for site in sites:
        if site.value == "pattern":
            raise AblationError(
                asked, "an attention pattern has a row for every position", "Ablate the head's z."
            )
    documents = len({block.document for block in text.fit})
    if documents < FEWEST:
        raise AblationError(
            asked,
            f"the fit part has {documents} documents, and it takes {FEWEST}",
            "Fit on more documents (fit_documents=…; --fit-documents).",
        )


@dataclass(frozen=True)
class _Begun:
    """A batch and the intact pass over it, with the streams from which constants are tried."""

    plan: BatchPlan
    intact: Pass


class _FitAndHeldOut(NamedTuple):
    """What constants are fitted on and what chooses among them."""

    fit: list[_Begun]
    held_out: list[_Begun]


@dataclass(frozen=True, kw_only=True)
class _Search(ArrayWork):
    """Constants at groups of sites; every group is one task, on all of the fit part."""

    what: ClassVar[str] = "The optimal constant"

    groups: tuple[tuple[Site, ...], ...]
    seed: int
    how: OptimalConstant
    left: tuple[tuple[Tensor, Tensor], ...] = ()
    """Of every site mean and spread of what the claim leaves out."""

    @property
    def claim(self) -> Edited | None:
        """What the constants are added to; they stand alone if None."""
        found = self.conditions[0] if self.conditions else None
        assert found is None or isinstance(found, Edited)
        return found

    @property
    def said(self) -> tuple[str, ...]:
        """The claim, if there is one."""
        mark = tensor_digest([one for both in self.left for one in both])
        return (key(self.claim), mark) if self.claim else ()

    @cached_property
    def plans(self) -> list[BatchPlan]:
        """One for every group: all of the fit part."""
        blocks = tuple(self.text.blocks(self.part, self.what))
        return [BatchPlan(tuple(range(len(blocks))), blocks)] * len(self.groups)

    @property
    def asked(self) -> tuple[str, ...]:
        """How it is searched, and beside what."""
        return ("constant", str(self.seed), repr(self.how), *self.said)

    def unit(self, number: int) -> str:
        """By the sites."""
        return digest(super().unit(number), *map(str, self.groups[number]))

    def _edits(self, number: int, constants: Sequence[Tensor]) -> list[Edit]:
        if self.claim:
            return list(map(_added, self.claim.edits, constants))
        return [
            keeping_first(Edit(site, _constant(one)))
            for site, one in zip(self.groups[number], constants, strict=True)
        ]

    def _layer(self, number: int) -> int:
        """Before which a pass is taken up."""
        blank = self._edits(number, [torch.zeros(())] * len(self.groups[number]))
        return min(max(first_layer(blank), 0), self.subject.shape.layers)

    def shapes(self, number: int) -> Mapping[str, tuple[int, ...]]:
        """A vector for every site, and the held-out losses at the mean and on the way."""
        shape, sites = self.subject.shape, self.groups[number]
        inner = {s: shape.head_size for s in sites if s.part == "H" and s.value != "out"}
        sizes = {s: 1 if s.is_number else inner.get(s, shape.width) for s in sites}
        return {str(site): (size,) for site, size in sizes.items()} | {"losses": (CHECKPOINTS + 1,)}

    def amounts(self, tasks: Sequence[Task]) -> dict[str, float]:
        """One pass over all, then steps there and back, and what is held out now and again."""
        shape = self.subject.shape
        tokens = sum(len(block.tokens) for block in self.plans[0].blocks)
        held = tokens * self.how.held_out
        after = sum(
            layers_cost(shape) * (1 - self._layer(task.batch) / shape.layers)
            + unembedding_cost(shape)
            for task in tasks
        )
        passes = 3 * self.how.steps * min(BATCH_TOKENS, tokens - held) + (CHECKPOINTS + 2) * held
        return {self.what: bool(tasks) * tokens * layers_cost(shape) + passes * after}

    def held(self, tasks: Sequence[Task]) -> float:
        """A batch's streams in all layers, its logits there and back, and what is kept for all groups."""
        shape = self.subject.shape
        longest = max(len(block.tokens) for block in self.plans[0].blocks)
        rows = max(1, BATCH_TOKENS // longest)
        inside = shape.layers * pass_bytes(shape, rows, longest, self.item)
        logits = 3.0 * rows * longest * shape.vocabulary * self.item
        tokens = sum(len(block.tokens) for block in self.plans[0].blocks)
        streams = 2 + len({self._layer(number) for number in range(len(self.groups))})
        sites = len({site for group in self.groups for site in group})
        return inside + logits + (streams + sites) * tokens * shape.width * self.item

    def tried(self, tasks: Sequence[Task]) -> tuple[_Search, list[Task]]:
        """A few steps."""
        how = type(self.how)(steps=CHECKPOINTS)
        groups = (self.groups[tasks[0].batch],)
        return self.over(self.small(self.plans[0]), how=how, groups=groups), [Task(0, self.names)]

    def arrays(self, number: int) -> Arrays:
        """From the mean downwards, or from zero where that costs less."""
        batches, others = self._parts()
        sites = self.groups[number]
        both = self.left or tuple(_moments_of(self._each(batches, site)) for site in sites)
        start, spread = ([one[i] for one in both] for i in (0, 1))
        moved = [torch.zeros_like(one, requires_grad=True) for one in start]

        def constants() -> list[Tensor]:
            return [a + s * m for a, s, m in zip(start, spread, moved, strict=True)]

        optimizer = torch.optim.Adam(moved, lr=self.how.rate, betas=(0.9, 0.99))
        steps = self.how.steps
        best, losses = constants(), [self._held_out(number, others, constants())]
        zero = [torch.zeros_like(one) for one in start]
        if others and (cost := self._held_out(number, others, zero)) < losses[0]:
            start = best = zero
            losses = [cost]
        for step, ready in enumerate(self._order(batches)):
            optimizer.param_groups[0]["lr"] = self.how.rate * (1 - step / steps)
            with torch.enable_grad():
                loss = self._loss(number, ready, constants(), differentiable=True)
                found = torch.autograd.grad(loss, moved)
            for one, gradient in zip(moved, found, strict=True):
                one.grad = gradient
            optimizer.step()
            if (step + 1) * CHECKPOINTS // steps > step * CHECKPOINTS // steps:
                losses.append(self._held_out(number, others, constants()))
                if losses[-1] <= min(losses[:-1]):
                    best = constants()
        fitted = {str(site): one.detach().reshape(-1) for site, one in zip(sites, best, strict=True)}  # fmt: skip
        return fitted | {"losses": torch.tensor(losses, dtype=torch.float64)}

    def _parts(self) -> _FitAndHeldOut:
        """What is fitted on and what is held out, by hash of the document; run once for all groups."""
        if not self._worker:
            order = sorted(self.plans[0].blocks, key=lambda b: hashlib.sha256(f"{self.seed}{b.unit}".encode()).digest())  # fmt: skip
            count = int(len(order) * self.how.held_out)
            held, fit = order[:count], order[count:]
            parts = ([self._ready(one) for one in plan(some, BATCH_TOKENS)] for some in (fit, held))
            self._worker[:] = [_FitAndHeldOut(*parts)]
        found: _FitAndHeldOut = self._worker[0]
        return found

    def _ready(self, some: BatchPlan) -> _Begun:
        layers = {self._layer(number) for number in range(len(self.groups))}
        sites = dict.fromkeys(site for group in self.groups for site in group)
        done = self.subject.run(
            some.batch(self.subject.device), keep=list(sites),
            keep_streams=sorted(layers - {self.subject.shape.layers}),
        )  # fmt: skip
        return _Begun(some, done)

    def _each(self, batches: Sequence[_Begun], site: Site) -> Tensor:
        """The site's values after the first position, (tokens, …)."""
        return torch.cat([
            one.intact.values[site][:, 1:][one.plan.batch(self.subject.device).valid[:, 1:]]
            for one in batches
        ])  # fmt: skip

    def _order(self, batches: Sequence[_Begun]) -> list[_Begun]:
        """As many as there are steps: all of them in a drawn order, then in another."""
        draw = np.random.default_rng(self.seed)
        rounds = -(-self.how.steps // len(batches))
        order = [batches[i] for _ in range(rounds) for i in draw.permutation(len(batches))]
        return order[: self.how.steps]

    def _loss(
        self,
        number: int,
        ready: _Begun,
        constants: Sequence[Tensor],
        *,
        differentiable: bool = False,
    ) -> Tensor:
        """Nats per scored token."""
        subject = self.subject
        batch, scored = ready.plan.batch(subject.device), ready.plan.scored(subject.device)
        resume = ready.intact.resume(self._layer(number))
        edits = self._edits(number, constants)
        done = subject.run(batch, edits, resume=resume, differentiable=differentiable)
        with subject.undisturbed(), torch.set_grad_enabled(differentiable):
            logits = subject.anatomy.logits(done.normed[scored.where])
            return nn.functional.cross_entropy(logits, scored.targets)

    def _held_out(
        self, number: int, batches: Sequence[_Begun], constants: Sequence[Tensor]
    ) -> float:
        """0 where nothing is held out: then the last constant is the best."""
        fixed = [one.detach() for one in constants]
        counts = [sum(len(block.targets) for block in one.plan.blocks) for one in batches]
        sums = [
            float(self._loss(number, one, fixed)) * n
            for one, n in zip(batches, counts, strict=True)
        ]
        return sum(sums) / max(sum(counts), 1)


ABLATIONS.add("optimal constant", OptimalConstant())
