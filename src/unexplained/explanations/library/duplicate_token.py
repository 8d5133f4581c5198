"""Duplicate-token attention."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.protocol import View, explanation


@explanation(gives="pattern", reads=["tokens"])
def duplicate_token(view: View) -> Tensor:
    """Attend evenly to every earlier occurrence of the current token."""
    return patterns.evenly(patterns.earlier_occurrence(view.tokens))


LIBRARY.add("duplicate_token", duplicate_token)
