"""The controls that every assay carries, and what each has to give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unexplained.explanations.ends import IDENTITY as IDENTITY
from unexplained.explanations.ends import NOTHING as NOTHING
from unexplained.explanations.stand_in import Control, StandIn
from unexplained.ledger import Ledger
from unexplained.record import Check, Number, Row
from unexplained.shares import in_percent


def possible_controls(primary: StandIn) -> tuple[StandIn, ...]:
    """All that may be measured beside a claim; `controls_of` picks."""
    claims = [primary, *([mapped] if (mapped := primary.with_map()) else [])]
    kinds = [one.on_shuffled(moved=moved) for one in claims for moved in (False, True)]
    return (*kinds, *primary.ends())


def controls_of(primary: StandIn, control: Control) -> tuple[StandIn, ...]:
    """The controls of a claim: the one that can tell, the component itself, nothing at all."""
    found = primary.ends()
    if control.explanation is None:
        return found
    if mapped := primary.with_map():
        moved = control.explanation.name == primary.on_shuffled(moved=True).name
        return (control.explanation, *found, mapped.on_shuffled(moved=moved))
    return (control.explanation, *found)


def checks_of(
    text: str,
    rows: Sequence[Row],
    primary: StandIn,
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
    text: str, rows: Mapping[str, Row], primary: StandIn, control: Control, reference: str
) -> Check:
    """The control that computes the claim on something that it should not be right about."""
    if control.explanation is None:
        why = (
            f"no control of this kind: the rule depends on {control.depends}, and {in_percent(control.kept)} "
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
    left = (
        f", {in_percent(control.kept)} of what it says being the same"
        if control.kept >= 0.005
        else ""
    )
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
