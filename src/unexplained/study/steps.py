"""A claim's intermediates: is each right by itself, and does it follow where what it reads is changed?

A claim can be right at its end and wrong inside: it says three times what the model holds on the way,
and divides by what it is too large by. No number of the end tells. So every intermediate is claimed of a
site of its own, in that site's coordinates (through a map, where its code has one: with a free affine map
twice and three times a value are one claim), and held against the model there; also where what it
reads is changed in the model: twice as large, or another document's (interventions as in causal
abstraction, Geiger and others 2021).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from unexplained.ablations.resample import from_donors
from unexplained.bars.steps import DOUBLED, Followed
from unexplained.donors.another import Another
from unexplained.errors import SiteError
from unexplained.evaluate import Edited
from unexplained.evaluate.following import Products, following
from unexplained.explanations import StandIn
from unexplained.explanations.view import elsewhere
from unexplained.hashing import digest
from unexplained.record import Number
from unexplained.sites import Site
from unexplained.stats import fraction
from unexplained.study import asked
from unexplained.study.run import Run
from unexplained.subject import Edit, Local, Subject


def followed(run: Run, claim: StandIn, sites: Sequence[Site]) -> tuple[Followed, ...]:
    """Hold every intermediate of a claim, and its last step, against the sites that they are claimed of.

    Args:
        run: The model and a text, whose eval part is measured.
        claim: What is claimed; without intermediates there is nothing to hold.
        sites: The components that it is claimed of.

    Raises:
        MeasurementError: A number is not finite.
        UnexplainedError: A step cannot stand at its component; there is no other document as long.
    """
    subject, shape = run.subject, run.subject.shape
    found: list[Followed] = []
    for step, site in require_steps(subject, claim, sites):
        read = elsewhere(step.reads, shape)
        activations = run.observe([*step.observes([site], shape), *read])
        changes = [one for where in read for one in _changes(run, where)]
        fitted = step.fit([site], shape, activations, run.settings.seed).condition()
        (at,) = (str(edit.where) for edit in fitted.edits)
        sums = following(subject, run.text, fitted, changes, **run.how(f"following {at}"))
        found += [_followed(run, step.name, at, changed, some) for changed, some in sums.items()]
    return tuple(found)


def require_steps(
    subject: Subject, claim: StandIn, sites: Sequence[Site]
) -> list[tuple[StandIn, Site]]:
    """Every step with the component that it stands at, the last ones at the claim's own.

    Raises:
        UnexplainedError: A site is not there, is several, or cannot be read or given by then.
    """
    inside = list(_steps(subject, claim))
    for step, site in inside:
        if site in sites:
            raise SiteError(
                f"The intermediate '{step.name}' at {site}", "the claim itself is of that component",
                "Give what is claimed on the way to it, at an earlier site.",
            )  # fmt: skip
    found = [*inside, *((claim.last, site) for site in sites if claim.last)]
    for step, site in found:
        asked.require_standing([step], [site], subject)
    return found


def _steps(subject: Subject, claim: StandIn) -> Iterator[tuple[StandIn, Site]]:
    for at, step in claim.intermediates:
        where = asked.existing(subject, at)
        if len(where) > 1:
            raise SiteError(
                f"The intermediate '{step.name}' at {at}", f"it names {len(where)} sites",
                "Claim each of them by itself.",
            )  # fmt: skip
        yield step, where[0].component if where[0].part == "H" else where[0]


def _doubled(local: Local) -> Tensor:
    return 2 * local.value


def _changes(run: Run, site: Site) -> Sequence[Edited]:
    """A site twice as large, and as another document has it; the first position stays."""
    activations, seed = run.observe([site]), run.settings.seed
    foreign = Edit(site, from_donors(activations, site, Another(), seed), calls=(Another(),))
    return (
        Edited(f"{site} {DOUBLED}", (Edit(site, _doubled),), digest(DOUBLED, str(site))),
        Edited(f"{site} of another document", (foreign,),
               digest("resample", str(site), str(seed), *activations.documents), fitted_on=activations.model),
    )  # fmt: skip


def _followed(run: Run, step: str, at: str, changed: str, sums: Products) -> Followed:
    held, said, both, apart, tokens = sums.T
    what = f"what {changed} changes at {at}" if changed else f"the variance of {at}"

    def of(top: Products, bottom: Products, what: str) -> Number:
        return fraction(top, bottom, tokens, what=what, settings=run.settings, unit="squared")

    share = of(held - apart, held, what)
    times = of(both, said, f"{what}, as '{step}' says")
    return Followed(step, at, changed, share, times.model_copy(update={"unit": "times"}))
