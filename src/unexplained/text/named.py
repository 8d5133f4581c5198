"""A text by its name: running text, a behaviour, or a file of either."""

from __future__ import annotations

import os
from pathlib import Path

from unexplained.schemes import home_of_name
from unexplained.subject import Subject
from unexplained.text import Text
from unexplained.text import text as text_of
from unexplained.text.behaviours.files import FIELDS
from unexplained.text.lines import json_lines
from unexplained.text.pairs import described, pairs


def read_text(
    name: str,
    subject: Subject,
    *,
    documents: int,
    fit_documents: int,
    block: int,
    seed: int,
    fits: bool = True,
) -> Text:
    """Running text, or for a behaviour's name or a file of pairs so many pairs with their swaps.

    Args:
        name: What text.
        subject: Whose tokenizer cuts it.
        documents: How many documents, or pairs with their role-swaps, to measure on.
        fit_documents: How many to fit on.
        block: Greatest number of tokens in a block.
        seed: What is drawn.
        fits: Something will be fitted on the fit part; otherwise a file of pairs needs none, and
            all its pairs are measured (but those whose lines say `fit`).
    """
    if is_pairs(name):
        fit_pairs = 2 * fit_documents if fits or name in described() else 0
        return pairs(name, subject, pairs=2 * documents, fit_pairs=fit_pairs, seed=seed)
    return text_of(
        name, subject, documents=documents, fit_documents=fit_documents, block=block, seed=seed
    )


def is_pairs(name: str) -> bool:
    """Whether a text is a behaviour or a file of pairs: the first line has a pair's fields.

    Raises:
        TextError: It is a `.jsonl` file that cannot be read.
    """
    if (known := home_of_name(name)) is not None:
        return bool(known[0].has_pairs(known[1]))
    path = Path(name)
    there = os.path.isfile(name)  # noqa: PTH113  (a name too long is no error here)
    if name in described() or path.suffix.lower() != ".jsonl" or not there:
        return name in described()
    _, first = next(json_lines(path), ("", None))
    return isinstance(first, dict) and not first.keys().isdisjoint(FIELDS) and "text" not in first
