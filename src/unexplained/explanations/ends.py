"""Everything and nothing, said of a component: the two ends that every claim lies between."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from unexplained.explanations.declared import explanation
from unexplained.explanations.protocol import Explanation
from unexplained.explanations.view import View


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
