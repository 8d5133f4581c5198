"""Ablations as arms: nothing is claimed, so they need no controls."""

from __future__ import annotations

from collections.abc import Sequence

from unexplained.ablations import ABLATIONS, Fill, value_site
from unexplained.bars.joints import name_of
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run


def ablation(run: Run, name: str, sites: Sequence[Site]) -> Arm:
    """Some components ablated together, under the ablation's name; see `fills`."""
    return _arm(name, fills(run, name, [sites])[0], name)


def ablations(run: Run, name: str, groups: Sequence[Sequence[Site]]) -> list[Arm]:
    """Each group of components ablated together, under the components' names; see `fills`."""
    return [
        _arm(name, fill, name_of(group))
        for group, fill in zip(groups, fills(run, name, groups), strict=True)
    ]


def fills(run: Run, name: str, groups: Sequence[Sequence[Site]]) -> list[Fill]:
    """An ablation of each group of components, fitted on the fit part or the corrupted prompts.

    Raises:
        AblationError: There is none of that name, or it cannot be fitted at a component.
        TextError: It is fitted on what the run's text does not have.
    """
    kind = ABLATIONS.get(name)
    values = [value_site(site) for group in groups for site in group]
    if kind.fits_on == "corrupted":
        found = run.on(run.text.swapped()).observe(values, part="eval")
    else:
        found = run.observe(values)
    return [kind.fit(found, group, run.settings.seed) for group in groups]


def _arm(kind: str, fill: Fill, name: str) -> Arm:
    says = f"Nothing is claimed: {ABLATIONS.get(kind).says}."
    return arm(fill.condition(name), role="ablation", says=says, method="internals")
