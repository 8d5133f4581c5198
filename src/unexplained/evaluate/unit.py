"""One batch: the intact pass once, from its streams every condition, and what is scored of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from unexplained.errors import NotFinite
from unexplained.evaluate import imagining
from unexplained.evaluate.batches import Scored
from unexplained.evaluate.conditions import Condition, Edited, Other, Program
from unexplained.evaluate.rows import rows_of
from unexplained.evaluate.score import LogitsOf, Scores, logit_differences, score
from unexplained.evaluate.work import Task
from unexplained.ledger import Ledger
from unexplained.subject import Batch, Copy, Edit, Pass, Resume
from unexplained.text.strata import Labels, varying

if TYPE_CHECKING:
    from unexplained.evaluate.job import Job

T = TypeVar("T")


class Unit:
    """One batch: the intact pass, and from its streams each condition."""

    def __init__(self, job: Job, number: int) -> None:
        self.job, self.subject = job, job.subject
        self.plan, self.layout = job.plans[number], job.layout(number)
        self.whole = self.plan.batch(self.subject.device)
        self.batch: Batch = self.whole.since(self.layout.start)
        scored = self.plan.scored(self.subject.device)
        self.everywhere = scored.where
        self.scored = Scored(scored.where[:, self.layout.start :], scored.targets, scored.wrong)
        self._kept: tuple[int, Pass] | None = None

    @cached_property
    def directs(self) -> dict[str, tuple[Edit, ...]]:
        """Edits whose direct effects are wanted; free and frozen norm are two readings of one."""
        return {
            c.fingerprint: c.edits
            for c in self.job.conditions
            if isinstance(c, Edited) and c.is_direct
        }

    @cached_property
    def labels(self) -> list[dict[str, Labels]]:
        """Of every block the strata that are measured: not those that whole blocks are in."""
        kept = varying(self.plan.blocks)
        every = [self.job.text.labels(block) for block in self.plan.blocks]
        return [
            {partition: labels for partition, labels in some.items()
             if partition in kept or partition not in block.marks}
            for block, some in zip(self.plan.blocks, every, strict=True)
        ]  # fmt: skip

    @cached_property
    def places(self) -> Tensor:
        """The scored places, counted through the batch row by row."""
        return self.scored.where.flatten().nonzero()[:, 0]

    @cached_property
    def starts(self) -> list[int]:
        """Layers where some condition begins."""
        layers = {self.job.start_layer(c) for c in self.job.conditions if isinstance(c, Edited)}
        return sorted(layers - {self.subject.shape.layers})

    @cached_property
    def intact(self) -> Pass:
        """The intact model, with all direct effects and as many streams as may be kept."""
        prefix = None
        if self.layout.start:
            prefix = self.subject.prefix(self.whole.tokens[:, : self.layout.start])
        return self.subject.run(
            self.batch,
            keep_streams=self.starts[: self.layout.window],
            direct=list(self.directs.values()),
            prefix=prefix,
            keep_scales=any(isinstance(c, Edited) and c.holds_norms for c in self.job.conditions),
        )

    def resume(self, layer: int) -> Resume:
        """The point before a layer; streams that did not fit are made again, a window at a time."""
        number = self._window(layer)
        if number == 0 or layer == self.subject.shape.layers:
            return self.intact.resume(layer)
        if self._kept is None or self._kept[0] != number:
            # From the end of an earlier window, the nearest that is at hand.
            near = self._kept is not None and self._kept[0] < number
            before, base = self._kept if near and self._kept else (0, self.intact)
            size = self.layout.window
            here = base.resume(self.starts[size * (before + 1) - 1])
            some = self.starts[size * number : size * (number + 1)]
            self._kept = None
            self._kept = number, self.subject.run(self.batch, keep_streams=some, resume=here)
        return self._kept[1].resume(layer)

    def _window(self, layer: int) -> int:
        """In which window of kept streams a layer is; those that begin after all are in the last."""
        place = self.starts.index(layer) if layer in self.starts else len(self.starts) - 1
        return max(place, 0) // self.layout.window

    def measure(self, conditions: Sequence[Condition]) -> Ledger:
        """Measure some of the conditions, always with the intact model for comparison."""
        finals: dict[str, Tensor] = {}
        errors: dict[str, Tensor] = {}
        others: dict[str, LogitsOf] = {}
        where = self.scored.where
        finals |= self._totals([c for c in conditions if _is_total(c)])
        for condition in conditions:
            match condition:
                case Edited(name=name, fingerprint=mark, effect=effect) if condition.is_direct:
                    direct = self.intact.direct[list(self.directs).index(mark)]
                    normed = self._direct(direct.added, effect == "direct, norm frozen")
                    finals[name], errors[name] = normed[where], direct.error[where]
                case Program(name=name, run=run):
                    finals[name] = run(self.subject, self.whole)[:, -where.shape[1] :][where]
                case Other(name=name, predictor=predictor):
                    others[name] = self._here(predictor.predict(self.whole, self.everywhere))
        scores = self._scores(finals, others)
        self._check(conditions, scores)
        asked = {condition.name: scores[condition.name] for condition in conditions}
        return rows_of(
            asked, errors, scores["intact"].predicted, self.scored.targets, self.plan,
            self.labels, self.job.keep_tokens,
        )  # fmt: skip

    def imagined(self, task: Task) -> Ledger:
        """What `measure` might give; nothing is run."""
        scores = imagining.scores(
            self.job, task, self.scored.targets, pairs=self.scored.wrong is not None
        )
        asked = {name: scores[name] for name in task.names}
        zero = torch.zeros(len(self.scored.targets), dtype=torch.float64)
        direct = [self.job.by_name[name] for name in task.names]
        errors = {c.name: zero for c in direct if isinstance(c, Edited) and c.is_direct}
        return rows_of(
            asked, errors, scores["intact"].predicted, self.scored.targets, self.plan,
            self.labels, self.job.keep_tokens,
        )  # fmt: skip

    def _totals(self, conditions: Sequence[Condition]) -> dict[str, Tensor]:
        """Final streams at the scored places; short batches of several conditions side by side."""
        found: dict[str, Tensor] = {}
        edited = [c for c in conditions if isinstance(c, Edited)]
        windows: dict[int, list[Edited]] = {}
        for condition in edited:
            number = self._window(self.job.start_layer(condition))
            windows.setdefault(number, []).append(condition)
        for some in (s for all_ in windows.values() for s in _together(all_, self.layout.stack)):
            starts = [self.resume(self.job.start_layer(c)) for c in some]
            held = [self.intact.scales if c.holds_norms else None for c in some]
            if len(some) == 1:
                normed = self.subject.run(
                    self.batch, some[0].edits, resume=starts[0], held=held[0]
                ).normed
            else:
                copies = [
                    Copy(at, c.edits, scales)
                    for at, c, scales in zip(starts, some, held, strict=True)
                ]
                normed = self.subject.run(self.batch, copies=copies).normed
            at_places = normed.reshape(len(some), -1, normed.shape[-1])[:, self.places]
            found |= {c.name: one for c, one in zip(some, at_places, strict=True)}
        return found

    def _direct(self, added: Tensor, frozen: bool) -> Tensor:
        with torch.no_grad(), self.subject.undisturbed():
            if frozen:
                return self.subject.anatomy.frozen_norm(self.intact.stream, added)
            normed: Tensor = self.subject.anatomy.final_norm(self.intact.stream + added)
            return normed.to(added.device)

    def _scores(
        self, finals: Mapping[str, Tensor], others: Mapping[str, LogitsOf]
    ) -> dict[str, Scores]:
        base, scored = self.intact.normed[self.scored.where], self.scored
        every: dict[str, Tensor] = {"intact": base, **finals}
        logit_difference: dict[str, Tensor] = {}
        if scored.wrong is not None:
            for some in _together(list(every), self.layout.stack):
                # One place for each pair: final streams are small.
                normed = torch.cat([every[name] for name in some])
                targets, wrong = (ids.repeat(len(some)) for ids in (scored.targets, scored.wrong))
                both = logit_differences(partial(self.subject.logits_of, normed), targets, wrong)
                logit_difference |= dict(zip(some, both.view(len(some), -1), strict=True))
            for name, columns in others.items():
                # One place for each pair: whole rows are small.
                rows = columns(slice(0, self.subject.shape.vocabulary))
                logit_difference[name] = logit_differences(
                    partial(rows.gather, 1), scored.targets, scored.wrong
                )
        if self.job.measure == "logit difference":
            return {name: Scores(None, None, None, one) for name, one in logit_difference.items()}
        found = score(
            self._columns(base),
            {name: self._columns(normed) for name, normed in finals.items()} | dict(others),
            scored.targets,
            self.subject.shape.vocabulary,
        )
        return {
            name: Scores(one.loss, one.kl, one.predicted, logit_difference.get(name))
            for name, one in found.items()
        }

    def _here(self, columns: LogitsOf) -> LogitsOf:
        """A table or another model may give its columns on a device of its own."""
        return lambda some: columns(some).to(self.scored.targets.device)

    def _columns(self, normed: Tensor) -> LogitsOf:
        return lambda columns: self.subject.logits(normed, columns)

    def _check(self, conditions: Sequence[Condition], scores: Mapping[str, Scores]) -> None:
        sound = torch.stack([scores[condition.name].sound for condition in conditions]).all(-1)
        broken = [one for one, fine in zip(conditions, sound.tolist(), strict=True) if not fine]
        if not broken:
            return
        found = {one.name: self._not_finite(scores[one.name].sound) for one in broken}
        first = broken[0]
        edits = first.edits if isinstance(first, Edited) else ()
        sites = ", ".join(str(edit.site) for edit in edits)
        error = NotFinite(
            f"What is measured of '{first.name}'" + (f" at {sites}" if sites else ""),
            found[first.name],
            "What was finished is kept. Try float32, or look at the fitted values.",
        )
        error.conditions = found
        raise error

    def _not_finite(self, sound: Tensor) -> str:
        place = int(self.places[(~sound).nonzero()[0, 0]])
        document = self.batch.documents[place // self.scored.where.shape[1]]
        return f"it is NaN or infinite in document {document}"


def _together(items: Sequence[T], count: int) -> list[Sequence[T]]:
    """So many at a time, in order."""
    return [items[i : i + count] for i in range(0, len(items), count)]


def _is_total(condition: Condition) -> bool:
    return isinstance(condition, Edited) and not condition.is_direct
