"""The model's own placement with the rule's amount: separates *where* from *how much*."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.declared import explanation
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.view import View


@explanation(gives="pattern", reads=["tokens", "pattern"])
def own_placement(view: View) -> Tensor:
    """Attend to induction targets in the head's own proportions, with all of the attention."""
    own = view.pattern * patterns.after_earlier_occurrence(view.tokens)
    return own / own.sum(-1, keepdim=True).clamp(min=1e-30)


LIBRARY.add("own_placement", own_placement)
