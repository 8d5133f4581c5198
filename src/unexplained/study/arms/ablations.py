"""Ablations as arms: nothing is claimed, so they need no controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from unexplained.ablations import (
    ABLATIONS,
    REPLACES_FIRST,
    Fill,
    fitted,
    keeping_first,
    where_first_is_kept,
)
from unexplained.bars.joints import name_of
from unexplained.hashing import digest
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.run import Run


def ablation(run: Run, name: str, sites: Sequence[Site]) -> Arm:
    """Some components ablated together, under the ablation's name; see `fills`.

    Args:
        run: A subject with its texts, settings and workers.
        name: The ablation's (`mean`).
        sites: What is ablated.
    """
    return _arm(name, fills(run, name, [sites])[0], name)


def ablations(run: Run, name: str, groups: Sequence[Sequence[Site]]) -> list[Arm]:
    """Each group of components ablated together, under the components' names; see `fills`.

    Args:
        run: A subject with its texts, settings and workers.
        name: The ablation's (`mean`).
        groups: What is ablated together, group by group.
    """
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
    read = run.observe
    if kind.fits_on == "corrupted":
        read = partial(run.on(run.text.swapped()).observe, part="eval")
    return fitted(
        kind, run.subject, run.text, groups, run.settings.seed, read=read, folder=run.folder,
        workers=run.workers, progress=partial(run.say, f"fitting {name}"),
    )  # fmt: skip


def panel(run: Run, name: str, groups: Sequence[Sequence[Site]]) -> list[Arm]:
    """Each group of components ablated together with the first position kept, under a name of both.

    So the six of a panel differ in what they put there and not in where: means are over what is replaced.

    Args:
        run: A subject with its texts, settings and workers.
        name: The ablation's (`mean`).
        groups: What is ablated together, group by group.
    """
    kind, read = ABLATIONS.get(name), run.observe
    found = fitted(
        kind, run.subject, run.text, groups, run.settings.seed, folder=run.folder, workers=run.workers,
        read=lambda sites: where_first_is_kept(name, read(sites)),
        progress=partial(run.say, f"fitting {name}"),
    )  # fmt: skip
    if name in REPLACES_FIRST:
        found = [
            replace(
                fill,
                edits=tuple(map(keeping_first, fill.edits)),
                fingerprint=digest(fill.fingerprint, "first kept"),
            )
            for fill in found
        ]
    return [
        _arm(name, fill, f"{name} at {name_of(group)}")
        for group, fill in zip(groups, found, strict=True)
    ]


def _arm(kind: str, fill: Fill, name: str) -> Arm:
    says = f"Nothing is claimed: {ABLATIONS.get(kind).says}."
    return arm(fill.condition(name), role="ablation", says=says, method="internals")
