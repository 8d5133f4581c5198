"""Later weights refitted over a claim, over nothing, over what is wrong for certain, and over the intact model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unexplained.evaluate import Edited
from unexplained.explanations import StandIn
from unexplained.repairs.noise import random_instead, sites_of
from unexplained.repairs.refit import refit
from unexplained.repairs.refitted import Refitted
from unexplained.repairs.schedule import RefitSettings, first_later
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run

CLAIM, NOTHING, INTACT, ELSEWHERE, RANDOM = "claim", "nothing", "intact", "elsewhere", "random"
"""What is refitted, by what it stands for."""
SAYS = {
    INTACT: "The model as it is: what the refit gains by adapting to the text.",
    NOTHING: "Nothing is said of the components: what the refit learns anew.",
    CLAIM: "The claim.",
    ELSEWHERE: "The claim on another document or at other positions: wrong for certain.",
    RANDOM: "Random numbers of the claim's mean and covariance.",
}


@dataclass(frozen=True)
class Refits:
    """What was refitted."""

    arms: tuple[Arm, ...]
    """What is refitted wrongly, as it is, and everything refitted."""
    plain: dict[str, str]
    """For each of what was refitted the condition as it was before."""
    names: dict[str, tuple[str, ...]]
    """For each of what was refitted the conditions of its seeds, in one order."""
    looks: dict[str, np.ndarray]
    """(seed, look) losses on the documents that a refit stops by, nats per token."""
    stopped: dict[str, tuple[int, ...]]
    """After how many steps each was best."""


@dataclass(frozen=True)
class TriedRefit:
    """One refit of the intact model, and one of its later weights made worse before: how strong a refit is."""

    how: RefitSettings
    first: int
    intact: Refitted
    damaged: np.ndarray
    """(look,) losses on the documents that a refit stops by, nats per token."""


def tried_refit(
    run: Run, sites: Sequence[Site], *, how: RefitSettings, damage: float
) -> TriedRefit:
    """Refit the intact model with the first seed, as it is and damaged.

    Args:
        run: On one text: the fit part is trained on, the eval part never.
        sites: The components that the refitted layers come after.
        how: Steps, rank and rate.
        damage: Nats per token of the damage.

    Raises:
        MeasurementError: No layer comes after the components; the loss became NaN.
        TextError: The fit part is too small to be split.
    """
    first = first_later(run.subject, [site.layer for site in sites])
    whole, damaged = (
        _refitted(run, [_WHOLE], [run.settings.seed], first, how, much)[_WHOLE.name][0]
        for much in (0.0, damage)
    )
    return TriedRefit(how, first, whole, damaged.looks)


_WHOLE = Edited("intact model", (), "nothing is edited")


def _refitted(
    run: Run,
    what: Sequence[Edited],
    seeds: Sequence[int],
    first: int,
    how: RefitSettings,
    damage: float = 0.0,
) -> dict[str, tuple[Refitted, ...]]:
    return refit(
        run.subject, run.text, what, seeds, first=first, how=how, damage=damage,
        **run.how("refitting later weights"),
    )  # fmt: skip


def refits(
    run: Run,
    sites: Sequence[Site],
    claim: StandIn,
    claimed: Edited,
    nothing: Edited,
    tried: TriedRefit,
    *,
    seeds: int,
) -> Refits:
    """Refit the later weights over everything that a claim is to be held against.

    Args:
        run: On one text: the fit part is trained on, the eval part never.
        sites: The components.
        claim: What is said of them, not yet fitted.
        claimed: The same as a condition.
        nothing: The condition of saying nothing.
        tried: The intact model refitted with the first seed: all else is refitted the same way.
        seeds: How many refits of each.

    Raises:
        MeasurementError: There are too few tokens for a covariance; the loss became NaN.
        TextError: The fit part is too small to be split, or has no other document as long.
    """
    seed, shape = run.settings.seed, run.subject.shape
    both = [claim, claim.on_shuffled()]
    values = [*(site for one in both for site in one.observes(sites, shape)), *sites_of([claimed])]
    activations = run.observe(values)
    wrong = claim.control(sites, shape, activations, seed).explanation
    drawn = random_instead("random numbers", claimed, activations, seed)
    every = {INTACT: _WHOLE, NOTHING: nothing, CLAIM: claimed}
    if (
        drawn is not None
    ):  # else the claim is constant, and random numbers of no spread are the claim
        every[RANDOM] = drawn
    if wrong is not None:  # else it says the same of other documents and at other positions
        every[ELSEWHERE] = wrong.fit(tuple(sites), shape, activations, seed).condition()
    numbers = [seed + i for i in range(seeds)]

    others = [one for one in every.values() if one is not _WHOLE]
    found = _refitted(run, [_WHOLE], numbers[1:], tried.first, tried.how)
    found[_WHOLE.name] = (tried.intact, *found[_WHOLE.name])
    found |= _refitted(run, others, numbers, tried.first, tried.how)
    by = {what: found[one.name] for what, one in every.items()}
    made = [
        arm(one.condition, role=_role(what), of=claimed.name, says=SAYS[what], effort=tried.how.says)
        for what, some in by.items()
        for one in some
    ]  # fmt: skip
    wrongly = [
        arm(every[what], role="control", of=claimed.name, says=SAYS[what])
        for what in (ELSEWHERE, RANDOM)
        if what in every
    ]
    return Refits(
        (*wrongly, *made), {what: one.name for what, one in every.items()},
        {what: tuple(one.condition.name for one in some) for what, some in by.items()},
        {what: np.stack([one.looks for one in some]) for what, some in by.items()},
        {what: tuple(one.stopped for one in some) for what, some in by.items()},
    )  # fmt: skip


def _role(what: str) -> str:
    return {INTACT: "intact", NOTHING: "ablation", CLAIM: "fitted"}.get(what, "control")
