"""Strict induction (A B … A -> B), the rule that the founding dialogue argues about."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.declared import explanation
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.view import View


@explanation(gives="pattern", reads=["tokens"])
def strict_induction(view: View) -> Tensor:
    """Attend evenly to every position just after an earlier occurrence of the current token."""
    return patterns.evenly(patterns.after_earlier_occurrence(view.tokens))


LIBRARY.add("strict_induction", strict_induction)
