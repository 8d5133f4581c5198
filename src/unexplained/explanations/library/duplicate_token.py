"""Duplicate-token attention."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.declared import explanation
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.view import View


@explanation(gives="pattern", reads=["tokens"])
def duplicate_token(view: View) -> Tensor:
    """Attend evenly to every earlier occurrence of the current token."""
    return patterns.evenly(patterns.earlier_occurrence(view.tokens))


LIBRARY.add("duplicate_token", duplicate_token)
