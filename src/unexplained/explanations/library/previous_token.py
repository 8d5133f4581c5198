"""Previous-token attention."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.declared import explanation
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.view import View


@explanation(gives="pattern", reads=["tokens"])
def previous_token(view: View) -> Tensor:
    """Attend to the previous position."""
    return patterns.previous(view.tokens)


LIBRARY.add("previous_token", previous_token)
