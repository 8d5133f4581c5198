"""An ablation as an arm: nothing is claimed, so it needs no controls."""

from __future__ import annotations

from collections.abc import Sequence

from unexplained.ablations import ABLATIONS, value_site
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run


def ablation(run: Run, name: str, sites: Sequence[Site]) -> Arm:
    """Some components ablated together, fitted on the fit part of the run's text.

    Raises:
        AblationError: There is none of that name, or it cannot be fitted at a component.
    """
    kind = ABLATIONS.get(name)
    activations = run.observe(list(map(value_site, sites)))
    fill = kind.fit(activations, sites, run.settings.seed)
    says = f"Nothing is claimed: {kind.says}."
    return arm(fill.condition(), role="ablation", says=says, method="internals")
