"""`sweep`: every component of a set ablated or patched alone, and the strongest together.

The components that are looked at together are chosen on one half of the documents and measured
on the other: the strongest of many look stronger than they are on the documents that chose them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from unexplained.assays.estimates import control_variates, race, require_sample
from unexplained.assays.running import Sweeping, Swept, together
from unexplained.bars.effects import changes, corrected, shares
from unexplained.bars.measures import Measure, measure_of
from unexplained.bars.paired import paired
from unexplained.bars.recovered import INTACT, kl
from unexplained.errors import require_choice, require_count
from unexplained.estimators import rank_intervals
from unexplained.evaluate import evaluate
from unexplained.evaluate.evaluate import Workers, in_process
from unexplained.evaluate.job import MEMORY
from unexplained.ledger import ALL, Ledger
from unexplained.progress import Progress
from unexplained.record import Effect, Number, SweepRecord
from unexplained.shares import FEW, within
from unexplained.stats import Settings, mean_per_token, written
from unexplained.study.provenance import found_again
from unexplained.study.twins import few
from unexplained.subject import Subject
from unexplained.subject.ambient import neutrally
from unexplained.text import Text

Method = Literal["exact", "control variates", "race"]
METHODS = get_args(Method)

RATE = 0.05
"""False discovery rate at which a component is told from zero."""


@neutrally
def sweep(
    subject: Subject,
    sites: str,
    text: Text,
    *,
    ablation: str = "mean",
    measure: str = "loss",
    method: Method = "exact",
    sample: int | None = None,
    keep: int = 20,
    pairs: int = 5,
    gated: bool = True,
    twin: bool = True,
    settings: Settings = Settings(),  # noqa: B008  (frozen)
    folder: Path | None = None,
    workers: Workers = in_process,
    memory: float = MEMORY,
    say: Progress = lambda what, done, total: None,
) -> SweepRecord:
    """Ablate every component alone, correct for their number, and ablate the strongest together.

    By default effects of single components are exact and complete: all are reported, so nothing is
    selected, and p-values are corrected for their number (Benjamini and Hochberg 1995; under
    dependence like this, of documents shared by all, the rate is held approximately). Other
    methods cost less and state their error (`assays.estimates`). A component that looks harmless
    alone may have stand-ins: see `joints`.

    Args:
        subject: The model.
        sites: The components, for example `L*.H*`, `L*.mlp` or `L5.N*`.
        text: Where to measure: running text, or pairs of prompts. Fills are fitted on its fit
            part; `patch` takes the values of the corrupted prompts.
        ablation: What stands in their place.
        measure: `loss`, `KL`, `accuracy`, or of pairs `logit difference`.
        method: `exact`; `control variates`, exact on a random sample of documents and attribution
            on all; `race`, all components on a sample, those that could be strong on the rest.
        sample: Documents of the sample; by default a quarter of all.
        keep: How many of the strongest a race looks for.
        pairs: For how many of the strongest every pair is ablated too.
        gated: Refuse pairs on which the model prefers the answer no more often than chance.
        twin: Whether to ablate the same components of the random-weight twin, each alone and
            exactly, on `TWIN_DOCUMENTS`; what it takes is in its own record.
        settings: Level, resamples and seed.
        folder: What is finished is kept here and found again.
        workers: Who does the work: this process, or those of a cluster.
        memory: Bytes of streams that a worker may hold.
        say: Told about progress.

    Raises:
        SiteError: A component does not exist.
        AblationError: There is no such ablation, or it cannot be fitted at a component.
        TextError: The text has too few documents to choose on one half and report on the other,
            or no pairs to patch, or is of another model's tokens.
        MeasurementError: There is no such measure or method, or a number is out of bounds; a
            number is not finite; what is finished cannot be kept; the model does not have the
            behaviour. All but the last three before anything is run.
    """
    started = time.perf_counter()
    require_choice("method", method, METHODS)
    require_count("keep", keep, least=1)
    require_count("pairs", pairs, least=0)
    if sample is not None:
        require_count("sample", sample, least=1)
    job = Sweeping(
        subject, sites, text, ablation, measure_of(measure, pairs=text.pairs), settings, folder,
        workers, memory, say,
    )  # fmt: skip
    some = max(len(text.units) // 4, 2) if sample is None else sample
    job.require_possible()
    if method != "exact":
        require_sample(job, method, some)
    job.require_behaviour(gated=gated)
    if method == "control variates":
        found = control_variates(job, some, pairs)
    elif method == "race":
        found = race(job, some, keep, pairs)
    else:
        found = exact(job, pairs)
    record = recorded(job, found, started)
    return record.model_copy(update={"twin": _on_twin(job)}) if twin else record


def _on_twin(job: Sweeping) -> SweepRecord:
    """The same components of a model with random weights: nothing learned is in them."""
    started = time.perf_counter()
    other = replace(job, subject=job.subject.twin(job.settings.seed), text=few(job.text))
    singles = [(site,) for site in other.sites]
    ledger = other.measured(other.text, singles, "each alone with random weights")
    effects = exact_effects(other, ledger)
    return recorded(other, Swept(effects, ledger, (), (), 0, 0), started)


def exact(job: Sweeping, pairs: int) -> Swept:
    """Every component on every document; the strongest of one half together on the other."""
    choosing, reporting = job.text.halves()
    singles = [(site,) for site in job.sites]
    first = job.measured(choosing, singles, f"each alone on the first half of {job.text.name}")
    second = job.measured(reporting, singles, f"each alone on the second half of {job.text.name}")
    strongest = changes(first, job.sites, job.measure).strongest()
    joints, couples = together(job, reporting, second, strongest, pairs)
    whole = Ledger.concat([first, second])
    return Swept(
        exact_effects(job, whole), whole, joints, couples,
        len(choosing.units), len(reporting.units),
    )  # fmt: skip


def exact_effects(job: Sweeping, ledger: Ledger) -> tuple[Effect, ...]:
    """Every component's effect on all documents of a ledger."""
    found = changes(ledger, job.sites, job.measure)
    p = found.p_values()
    q = corrected(p)
    ranks = rank_intervals(
        found.sums, found.tokens, level=job.settings.level, floor=job.measure.floor
    )
    share: Sequence[Number | None] = [None] * len(job.sites)
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
        for i, (site, change) in enumerate(
            zip(job.sites, found.per_token(job.settings), strict=True)
        )
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


def recorded(job: Sweeping, found: Swept, started: float) -> SweepRecord:
    """The record of what was found."""
    text, settings, measure = job.text, job.settings, job.measure

    def mean(of: Ledger, what: Measure = measure) -> Number:
        read = paired(of, what.column, (INTACT,), ALL)
        found = mean_per_token(read.columns[0], read.tokens, settings=settings, unit=what.unit)
        return within(found, *what.values)

    verb = "Patching" if job.ablation == "patch" else f"{job.ablation.capitalize()} ablation"
    return SweepRecord(
        title=f"{verb} of {job.asked} in {job.subject.name}",
        verdict=_verdict(found.effects, job),
        ablation=job.ablation,
        measure=measure.name,
        text=text.name,
        text_fingerprint=text.fingerprint,
        text_notes=text.notes,
        pairs_of_prompts=text.pairs,
        documents=len(text.units),
        tokens=text.predicted,
        fit_documents=len(text.fit),
        intact=mean(found.ledger),
        corrupted=mean(_corrupted(job)) if text.pairs else None,
        accuracy=mean(found.ledger, measure_of("accuracy", pairs=True)) if text.pairs else None,
        effects=found.effects,
        floor=measure.floor,
        rate=RATE,
        estimation=found.estimation,
        chosen_on=found.chosen_on,
        reported_on=found.reported_on,
        joints=found.joints,
        pairs=found.pairs,
        **found_again(job.subject, settings, started),
    )


def _verdict(effects: Sequence[Effect], job: Sweeping) -> str:
    # What a race chose on flatters or slights: it has no q and is no effect measured.
    tested = [effect for effect in effects if effect.q is not None]
    told = [effect for effect in tested if (effect.q or 0) < RATE]
    up = sum((effect.change.value or 0) > 0 for effect in told)
    worst = max(tested or effects, key=lambda effect: abs(effect.change.value or 0))
    what = "patching" if job.ablation == "patch" else f"{job.ablation} ablation"
    first = sum(effect.ranks is not None and effect.ranks[0] == 1 for effect in effects)
    change = worst.change
    size = f"{written(change, spec='.2g')} {job.measure.unit}"
    if change.value is None or (change.low is None and change.high is None):
        size = f"which is refused: {change.refused or FEW}"
    # The largest of many looks larger than it is, on the documents that made it the largest.
    largest = f"The largest effect measured is that of {worst.site}, {size}"
    if first:
        surely = "surely the largest" if first == 1 else f"{first} components could be the largest"
        largest += f"; {surely}"
    of = f"{len(tested)} components"
    if len(tested) < len(effects):
        of += f" ({len(effects) - len(tested)} more lost the race)"
    return (
        f"On {job.text.name}, {what} of {len(told)} of {of} is told from "
        f"no effect at a false discovery rate of {RATE:.0%}: {up} raise the {job.measure.name} and "
        f"{len(told) - up} lower it. {largest}."
    )
