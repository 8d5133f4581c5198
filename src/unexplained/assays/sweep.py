"""`sweep`: every component of a set ablated or patched alone, and the strongest together.

The components that are looked at together are chosen on one half of the documents and measured
on the other: the strongest of many look stronger than they are on the documents that chose them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from unexplained.ablations import ABLATIONS, Ablation, record_for
from unexplained.assays.effects import changes, corrected, joint, name_of, shares
from unexplained.assays.gate import gate, require_behaviour
from unexplained.assays.provenance import found_again
from unexplained.bars.measures import Measure, measure_of
from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT, kl
from unexplained.errors import TextError
from unexplained.estimators import rank_intervals
from unexplained.evaluate import Activations, Condition, evaluate
from unexplained.evaluate.evaluate import Workers, in_process
from unexplained.evaluate.job import MEMORY
from unexplained.ledger import ALL, Ledger
from unexplained.record import Effect, Joint, Number, SweepRecord
from unexplained.sites import Site
from unexplained.stats import Settings, mean_per_token, written
from unexplained.subject import Subject
from unexplained.text import Text

RATE = 0.05
"""False discovery rate at which a component is told from zero."""

TOGETHER = (2, 3, 5, 10)
"""How many of the strongest are ablated together."""

FEWEST = 10
"""Documents that a sweep needs: five to choose on, five to report on."""

Say = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Sweeping:
    """What a sweep was asked for, and how it measures."""

    subject: Subject
    asked: str
    """The components as they were written."""
    text: Text
    kind: Ablation
    ablation: str
    measure: Measure
    settings: Settings
    folder: Path | None
    workers: Workers
    memory: float
    say: Say
    recorded: Activations

    def condition(self, group: tuple[Site, ...]) -> Condition:
        """Some components ablated together."""
        return self.kind.fit(self.recorded, group, self.settings.seed).condition(name_of(group))

    def measured(self, text: Text, groups: Sequence[tuple[Site, ...]], what: str) -> Ledger:
        """The conditions of some groups on some documents."""
        return evaluate(
            self.subject, text, [self.condition(group) for group in groups],
            measure=self.measure.needs, folder=self.folder, workers=self.workers,
            memory=self.memory, progress=lambda done, total: self.say(what, done, total),
        )  # fmt: skip


def sweep(
    subject: Subject,
    sites: str,
    text: Text,
    *,
    ablation: str = "mean",
    measure: str = "loss",
    pairs: int = 5,
    gated: bool = True,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    workers: Workers = in_process,
    memory: float = MEMORY,
    say: Say = lambda what, done, total: None,
) -> SweepRecord:
    """Ablate every component alone, correct for their number, and ablate the strongest together.

    Effects of single components are exact and complete: all are reported, so nothing is selected,
    and p-values are corrected for their number (Benjamini and Hochberg 1995; under dependence
    like this, of documents shared by all, the rate is held approximately). A component that looks
    harmless alone may have stand-ins: see `joints`.

    Args:
        subject: The model.
        sites: The components, for example `L*.H*`, `L*.mlp` or `L5.N*`.
        text: Where to measure: running text, or pairs of prompts. Fills are fitted on its fit
            part; `patch` takes the values of the corrupted prompts.
        ablation: What stands in their place.
        measure: `loss`, `KL`, `accuracy`, or of pairs `logit difference`.
        pairs: For how many of the strongest every pair is ablated too.
        gated: Refuse pairs on which the model prefers the answer no more often than chance.
        settings: Level, resamples and seed.
        folder: What is finished is kept here and found again.
        workers: Who does the work: this process, or those of a cluster.
        memory: Bytes of streams that a worker may hold.
        say: Told about progress.

    Raises:
        SiteError: A component does not exist.
        TextError: The text has too few documents to choose on one half and report on the other,
            or no pairs to patch.
        MeasurementError: A number is not finite; what is finished cannot be kept; the model does
            not have the behaviour.
    """
    started = time.perf_counter()
    job = prepared(
        subject, sites, text, ablation, measure, gated, settings, folder, workers, memory, say
    )
    where = subject.sites(sites)
    singles = [(site,) for site in where]
    choosing, reporting = text.halves()
    first = job.measured(choosing, singles, f"ablating each on the first half of {text.name}")
    second = job.measured(reporting, singles, f"ablating each on the second half of {text.name}")
    chosen = changes(first, where, job.measure).strongest()
    joints, couples = together(job, reporting, second, chosen, pairs)
    whole = Ledger.concat([first, second])
    return recorded_sweep(
        job, where, whole, exact_effects(job, whole, where), started,
        chosen_on=len(choosing.units), reported_on=len(reporting.units),
        joints=joints, pairs=couples,
    )  # fmt: skip


def prepared(
    subject: Subject,
    sites: str,
    text: Text,
    ablation: str,
    measure: str,
    gated: bool,
    settings: Settings,
    folder: Path | None,
    workers: Workers,
    memory: float,
    say: Say,
) -> Sweeping:
    """Check what was asked for and record what the ablation is fitted on."""
    kind, asked = ABLATIONS.get(ablation), measure_of(measure, pairs=text.pairs)
    where = subject.sites(sites)
    if len(text.units) < FEWEST:
        raise TextError(
            f"A sweep over {len(text.units)} documents",
            "the strongest components are chosen on one half and reported on the other",
            f"Use at least {FEWEST} documents (of pairs: twice as many, each with its swap).",
        )
    if text.pairs and gated:
        require_behaviour(gate(subject, text, settings=settings, folder=folder), subject, text)
    recorded = record_for(
        kind, subject, text, where,
        lambda done, total: say(f"reading what '{ablation}' is fitted on", done, total),
    )  # fmt: skip
    return Sweeping(
        subject,
        sites,
        text,
        kind,
        ablation,
        asked,
        settings,
        folder,
        workers,
        memory,
        say,
        recorded,
    )


def together(
    job: Sweeping, reporting: Text, alone: Ledger, strongest: Sequence[Site], pairs: int
) -> tuple[tuple[Joint, ...], tuple[Joint, ...]]:
    """The strongest ablated together and in pairs, on documents that did not choose them."""
    sets = [tuple(strongest[:count]) for count in TOGETHER if count <= len(strongest)]
    couples = list(combinations(strongest[:pairs], 2))
    groups = list(dict.fromkeys([*sets, *couples]))
    both = job.measured(reporting, groups, "ablating the strongest together")
    ledger = Ledger.concat([alone, both.only([name_of(group) for group in groups])])
    found = {group: joint(ledger, group, job.measure, job.settings) for group in groups}
    return tuple(found[group] for group in sets), tuple(found[group] for group in couples)


def exact_effects(job: Sweeping, ledger: Ledger, sites: Sequence[Site]) -> tuple[Effect, ...]:
    """Every component's effect on all documents of a ledger."""
    found = changes(ledger, sites, job.measure)
    p = found.p_values()
    q = corrected(p)
    ranks = rank_intervals(
        found.sums, found.tokens, level=job.settings.level, floor=job.measure.floor
    )
    share: Sequence[Number | None] = [None] * len(sites)
    if job.ablation == "patch":
        share = shares(found, _whole_change(job, ledger), job.settings)
    return tuple(
        Effect(
            site=str(site),
            change=change,
            kl=kl(ledger, str(site), settings=job.settings) if job.measure.needs == "all" else None,
            share=share[i],
            p=float(p[i]),
            q=float(q[i]),
            ranks=(int(ranks.low[i]), int(ranks.high[i])),
        )
        for i, (site, change) in enumerate(zip(sites, found.per_token(job.settings), strict=True))
    )


def _corrupted(job: Sweeping) -> Ledger:
    return evaluate(
        job.subject, job.text.swapped(), [], measure=job.measure.needs, folder=job.folder
    )


def _whole_change(job: Sweeping, ledger: Ledger) -> np.ndarray:
    """What the whole corruption changes in the measure, by document, sorted as `paired` does."""
    column = job.measure.column
    other: np.ndarray = paired(_corrupted(job), column, (INTACT,), ALL).columns[0]
    whole: np.ndarray = paired(ledger, column, (INTACT,), ALL).columns[0]
    change: np.ndarray = other - whole
    return change


def recorded_sweep(
    job: Sweeping,
    sites: Sequence[Site],
    ledger: Ledger,
    effects: tuple[Effect, ...],
    started: float,
    *,
    chosen_on: int,
    reported_on: int,
    joints: tuple[Joint, ...],
    pairs: tuple[Joint, ...],
) -> SweepRecord:
    """The record of what was found."""
    text, settings, measure = job.text, job.settings, job.measure

    def mean(of: Ledger, column: str = measure.column, unit: str = measure.unit) -> Number:
        read = paired(of, column, (INTACT,), ALL)
        return mean_per_token(read.columns[0], read.tokens, settings=settings, unit=unit)

    verb = "Patching" if job.ablation == "patch" else f"{job.ablation.capitalize()} ablation"
    return SweepRecord(
        title=f"{verb} of {job.asked} in {job.subject.name}",
        verdict=_verdict(effects, job),
        ablation=job.ablation,
        measure=measure.name,
        text=text.name,
        text_fingerprint=text.fingerprint,
        text_notes=text.notes,
        pairs_of_prompts=text.pairs,
        documents=len(text.units),
        tokens=text.predicted,
        fit_documents=len(text.fit),
        intact=mean(ledger),
        corrupted=mean(_corrupted(job)) if text.pairs else None,
        accuracy=mean(ledger, "preferred", "share") if text.pairs else None,
        effects=effects,
        floor=measure.floor,
        rate=RATE,
        chosen_on=chosen_on,
        reported_on=reported_on,
        joints=joints,
        pairs=pairs,
        **found_again(job.subject, settings, started),
    )


def _verdict(effects: Sequence[Effect], job: Sweeping) -> str:
    told = [effect for effect in effects if effect.q is not None and effect.q < RATE]
    up = sum((effect.change.value or 0) > 0 for effect in told)
    worst = max(effects, key=lambda effect: abs(effect.change.value or 0))
    what = "patching" if job.ablation == "patch" else f"{job.ablation} ablation"
    return (
        f"On {job.text.name}, {what} of {len(told)} of {len(effects)} components is told from "
        f"no effect at a false discovery rate of {RATE:.0%}: {up} raise the {job.measure.name} and "
        f"{len(told) - up} lower it. The largest effect is that of {worst.site}: "
        f"{written(worst.change, spec='.2g')} {job.measure.unit}."
    )
