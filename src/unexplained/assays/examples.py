"""The documents where an explanation is furthest off, token by token."""

from __future__ import annotations

from typing import Any

import numpy as np

from unexplained.ledger import Ledger
from unexplained.record import Example, Token
from unexplained.subject import Subject
from unexplained.text import Block, Text

MOST = 4
"""How many documents are shown."""


def examples_of(
    subject: Subject, text: Text, ledger: Ledger, row: str, reference: str
) -> tuple[Example, ...]:
    """The documents with the greatest loss per token under an explanation over the intact loss."""
    full, under = ledger.sums("intact"), ledger.sums(row)
    excess = (under.loss - full.loss) / np.maximum(full.tokens, 1)
    blocks = {block.document: block for block in text.eval}
    worst = np.argsort(-excess, kind="stable")[:MOST]
    return tuple(
        Example(
            document=full.documents[i],
            domain=blocks[full.documents[i]].domain,
            row=row,
            excess=float(excess[i]),
            tokens=_tokens(subject, text, blocks[full.documents[i]], ledger, row, reference),
        )
        for i in worst
    )


def _tokens(
    subject: Subject, text: Text, block: Block, ledger: Ledger, row: str, reference: str
) -> tuple[Token, ...]:
    tokenizer: Any = subject.tokenizer
    intact, says = ledger.token_rows("intact", block.document)
    explained, explained_says = ledger.token_rows(row, block.document)
    ablated, _ = ledger.token_rows(reference, block.document)
    labels = text.labels(block)["recurrence"]
    ids = block.tokens.tolist()
    shown = [Token(text=tokenizer.decode([ids[0]]), intact=None, explained=None, ablated=None)]
    for i, token in enumerate(ids[1:]):
        shown.append(
            Token(
                text=tokenizer.decode([token]),
                intact=intact[i],
                explained=explained[i],
                ablated=ablated[i],
                intact_says=tokenizer.decode([says[i]]),
                explained_says=tokenizer.decode([explained_says[i]]),
                label=str(labels[i]),
            )
        )
    return tuple(shown)
