"""The rule's placement with the model's own amount: separates *how much* from *where*."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.declared import explanation
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.view import View


@explanation(gives="pattern", reads=["tokens", "pattern"])
def own_amount(view: View) -> Tensor:
    """Attend evenly to induction targets, with as much attention as the head gives to them in all."""
    targets = patterns.after_earlier_occurrence(view.tokens)
    amount = (view.pattern * targets).sum(-1, keepdim=True)
    return patterns.evenly(targets) * amount


LIBRARY.add("own_amount", own_amount)
