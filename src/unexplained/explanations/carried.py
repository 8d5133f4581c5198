"""Everything that an explanation depends on: its code, its helpers', and the values that they hold.

One walk for three uses. The fingerprint says whether two explanations are the same; the price is
what their length charges; and what can be neither told apart nor counted is refused by name. Code
is followed through attributes of any depth, modules, classes and their objects, partial and bound
functions, closures, defaults and imports inside functions (`bytecode`); values through containers
and objects, whole. Functions of installed libraries are the language: they count by their name.

This guards against mistakes, not against somebody who hides things: Python has no walls
(docs/description-length.md lists what remains unseen).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from unexplained.errors import ExplanationError
from unexplained.explanations.walk import Carried, carried
from unexplained.text.ngrams import NGram

if TYPE_CHECKING:
    from unexplained.explanations.protocol import Explanation


def counted(explanation: Explanation) -> Carried:
    """What an explanation depends on, as it is now, if all of it is known.

    Raises:
        ExplanationError: It depends on something that no description length counts: a model, an
            open file, an object with a state of its own, a name that is only computed as it runs.
    """
    found = carried(explanation.function)
    for label, why in found.refused:
        raise ExplanationError(
            explanation.called,
            f"it carries '{label}', {why}",
            "Carry tensors, arrays, plain numbers, strings and lists of them, n-gram tables, and "
            "functions that are named where they are used; nothing of the model.",
        )
    return found


def tables_of(explanation: Explanation) -> tuple[NGram, ...]:
    """The n-gram tables that an explanation carries, each once.

    Raises:
        ExplanationError: As `counted`.
    """
    return tuple(counted(explanation).tables)
