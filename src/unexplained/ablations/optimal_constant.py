"""Optimal constant ablation (Li and Janson 2024, arXiv:2409.09951): the constant that costs least."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from unexplained.ablations import (
    ABLATIONS,
    AblationError,
    Beside,
    Fill,
    keeping_first,
    value_site,
    without_first,
)
from unexplained.evaluate import Activations, Edited
from unexplained.evaluate.arrays import Arrays, ArrayWork
from unexplained.evaluate.batches import BatchPlan, plan
from unexplained.evaluate.conditions import key, tensor_digest
from unexplained.evaluate.runner import Workers, in_process, measured
from unexplained.evaluate.work import Task, layers_cost, pass_bytes, unembedding_cost
from unexplained.hashing import digest
from unexplained.progress import Count
from unexplained.sites import Site
from unexplained.subject import Edit, Local, Resume, Subject
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
    that the site never says; and where few documents were fitted on it is not the best one, so
    the damage is at most that much too large.
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
        self, subject: Subject, text: Text, sites: Sequence[Site], seed: int, *,
        beside: Beside | None = None, folder: Path | None = None, workers: Workers = in_process,
        progress: Count = lambda done, total: None,
    ) -> Fill:  # fmt: skip
        """Fit by gradient on the text's fit part.

        Beside a claim it is what is added to what the claim gives; gradients take what it gives at
        one site not to move with the constant at another.

        Raises:
            AblationError: There are too few documents, a site is a pattern, or the model is in half
                precision or spread over devices.
        """
        where = tuple(map(value_site, sites))
        _require(subject, text, where)
        work = _Search(
            subject=subject, text=text, part="fit", sites=where, seed=seed, how=self,
            batch_tokens=sum(len(block.tokens) for block in text.fit) * len(text.fit),
            claim=beside and beside.claim, left=_moments(beside.left, where) if beside else (),
        )  # fmt: skip
        (found,) = measured(work, folder=folder, workers=workers, progress=progress)
        kind = next(subject.anatomy.model.parameters()).dtype
        values = [found[str(site)].to(subject.device, kind) for site in where]
        edits = tuple(
            keeping_first(Edit(site, _constant(value)))
            for site, value in zip(sites, values, strict=True)
        )
        mark = digest("optimal constant", *work.said, *map(str, sites), tensor_digest(values))
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
class _Ready:
    """A batch, run up to the first site."""

    plan: BatchPlan
    resume: Resume
    values: Mapping[Site, Tensor]


@dataclass(frozen=True, kw_only=True)
class _Search(ArrayWork):
    """Constants at some sites, all of the fit part in one task."""

    what: ClassVar[str] = "The optimal constant"

    sites: tuple[Site, ...]
    seed: int
    how: OptimalConstant
    claim: Edited | None = None
    """What the constants are added to; they stand alone if None."""
    left: tuple[tuple[Tensor, Tensor], ...] = ()
    """Of every site mean and spread of what the claim leaves out."""

    @property
    def said(self) -> tuple[str, ...]:
        """The claim, if there is one."""
        mark = tensor_digest([one for both in self.left for one in both])
        return (key(self.claim), mark) if self.claim else ()

    @property
    def asked(self) -> tuple[str, ...]:
        """Sites, and how it is searched."""
        return ("constant", str(self.seed), repr(self.how), *self.said, *map(str, self.sites))

    def _edits(self, constants: Sequence[Tensor]) -> list[Edit]:
        if self.claim:
            return list(map(_added, self.claim.edits, constants))
        return [
            keeping_first(Edit(site, _constant(one)))
            for site, one in zip(self.sites, constants, strict=True)
        ]

    def shapes(self, number: int) -> Mapping[str, tuple[int, ...]]:
        """A vector for every site, and the held-out losses at the mean and on the way."""
        shape = self.subject.shape
        inner = {s: shape.head_size for s in self.sites if s.part == "H" and s.value != "out"}
        sizes = {s: 1 if s.is_number else inner.get(s, shape.width) for s in self.sites}
        return {str(site): (size,) for site, size in sizes.items()} | {"losses": (CHECKPOINTS + 1,)}

    def amounts(self, tasks: Sequence[Task]) -> dict[str, float]:
        """One pass over all, then steps there and back, and what is held out now and again."""
        shape = self.subject.shape
        tokens = sum(len(block.tokens) for block in self.plans[0].blocks)
        held = tokens * self.how.held_out
        first = max(first_layer([Edit(site, lambda local: None) for site in self.sites]), 0)
        after = layers_cost(shape) * (1 - first / shape.layers) + unembedding_cost(shape)
        passes = 3 * self.how.steps * min(BATCH_TOKENS, tokens - held) + (CHECKPOINTS + 2) * held
        return {self.what: tokens * layers_cost(shape) + passes * after}

    def held(self, tasks: Sequence[Task]) -> float:
        """A batch's streams in all layers, and its logits there and back."""
        shape = self.subject.shape
        longest = max(len(block.tokens) for block in self.plans[0].blocks)
        rows = max(1, BATCH_TOKENS // longest)
        inside = shape.layers * pass_bytes(shape, rows, longest, self.item)
        return inside + 3.0 * rows * longest * shape.vocabulary * self.item

    def tried(self, tasks: Sequence[Task]) -> tuple[_Search, list[Task]]:
        """A few steps."""
        how = type(self.how)(steps=CHECKPOINTS)
        return self.over(self.small(self.plans[0]), how=how), [Task(0, self.names)]

    def arrays(self, number: int) -> Arrays:
        """From the mean downwards, or from zero where that costs less."""
        batches, others = self._parts(self.plans[number])
        found = self.left or tuple(_moments_of(self._each(batches, site)) for site in self.sites)
        start, spread = ([one[i] for one in found] for i in (0, 1))
        moved = [torch.zeros_like(one, requires_grad=True) for one in start]

        def constants() -> list[Tensor]:
            return [a + s * m for a, s, m in zip(start, spread, moved, strict=True)]

        optimizer = torch.optim.Adam(moved, lr=self.how.rate, betas=(0.9, 0.99))
        steps = self.how.steps
        best, losses = constants(), [self._held_out(others, constants())]
        zero = [torch.zeros_like(one) for one in start]
        if others and (cost := self._held_out(others, zero)) < losses[0]:
            start = best = zero
            losses = [cost]
        for step, ready in enumerate(self._order(batches)):
            optimizer.param_groups[0]["lr"] = self.how.rate * (1 - step / steps)
            with torch.enable_grad():
                loss = self._loss(ready, constants(), differentiable=True)
                found = torch.autograd.grad(loss, moved)
            for one, gradient in zip(moved, found, strict=True):
                one.grad = gradient
            optimizer.step()
            if (step + 1) * CHECKPOINTS // steps > step * CHECKPOINTS // steps:
                losses.append(self._held_out(others, constants()))
                if losses[-1] <= min(losses[:-1]):
                    best = constants()
        fitted = {str(site): one.detach().reshape(-1) for site, one in zip(self.sites, best, strict=True)}  # fmt: skip
        return fitted | {"losses": torch.tensor(losses, dtype=torch.float64)}

    def _parts(self, whole: BatchPlan) -> tuple[list[_Ready], list[_Ready]]:
        """What is fitted on and what is held out, by hash of the document."""
        order = sorted(whole.blocks, key=lambda b: hashlib.sha256(f"{self.seed}{b.unit}".encode()).digest())  # fmt: skip
        count = int(len(order) * self.how.held_out)
        held, fit = order[:count], order[count:]
        return [[self._ready(one) for one in plan(some, BATCH_TOKENS)] for some in (fit, held)]  # type: ignore[return-value]

    def _ready(self, some: BatchPlan) -> _Ready:
        blank = self._edits([torch.zeros(())] * len(self.sites))
        layer = min(max(first_layer(blank), 0), self.subject.shape.layers)
        done = self.subject.run(
            some.batch(self.subject.device), keep=self.sites, keep_streams=[layer]
        )
        return _Ready(some, done.resume(layer), done.values)

    def _each(self, batches: Sequence[_Ready], site: Site) -> Tensor:
        """The site's values after the first position, (tokens, …)."""
        return torch.cat([
            one.values[site][:, 1:][one.plan.batch(self.subject.device).valid[:, 1:]]
            for one in batches
        ])  # fmt: skip

    def _order(self, batches: Sequence[_Ready]) -> list[_Ready]:
        """As many as there are steps: all of them in a drawn order, then in another."""
        draw = np.random.default_rng(self.seed)
        rounds = -(-self.how.steps // len(batches))
        order = [batches[i] for _ in range(rounds) for i in draw.permutation(len(batches))]
        return order[: self.how.steps]

    def _loss(
        self, ready: _Ready, constants: Sequence[Tensor], *, differentiable: bool = False
    ) -> Tensor:
        """Nats per scored token."""
        subject = self.subject
        batch, scored = ready.plan.batch(subject.device), ready.plan.scored(subject.device)
        edits = self._edits(constants)
        done = subject.run(batch, edits, resume=ready.resume, differentiable=differentiable)
        with subject.undisturbed(), torch.set_grad_enabled(differentiable):
            logits = subject.anatomy.logits(done.normed[scored.where])
            return nn.functional.cross_entropy(logits, scored.targets)

    def _held_out(self, batches: Sequence[_Ready], constants: Sequence[Tensor]) -> float:
        """0 where nothing is held out: then the last constant is the best."""
        fixed = [one.detach() for one in constants]
        counts = [sum(len(block.targets) for block in one.plan.blocks) for one in batches]
        sums = [float(self._loss(one, fixed)) * n for one, n in zip(batches, counts, strict=True)]
        return sum(sums) / max(sum(counts), 1)


ABLATIONS.add("optimal constant", OptimalConstant())
