"""Stated explanations as arms. The controls that belong to a claim come with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from unexplained.ablations import keeping_first, value_site, without_first
from unexplained.bars.cards import NOTHING_RECOVERED, Must
from unexplained.evaluate import Activations
from unexplained.evaluate.conditions import key
from unexplained.explanations import StandIn
from unexplained.explanations.stand_in import Control
from unexplained.hashing import digest
from unexplained.record.blocks import Role
from unexplained.shares import in_percent
from unexplained.sites import Site
from unexplained.study.arm import Arm, arm
from unexplained.study.controls import possible_controls
from unexplained.study.run import Run


def claims(
    run: Run,
    sites: Sequence[Site],
    explanations: Sequence[StandIn],
    *,
    against: str = "mean",
    controls: Collection[str] | None = None,
    prices: bool = False,
    elsewhere: str = "",
    first_kept: bool = False,
) -> list[Arm]:
    """Explanations in the components' place, fitted on the fit part of the run's text.

    Args:
        run: What is measured, on one text.
        sites: The components, explained together.
        explanations: What is claimed of them.
        against: The ablation that says nothing of them: what no explanation must come to.
        controls: Names of those whose controls are measured beside them; of all if None. What is
            only compared with another claim of the same components needs none of its own. Where none
            is named, `Run.measure` takes the claims only as parts of one (`Arm.called`).
        prices: Whether a map that is fitted to the wrong document is among the controls: it says
            what the capacity of a map alone gives.
        elsewhere: What a claim on another document is held against, where that is not `against`: of
            one value of a component, the arm of that value at its mean.
        first_kept: The first position stays as the model has it and is in nothing that is fitted: for
            claims that are held against ablations of a panel. Then no controls are measured.

    Raises:
        ExplanationError: One raised, or cannot stand there.
    """
    held = [e for e in explanations if not first_kept and (controls is None or e.name in controls)]
    every = [*explanations, *(one for e in held for one in possible_controls(e))]
    needed = [s for e in every for s in e.observes(sites, run.subject.shape)]
    activations = run.observe([*needed, *map(value_site, sites)])
    if first_kept:
        activations = without_first(activations)
        return [_keeping_first(run, sites, one, activations) for one in explanations]
    return [
        _arm(
            run, sites, one, activations, role="fitted" if one.is_fitted else "explanation",
            of="" if one in held or not held else held[0].name,
            controls=_controls(run, sites, one, activations, against, elsewhere or against, prices)
            if one in held else (),
        )
        for one in explanations
    ]  # fmt: skip


def _keeping_first(
    run: Run, sites: Sequence[Site], explanation: StandIn, activations: Activations
) -> Arm:
    fitted = explanation.fit(tuple(sites), run.subject.shape, activations, run.settings.seed)
    whole = fitted.condition()
    kept = replace(
        whole,
        edits=tuple(map(keeping_first, whole.edits)),
        fingerprint=digest(key(whole), "first kept"),
    )
    return arm(kept, role="explanation", says=explanation.says)


def _controls(
    run: Run,
    sites: Sequence[Site],
    claim: StandIn,
    activations: Activations,
    against: str,
    elsewhere: str,
    prices: bool,
) -> tuple[Arm, ...]:
    control = claim.control(sites, run.subject.shape, activations, run.settings.seed)
    itself, nothing = claim.ends()
    mapped = claim.with_map() if prices and control.explanation is not None else None
    return (
        _arm(run, sites, itself, activations, role="control", of=claim.name, must=Must(
            gives="the same", of="intact",
            expected="the intact model's loss in every document, exactly (recovered exactly 1)")),
        _arm(run, sites, nothing, activations, role="control", of=claim.name, must=Must(
            gives="the same", of=against,
            expected=f"the loss of {against} ablation in every document, exactly (recovered exactly 0)")),
        _elsewhere(run, sites, claim, control, activations, elsewhere),
        *([_arm(run, sites, mapped.on_shuffled(moved=is_moved(claim, control)), activations,
                role="control", of=claim.name)] if mapped else []),
    )  # fmt: skip


def is_moved(claim: StandIn, control: Control) -> bool:
    """Whether the control that can tell puts what the claim says at other positions."""
    found = control.explanation
    return found is not None and found.name == claim.on_shuffled(moved=True).name


def _elsewhere(
    run: Run,
    sites: Sequence[Site],
    claim: StandIn,
    control: Control,
    activations: Activations,
    against: str,
) -> Arm:
    """The claim computed on something that it should not be right about."""
    if control.explanation is None:
        why = (
            f"no control of this kind: the rule depends on {control.depends}, and {in_percent(control.kept)} "
            "of what it says is the same on other documents and at other positions"
        )
        must = Must(gives="cannot tell", of=against, expected=why)
        name = f"{claim.name}, elsewhere"
        return _arm(
            run, sites, claim, activations, role="control", of=claim.name, must=must, name=name
        )
    left = (
        f", {in_percent(control.kept)} of what it says being the same"
        if control.kept >= 0.005
        else ""
    )
    must = Must(
        gives="nothing",
        of=against,
        expected=f"{NOTHING_RECOVERED} (the rule depends on {control.depends}{left})",
    )
    return _arm(
        run, sites, control.explanation, activations, role="control", of=claim.name, must=must
    )


def _arm(
    run: Run,
    sites: Sequence[Site],
    explanation: StandIn,
    activations: Activations,
    *,
    role: Role,
    of: str = "",
    must: Must | None = None,
    name: str = "",
    controls: tuple[Arm, ...] = (),
) -> Arm:
    fitted = explanation.fit(tuple(sites), run.subject.shape, activations, run.settings.seed)
    return arm(
        fitted.condition(), name=name, controls=controls, role=role, says=explanation.says,
        method=explanation.method, reads=explanation.reads, leaves=explanation.leaves,
        description=fitted.description, scalars=fitted.gates, of=of, must=must,
    )  # fmt: skip
