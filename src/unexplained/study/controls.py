"""The controls that every assay carries, and what each has to give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from unexplained.explanations import Explanation, View, explanation
from unexplained.explanations.invariance import Control
from unexplained.ledger import Ledger
from unexplained.record import Check, Number, Row


@explanation(gives="z", reads=["z"], method="internals", name="the component itself")
def _identity(view: View) -> Tensor:
    """The component as its own explanation: complete, and as long as the component."""
    return view.z


@explanation(gives="pattern", reads=["tokens"], name="no explanation")
def _nothing(view: View) -> Tensor:
    """Nothing is said of any position, so all attention stays on the mean output."""
    batch, length = view.tokens.shape
    return view.tokens.new_zeros((batch, length, length)).float()


@explanation(gives="value", reads=["value"], method="internals", name="the component itself")
def _value(view: View) -> Tensor:
    """The component as its own explanation: complete, and as long as the component."""
    return view.value


IDENTITY: Explanation = _identity
NOTHING: Explanation = _nothing


def ends_of(primary: Explanation) -> tuple[Explanation, Explanation]:
    """Everything and nothing, said of the kind of component that a claim is about."""
    if primary.gives != "value":
        return IDENTITY, NOTHING
    says = "Nothing is said, so the mean stands everywhere."
    return _value, replace(_value, name=NOTHING.name, says=says, method="mech", readout="nothing")


def possible_controls(primary: Explanation) -> tuple[Explanation, ...]:
    """All that may be measured beside a claim; `controls_of` picks."""
    kinds = [primary.on_shuffled(moved=moved) for moved in (False, True)]
    if primary.readout == "none":
        kinds += [primary.affine().on_shuffled(moved=moved) for moved in (False, True)]
    return (*kinds, *ends_of(primary))


def controls_of(primary: Explanation, control: Control) -> tuple[Explanation, ...]:
    """The controls of a claim: the one that can tell, the component itself, nothing at all."""
    found = ends_of(primary)
    if control.explanation is None:
        return found
    if primary.readout == "none":
        affine = primary.affine().on_shuffled(moved=control.explanation.moved)
        return (control.explanation, *found, affine)
    return (control.explanation, *found)


def checks_of(
    text: str,
    rows: Sequence[Row],
    primary: Explanation,
    control: Control,
    ledger: Ledger,
    reference: str,
) -> list[Check]:
    """Hold the controls of one text against what they must give."""
    by_name = {row.name: row for row in rows}
    itself, nothing = by_name[IDENTITY.name], by_name[NOTHING.name]
    return [
        Check(
            name=IDENTITY.name,
            text=text,
            expected="the intact model's loss in every document, exactly (recovered exactly 1)",
            found=itself.increase,
            holds=_same(ledger, IDENTITY.name, "intact"),
        ),
        Check(
            name=NOTHING.name,
            text=text,
            expected=f"the loss of {reference} ablation in every document, exactly (recovered exactly 0)",
            found=nothing.recovered[reference],
            holds=_same(ledger, NOTHING.name, reference),
        ),
        _told(text, by_name, primary, control, reference),
    ]


def _told(
    text: str, rows: Mapping[str, Row], primary: Explanation, control: Control, reference: str
) -> Check:
    """The control that computes the claim on something that it should not be right about."""
    if control.explanation is None:
        why = (
            f"no control of this kind: the rule depends on {control.depends}, and {control.kept:.0%} "
            "of what it says is the same on other documents and at other positions"
        )
        return Check(
            name=f"{primary.name}, elsewhere",
            text=text,
            expected=why,
            found=Number(value=None, refused=why),
            holds=True,
            applies=False,
        )
    found = rows[control.explanation.name]
    recovered = found.recovered[reference]
    if recovered.low is None:
        why = recovered.refused or "too few documents for an interval"
        return Check(
            name=found.name,
            text=text,
            expected=f"nothing recovered, which cannot be told here: {why}",
            found=recovered,
            holds=True,
            applies=False,
        )
    left = f", {control.kept:.0%} of what it says being the same" if control.kept >= 0.005 else ""
    return Check(
        name=found.name,
        text=text,
        expected="nothing recovered: not above 0 by more than noise (the rule depends on "
        f"{control.depends}{left})",
        found=recovered,
        holds=recovered.low <= 0,
    )


def _same(ledger: Ledger, one: str, other: str) -> bool:
    return bool(np.array_equal(ledger.sums(one).loss, ledger.sums(other).loss))
