"""Induction that chooses between continuations (A B … A C … A -> B or C, by context)."""

from torch import Tensor

from unexplained.explanations import patterns
from unexplained.explanations.declared import explanation
from unexplained.explanations.library import LIBRARY
from unexplained.explanations.view import View


@explanation(gives="pattern", reads=["tokens"])
def disambiguating_induction(view: View) -> Tensor:
    """Attend just after the earlier occurrence whose context matches longest, the latest of equals."""
    lengths = patterns.match_length(view.tokens)
    best = lengths.max(-1, keepdim=True).values
    return patterns.most_recent((lengths == best) & (lengths > 0)).to(view.tokens.device).float()


LIBRARY.add("disambiguating_induction", disambiguating_induction)
