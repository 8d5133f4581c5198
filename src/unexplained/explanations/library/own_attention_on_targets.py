"""The model's own attention, kept at induction targets only: own placement, own amount."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.declared import explanation
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.view import View


@explanation(gives="pattern", reads=["tokens", "pattern"])
def own_attention_on_targets(view: View) -> Tensor:
    """Attend as the head does, but only to positions just after earlier occurrences of the current token."""
    return view.pattern * patterns.after_earlier_occurrence(view.tokens)


LIBRARY.add("own_attention_on_targets", own_attention_on_targets)
