"""A claim with what it leaves out put back, and beside it what the same mending recovers of no claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from unexplained.ablations import ABLATIONS, StandingClaim, Tuned, value_site
from unexplained.evaluate import Activations, Edited
from unexplained.explanations import StandIn
from unexplained.repairs.noise import left_out, sites_of, with_fill, with_rest
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.arms.claims import is_moved
from unexplained.study.controls import possible_controls
from unexplained.study.run import Run

HELD = "norms held"


@dataclass(frozen=True)
class Repair:
    """One way to mend a claim."""

    key: str
    name: str
    says: str
    mended: Arm
    control: Arm | None
    """The same mending of nothing, or of the claim where it is wrong: what it recovers by itself. None
    where the claim says the same everywhere."""
    wrong: str
    """What the control mends."""
    against: Arm
    """Nothing is said; with norms held where the claim's are."""


def outside(
    run: Run, claimed: Arm, kinds: Sequence[str], activations: Activations
) -> dict[str, Arm]:
    """A claim with what it leaves out ablated, by the ablation's name.

    By `zero` that is the claim as it stands: what it leaves out is what the component has less
    what is claimed, and nothing of that is there.

    Args:
        run: On one text.
        claimed: The claim.
        kinds: Ablations besides zero.
        activations: Of the fit part, at what the claim edits.

    Raises:
        UnexplainedError: There are too few tokens for a covariance, or no other document as long.
    """
    condition, name, seed = claimed.conditions["total"], claimed.name, run.settings.seed
    assert isinstance(condition, Edited)
    condition = replace(condition, name=name)
    left = left_out(condition, activations)
    sites = [edit.where for edit in condition.edits]
    found = {"zero": claimed}
    for kind in kinds:
        ablation, called = ABLATIONS.get(kind), f"{name}, the rest by {kind}"
        if isinstance(ablation, Tuned):
            (fill,) = ablation.tune(
                run.subject, run.text, [sites], seed, beside=StandingClaim(condition, left), folder=run.folder,
                workers=run.workers, progress=partial(run.say, f"fitting {kind}"),
            )  # fmt: skip
            put = with_fill(called, condition, fill)
        else:
            put = with_rest(called, condition, kind, left, seed)
        of = claimed.card.of or name
        found[kind] = arm(put, role="fitted", of=of, says=f"What is left out is ablated: {kind}.")
    return found


def _noisy(activations: Activations, seed: int, one: Edited) -> Edited:
    left = left_out(one, activations)
    return with_rest(f"{one.name}, the rest as noise", one, "matched noise", left, seed)


def _foreign(activations: Activations, seed: int, one: Edited) -> Edited:
    left = left_out(one, activations)
    return with_rest(f"{one.name}, the rest of another document", one, "resample", left, seed)


def held(one: Edited) -> Edited:
    """The same with all later norms keeping the scales of the intact pass."""
    return replace(one, name=f"{one.name}, {HELD}", effect="total, norms frozen")


def repaired(
    run: Run, sites: Sequence[Site], claim: StandIn, claimed: Edited, nothing: Arm
) -> list[Repair]:
    """The repairs that need no training: each alone, then together.

    Args:
        run: On one text; what is put back is of its fit part.
        sites: The components.
        claim: What is said of them, not yet fitted.
        claimed: The same as a condition.
        nothing: Saying nothing.

    Raises:
        MeasurementError: There are too few tokens for a covariance.
        TextError: There is no other document as long.
    """
    seed, shape = run.settings.seed, run.subject.shape
    mapped = claim.with_map()
    needed = [s for one in possible_controls(claim) for s in one.observes(sites, shape)]
    silent = nothing.conditions["total"]
    assert isinstance(silent, Edited)
    activations = run.observe([*needed, *map(value_site, sites), *sites_of([claimed, silent])])
    control = claim.control(sites, shape, activations, seed)
    moved = is_moved(claim, control)

    def fitted(one: StandIn) -> Edited:
        return one.fit(tuple(sites), shape, activations, seed).condition()

    noisy, foreign = (cache(partial(put, activations, seed)) for put in (_noisy, _foreign))
    wrong = fitted(control.explanation) if control.explanation else None
    frozen = arm(held(silent), role="ablation", says=f"Nothing is claimed, {HELD}.")

    def made(
        key: str,
        name: str,
        says: str,
        mended: Edited,
        beside: Edited | None,
        what: str,
        against: Arm = nothing,
    ) -> Repair:
        card: dict[str, Any] = {"of": claimed.name, "says": says}
        alone = None if beside is None else arm(beside, role="control", **card)
        return Repair(key, name, says, arm(mended, role="fitted", **card), alone, what, against)

    elsewhere = "on another document or at other positions"
    found = [
        made("held", HELD, "All later norms keep the scales of the intact pass, with the claim and with nothing.",
             held(claimed), wrong and held(wrong), elsewhere, frozen),
        made("noise", "the rest as noise", "What is left out is put back as noise of its mean and covariance.",
             noisy(claimed), noisy(silent), "of nothing"),
        made("noise-held", "noise and norms", f"The rest as noise, {HELD}.",
             held(noisy(claimed)), held(noisy(silent)), "of nothing", frozen),
        made("another", "the rest of another document", "What is left out is put back from another document.",
             foreign(claimed), foreign(silent), "of nothing"),
    ]  # fmt: skip
    silenced = claim.ends()[1].with_zeros()
    if silenced and (bare := claim.with_zeros()):
        found.append(
            made("zero", "the rest at zero", "What is left out is zero, not its mean.", fitted(bare),
                 fitted(silenced), "of nothing")
        )  # fmt: skip
    if mapped:
        through = fitted(mapped)
        astray = fitted(mapped.on_shuffled(moved=moved)) if wrong else None
        found += [
            made("map", "an affine map", "Through an affine map of each head's z, fitted by ridge regression.",
                 through, astray, elsewhere),
            made("map-noise", "map and noise", "Both.", noisy(through), astray and noisy(astray), elsewhere),
            made("map-noise-held", "map, noise and norms", f"Both, {HELD}.", held(noisy(through)),
                 astray and held(noisy(astray)), elsewhere, frozen),
        ]  # fmt: skip
    return found
