"""Induction on two matching tokens (A B C … A B -> C)."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.declared import explanation
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.view import View


@explanation(gives="pattern", reads=["tokens"])
def long_prefix_induction(view: View) -> Tensor:
    """Attend evenly to every position just after an earlier occurrence of the last two tokens."""
    return patterns.evenly(patterns.after_earlier_occurrence(view.tokens, match=2))


LIBRARY.add("long_prefix_induction", long_prefix_induction)
