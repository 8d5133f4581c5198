"""Three ways to find what every component does, and what the strongest do together.

`exact`: every component on every document. `control variates`: exact effects on documents drawn at
random, attribution on all of them to take out what it predicts; unbiased however wrong the
attribution is. `race`: all components on a few documents, those that could matter on fresh ones, and a
sample of the rejected there as well, which bounds how many were wrongly let go.

The components that are looked at together are chosen on one part of the documents and measured on
the other: the strongest of many look stronger than they are on the documents that chose them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import cast

import numpy as np

from unexplained.ablations import ABLATIONS
from unexplained.bars.effects import (
    Changes,
    Effect,
    Estimation,
    Swept,
    controlled,
    raced,
)
from unexplained.bars.joints import Together, name_of, without
from unexplained.bars.measures import Measure, measure_of
from unexplained.bars.reading import Reading
from unexplained.circuits.measures import Metric
from unexplained.circuits.nodes import attribute_nodes
from unexplained.errors import MeasurementError, TextError
from unexplained.estimators import Selection, at_random, missed_among, survivors
from unexplained.evaluate import Edited
from unexplained.evaluate.evaluate import BATCH_TOKENS
from unexplained.evaluate.job import Job
from unexplained.ladder.family import Family
from unexplained.record import Number
from unexplained.record.compute import Scale
from unexplained.sites import Site
from unexplained.stats import FEWEST_DOCUMENTS, SHARE
from unexplained.study.arms.ablations import ablations, fills
from unexplained.study.asked import existing, require_fill, require_tokens
from unexplained.study.axis import Axis, axis_of
from unexplained.study.gate import gate, require_behaviour
from unexplained.study.run import Run
from unexplained.study.twins import few
from unexplained.text import Text

TOGETHER = (2, 3, 5, 10)
"""How many of the strongest are ablated together."""

FEWEST = 10
"""Documents that a sweep needs: five to choose on, five to report on."""

CHECKED = 20
"""Rejected components that are measured on fresh documents to bound what was missed."""

GRADIENTS = ("logit difference", "loss")
"""Measures that attribution can tell of."""


@dataclass(frozen=True)
class Sweeping:
    """What a sweep was asked for, and how it measures."""

    run: Run
    sites: tuple[Site, ...]
    ablation: str
    measure: Measure
    axis: Axis | None = None
    """A family that the strongest together are placed among, on the documents that report on them."""

    @classmethod
    def asked(cls, run: Run, sites: str, ablation: str, measure: str) -> Sweeping:
        """Check what was asked for before anything is run; see `instruments.sweep` for what is refused."""
        text, subject = run.text, run.subject
        found = cls(run, existing(subject, sites), ablation, measure_of(measure, pairs=text.pairs))
        fits = ABLATIONS.get(ablation).fits_on == "fit"
        require_fill(ablation, found.sites, text)
        require_tokens(subject, text, "eval")
        _require_enough(text)
        if fits:
            text.blocks("fit", f"{ablation.capitalize()} ablation")
            require_tokens(subject, text, "fit")
        found._require_room()
        return found

    @property
    def text(self) -> Text:
        """What it is on."""
        return self.run.text

    @property
    def twin(self) -> Sweeping:
        """The same of a model with random weights, on few documents: nothing learned is in them."""
        run = self.run.of(self.run.subject.twin(self.run.settings.seed))
        return replace(self, run=run.on(few(self.text)), axis=None)

    @cached_property
    def corrupted(self) -> Reading | None:
        """Of pairs: the intact model on the corrupted prompts, with the same answers."""
        if not self.text.pairs:
            return None
        return self.run.on(self.text.swapped()).measure(needs=self.measure.needs)

    def _require_room(self) -> None:
        """Refuse a budget of memory that does not hold one component on one batch."""
        stand_in = Edited("any", (), "any", after_prefix=self.ablation == "patch")
        for part in (self.text, *self.text.halves()):
            job = Job(
                subject=self.run.subject, text=part, part="eval", conditions=(stand_in,),
                keep_tokens=frozenset(), measure=self.measure.needs, batch_tokens=BATCH_TOKENS,
                memory=self.run.memory,
            )  # fmt: skip
            for number in range(len(job.plans)):
                job.layout(number)

    def require_behaviour(self) -> None:
        """Run the intact model on pairs, and refuse a behaviour that it does not have."""
        run = self.run
        if self.text.pairs:
            require_behaviour(gate(run), run.subject, self.text)

    def among(self, family: Family | None, method: str, sample: int) -> Sweeping:
        """The same beside a family of the user's own, if one was given.

        Raises:
            UnexplainedError: As `axis_of`; or the text is one of pairs.
        """
        if family is None:
            return self
        require_priced(pairs=self.text.pairs)
        _, reporting = self.parts(method, sample)
        return replace(self, axis=axis_of(self.run.on(reporting), family))

    def parts(self, method: str, sample: int) -> tuple[Text, Text]:
        """The documents that choose the strongest, and those that report on them."""
        text, units = self.text, self.text.units
        if method == "race":
            return text.only(set(units[:sample])), text.only(set(units[sample:]))
        if method == "control variates":
            ordered = sorted(units)
            text = text.only({ordered[i] for i in self.drawn(sample)})
        return text.halves()

    def drawn(self, sample: int) -> np.ndarray:
        """Which documents, in the order of their names, control variates measure exactly."""
        return at_random(sample, len(self.text.units), seed=self.run.settings.seed)

    def measured(
        self, text: Text, groups: Sequence[Sequence[Site]], what: str, axis: Axis | None = None
    ) -> Reading:
        """Groups of components, each ablated together, on some documents; a family beside them."""
        made = ablations(self.run, self.ablation, groups)
        others, tokens = (axis.arms, axis.tokens()) if axis else ((), ())
        return self.run.on(text).measure(
            *made, *others, tokens=tokens, needs=self.measure.needs, what=what
        )

    def alone(self, text: Text, what: str, sites: Sequence[Site] | None = None) -> Reading:
        """Components, by default all of them, each ablated alone on some documents."""
        return self.measured(text, [(site,) for site in sites or self.sites], f"each alone {what}")

    def changes(self, read: Reading, sites: Sequence[Site] | None = None) -> Changes:
        """What components do alone."""
        return read.changes(sites or self.sites, self.measure)

    def effects(self, read: Reading) -> tuple[Effect, ...]:
        """Every component's effect, all measured exactly on the same documents."""
        corrupted = self.corrupted if self.ablation == "patch" else None
        return read.effects(self.sites, self.measure, corrupted)

    def together(
        self,
        reporting: Text,
        alone: Reading,
        strongest: Sequence[Site],
        pairs: int,
        chosen_on: int,
    ) -> Together:
        """The strongest ablated together and in pairs, on documents that did not choose them."""
        sets = [tuple(strongest[:count]) for count in TOGETHER if count <= len(strongest)]
        couples = list(combinations(strongest[:pairs], 2))
        groups = list(dict.fromkeys([*sets, *couples]))
        both = self.measured(reporting, groups, "ablating the strongest together", self.axis)
        read = alone.and_arms(both)
        found = {group: read.joint(group, self.measure) for group in groups}
        of_sets, of_couples = (tuple(found[group] for group in some) for some in (sets, couples))
        scale = self._scale(both, sets)
        return Together(of_sets, of_couples, chosen_on, len(reporting.units), scale)

    def _scale(self, read: Reading, sets: Sequence[Sequence[Site]]) -> Scale | None:
        """The model without its strongest components among the family; None without one."""
        if self.axis is None:
            return None
        scale = self.axis.scale(self.axis.read(read), [name_of(some) for some in sets])
        called = {name_of(some): without(len(some)) for some in sets}
        return scale and scale.model_copy(
            update={
                "explained": tuple(
                    one.model_copy(update={"condition": called.get(one.condition, one.condition)})
                    for one in scale.explained
                )
            }
        )

    def swept(
        self,
        effects: tuple[Effect, ...],
        read: Reading,
        together: Together | None = None,
        estimation: Estimation | None = None,
    ) -> Swept:
        """What was found, with the intact model on the documents that were read."""
        accuracy = measure_of("accuracy", pairs=True)
        return Swept(
            measure=self.measure,
            effects=effects,
            intact=read.level(self.measure),
            corrupted=self.corrupted.level(self.measure) if self.corrupted else None,
            accuracy=read.level(accuracy) if self.text.pairs else None,
            together=together,
            estimation=estimation,
        )


def _require_enough(text: Text) -> None:
    if len(text.units) < FEWEST:
        orbit = max(Counter(block.unit for block in text.eval).values(), default=1)
        least = FEWEST * max(orbit // 2, 1)  # a pair counts with its role-swap
        given = f"pairs={2 * least}" if text.pairs else f"documents={least}"
        raise TextError(
            f"A sweep over {len(text.units)} {'orbits of pairs' if text.pairs else 'documents'}",
            "the strongest components are chosen on one half and reported on the other",
            f"Use at least {FEWEST} ({given}; --documents {least}), of a text that has as many: its notes say "
            "how many it has.",
        )


def require_priced(*, pairs: bool) -> None:
    """Refuse a family beside pairs of prompts.

    Raises:
        MeasurementError: They are asked for.
    """
    if pairs:
        raise MeasurementError(
            "A family of models in a sweep of pairs",
            "pairs of prompts are scored at their last token alone, and a training compute buys a loss "
            "on running text",
            "Leave --family out, or sweep running text: --text webmix.",
        )


def require_sample(sweep: Sweeping, method: str, sample: int) -> None:
    """Refuse a cheaper method that cannot come to numbers, before anything is run.

    Raises:
        TextError: There are not so many documents, or too few are left, or for two halves.
        MeasurementError: Control variates of a measure without a gradient.
    """
    least = FEWEST_DOCUMENTS
    if method == "control variates":
        least *= 2
        if sweep.measure.name not in GRADIENTS:
            raise MeasurementError(
                f"Control variates for the {sweep.measure.name}",
                "attribution needs a measure with a gradient at the intact model",
                f"Use one of {', '.join(GRADIENTS)}, or another method.",
            )
    units = len(sweep.text.units)
    if not least <= sample <= units - FEWEST_DOCUMENTS:
        raise TextError(
            f"A sample of {sample} of {units} documents",
            f"it takes at least {least}, and {FEWEST_DOCUMENTS} others",
            "Change --sample or --documents.",
        )


def exact(sweep: Sweeping, pairs: int) -> Swept:
    """Every component on every document; the strongest of one half together on the other."""
    choosing, reporting = sweep.parts("exact", 0)
    first = sweep.alone(choosing, f"on the first half of {sweep.text.name}")
    second = sweep.alone(reporting, f"on the second half of {sweep.text.name}")
    strongest = sweep.changes(first).strongest()
    both = sweep.together(reporting, second, strongest, pairs, len(choosing.units))
    whole = first.and_documents(second)
    return sweep.swept(sweep.effects(whole), whole, both)


def on_twin(sweep: Sweeping) -> Swept:
    """Every component of a twin alone."""
    read = sweep.alone(sweep.text, "with random weights")
    return sweep.swept(sweep.effects(read), read)


def control_variates(sweep: Sweeping, sample: int, pairs: int) -> Swept:
    """Exact effects on `sample` documents drawn at random, attribution on all."""
    units, settings = sorted(sweep.text.units), sweep.run.settings
    drawn = sweep.drawn(sample)
    choosing, reporting = sweep.parts("control variates", sample)
    first = sweep.alone(choosing, "on the first half of the sample")
    second = sweep.alone(reporting, "on the second half of the sample")
    found = sweep.changes(first.and_documents(second))
    effects = controlled(found, attributed(sweep, units), _tokens(sweep, units), drawn, settings)
    strongest = sweep.changes(first).strongest()
    both = sweep.together(reporting, second, strongest, pairs, len(choosing.units))
    done = Estimation(
        method="control variates",
        says=f"Exact on {sample} of {len(units)} documents drawn at random; attribution (AtP) on all, "
        "as a control variate: unbiased, and the interval holds both errors.",
        exact=sample * len(sweep.sites),
        whole=len(units) * len(sweep.sites),
    )
    # The intact model is told of on all documents, as the effects are.
    intact = sweep.run.measure(needs=sweep.measure.needs, what="the intact model on all documents")
    return sweep.swept(effects, intact, both, done)


def attributed(sweep: Sweeping, units: Sequence[str]) -> np.ndarray:
    """AtP of every component, (component, document)."""
    run, sites = sweep.run, sweep.sites
    fitted = fills(run, sweep.ablation, [(site,) for site in sites])
    found = attribute_nodes(
        run.subject, run.text, dict(zip(sites, fitted, strict=True)),
        measure=cast(Metric, sweep.measure.name), **run.how("attribution on all documents"),
    )  # fmt: skip
    order = [found.documents.index(unit) for unit in units]
    places = [found.sites.index(site) for site in sites]
    return np.asarray(found.values[order][:, places].T)


def _tokens(sweep: Sweeping, units: Sequence[str]) -> np.ndarray:
    count = dict.fromkeys(units, 0)
    for block in sweep.text.eval:
        count[block.unit] += len(block.targets)
    return np.array([count[unit] for unit in units])


def race(sweep: Sweeping, sample: int, keep: int, pairs: int) -> Swept:
    """All components on the first `sample` documents, the possible `keep` strongest on the rest."""
    sites, settings = sweep.sites, sweep.run.settings
    fewer, rest = sweep.parts("race", sample)
    first = sweep.alone(fewer, f"on the race's first {sample} documents")
    seen = sweep.changes(first)
    selection = survivors(
        seen.sums, seen.tokens, keep=min(keep, len(sites)), level=settings.level,
        unit=sweep.measure.unit,
    )  # fmt: skip
    rejected = selection.rejected
    drawn = at_random(min(CHECKED, len(rejected)), len(rejected), seed=settings.seed)
    checked = [rejected[i] for i in drawn]
    on = [sites[i] for i in sorted([*selection.kept, *checked])]
    second = sweep.alone(rest, f"of {len(selection.kept)} survivors on fresh documents", on)
    fresh = sweep.changes(second, on)
    kept = {sites[i] for i in selection.kept}
    strongest = [site for site in seen.strongest() if site in kept]
    both = sweep.together(rest, second, strongest, pairs, sample)
    done = _raced(sweep, selection, fresh, [sites[i] for i in checked], sample)
    return sweep.swept(raced(seen, fresh, settings), first.and_documents(second), both, done)


def _raced(
    sweep: Sweeping, selection: Selection, fresh: Changes, checked: Sequence[Site], sample: int
) -> Estimation:
    """How a race came by its effects, and what it may have missed."""
    kept, rejected = len(selection.kept), len(selection.rejected)
    components, units = len(sweep.sites), len(sweep.text.units)
    level, missed = sweep.run.settings.level, None
    says = (
        f"All {components} components on {sample} documents; the {kept} that could be among the "
        f"strongest on the other {units - sample}, which did not choose them."
    )
    if checked:
        rows = fresh.sums[[fresh.sites.index(site) for site in checked]]
        bound = missed_among(
            rows, fresh.tokens, rejected=rejected, threshold=selection.bar, level=level
        ).here
        missed = Number(
            value=bound.exceeding / bound.sampled, low=0.0, high=bound.count / rejected, unit=SHARE
        )
        says += (
            f" Of the {rejected} let go, {bound.sampled} drawn at random were measured there too: "
            f"{bound.exceeding} of them reach the bar of {selection.bar:.2g} {sweep.measure.unit}, so "
            f"at most {bound.count} of all do, at {100 * level:g}%."
        )
    exact = sample * components + (units - sample) * len(fresh.sites)
    return Estimation("race", says, exact, units * components, missed)
