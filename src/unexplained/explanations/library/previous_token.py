"""Previous-token attention."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.protocol import View, explanation


@explanation(gives="pattern", reads=["tokens"])
def previous_token(view: View) -> Tensor:
    """Attend to the previous position."""
    return patterns.previous(view.tokens)


LIBRARY.add("previous_token", previous_token)
