"""The controls that every assay carries, and what each has to give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from unexplained.explanations import Explanation, View, explanation
from unexplained.ledger import Ledger
from unexplained.record import Check, Row


@explanation(gives="z", reads=["z"], method="internals", name="the component itself")
def _identity(view: View) -> Tensor:
    """The component as its own explanation: complete, and as long as the component."""
    return view.z


@explanation(gives="pattern", reads=["tokens"], name="no explanation")
def _nothing(view: View) -> Tensor:
    """Nothing is said of any position, so all attention stays on the mean output."""
    batch, length = view.tokens.shape
    return view.tokens.new_zeros((batch, length, length)).float()


IDENTITY: Explanation = _identity
NOTHING: Explanation = _nothing


def controls_of(primary: Explanation) -> tuple[Explanation, ...]:
    """The controls of a claim: on another document, the component itself, nothing at all."""
    controls = (primary.on_shuffled(), IDENTITY, NOTHING)
    if primary.gives in ("pattern", "z"):
        return (*controls, primary.affine().on_shuffled())
    return controls


def checks_of(
    text: str, rows: Sequence[Row], primary: Explanation, ledger: Ledger, reference: str
) -> list[Check]:
    """Hold the controls of one text against what they must give."""
    by_name = {row.name: row for row in rows}
    itself, nothing = by_name[IDENTITY.name], by_name[NOTHING.name]
    shuffled = by_name[primary.on_shuffled().name]
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
        Check(
            name=shuffled.name,
            text=text,
            expected="nothing recovered: not above 0 by more than noise",
            found=shuffled.recovered[reference],
            holds=_not_above_zero(shuffled, reference),
        ),
    ]


def _same(ledger: Ledger, one: str, other: str) -> bool:
    return bool(np.array_equal(ledger.sums(one).loss, ledger.sums(other).loss))


def _not_above_zero(row: Row, reference: str) -> bool:
    found = row.recovered[reference]
    return found.value is None or found.low is None or found.low <= 0
