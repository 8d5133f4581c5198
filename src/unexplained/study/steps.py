"""A claim in steps: is each right by itself, and does it follow where what it is made from is changed?

A claim can be right at its end and wrong inside: it says three times what the model holds on the way,
and divides by what it is too large by. No number of the end tells. So every step is claimed of a site of
its own, in that site's coordinates (through a map, where the step's code has one: with a free affine map
twice and three times a value are one claim), and held against the model there, also where what the step
reads is changed in the model: twice as large, or another document's (interventions as in causal
abstraction, Geiger and others 2021).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from unexplained import bars
from unexplained.ablations.resample import from_donors
from unexplained.donors.another import Another
from unexplained.errors import MeasurementError
from unexplained.evaluate import Edited, evaluate
from unexplained.evaluate.conditions import joint
from unexplained.evaluate.following import Sums, following, passed_on
from unexplained.explanations import StandIn
from unexplained.explanations.protocol import elsewhere
from unexplained.hashing import digest
from unexplained.record import Number
from unexplained.record import format as fmt
from unexplained.shares import percent
from unexplained.sites import Site
from unexplained.stats import fraction
from unexplained.study import arms, asked
from unexplained.study.run import Run
from unexplained.subject import Edit, Local


@dataclass(frozen=True)
class Followed:
    """How one step stands to the model's site, as it is or under a change."""

    step: str
    at: str
    changed: str
    """What is changed in the model; empty where nothing is."""
    share: Number
    """Of the variance of what the site holds, or of what the change changes there, the share that the step says."""
    times: Number
    """So many times what the step says (least squares) is what the site holds, or how it changes."""


@dataclass(frozen=True)
class Steps:
    """All steps together in the model, and each by itself."""

    together: Number
    """Recovered with every step in its component's place, of what mean ablation of the last costs."""
    followed: tuple[Followed, ...]

    def __str__(self) -> str:
        """A line for each."""
        lines = [f"All steps in their places recover {percent(self.together)}."]
        lines += [
            f"{one.step} at {one.at}, {one.changed or 'nothing changed'}: says {percent(one.share)} "
            f"of it; the site is {fmt.written(one.times, spec='.2f')} times that"
            for one in self.followed
        ]
        return "\n".join(lines)


def steps(run: Run, claims: Mapping[str, StandIn]) -> Steps:
    """Hold every step of a claim against the site that it is claimed of.

    Args:
        run: The model and a text, whose eval part is measured.
        claims: By component (`L0.H0`), in the order of the pass: what is claimed of it. A step that is
            made from an earlier one reads that one's site by its address.

    Raises:
        MeasurementError: There are no steps, or a number is not finite.
        UnexplainedError: A step cannot stand at its component; there is no other document as long.
    """
    subject, shape = run.subject, run.subject.shape
    if not claims:
        raise MeasurementError("A claim in steps", "there are none", "Give a claim by component.")
    asked.require_donors(run.text, within=True)
    found: list[Followed] = []
    every: list[Edited] = []
    where: list[Site] = []
    for at, claim in claims.items():
        sites = asked.components(subject, at)
        asked.require_standing([claim], sites, subject)
        if len(sites) > 1:
            raise MeasurementError(
                f"A step at {at}", f"it names {len(sites)} components", "Give one claim for each."
            )
        read = elsewhere(claim.reads, shape)
        activations = run.observe([*claim.observes(sites, shape), *read])
        changes = [one for site in read for one in _changes(run, site)]
        fitted = claim.fit(sites, shape, activations, run.settings.seed).condition()
        sums = following(subject, run.text, fitted, changes, **run.how(f"following {at}"))
        found += [_followed(run, claim.name, at, changed, some) for changed, some in sums.items()]
        every.append(fitted)
        where.extend(sites)
    nothing = arms.ablation(run, "mean", where[-1:]).conditions["total"]
    whole = joint("all steps", every)
    whole = replace(whole, edits=passed_on(whole.edits))
    ledger = evaluate(subject, run.text, [whole, nothing], **run.how("all steps"))
    together = bars.recovered(ledger, whole.name, nothing.name, settings=run.settings)
    return Steps(together, tuple(found))


def _doubled(local: Local) -> Tensor:
    return 2 * local.value


def _changes(run: Run, site: Site) -> Sequence[Edited]:
    """A site twice as large, and as another document has it; the first position stays."""
    activations, seed = run.observe([site]), run.settings.seed
    foreign = Edit(site, from_donors(activations, site, Another(), seed), calls=(Another(),))
    return (
        Edited(f"{site} doubled", (Edit(site, _doubled),), digest("doubled", str(site))),
        Edited(f"{site} of another document", (foreign,),
               digest("resample", str(site), str(seed), *activations.documents), fitted_on=activations.model),
    )  # fmt: skip


def _followed(run: Run, step: str, at: str, changed: str, sums: Sums) -> Followed:
    held, said, both, apart, tokens = sums.T
    what = f"what {changed} changes at {at}" if changed else f"the variance of {at}"

    def of(top: Sums, bottom: Sums, what: str) -> Number:
        return fraction(top, bottom, tokens, what=what, settings=run.settings, unit="squared")

    share = of(held - apart, held, what)
    return Followed(step, at, changed, share, of(both, said, f"{what}, as '{step}' says"))
