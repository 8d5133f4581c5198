"""Sweeps that cost less than every component on every document, each with a stated error.

`control variates`: exact effects on documents drawn at random, attribution on all of them to take
out what it predicts; unbiased however wrong the attribution is. `race`: all components on a few
documents, those that could matter on fresh ones, and a sample of the rejected there as well, which
bounds how many were wrongly let go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from unexplained.assays.running import Sweeping, Swept, together
from unexplained.bars.effects import Changes, changes, corrected
from unexplained.circuits.nodes import attribute_nodes
from unexplained.errors import MeasurementError, TextError
from unexplained.estimators import (
    Estimate,
    Selection,
    at_random,
    missed_among,
    survivors,
    with_control,
)
from unexplained.ledger import Ledger
from unexplained.record import Effect, Estimation, Number
from unexplained.sites import Site
from unexplained.stats import FEWEST_DOCUMENTS, SHARE
from unexplained.text import Text

GRADIENTS: dict[str, Literal["margin", "loss"]] = {"logit difference": "margin", "loss": "loss"}
"""Measures that attribution can tell of, and what it calls them."""

CHECKED = 20
"""Rejected components that are measured on fresh documents to bound what was missed."""


def control_variates(job: Sweeping, sample: int, pairs: int) -> Swept:
    """Exact effects on `sample` documents drawn at random, attribution on all."""
    units, sites = sorted(job.text.units), job.sites
    chosen = at_random(sample, len(units), seed=job.settings.seed)
    part = job.text.only({units[i] for i in chosen})
    ledger, (choosing, second) = _halved(job, part, sites)
    found = changes(ledger, sites, job.measure)
    tokens = _tokens(job, units)
    approx = _attributed(job, sites, units)
    effects = _controlled(job, found, approx, tokens, chosen)
    strongest = changes(choosing, sites, job.measure).strongest()
    joints = together(job, part.halves()[1], second, strongest, pairs)
    says = (
        f"Exact on {sample} of {len(units)} documents drawn at random; attribution (AtP) on all, "
        "as a control variate: unbiased, and the interval holds both errors."
    )
    count = len(part.halves()[0].units)
    done = Estimation(
        method="control variates", says=says, exact=sample * len(sites),
        whole=len(units) * len(sites),
    )  # fmt: skip
    # The intact model is told of on all documents, as the effects are.
    intact = job.measured(job.text, [], "the intact model on all documents")
    return Swept(effects, intact, *joints, count, sample - count, done)


def race(job: Sweeping, sample: int, keep: int, pairs: int) -> Swept:
    """All components on the first `sample` documents, the possible `keep` strongest on the rest."""
    units, sites = job.text.units, job.sites
    few, rest = job.text.only(set(units[:sample])), job.text.only(set(units[sample:]))
    first = job.measured(few, [(site,) for site in sites], f"the race's first {sample} documents")
    found = changes(first, sites, job.measure)
    selection = survivors(
        found.sums, found.tokens, keep=min(keep, len(sites)), level=job.settings.level,
        unit=job.measure.unit,
    )  # fmt: skip
    drawn = at_random(
        min(CHECKED, len(selection.rejected)), len(selection.rejected), seed=job.settings.seed
    )
    checked = [selection.rejected[i] for i in drawn]
    on = sorted([*selection.kept, *checked])
    second = job.measured(
        rest, [(sites[i],) for i in on], f"{len(selection.kept)} survivors on fresh documents"
    )
    fresh = changes(second, [sites[i] for i in on], job.measure)
    effects = _raced(job, found, fresh, on)
    strongest = [site for site in found.strongest() if sites.index(site) in selection.kept]
    joints = together(job, rest, second, strongest, pairs)
    done = _estimation(job, selection, fresh, on, checked, len(units), len(sites), sample)
    ledger = Ledger.concat([first, second])
    return Swept(effects, ledger, *joints, sample, len(rest.units), done)


def require_sample(job: Sweeping, method: str, sample: int) -> None:
    """Refuse a cheaper method that cannot come to numbers, before anything is run.

    Raises:
        TextError: There are not so many documents, or too few are left, or for two halves.
        MeasurementError: Control variates of a measure without a gradient.
    """
    least = FEWEST_DOCUMENTS
    if method == "control variates":
        least *= 2
        if job.measure.name not in GRADIENTS:
            raise MeasurementError(
                f"Control variates for the {job.measure.name}",
                "attribution needs a measure with a gradient at the intact model",
                f"Use one of {', '.join(GRADIENTS)}, or another method.",
            )
    units = len(job.text.units)
    if not least <= sample <= units - FEWEST_DOCUMENTS:
        raise TextError(
            f"A sample of {sample} of {units} documents",
            f"it takes at least {least}, and {FEWEST_DOCUMENTS} others",
            "Change --sample or --documents.",
        )


def _halved(
    job: Sweeping, part: Text, sites: Sequence[Site]
) -> tuple[Ledger, tuple[Ledger, Ledger]]:
    singles = [(site,) for site in sites]
    first, second = (
        job.measured(half, singles, f"each alone on the {which} half of the sample")
        for half, which in zip(part.halves(), ("first", "second"), strict=True)
    )
    return Ledger.concat([first, second]), (first, second)


def _tokens(job: Sweeping, units: Sequence[str]) -> np.ndarray:
    count = dict.fromkeys(units, 0)
    for block in job.text.eval:
        count[block.unit] += len(block.targets)
    return np.array([count[unit] for unit in units])


def _attributed(job: Sweeping, sites: Sequence[Site], units: Sequence[str]) -> np.ndarray:
    """AtP of every component, (component, document)."""
    fills = {site: job.kind.fit(job.recorded, (site,), job.settings.seed) for site in sites}
    found = attribute_nodes(
        job.subject, job.text, fills, measure=GRADIENTS[job.measure.name], folder=job.folder,
        workers=job.workers,
        progress=lambda done, total: job.say("attribution on all documents", done, total),
    )  # fmt: skip
    order = [found.documents.index(unit) for unit in units]
    places = [found.sites.index(site) for site in sites]
    return np.asarray(found.values[order][:, places].T)


def _controlled(
    job: Sweeping, found: Changes, approx: np.ndarray, tokens: np.ndarray, chosen: np.ndarray
) -> tuple[Effect, ...]:
    estimates = [
        with_control(exact, near, tokens, chosen, settings=job.settings, unit=job.measure.unit)
        for exact, near in zip(found.sums, approx, strict=True)
    ]
    p = np.array([_p(one, job.measure.floor) for one in estimates])
    q = corrected(p)
    return tuple(
        Effect(
            site=str(site), change=one.number, p=float(p[i]), q=float(q[i]),
            measured="control variate", gain=one.gain,
        )
        for i, (site, one) in enumerate(zip(found.sites, estimates, strict=True))
    )  # fmt: skip


def _p(found: Estimate, floor: float) -> float:
    """Two-sided, of no effect; 1 where it is below the floor or nothing is known of its error."""
    value = found.number.value
    if value is None or found.p is None or abs(value) < floor:
        return 1.0
    return found.p


def _raced(job: Sweeping, found: Changes, fresh: Changes, on: Sequence[int]) -> tuple[Effect, ...]:
    """Fresh numbers where there are any; the others stay what the race saw, and say so."""
    p = fresh.p_values()
    q = corrected(p)
    numbers = fresh.per_token(job.settings)
    place = {component: i for i, component in enumerate(on)}
    seen = found.per_token(job.settings)
    return tuple(
        Effect(
            site=str(site), change=numbers[place[i]], p=float(p[place[i]]),
            q=float(q[place[i]]), measured="fresh documents",
        )
        if i in place
        else Effect(site=str(site), change=seen[i], p=None, q=None, measured="chosen on")
        for i, site in enumerate(found.sites)
    )  # fmt: skip


def _estimation(
    job: Sweeping,
    selection: Selection,
    fresh: Changes,
    on: Sequence[int],
    checked: Sequence[int],
    units: int,
    components: int,
    sample: int,
) -> Estimation:
    kept, rejected = len(selection.kept), len(selection.rejected)
    missed = None
    says = (
        f"All {components} components on {sample} documents; the {kept} that could be among the "
        f"strongest on the other {units - sample}, which did not choose them."
    )
    if checked:
        rows = fresh.sums[[on.index(i) for i in checked]]
        bound = missed_among(
            rows, fresh.tokens, rejected=rejected, threshold=selection.bar,
            level=job.settings.level,
        ).here  # fmt: skip
        missed = Number(
            value=bound.exceeding / bound.sampled, low=0.0, high=bound.count / rejected, unit=SHARE
        )
        says += (
            f" Of the {rejected} let go, {bound.sampled} drawn at random were measured there too: "
            f"{bound.exceeding} of them reach the bar of {selection.bar:.2g} {job.measure.unit}, so "
            f"at most {bound.count} of all do, at {100 * job.settings.level:g}%."
        )
    exact = sample * components + (units - sample) * len(on)
    return Estimation(
        method="race", says=says, exact=exact, whole=units * components, missed=missed
    )
