"""Facts that the records of several instruments begin with: of which models, on which text. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from unexplained.record.blocks import Row, fact

if TYPE_CHECKING:
    from unexplained.text import Text


def of_models(names: Sequence[str]) -> Row:
    """How many models there are, and the last of them."""
    return fact("models", "Models", f"{len(names):,}, the last {names[-1]}")


def of_text(text: Text) -> tuple[Row, ...]:
    """What the text is called and how much of it is predicted."""
    return (
        fact("text", "Text", text.name),
        fact("tokens", "Tokens predicted", text.predicted),
        fact("documents", "Documents", len(text.eval)),
    )
